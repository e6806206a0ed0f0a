from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from speaq.data.targets import build_target
from speaq.data.transforms import Scene
from speaq.structures import Annotation, Target

GOLDEN = Path(__file__).parents[1] / "golden"


def target_of(boxes, labels, relations, size) -> Target:
    height, width = size
    annotation = Annotation(
        image_id=7,
        path=Path("7.jpg"),
        width=1,
        height=1,
        boxes=np.empty((0, 4)),
        labels=np.empty(0),
        relations=np.empty((0, 3)),
        source="synthetic",
        loss_weight=0.5,
    )
    return build_target(Scene(Image.new("RGB", (width, height)), boxes, labels, relations), annotation)


@pytest.mark.parametrize("case", range(4))
def test_build_target_gives_the_golden_targets(case):
    with np.load(GOLDEN / "targets.npz") as arrays:
        data = {
            key.removeprefix(f"case{case}."): value
            for key, value in arrays.items()
            if key.startswith(f"case{case}.")
        }
    height, width = data["image_size"].tolist()
    labels = np.arange(len(data["boxes_xyxy"]))
    target = target_of(data["boxes_xyxy"], labels, data["relations"], (height, width))
    np.testing.assert_allclose(target.boxes, data["out.entity_boxes"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(target.relation_boxes, data["out.relation_boxes"], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(target.relations, data["relations"])
    np.testing.assert_array_equal(target.labels, labels)
    assert (target.image_id, target.source, target.loss_weight) == (7, "synthetic", 0.5)
    assert (target.boxes.dtype, target.labels.dtype, target.relations.dtype, target.relation_boxes.dtype) == (
        torch.float32,
        torch.int64,
        torch.int64,
        torch.float32,
    )


def test_build_target_uses_the_subject_for_flat_predicate_boxes():
    boxes = np.array([[0, 0, 2, 2], [3, 0, 5, 2], [3, 2e-5, 5, 2 + 2e-5], [1, 1, 7, 3]])
    relations = np.array([[0, 1, 0], [0, 2, 0], [0, 3, 0], [3, 3, 0]])
    target = target_of(boxes, np.zeros(4), relations, (10, 10))
    np.testing.assert_allclose(target.relation_boxes[0], [0.1, 0.1, 0.2, 0.2])  # flat: the box of the subject
    np.testing.assert_allclose(target.relation_boxes[1], [0.25, 0.1, 0.3, 2e-6], rtol=1e-2)
    np.testing.assert_allclose(target.relation_boxes[2], [0.25, 0.15, 0.3, 0.1], rtol=1e-6)
    np.testing.assert_allclose(target.relation_boxes[3], [0.4, 0.2, 0.6, 0.2], rtol=1e-6)  # with itself


def test_build_target_without_boxes():
    target = target_of(np.empty((0, 4)), np.empty(0), np.empty((0, 3)), (10, 20))
    assert (target.boxes.shape, target.labels.shape) == ((0, 4), (0,))
    assert (target.relations.shape, target.relation_boxes.shape) == ((0, 3), (0, 4))
