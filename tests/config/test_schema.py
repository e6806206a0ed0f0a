import json
import logging
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from speaq.config import Config, load_config, log_without_effect
from speaq.config.data import MixedSource
from speaq.config.schema import effective_keys, key_defaults, section_names
from speaq.config.settings import flatten, nest
from speaq.errors import SpeaqError

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = json.loads((GOLDEN / "config_defaults.json").read_text())
SOURCE = "DATASETS.MULTI_DATASET.SOURCES.<NAME>."
NEW = {
    "DIST_STEP_MINUTES": 10.0,
    "DIST_WAIT_MINUTES": 30.0,
    "DATASETS.SYNTHETIC_GENOME.VG_ATTRIBUTE_H5": "",
    "DATASETS.VISUAL_GENOME.CORRUPTED_IMAGES": [],
    "DATASETS.VISUAL_GENOME.SYNTHETIC_ATTRIBUTE_H5": "",
    "DATASETS.VISUAL_GENOME_SYNTHETIC.SYNTHETIC_ATTRIBUTE_H5": "",
    **{
        f"DATASETS.{name}.{key}": default
        for name in ("VISUAL_GENOME", "SYNTHETIC_GENOME", "VISUAL_GENOME_SYNTHETIC")
        for key, default in (("RELATION_SOURCE_WEIGHTS", []), ("PARQUET", ""))
    },
    "DATASETS.MULTI_DATASET.REAL_SAMPLING_RATIO_END": None,
    "DATASETS.MULTI_DATASET.SYNTHETIC_SAMPLING_RATIO_END": None,
    "DATASETS.MULTI_DATASET.STATISTICS": "mix",
    **{
        SOURCE + key: default
        for key, default in flatten(MixedSource().model_dump(mode="json", by_alias=True))
    },
    SOURCE + "SYNTHETIC_ATTRIBUTE_H5": "",
    "INPUT.MAX_PIXELS": 178956970,
    "MODEL.BACKBONE.PRETRAINED": True,
    "MODEL.DETR.DECODER_TYPE": "",
    "MODEL.DETR.DENSE_LOSS_WEIGHT": 0.0,
    "MODEL.DETR.MAX_RELATION_WEIGHT": 100.0,
    "MODEL.DETR.PREDICATE_FREQUENCIES": "train",
    "MODEL.DETR.REFERENCE_POINTS": False,
    "MODEL.WEIGHTS_SYNONYMS": "",
    "MODEL.COMPILE": False,
    "SOLVER.ACCUMULATE": 1,
    "SOLVER.AMP.PRECISION": "bf16",
    "SOLVER.EMA.DECAY": 0.9999,
    "SOLVER.EMA.ENABLED": False,
    "SOLVER.EMA.WARMUP_ITERS": 2000,
    "SOLVER.GRADIENT_CHECKPOINTING": False,
    "SOLVER.LOG_PERIOD": 20,
    "SOLVER.MAX_NONFINITE_STEPS": 10,
    "TEST.CLIP_BOXES": False,
    "TEST.EARLY_STOPPING.MIN_DELTA": 0.0,
    "TEST.EARLY_STOPPING.PATIENCE": 0,
    "TEST.IMS_PER_BATCH": 8,
    "TEST.LONG_TAIL.COUNTS": [10000, 500],
    "TEST.LONG_TAIL.FILE": "",
    "TEST.LONG_TAIL.SPLIT": "thirds",
    "TEST.METRICS": [],
    "TEST.MODE": "sgdet",
    "TEST.CONVENTION": "speaq",
    "TEST.RELATION.DISTINCT": False,
    "TEST.RELATION.DROP_SELF": False,
    "TEST.RELATION.PNMS_THRESHOLD": 0.7,
}


def effective_defaults() -> dict[str, object]:
    return {key.name: key_defaults()[key.name] for key in effective_keys() if "<NAME>" not in key.name}


def models(model: type[BaseModel]):
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from models(field.annotation)


def test_keys_and_defaults_are_the_recorded_ones_and_the_new_ones():
    assert key_defaults() == {**RECORDED, **NEW}
    assert len(RECORDED) == 462


def test_every_key_accepts_its_default_and_changes_nothing(tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text(json.dumps(nest(RECORDED)))  # JSON is YAML
    config = load_config(file)
    assert config.without_effect == ()
    assert effective_defaults() == dict(flatten(config.model_dump(mode="json", by_alias=True)))
    assert config.unused == {key: value for key, value in RECORDED.items() if key not in reachable()}


def reachable() -> set[str]:
    return {*effective_defaults(), "DATASETS.SYNTHETIC_GENOME.SYNTHETIC_ATTRIBUTE_H5"}


@pytest.mark.parametrize("key", sorted(RECORDED))
def test_every_key_is_accepted_on_the_command_line(key):
    text = str(RECORDED[key])  # as a script would write it: lists with brackets, None, True
    config = load_config(None, [key, text])
    assert config.without_effect == ()
    assert effective_defaults() == dict(flatten(config.model_dump(mode="json", by_alias=True)))


def test_every_key_is_described():
    fields = {
        f"{model.__name__}.{name}": field
        for model in models(Config)
        for name, field in model.model_fields.items()
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
    }
    assert len(fields) > 120
    assert [name for name, field in fields.items() if not field.description] == []
    assert all(model.__doc__ for model in models(Config))


def test_defaults_pass_their_own_validation():
    assert Config.model_validate(Config().model_dump(by_alias=True)) == Config()


def test_attributes_are_the_keys_in_lower_case():
    config = load_config(None, ["DATASETS.VISUAL_GENOME.VG_ATTRIBUTE_H5", "a.h5"])
    assert config.datasets.visual_genome.vg_attribute_h5 == "a.h5"
    assert (config.solver.base_lr, config.model.detr.num_groups) == (0.001, 5)
    assert (config.model.resnets.stride_in_1x1, config.test.relation.iou_threshold) == (True, 0.5)
    assert config.output_dir == "./output"


def test_config_is_immutable():
    with pytest.raises(ValidationError):
        Config().solver.base_lr = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Config.model_validate({"SOLVER": {"BASE_LRR": 1.0}})


def test_section_names():
    assert {"MODEL", "MODEL.DETR", "MODEL.RPN", "GLOBAL", "TEST.RELATION"} <= set(section_names())
    assert not set(section_names()) & key_defaults().keys()


def test_saved_configuration_loads_back_identically(tmp_path):
    overrides = ["MODEL.RPN.CONV_DIMS", "[64, -1]", "MODEL.META_ARCHITECTURE", "IterativeRelationDetr"]
    overrides += ["SOLVER.BASE_LR", "1e-05", "OUTPUT_DIR", "한국어 'und' so", "SOLVER.STEPS", "(1,2)"]
    config = load_config(None, overrides)
    file = tmp_path / "deep" / "config.yaml"
    config.save(file)
    assert load_config(file) == config
    assert [entry.name for entry in file.parent.iterdir()] == ["config.yaml"]
    text = file.read_text(encoding="utf-8")
    assert "CONV_DIMS: [64, -1]" in text
    assert "한국어" in text
    assert "PRE_NMS_TOPK_TEST" not in text


def test_save_raises_where_the_folder_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpeaqError, match="cannot write this file"):
        Config().save(tmp_path / "file" / "config.yaml")


def test_keys_without_effect_are_logged_once_and_class_names_never(caplog):
    overrides = ["MODEL.RPN.NMS_THRESH", "0.6", "DATALOADER.FILTER_EMPTY_ANNOTATIONS", "False"]
    overrides += [
        "MODEL.META_ARCHITECTURE",
        "IterativeRelationDetr",
        "MODEL.DETR.MATCHER",
        "Any",
        "VERSION",
        "1",
    ]
    overrides += ["MODEL.RPN.IOU_THRESHOLDS", "(0.3, 0.7)", "SOLVER.GAMMA", "0.5"]
    config = load_config(None, overrides)
    assert config.without_effect == ("MODEL.RPN.NMS_THRESH", "DATALOADER.FILTER_EMPTY_ANNOTATIONS")
    with caplog.at_level(logging.WARNING):
        log_without_effect(config)
        log_without_effect(Config())
    (record,) = caplog.records
    assert record.getMessage().endswith("MODEL.RPN.NMS_THRESH, DATALOADER.FILTER_EMPTY_ANNOTATIONS")
