"""The mixing ratio: how many images of each source are in each global batch.

DATASETS.MULTI_DATASET.REAL_SAMPLING_RATIO, SYNTHETIC_SAMPLING_RATIO and SOURCES.<NAME>.SAMPLING_RATIO are the
ratios in the first batch, the same keys with _END those in the last batch (see `speaq.config.data`).
B: images of a global batch. Other shape letters: see `speaq.structures`.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from speaq.errors import SpeaqError


class Mixture:
    """The number of images of each source in each global batch.

    The quota of a source after n batches is the sum of its fractional shares of them. Each image of a batch
    goes to the source that is farthest behind its quota after this batch (the first one of equals). So the
    counts equal the quotas wherever these are integers: 20 images at 0.7 and 0.3 are 14 and 6 in every batch.
    Otherwise the fraction carries over to the next batch. No source is ever a whole image ahead of its quota.

    The arithmetic is exact, and the counts depend on the step only, not on ranks, workers or resuming.

    Args:
        ratios: (S,) ratios in the first batch, in any unit.
        batch_size: B (SOLVER.IMS_PER_BATCH).
        num_steps: optimizer steps of the training (SOLVER.MAX_ITER).
        final_ratios: (S,) ratios in the last batch, in any unit, approached linearly; by default ``ratios``.

    Raises:
        SpeaqError: a ratio is negative or not finite, or all are 0.
    """

    def __init__(
        self,
        ratios: Sequence[float],
        *,
        batch_size: int,
        num_steps: int,
        final_ratios: Sequence[float] | None = None,
    ) -> None:
        self.batch_size, self.num_steps = batch_size, num_steps
        first = _shares(ratios)
        last = first if final_ratios is None else _shares(final_ratios)
        # In units of 1 / denominator, the quota after n batches is linear * n + quadratic * n * (n - 1).
        linear = [batch_size * share for share in first]
        slope = Fraction(batch_size, 2 * max(num_steps - 1, 1))
        quadratic = [slope * (b - a) for a, b in zip(first, last, strict=True)]
        self._denominator = lcm(*(value.denominator for value in (*linear, *quadratic)))
        self._linear = [int(value * self._denominator) for value in linear]
        self._quadratic = [int(value * self._denominator) for value in quadratic]

    def quotas(self, num_batches: int) -> list[Fraction]:
        """The (S,) fractional numbers of images of the sources in the first ``num_batches`` batches."""
        return [Fraction(quota, self._denominator) for quota in self._scaled_quotas(num_batches)]

    def shares(self) -> np.ndarray:
        """The (S,) float64 share of each source in all images of the training, of sum 1."""
        total = self.batch_size * self.num_steps
        return np.array([float(quota / total) for quota in self.quotas(self.num_steps)])

    def batches(self, start_step: int = 0) -> Iterator[tuple[list[int], list[int]]]:
        """For each step from ``start_step``, images (S,) of the sources before the step, and in the step."""
        taken = [0] * len(self._linear)
        for step in range(self.num_steps):
            quotas = self._scaled_quotas(step + 1)
            behind = [quota - self._denominator * count for quota, count in zip(quotas, taken, strict=True)]
            before = taken.copy()
            for _ in range(self.batch_size):
                source = behind.index(max(behind))
                behind[source] -= self._denominator
                taken[source] += 1
            if step >= start_step:
                yield before, [after - count for after, count in zip(taken, before, strict=True)]

    def _scaled_quotas(self, n: int) -> list[int]:
        return [a * n + b * n * (n - 1) for a, b in zip(self._linear, self._quadratic, strict=True)]


def interleave(counts: Sequence[int]) -> np.ndarray:
    """The source (B,) of each slot of a batch with ``counts`` (S,) images of the sources.

    Each source is spread evenly, so that every rank and micro-batch has about the same ratios.
    """
    positions = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in counts])
    return np.repeat(np.arange(len(counts)), counts)[np.argsort(positions, kind="stable")]


def _shares(ratios: Sequence[float]) -> list[Fraction]:
    """The ratios as exact fractions of sum 1; 0.7 is seven tenths, not the nearest float."""
    if not np.isfinite(ratios).all() or min(ratios) < 0 or not any(ratios):
        raise SpeaqError(
            f"sampling ratios {', '.join(f'{ratio:g}' for ratio in ratios)}: expected non-negative numbers, "
            "at least one of them above 0."
        )
    exact = [Fraction(str(ratio)) for ratio in ratios]
    return [ratio / sum(exact) for ratio in exact]
