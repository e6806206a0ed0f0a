import json
import logging
import pickle

import h5py
import numpy as np
import pytest

from golden_dataset import FILTERS, open_dataset
from speaq.data.array_blocks import ArrayBlocks
from speaq.data.statistics import count_dataset
from speaq.data.vg_json import iterate_json
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError

ARRAYS = ("sizes", "boxes", "labels", "box_offsets", "relations", "relation_offsets", "confidences")


def assert_same(dataset: VisualGenome, expected: VisualGenome) -> None:
    assert dataset.image_ids == expected.image_ids
    for name in ARRAYS:
        found, other = getattr(dataset, name), getattr(expected, name)
        np.testing.assert_array_equal(found, other)
        assert other is None or found.dtype == other.dtype


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("setting", FILTERS)
def test_mapped_annotations_are_those_in_memory(tiny, request, monkeypatch, setting, split):
    expected = tiny(split, **FILTERS[setting])
    request.getfixturevalue("mapped")
    monkeypatch.setattr(VisualGenome, "in_memory", 16)
    monkeypatch.setattr("speaq.data.statistics._BLOCK", 16)
    dataset = tiny(split, **FILTERS[setting])
    assert not dataset.boxes.flags.writeable
    assert_same(dataset, expected)
    assert_same(pickle.loads(pickle.dumps(dataset)), expected)
    assert len(pickle.dumps(dataset)) < 20_000
    assert (dataset.annotation(3).boxes == expected.annotation(3).boxes).all()
    for name in ("object_counts", "predicate_counts", "triplets", "triplet_counts", "boxes_per_image"):
        np.testing.assert_array_equal(
            getattr(count_dataset(dataset), name), getattr(count_dataset(expected), name)
        )


def test_ids_that_are_texts_confidences_and_sources_are_mapped(files, mapped):
    for entry in files.entries:
        entry |= {"image_id": f"scene_{entry['image_id']}", "file_name": f"눈{entry['image_id']}.PNG"}
    files.arrays["relation_confidences"] = np.array([0.25, 0.5, 1, 0, 0.75])
    files.arrays["relation_sources"] = ["human", "", "qwen-vl", "", "눈"]
    path = files.image("눈12.PNG")
    dataset = files.open(relation_source_weights=["눈=0.5", "qwen-vl=0.5"])
    assert dataset.image_ids == ["scene_11", "scene_12"]
    assert dataset.annotation(1).path == path
    assert dataset.confidences.tolist() == [0.25, 0.5, 0.5, 0]
    with pytest.raises(SpeaqError, match=r"scene_11\.jpg: there is no such image"):
        dataset.annotation(0)
    with pytest.raises(SpeaqError, match=r"1 of 2 images have no file \(scene_11\)"):
        dataset.check_images()
    with pytest.raises(SpeaqError, match=r"weight for 'qwen'; expected a source of .*human"):
        files.open(relation_source_weights=["qwen=1"])


def test_annotations_are_written_once_and_again_after_a_change(files, mapped, caplog):
    files.arrays["boxes_1024"][4, 2] = 0
    caplog.set_level(logging.INFO)
    for _ in range(2):
        dataset = files.open(filter_non_overlap=True)
    assert ["writing" in text for text in caplog.messages] == [
        True,
        False,
        True,
        False,
    ]  # as write() was called
    assert sum("1 boxes have no area, first in image 12 (box-empty)" in text for text in caplog.messages) == 2
    caplog.clear()
    for split in ("train", "train", "test"):
        dataset = open_dataset(files.folder, split=split, filter_non_overlap=True)
    assert ["writing" in text for text in caplog.messages] == [False, False, True]
    assert len(dataset) == 1
    with h5py.File(files.folder / "VG.h5", "a") as file:
        file["labels"][0] = 3
    assert open_dataset(files.folder, filter_non_overlap=True).labels[0] == 2


def test_image_lists_of_another_length_and_with_surplus_ids(files, mapped):
    files.entries.insert(0, {"image_id": 1592, "width": 1, "height": 1})
    assert files.open(filter_empty_relations=False).image_ids == [11, 12, 13]
    files.entries.append({"image_id": 20, "width": 1, "height": 1})
    with pytest.raises(SpeaqError, match=r'image_data\.json: .*"image list": 6, "annotations": 4'):
        files.open()
    files.entries[-1] = {"image_id": "20", "width": 1, "height": 1}
    with pytest.raises(SpeaqError, match=r"image_data\.json: Some ids are integers and some are strings"):
        files.open()


def test_a_cache_that_cannot_be_written_is_named(files, mapped):
    mapped.write_text("a file")
    with pytest.raises(SpeaqError, match=r"cannot write the annotations .*HF_ASSETS_CACHE"):
        files.open()


@pytest.mark.parametrize("content", [[1, "a]", {"b": [2.5]}, None], list(range(100))])
def test_iterate_json_reads_a_list(tmp_path, monkeypatch, content):
    monkeypatch.setattr("speaq.data.vg_json._CHUNK", 4)
    path = tmp_path / "list.json"
    path.write_text(f"\ufeff {json.dumps(content, indent=1)}\n", encoding="utf-8")
    assert list(iterate_json(path)) == content


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1", "[1 2]", "[1,]", "[1,,2]", '["a', "[nul]"])
def test_iterate_json_refuses_other_texts(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="expected"):
        list(iterate_json(path))


def test_texts_are_kept_in_blocks():
    blocks = ArrayBlocks()
    for part in (["a", ""], [], ["눈", "bc"]):
        blocks.append("names", part)
    texts = blocks.arrays()["names"]
    assert (len(texts), texts.tolist(), texts[2]) == (4, ["a", "", "눈", "bc"], "눈")
