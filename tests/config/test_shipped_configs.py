"""The files in configs/ and the command lines that users type with them."""

import shlex
from pathlib import Path

import pytest

from speaq.config import Config, load_config
from speaq.config.schema import key_defaults

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))
OTHER_SIZES = ("speaq_tiny", "speaq_r50")  # models that are not the published one
PUBLISHED = [file for file in FILES if file.stem not in OTHER_SIZES]

SPEAQ = """
MODEL.DETR.ONE2MANY_SCHEME dynamic \
MODEL.DETR.MULTIPLY_QUERY 2 \
MODEL.DETR.ONLY_PREDICATE_MULTIPLY True \
MODEL.DETR.ONE2MANY_K 4 \
MODEL.DETR.ONE2MANY_DYNAMIC_SCHEME max \
MODEL.DETR.USE_GROUP_MASK True \
MODEL.DETR.MATCH_INDEPENDENT True \
MODEL.DETR.NUM_GROUPS 4 \
MODEL.DETR.ONE2MANY_PREDICATE_SCORE True \
MODEL.DETR.ONE2MANY_PREDICATE_WEIGHT -0.5
"""
START = "SOLVER.IMS_PER_BATCH 20 MODEL.WEIGHTS ./pretrained/vg_objectdetector_pretrained.pth"
MIX = """
DATASETS.MULTI_DATASET.REAL_SAMPLING_RATIO 0.7 \
DATASETS.MULTI_DATASET.SYNTHETIC_SAMPLING_RATIO 0.3 \
DATASETS.MULTI_DATASET.REAL_LOSS_WEIGHT 1.0 \
DATASETS.MULTI_DATASET.SYNTHETIC_LOSS_WEIGHT 0.5
"""


def overrides_of(file: Path) -> list[str]:
    """What follows the options in the command that opens the file."""
    opening = file.read_text().split("\n\n", 1)[0]
    command = opening.partition("python ")[2].split("\n#\n")[0].replace("\\\n#", " ")
    words = shlex.split(command)
    return words[next(i for i, word in enumerate(words) if word in key_defaults()) :]


def test_all_published_files_exist():
    expected = {
        "visual_genome",
        "iterative_model",
        "speaq",
        "speaq_test",
        "synthetic_genome",
        "synthetic_genome_test",
        "speaq_multi_dataset",
        "speaq_multi_dataset_test",
        *OTHER_SIZES,
    }
    assert expected <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_loads_alone_and_with_its_command_line(file):
    config = load_config(file)
    assert config.without_effect == ()
    assert f"configs/{file.name}" in file.read_text()
    assert load_config(file, overrides_of(file)).output_dir != Config().output_dir


def test_named_model_sizes():
    published = load_config(CONFIGS / "speaq.yaml")
    for name, depth in (("speaq_r50", 50), ("speaq_tiny", 18)):
        config = load_config(CONFIGS / f"{name}.yaml")
        assert config.model.resnets.depth == depth
        assert (config.datasets, config.solver) == (published.datasets, published.solver)
        groups = ("use_group_mask", "num_groups", "multiply_query", "one2many_scheme", "one2many_k")
        assert all(getattr(config.model.detr, key) == getattr(published.model.detr, key) for key in groups)
    r50 = load_config(CONFIGS / "speaq_r50.yaml")
    assert (r50.model.detr, r50.input) == (published.model.detr, published.input)


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)
def test_every_file_is_the_published_system(file):
    config = load_config(file)
    model, detr, solver = config.model, config.model.detr, config.solver
    assert (model.resnets.depth, model.resnets.stride_in_1x1, model.resnets.norm) == (101, False, "FrozenBN")
    assert (model.resnets.out_features[-1], model.backbone.freeze_at) == ("res5", 2)
    assert model.pixel_mean == (123.675, 116.28, 103.53)
    assert model.pixel_std == (58.395, 57.12, 57.375)
    assert (config.input.format, config.input.min_size_train) == ("RGB", tuple(range(480, 801, 32)))
    assert (config.input.max_size_train, config.input.min_size_test, config.input.max_size_test) == (
        1333,
        800,
        1333,
    )
    crop = config.input.crop
    assert (crop.enabled, crop.type, crop.size) == (True, "absolute_range", (384.0, 600.0))
    assert (detr.hidden_dim, detr.nheads, detr.dim_feedforward, detr.enc_layers, detr.dec_layers) == (
        256,
        8,
        2048,
        6,
        6,
    )
    assert (detr.num_object_queries, detr.num_relation_queries, detr.dropout) == (300, 300, 0.1)
    assert (detr.num_classes, detr.num_relation_classes) == (150, 50)
    assert (detr.cost_class, detr.l1_weight, detr.giou_weight) == (1.0, 5.0, 2.0)
    assert (detr.no_object_weight, detr.reweight_rel_eos_coef) == (0.1, 0.1)
    assert (detr.reweight_relations, detr.oversample_param, detr.undersample_param) == (True, 0.07, 1.5)
    assert (solver.optimizer, solver.base_lr, solver.weight_decay) == ("ADAMW", 1e-4, 1e-4)
    assert (solver.backbone_multiplier, solver.entity_multiplier, solver.relation_multiplier) == (
        0.1,
        1.0,
        1.0,
    )
    clip = solver.clip_gradients
    assert (clip.enabled, clip.clip_type, clip.clip_value) == (True, "full_model", 0.01)
    assert (solver.amp.enabled, solver.checkpoint_period, config.test.eval_period) == (True, 1000, 6000)


@pytest.mark.parametrize(
    ("name", "schedule", "test", "scheme"),
    [
        ("visual_genome", (20, 150000, (96000,)), "VG_val", "static"),
        ("iterative_model", (32, 250000, (160000,)), "VG_val", "static"),
        ("speaq", (20, 150000, (96000,)), "VG_val", "dynamic"),
        ("speaq_test", (20, 150000, (96000,)), "VG_test", "dynamic"),
        ("synthetic_genome", (20, 150000, (96000,)), "SYNTHETIC_val", "static"),
        ("synthetic_genome_test", (20, 150000, (96000,)), "SYNTHETIC_test", "dynamic"),
        ("speaq_multi_dataset", (20, 150000, (96000,)), "MULTI_val", "dynamic"),
        ("speaq_multi_dataset_test", (20, 150000, (96000,)), "MULTI_test", "dynamic"),
    ],
)
def test_differences_between_the_files(name, schedule, test, scheme):
    config = load_config(CONFIGS / f"{name}.yaml")
    assert (config.solver.ims_per_batch, config.solver.max_iter, config.solver.steps) == schedule
    assert config.datasets.test == (test,)
    assert config.datasets.train == (test.split("_")[0] + "_train",)
    assert config.model.detr.one2many_scheme == scheme
    section = config.datasets.synthetic_genome if test.startswith("SYN") else config.datasets.visual_genome
    assert section.images
    assert section.image_data.endswith("image_data.json")
    assert section.mapping_dictionary.endswith("-SGG-dicts-with-attri.json")
    assert section.vg_attribute_h5.endswith("-SGG-with-attri.h5")
    assert not section.filter_non_overlap


@pytest.mark.parametrize(
    ("name", "same"), [("visual_genome", "speaq"), ("synthetic_genome", "synthetic_genome_test")]
)
def test_the_options_of_the_command_line_make_the_file(name, same):
    config = load_config(CONFIGS / f"{name}.yaml", shlex.split(SPEAQ))
    assert config.model == load_config(CONFIGS / f"{same}.yaml").model


def test_the_mix_is_that_of_the_user_guides():
    datasets = load_config(CONFIGS / "speaq_multi_dataset.yaml").datasets
    assert (datasets.type, datasets.multi_dataset.enabled) == ("MULTI_DATASET", True)
    assert datasets.multi_dataset.shares == {"real": (0.7, 0.7, 1.0), "synthetic": (0.3, 0.3, 0.5)}
    real, synthetic = datasets.visual_genome, datasets.visual_genome_synthetic
    assert (
        real.mapping_dictionary == synthetic.mapping_dictionary == "datasets/vg/VG-SGG-dicts-with-attri.json"
    )
    assert synthetic.vg_attribute_h5 == "datasets/generated/augmented_from_refined.h5"
    assert synthetic.image_data == "datasets/generated/image_data_new.json"


@pytest.mark.parametrize("name", ["visual_genome", "synthetic_genome", "speaq_multi_dataset"])
def test_command_lines_as_users_write_them(name):
    items = shlex.split(f"OUTPUT_DIR outputs/multi_dataset_training {START} {SPEAQ} {MIX}")
    config = load_config(CONFIGS / f"{name}.yaml", items)
    assert config.output_dir == "outputs/multi_dataset_training"
    assert config.model.weights == "./pretrained/vg_objectdetector_pretrained.pth"
    assert config.model.detr.one2many_predicate_weight == -0.5
    assert (config.model.detr.multiply_query, config.model.detr.num_groups) == (2, 4)
    assert config.datasets.multi_dataset.synthetic_loss_weight == 0.5


def test_sections_of_the_user_guides_load(tmp_path):
    file = tmp_path / "guide.yaml"
    file.write_text(
        """\
DATASETS:
  TYPE: "MULTI_DATASET"
  MULTI_DATASET:
    ENABLED: True
    REAL_SAMPLING_RATIO: 0.7      # 70% real data
    SYNTHETIC_SAMPLING_RATIO: 0.3 # 30% synthetic data
    REAL_LOSS_WEIGHT: 1.0         # Loss weight for real data
    SYNTHETIC_LOSS_WEIGHT: 0.5    # Loss weight for synthetic data
MODEL:
  DETR:
    ONE2MANY_SCHEME: "dynamic"
    MULTIPLY_QUERY: 2
    MATCH_INDEPENDENT: True
    USE_GROUP_MASK: True
    NUM_GROUPS: 4
    OVERSAMPLE_PARAM: 0.07
    UNDERSAMPLE_PARAM: 1.5
"""
    )
    config = load_config(file)
    assert (config.datasets.type, config.datasets.multi_dataset.enabled) == ("MULTI_DATASET", True)


def test_every_file_survives_saving(tmp_path):
    for file in FILES:
        config = load_config(file)
        config.save(tmp_path / file.name)
        assert load_config(tmp_path / file.name) == config
