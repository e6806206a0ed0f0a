import json

import h5py
import numpy as np

from speaq.data.vg_annotations import corners, read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.data.vg_image_list import load_image_list
from speaq.data.vg_ranges import Ranges
from speaq.data.vg_writer import write_annotations, write_dictionary, write_json
from speaq.structures import Vocabulary

VOCABULARY = Vocabulary(("dog", "cat"), ("on", "near"))


def test_written_annotations_are_read_back(tmp_path):
    boxes = np.array([[100, 100, 50, 60], [90, 80, 31, 20], [10, 10, 8, 8]])
    arrays = {
        "split": np.array([0, 1, 2]),
        "labels": np.array([0, 1, 1]),
        "pairs": np.array([[0, 1]]),
        "predicates": np.array([1]),
    }
    box_ranges, relation_ranges = Ranges.of_counts(np.array([2, 0, 1])), Ranges.of_counts(np.array([1, 0, 0]))
    path = tmp_path / "new" / "VG.h5"
    write_annotations(
        path,
        box_ranges=box_ranges,
        relation_ranges=relation_ranges,
        boxes={1024: boxes, 512: boxes // 2},
        attributes=np.zeros((3, 10), dtype=np.int64),
        **arrays,
    )
    read = read_annotations(path, box_scale=1024, vocabulary=VOCABULARY)
    for name, values in arrays.items():
        assert getattr(read, name).tolist() == values.tolist()
    assert read.boxes.tolist() == corners(boxes).tolist()
    assert read.box_ranges.count.tolist() == [2, 0, 1]
    assert read.box_ranges.rows().tolist() == [0, 1, 2]
    assert read.relation_ranges.count.tolist() == [1, 0, 0]
    with h5py.File(path) as file:
        assert np.asarray(file["img_to_first_box"]).tolist() == [0, -1, 2]
        assert np.asarray(file["img_to_last_box"]).tolist() == [1, -1, 2]
        assert np.asarray(file["labels"]).tolist() == [[1], [2], [2]]


def test_written_dictionary_and_image_list_are_read_back(tmp_path):
    write_dictionary(tmp_path / "dicts.json", VOCABULARY, attributes=["brown"], other={"version": 2})
    assert read_vocabulary(tmp_path / "dicts.json") == VOCABULARY
    content = json.loads((tmp_path / "dicts.json").read_text())
    assert (content["version"], content["attribute_to_idx"]) == (2, {"brown": 1})
    assert content["idx_to_label"] == {"1": "dog", "2": "cat"}
    entries = [{"image_id": f"ü{i}", "width": 4, "height": 3} for i in range(2)]
    write_json(tmp_path / "images.json", entries)
    images = load_image_list(tmp_path / "images.json", num_rows=2, left_out=())
    assert (images.ids, images.sizes.tolist(), images.entries) == (["ü0", "ü1"], [[3, 4], [3, 4]], entries)
