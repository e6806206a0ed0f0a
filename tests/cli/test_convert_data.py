"""`speaq data convert`: output, files and exit codes."""

import json

import pytest
import yaml
from PIL import Image

from data_command import run_data_command
from golden_dataset import TINY
from speaq.config import load_config
from speaq.data.sources import load_training_sources
from speaq.evaluation.build import load_evaluation_sets


def test_convert_to_coco_and_back_can_be_checked(capsys, tmp_path):
    code, out, _ = run_data_command(
        capsys, "convert", TINY, tmp_path / "coco", "--to", "coco", "--val-share", "0.25", "--seed", "3"
    )
    assert code == 0
    assert out.splitlines() == [
        "vg to coco: 120 images (63 train, 21 val, 36 test), 634 boxes of 150 classes, 454 relations of 50 "
        "predicates.",
        *(f"wrote {tmp_path}/coco/{name}.json" for name in ("train", "val", "test", "rel")),
    ]
    code, out, _ = run_data_command(
        capsys,
        "convert",
        tmp_path / "coco",
        tmp_path / "vg",
        "--images",
        TINY / "images",
        "--splits",
        "val",
        "test",
    )
    assert code == 0
    assert "coco to vg: 57 images (0 train, 21 val, 36 test)" in out
    section = yaml.safe_load(out[out.index("DATASETS:") :])
    assert section["DATASETS"]["VISUAL_GENOME"] == {
        "IMAGES": str(TINY / "images"),
        "IMAGE_DATA": f"{tmp_path}/vg/image_data.json",
        "MAPPING_DICTIONARY": f"{tmp_path}/vg/dicts.json",
        "VG_ATTRIBUTE_H5": f"{tmp_path}/vg/annotations.h5",
        "FILTER_NON_OVERLAP": False,
    }
    assert "No image is marked for validation" not in out
    (tmp_path / "set.yaml").write_text(out[out.index("DATASETS:") :])
    code, out, _ = run_data_command(capsys, "check", "--config-file", tmp_path / "set.yaml", "--open-images")
    assert code == 0
    assert "0 errors, 0 warnings" in out


def test_converted_dataset_is_checked_and_trained_on_without_further_options(capsys, tmp_path):
    source = tmp_path / "set.jsonl"
    run_data_command(capsys, "convert", TINY, tmp_path / "lines", "--to", "jsonl")
    (tmp_path / "lines/annotations.jsonl").rename(source)
    code, out, _ = run_data_command(
        capsys, "convert", source, tmp_path / "vg", "--images", TINY / "images", "--splits", "train"
    )
    assert code == 0
    assert "No image is marked for validation: training does not evaluate" in out
    code, out, _ = run_data_command(capsys, "check", tmp_path / "vg")
    assert (code, "0 errors, 0 warnings" in out) == (0, True)
    config = load_config(tmp_path / "vg/dataset.yaml")
    assert config.datasets.train == ("VG_train",)
    assert config.datasets.test == ()
    assert config.datasets.visual_genome.number_of_validation_images == 0
    assert (config.model.detr.num_classes, config.model.detr.num_relation_classes) == (150, 50)
    (training,) = load_training_sources(config)
    assert len(training.dataset) == 84  # also those whose related boxes do not overlap
    assert (
        load_evaluation_sets(
            load_config(tmp_path / "vg/dataset.yaml", ["DATASETS.TEST", "VG_val"]), None
        ).datasets
        == ()
    )


def test_convert_prints_what_is_left_out(capsys, tmp_path):
    things = [{"name": "cat", "box": [0, 0, 9, 9]}, {"name": "dog", "box": [3, 3, 9, 9]}]
    things += [{"name": "dog", "box": [3, 3, 3, 9]}] * 2
    relations = [[0, "on", 1], [0, "on", 2], [3, "on", 1], [2, "on", 3]]
    content = {"image": "a.jpg", "id": 5, "width": 9, "height": 9, "objects": things, "relations": relations}
    source = tmp_path / "set.jsonl"
    source.write_text(json.dumps(content))
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg")
    code, out, _ = run_data_command(capsys, "convert", source, tmp_path / "out", "--images", tmp_path)
    assert code == 0
    assert "  2  boxes without area left out\n  3  relations of boxes without area left out\n" in out
    assert "  1  image files are not named after their image ids" in out
    assert "No image is marked for validation" in out
    code, out, _ = run_data_command(
        capsys, "convert", source, tmp_path / "out", "--images", tmp_path, "--link-images"
    )
    assert code == 0
    assert "are not named" not in out
    assert f"IMAGES: {tmp_path}/out/images\n" in out
    assert run_data_command(capsys, "check", tmp_path / "out")[0] == 0
    code, out, _ = run_data_command(capsys, "convert", source, tmp_path / "other")
    assert "IMAGES: <folder of the images>\n" in out


def test_convert_says_that_a_format_has_no_confidences(capsys, caplog, tmp_path):
    things = [{"name": name, "box": [0, 0, 9, 9]} for name in ("cat", "dog")]
    content = {"image": "a.jpg", "width": 9, "height": 9, "objects": things, "relations": [[0, "on", 1]]}
    (tmp_path / "a.jsonl").write_text(json.dumps({**content, "confidences": [0.5]}))
    for target in ("coco", "psg", "jsonl", "vg"):
        run_data_command(capsys, "convert", tmp_path / "a.jsonl", tmp_path / target, "--to", target)
    text = "has no place for confidences and sources of relations: they are left out"
    assert caplog.messages == [f"coco {text}", f"psg {text}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone", "out"], "gone: there is no such file or folder"),
        ([TINY, "out", "--from", "psg"], "expected one JSON file with 'predicate_classes', found none"),
        ([TINY, "out", "--to", "openimages"], "--to"),
        ([TINY, "out", "--val-share", "1"], "--val-share"),
        (
            [TINY, "out", "--mapping", "none.json"],
            "none.json: The mapping dictionary cannot be read as a JSON object",
        ),
        ([TINY, "out", "--object-aliases", "none.txt"], "none.txt: cannot read these aliases"),
        ([TINY, TINY], "the source itself is in this folder"),
    ],
)
def test_convert_refuses_invalid_arguments(capsys, arguments, message):
    code, out, err = run_data_command(capsys, "convert", *arguments)
    assert code == 2
    assert message in err + out
