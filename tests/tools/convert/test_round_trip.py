"""Conversion from Visual Genome format to each other format and back keeps everything."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from golden_dataset import TINY, open_dataset
from speaq.config.data import DatasetSection
from speaq.errors import SpeaqError
from speaq.tools.convert import convert_dataset
from speaq.tools.convert.formats import FORMATS
from speaq.tools.data_check.check import check_dataset
from speaq.tools.data_check.sources import Source

WRITTEN = [
    one.name
    for one in FORMATS
    if one.write is not None and (one.name != "parquet" or find_spec("pyarrow") is not None)
]


def test_formats_that_can_be_written():
    written = {one.name for one in FORMATS if one.write is not None}
    assert written == {"coco", "jsonl", "layout", "parquet", "psg", "sgg-benchmark", "vg"}


def opened(folder, split):
    return open_dataset(folder, "annotations.h5", split, images=TINY / "images")


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "layout"])  # it has no list of classes
def test_round_trip_keeps_splits_boxes_and_relations(tiny, tmp_path, name):
    there = convert_dataset(TINY, tmp_path / "there", target_format=name, val_share=0.25, seed=3)
    assert np.bincount(there.data.splits).tolist() == [63, 21, 36]
    back = convert_dataset(tmp_path / "there", tmp_path / "back", images=TINY / "images")
    assert (back.source_format, back.target_format, back.num_missing, back.num_other_names) == (
        name,
        "vg",
        0,
        0,
    )
    assert back.data.changes == {}
    splits = dict(zip(there.data.ids, there.data.splits.tolist(), strict=True))
    assert dict(zip(back.data.ids, back.data.splits.tolist(), strict=True)) == splits

    originals = {}
    for split in ("train", "test"):
        data = tiny(split, number_of_validation_images=0, filter_empty_relations=False)
        originals |= {data.image_ids[i]: data.annotation(i) for i in range(len(data))}
    vocabulary = tiny().vocabulary
    seen = 0
    for number, split in enumerate(("train", "val", "test")):
        data = opened(tmp_path / "back", split)
        assert data.vocabulary == vocabulary
        for i, image_id in enumerate(data.image_ids):
            found, original = data.annotation(i), originals[image_id]
            assert splits[image_id] == number
            assert (found.width, found.height) == (original.width, original.height)
            assert np.abs(found.boxes - original.boxes).max() < 1e-3
            assert found.labels.tolist() == original.labels.tolist()
            assert found.relations.tolist() == original.relations.tolist()
            seen += 1
    assert seen == 119  # one test image has no relation

    section = DatasetSection(
        images=str(TINY / "images"),
        image_data=str(tmp_path / "back/image_data.json"),
        mapping_dictionary=str(tmp_path / "back/dicts.json"),
        vg_attribute_h5=str(tmp_path / "back/annotations.h5"),
    )
    findings = check_dataset(Source("VISUAL_GENOME", section), limit=3, open_images=True).findings
    assert [finding.code for finding in findings if finding.severity != "note"] == []


def test_round_trip_keeps_string_ids_special_names_and_empty_images(tmp_path):
    source = tmp_path / "set.jsonl"
    source.write_text(
        '{"image": "b/scene_2.png", "width": 8000, "height": 6000, "split": "test", "objects": '
        '[{"name": "위 <b>$_[red]", "box": [0.1, 0.2, 7999.9, 5999.8]}, {"name": "a", "box": [1, 2, 3, 4]}], '
        '"relations": [[1, "on \\"top\\"", 0], [0, "near", 0], [0, "near", 0]]}\n'
        "\n"
        '{"image": "scene_1.jpg", "width": 3, "height": 5, "objects": []}\n',
        encoding="utf-8",
    )
    for name in WRITTEN:
        convert_dataset(source, tmp_path / name, target_format=name)
        data = convert_dataset(tmp_path / name, tmp_path / f"{name}-back", target_format="jsonl").data
        rows = [data.ids.index(image_id) for image_id in ("b/scene_2", "scene_1")]
        assert data.splits[rows].tolist() == [2, 0]
        assert [data.files[row] for row in rows] == ["b/scene_2.png", "scene_1.jpg"]
        assert data.sizes[rows].tolist() == [[6000, 8000], [5, 3]]
        assert data.vocabulary.objects == ("a", "위 <b>$_[red]")
        assert data.vocabulary.predicates == ("near", 'on "top"')
        assert np.abs(data.boxes - [[0.1, 0.2, 7999.9, 5999.8], [1, 2, 3, 4]]).max() < 1e-3
        assert data.labels.tolist() == [1, 0]
        assert data.relations.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_confidences_and_sources_are_kept(tmp_path):
    source = tmp_path / "set.jsonl"
    thing = {"name": "cup", "box": [1, 1, 5, 5]}
    first = {
        "image": "1.jpg",
        "width": 9,
        "height": 9,
        "objects": [thing, thing, {**thing, "box": [1, 1, 1, 5]}],
    }
    first |= {"relations": [[0, "on", 1], [0, "on", 2], [1, "near", 0]], "confidences": [0.5, 0.75, 0.25]}
    first["sources"] = ["human", "human", "눈-vl"]
    second = {
        "image": "2.jpg",
        "width": 9,
        "height": 9,
        "objects": [thing, thing],
        "relations": [[0, "on", 1]],
    }
    source.write_text("\n".join(map(json.dumps, (first, second))))
    convert_dataset(source, tmp_path / "vg")
    data = convert_dataset(tmp_path / "vg", tmp_path / "lines", target_format="jsonl").data
    assert data.confidences.tolist() == [0.5, 0.25, 1]
    assert data.sources.tolist() == ["human", "눈-vl", ""]
    lines = (tmp_path / "lines/annotations.jsonl").read_text().splitlines()
    assert json.loads(lines[1])["confidences"] == [0.5, 0.25]
    assert json.loads(lines[1])["sources"] == ["human", "눈-vl"]
    source.write_text(json.dumps({**first, "confidences": [0.5]}))
    with pytest.raises(
        SpeaqError, match="line 1: expected a confidence for each of the 3 relations, found 1"
    ):
        convert_dataset(source, tmp_path / "out")
    source.write_text(json.dumps({**first, "sources": ["", "x" * 10**6, ""]}))
    with pytest.raises(SpeaqError, match="line 1: expected sources with at most 200 characters, found one"):
        convert_dataset(source, tmp_path / "out")


@pytest.mark.parametrize("name", ["vg", "coco"])
def test_conversion_is_deterministic(tmp_path, name):
    contents = []
    for folder in ("one", "two"):
        written = convert_dataset(TINY, tmp_path / folder, target_format=name, val_share=0.1).files
        contents.append([path.read_bytes() for path in written if path.suffix != ".yaml"])
    assert contents[0] == contents[1]
