from pathlib import Path

import numpy as np
import torch
from PIL import Image

from speaq.data.collate import collate, collate_by_size
from speaq.data.dataset import Sample
from speaq.data.transforms import Scene
from speaq.structures import Annotation


def sample(image_id: int, height: int, width: int) -> Sample:
    empty = np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty((0, 3), np.int64)
    annotation = Annotation(
        image_id=image_id,
        path=Path(f"{image_id}.jpg"),
        width=width,
        height=height,
        boxes=empty[0],
        labels=empty[1],
        relations=empty[2],
    )
    pixels = np.random.default_rng(image_id).integers(1, 256, (height, width, 3), dtype=np.uint8)
    return Sample.of(Scene.of(Image.fromarray(pixels), annotation), annotation)


def test_collate_pads_at_the_right_and_bottom():
    samples = [sample(0, 5, 9), sample(1, 8, 4), sample(2, 8, 9)]
    batch = collate(samples)
    assert batch.images.shape == (3, 3, 8, 9)
    assert batch.images.dtype == torch.uint8
    assert batch.sizes.tolist() == [[5, 9], [8, 4], [8, 9]]
    for i, (height, width) in enumerate(batch.sizes.tolist()):
        assert torch.equal(batch.images[i, :, :height, :width], samples[i].image)
        assert batch.images[i, :, height:].sum() == batch.images[i, :, :, width:].sum() == 0
    assert [target.image_id for target in batch.targets] == [0, 1, 2]
    assert [annotation.image_id for annotation in batch.annotations] == [0, 1, 2]


def test_collate_by_size_does_not_pad():
    batches = collate_by_size([sample(0, 5, 9), sample(1, 9, 5), sample(2, 5, 9)])
    assert [[target.image_id for target in batch.targets] for batch in batches] == [[0, 2], [1]]
    assert [tuple(batch.images.shape) for batch in batches] == [(2, 3, 5, 9), (1, 3, 9, 5)]


def test_all_tensors_of_a_batch_are_shared():
    weighted = sample(0, 5, 9)
    target = weighted.target
    for name in ("boxes", "labels", "relations", "relation_boxes", "relation_weights"):
        setattr(target, name, torch.ones(2))
    batch = collate([weighted, sample(1, 5, 9)]).share_memory()
    assert [tensor.is_shared() for tensor in batch.targets[0].tensors().values()] == [True] * 5
    assert batch.images.is_shared()
    assert batch.sizes.is_shared()
