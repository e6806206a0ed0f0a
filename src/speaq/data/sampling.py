"""The order of images in training and evaluation, on one or several ranks.

The order depends on the seed and the step only, so a resumed training continues as if it had not stopped.
Shape letters: see `speaq.structures`; I: images of a source.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from speaq.data.mixing import Mixture, interleave
from speaq.data.randomness import Purpose, generator
from speaq.errors import SpeaqError

Epochs = Callable[[int], np.ndarray]
"""From the number of an epoch to its image indices in their order; not empty."""


class Draw(NamedTuple):
    """One image of an optimizer step.

    Attributes:
        step: optimizer step from 0.
        slot: position in the global batch of the step, over all ranks.
        image: index of the image in its source.
        source: index of the source.
    """

    step: int
    slot: int
    image: int
    source: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffledEpochs:
    """Each of the I images once per epoch, in a new random order."""

    num_images: int
    seed: int

    def __call__(self, epoch: int) -> np.ndarray:
        """A permutation of 0 .. I - 1."""
        return generator(Purpose.EPOCH, self.seed, epoch).permutation(
            np.arange(self.num_images, dtype=np.int32)
        )


class TrainBatchSampler(Sampler[list[Draw]]):
    """The training batches of one rank.

    The epochs of a source follow one another without end, and each global batch takes the next images of each
    source, as many as the mixture says. The slots of the global batch are divided into ``micro_batches``
    equal, contiguous parts, and each part equally among the ranks: a loss, which is normalized over a
    micro-batch of all ranks, does not depend on their number. The sampler has no length, so Lightning counts
    steps instead of epochs.

    Args:
        epochs: S orders of images, such as `ShuffledEpochs`.
        mixture: the number of images of each source, for the global batch (SOLVER.IMS_PER_BATCH).
        start_step: the first step, the number of steps that are done.
        rank: of this process.
        world_size: number of processes.
        micro_batches: lists per optimizer step, for gradient accumulation.

    Raises:
        SpeaqError: the global batch does not divide into equal parts.
    """

    def __init__(
        self,
        *,
        epochs: Sequence[Epochs],
        mixture: Mixture,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        micro_batches: int = 1,
    ) -> None:
        batch_size = mixture.batch_size
        if batch_size < 1 or batch_size % (world_size * micro_batches):
            raise SpeaqError(
                f"SOLVER.IMS_PER_BATCH is {batch_size}, the images of a step over all processes; expected a "
                f"multiple of {world_size * micro_batches} ({world_size} processes x {micro_batches} "
                "accumulated batches). Change it, or the number of processes."
            )
        self.epochs, self.mixture, self.start_step = tuple(epochs), mixture, start_step
        self.rank, self.world_size, self.micro_batches = rank, world_size, micro_batches

    def __iter__(self) -> Iterator[list[Draw]]:
        size = self.mixture.batch_size // (self.world_size * self.micro_batches)
        streams: list[Iterator[int]] = []
        for step, (before, counts) in enumerate(self.mixture.batches(self.start_step), self.start_step):
            if not streams:
                streams = [_stream(*source) for source in zip(self.epochs, before, strict=True)]
            batch = [
                Draw(step, slot, int(next(streams[source])), source)
                for slot, source in enumerate(interleave(counts).tolist())
            ]
            for first in range(self.rank * size, len(batch), self.world_size * size):
                yield batch[first : first + size]


def _stream(epochs: Epochs, start: int) -> Iterator[int]:
    """The images of all epochs one after another, from position ``start``."""
    return islice(chain.from_iterable(map(epochs, count())), start, None)


class EvalBatchSampler(Sampler[list[int]]):
    """The evaluation batches of one rank: images of equal size only, each image once over all ranks.

    Convolutions see the padding, so images of unequal size in a batch would change the results. All ranks
    have equally many batches, as Lightning needs; the last batch of some ranks may be empty.

    Args:
        sizes: height and width of each resized image.
        batch_size: maximum number of images of a batch.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(
        self, *, sizes: Sequence[tuple[int, int]], batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for index, size in enumerate(sizes):
            groups[size].append(index)
        batches = [
            indices[first : first + batch_size]
            for _, indices in sorted(groups.items())
            for first in range(0, len(indices), batch_size)
        ]
        own = batches[rank::world_size]
        self.batches = own + [[]] * (-(-len(batches) // world_size) - len(own))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
