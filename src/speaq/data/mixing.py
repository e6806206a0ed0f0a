"""How many images of every source are in every global batch, exactly.

S: sources, B: images of a global batch, T: optimiser steps of the whole training.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from speaq.errors import SpeaqError


class Mixture:
    """The shares of several sources in the global batches of a training.

    The quota of a source after s batches is the sum of its images in them, fractions included. Every image of
    a batch goes to the source that is then farthest behind its quota after the batch (the first of several).
    So wherever the quotas are whole numbers, the counts are equal to them: 20 images at 0.7 and 0.3 are 14
    and 6 in every batch. Where they are not, the fraction carries over to the next batch, and no source is
    ever ahead of its quota by one image or more; of two sources, none is off by more than half an image.

    The arithmetic is that of fractions, and the counts are a function of the step alone: neither ranks, nor
    workers, nor a resumption change them.

    Args:
        ratios: (S,) shares of the sources in the first batch, in any unit.
        batch_size: B.
        num_steps: T.
        final_ratios: (S,) shares in the last batch, in any unit of their own; between the first and the last
            the shares change along a line. By default they do not change.

    Attributes:
        num_sources: S.

    Raises:
        SpeaqError: a ratio is negative or not finite, or none is above 0.
    """

    def __init__(
        self,
        ratios: Sequence[float],
        *,
        batch_size: int,
        num_steps: int,
        final_ratios: Sequence[float] | None = None,
    ) -> None:
        self.num_sources, self.batch_size, self.num_steps = len(ratios), batch_size, num_steps
        first = _shares(ratios)
        last = first if final_ratios is None else _shares(final_ratios)
        rise = [b - a for a, b in zip(first, last, strict=True)]
        # In units of 1 / denominator, the quota is constant * s + quadratic * s * (s - 1).
        constant = [batch_size * share for share in first]
        quadratic = [batch_size * step / (2 * max(num_steps - 1, 1)) for step in rise]
        self._denominator = lcm(*(value.denominator for value in (*constant, *quadratic)))
        self._constant = [int(value * self._denominator) for value in constant]
        self._quadratic = [int(value * self._denominator) for value in quadratic]

    def quotas(self, step: int) -> list[Fraction]:
        """The (S,) images that each source has in the first ``step`` batches, fractions included."""
        return [Fraction(quota, self._denominator) for quota in self._scaled_quotas(step)]

    def shares(self) -> np.ndarray:
        """The (S,) share of each source in all images of the training; float64, of sum 1."""
        total = self.batch_size * self.num_steps
        return np.array([float(quota / total) for quota in self.quotas(self.num_steps)])

    def batches(self, start_step: int = 0) -> Iterator[tuple[list[int], list[int]]]:
        """From ``start_step`` to the last step: images (S,) of each source before the step, and in it."""
        taken = [0] * self.num_sources
        sources = range(self.num_sources)
        for step in range(self.num_steps):
            quotas = self._scaled_quotas(step + 1)
            behind = [quota - self._denominator * count for quota, count in zip(quotas, taken, strict=True)]
            before = taken.copy()
            for _ in range(self.batch_size):
                source = max(sources, key=behind.__getitem__)
                behind[source] -= self._denominator
                taken[source] += 1
            if step >= start_step:
                yield before, [after - count for after, count in zip(taken, before, strict=True)]

    def _scaled_quotas(self, step: int) -> list[int]:
        pairs = step * (step - 1)
        return [a * step + b * pairs for a, b in zip(self._constant, self._quadratic, strict=True)]


def interleave(counts: Sequence[int]) -> np.ndarray:
    """The source (B,) of every slot of a batch, each source spread evenly over the batch.

    So every rank, and every part of an accumulated step, has about the mixture of the whole batch.

    Args:
        counts: (S,) images of each source, of sum B.
    """
    positions = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in counts])
    return np.repeat(np.arange(len(counts)), counts)[np.argsort(positions, kind="stable")]


def _shares(ratios: Sequence[float]) -> list[Fraction]:
    """The ratios as exact fractions of sum 1; 0.7 is seven tenths, not the float nearest to it."""
    if not np.isfinite(ratios).all() or min(ratios) < 0 or not any(ratios):
        raise SpeaqError(
            f"sampling ratios {', '.join(f'{ratio:g}' for ratio in ratios)}: expected non-negative numbers, "
            "at least one of them above 0."
        )
    exact = [Fraction(str(ratio)) for ratio in ratios]
    return [ratio / sum(exact) for ratio in exact]
