"""Sampling against the long tail of the predicates.

I: images; other shape letters: see `speaq.structures`. f_p: share of predicate p in the training relations.

Bi-level resampling (BGNN, Li et al., CVPR 2021), t = OVERSAMPLE_PARAM, gamma = UNDERSAMPLE_PARAM:
    r_p = max(1, sqrt(t / f_p))                     repeat factor of predicate p
    r_i = max of r_p over the predicates p of i     mean number of times image i is in an epoch
    d_ip = min(gamma * (r_i - r_p) / r_i, 1)        probability that i loses a relation of predicate p
Image i (r_i = 1 without relations) is in an epoch floor(r_i) times, and once more with probability
r_i - floor(r_i). Its rarest predicate has d = 0, so an image never loses all of its relations.

Class-balanced sampling: draw one of the predicates that occur, then an image that has it, both uniformly,
I times per epoch.
"""

import numpy as np

from speaq.data.randomness import Purpose, generator
from speaq.data.statistics import count_dataset, image_blocks
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError


class BilevelResampling:
    """Repeats images with rare predicates and drops relations with frequent ones.

    Args:
        dataset: the training split.
        oversample: t.
        undersample: gamma.
        seed: of the run.

    Attributes:
        predicate_factors: (R,) float64, r_p; 1 for a predicate that does not occur.
        image_factors: (I,) float64, r_i.

    Raises:
        SpeaqError: a parameter is negative.
    """

    def __init__(self, dataset: VisualGenome, *, oversample: float, undersample: float, seed: int) -> None:
        for key, value in (("OVERSAMPLE_PARAM", oversample), ("UNDERSAMPLE_PARAM", undersample)):
            if value < 0:
                raise SpeaqError(f"{key} is {value}; expected a non-negative number.")
        self.undersample, self.seed = undersample, seed
        counts = count_dataset(dataset).predicate_counts
        share = np.where(counts > 0, counts / max(len(dataset.relations), 1), 1.0)
        self.predicate_factors = np.where(counts > 0, np.maximum(1.0, np.sqrt(oversample / share)), 1.0)
        self.image_factors = np.ones(len(dataset))
        for images in image_blocks(dataset):
            offsets = dataset.relation_offsets[images]
            predicates = dataset.relations[offsets[0] : offsets[-1], 2]
            image = images.start + np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            np.maximum.at(self.image_factors, image, self.predicate_factors[predicates])

    def __call__(self, epoch: int) -> np.ndarray:
        """The image indices of an epoch, repeated and shuffled."""
        rng = generator(Purpose.EPOCH, self.seed, epoch)
        whole = np.floor(self.image_factors)
        once_more = rng.random(len(whole)) < self.image_factors - whole
        return rng.permutation(np.repeat(np.arange(len(whole)), whole.astype(np.int64) + once_more))

    def keep(self, index: int, predicates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Which relations of image ``index`` to keep: (M,) bool for its ``predicates`` (M,), at random."""
        factor = self.image_factors[index]
        drop = self.undersample * (factor - self.predicate_factors[predicates]) / factor
        return rng.random(len(predicates)) >= drop


class ClassBalancedEpochs:
    """Epochs of I images in which each predicate is drawn equally often.

    Args:
        dataset: the training split.
        seed: of the run.

    Raises:
        SpeaqError: the split has no relations.
    """

    def __init__(self, dataset: VisualGenome, *, seed: int) -> None:
        if not len(dataset.relations):
            raise SpeaqError(
                f"PER_CLASS_DATASET draws images by their predicates, but the {dataset.split} images of "
                f"{dataset.source} have no relations."
            )
        self.seed, self.num_images = seed, len(dataset)
        images = np.repeat(np.arange(len(dataset)), np.diff(dataset.relation_offsets))
        pairs = np.column_stack((dataset.relations[:, 2], images))
        predicates, self._images = np.unique(pairs, axis=0).T  # each image once per predicate
        _, self._first, self._count = np.unique(predicates, return_index=True, return_counts=True)

    def __call__(self, epoch: int) -> np.ndarray:
        """The image indices (I,) of an epoch; an image may be drawn several times."""
        rng = generator(Purpose.EPOCH, self.seed, epoch)
        predicate = rng.integers(len(self._first), size=self.num_images)
        return self._images[self._first[predicate] + rng.integers(self._count[predicate])]
