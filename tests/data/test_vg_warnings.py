import logging

import numpy as np
import pytest

from damaged_dataset import DamagedDataset, open_strictly


def to_corners(boxes):
    return np.hstack((boxes[:, :2] - boxes[:, 2:] // 2, boxes[:, :2] + boxes[:, 2:] // 2))


def warnings_of(dataset, caplog):
    dataset.write()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        open_strictly(dataset.source, "train")
        open_strictly(dataset.source, "test")
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (to_corners, "of the boxes exceed their images, first in image"),
        (lambda boxes: boxes.astype(np.float32) / 1024, "100 % of the boxes are smaller than a pixel"),
    ],
)
def test_other_box_formats_are_warned_of_once(tmp_path, caplog, change, what):
    dataset = DamagedDataset(tmp_path / "set")
    assert warnings_of(dataset, caplog) == []
    dataset.arrays["boxes_1024"] = change(dataset.arrays["boxes_1024"])
    (warning,) = warnings_of(dataset, caplog)
    assert what in warning
    assert "(systematic-boxes): expected (cx, cy, w, h) in a frame of 1024; run 'speaq data check'" in warning


def test_boxes_without_area_and_repeated_ids_are_warned_of(tmp_path, caplog):
    dataset = DamagedDataset(tmp_path / "set")
    dataset.arrays["boxes_1024"][3:5, 2] = 0
    dataset.entries[5]["image_id"] = dataset.entries[4]["image_id"]
    empty, repeated = warnings_of(dataset, caplog)
    assert "2 boxes have no area, first in image" in empty
    assert f"1 image ids occur more than once, first {dataset.entries[4]['image_id']}" in repeated


def test_relations_that_all_have_the_weight_0_are_warned_of(tmp_path, caplog):
    dataset = DamagedDataset(tmp_path / "set")
    confidences = np.zeros(len(dataset.arrays["predicates"]), np.float32)
    dataset.arrays["relation_confidences"] = confidences
    (warning,) = warnings_of(dataset, caplog)
    assert "all relations have the weight 0 in training" in warning
    confidences[:] = 0.5
    assert warnings_of(dataset, caplog) == []
