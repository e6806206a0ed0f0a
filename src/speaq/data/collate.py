"""Samples into batches."""

from collections.abc import Sequence

import torch

from speaq.data.dataset import Sample
from speaq.structures import Batch


def collate(samples: Sequence[Sample]) -> Batch:
    """One batch, its images padded with 0 at the right and bottom to the largest height and width."""
    sizes = torch.tensor([sample.image.shape[1:] for sample in samples])
    height, width = sizes.amax(dim=0).tolist()
    images = torch.zeros((len(samples), 3, height, width), dtype=torch.uint8)
    for canvas, sample in zip(images, samples, strict=True):
        canvas[:, : sample.image.shape[1], : sample.image.shape[2]] = sample.image
    return Batch(
        images=images,
        sizes=sizes,
        targets=[sample.target for sample in samples],
        annotations=[sample.annotation for sample in samples],
    )


def collate_by_size(samples: Sequence[Sample]) -> list[Batch]:
    """Batches without padding, one per image size, in order of appearance.

    There are several only where the sizes of files differ from the image list, which `EvalBatchSampler` uses.
    """
    groups: dict[torch.Size, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.image.shape, []).append(sample)
    return [collate(group) for group in groups.values()]
