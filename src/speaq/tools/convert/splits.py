"""Selects splits, and draws validation and test images where the source has none."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet


def keep_splits(data: AnnotatedSet, names: Sequence[str]) -> AnnotatedSet:
    """The images of these splits alone.

    Raises:
        SpeaqError: there is none.
    """
    kept = np.isin(data.splits, [SPLITS.index(name) for name in names])
    if not kept.any():
        raise SpeaqError(f"no image is of the splits {', '.join(names)}; found {describe_splits(data)}.")
    return data.keep_images(kept)


def draw_splits(data: AnnotatedSet, *, val_share: float, test_share: float, seed: int) -> AnnotatedSet:
    """Make some training images validation or test images, drawn at random.

    Args:
        data: the set.
        val_share: share of the training images to validate on, 0 for none.
        test_share: share of the training images to test on.
        seed: other seeds draw other images.

    Raises:
        SpeaqError: a share is not in 0..1, they leave nothing to train on, or the source has that split.
    """
    splits = data.splits.copy()
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(splits == 0))
    num_train, taken = len(rows), 0
    for split, share in ((1, val_share), (2, test_share)):
        name = SPLITS[split]
        if not 0 <= share < 1 or val_share + test_share >= 1:
            raise SpeaqError(
                f"--val-share {val_share:g} and --test-share {test_share:g}: expected shares from 0, "
                "together below 1."
            )
        if share and (data.splits == split).any():
            raise SpeaqError(f"--{name}-share: the source has its own {name} images; leave the option out.")
        count = round(share * num_train)
        splits[rows[taken : taken + count]] = split
        taken += count
    return replace(data, splits=splits)


def describe_splits(data: AnnotatedSet) -> str:
    """How many images each split has, in words."""
    counts = np.bincount(data.splits, minlength=len(SPLITS))
    return ", ".join(f"{count:,} {name}" for name, count in zip(SPLITS, counts.tolist(), strict=True))
