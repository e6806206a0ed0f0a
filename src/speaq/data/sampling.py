"""Which images come in which order: in training and in evaluation, on one or many ranks.

I: images. The order is a function of the seed and the step, never of what happened before: a run that
resumes at step s, with any number of workers, goes on exactly as if it had not stopped.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from speaq.data.randomness import Purpose, generator
from speaq.errors import SpeaqError

Epochs = Callable[[int], np.ndarray]
"""From the number of an epoch to its image indices in the order of the walk; not empty."""


class Draw(NamedTuple):
    """One image of one optimiser step.

    Attributes:
        step: optimiser step from 0.
        slot: position in the global batch of the step, over all ranks.
        index: which image.
    """

    step: int
    slot: int
    index: int


class ShuffledEpochs:
    """Every image once in an epoch, in a new random order each time.

    Args:
        num_images: I.
        seed: of the run.
    """

    def __init__(self, *, num_images: int, seed: int) -> None:
        self.num_images, self.seed = num_images, seed

    def __call__(self, epoch: int) -> np.ndarray:
        """A permutation of 0 .. I - 1."""
        return generator(Purpose.EPOCH, self.seed, epoch).permutation(self.num_images)


class EpochStream:
    """Epochs one after another as one endless stream of image indices, readable from any position.

    Args:
        epochs: the order within each epoch.
    """

    def __init__(self, epochs: Epochs) -> None:
        self.epochs = epochs
        self._rewind()

    def take(self, start: int, count: int) -> np.ndarray:
        """The indices (count,) at the positions start .. start + count - 1; cheapest in ascending order."""
        if start < self._start:
            self._rewind()
        pieces, end = [np.empty(0, dtype=np.int64)], start + count
        while start < end:
            if start < self._start + len(self._order):
                pieces.append(self._order[start - self._start : end - self._start])
                start += len(pieces[-1])
            else:
                self._epoch, self._start = self._epoch + 1, self._start + len(self._order)
                self._order = self.epochs(self._epoch)
        return np.concatenate(pieces)

    def _rewind(self) -> None:
        self._epoch, self._start, self._order = 0, 0, self.epochs(0)


class TrainBatchSampler(Sampler[list[Draw]]):
    """The training batches of one rank.

    The global batch of step s is the stream of epochs from position s * batch_size on. Each rank has an
    equal, contiguous share of its slots, in ``micro_batches`` equal, contiguous lists. There is no length, so
    that the training engine counts steps rather than epochs.

    Args:
        epochs: the order of the images, such as `ShuffledEpochs`.
        batch_size: images of an optimiser step over all ranks (SOLVER.IMS_PER_BATCH).
        num_steps: optimiser steps of the whole training.
        start_step: the first step to make, the number of steps already made.
        rank: of this process.
        world_size: number of processes.
        micro_batches: lists per optimiser step, for gradient accumulation.

    Raises:
        SpeaqError: the batch does not divide into equal shares.
    """

    def __init__(
        self,
        *,
        epochs: Epochs,
        batch_size: int,
        num_steps: int,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        micro_batches: int = 1,
    ) -> None:
        if batch_size < 1 or batch_size % (world_size * micro_batches):
            raise SpeaqError(
                f"SOLVER.IMS_PER_BATCH is {batch_size}, the images of a step over all processes; expected a "
                f"multiple of {world_size * micro_batches} ({world_size} processes x {micro_batches} "
                "accumulated batches). Change it, or the number of processes."
            )
        self.epochs, self.batch_size = epochs, batch_size
        self.num_steps, self.start_step = num_steps, start_step
        self.rank, self.world_size, self.micro_batches = rank, world_size, micro_batches

    def __iter__(self) -> Iterator[list[Draw]]:
        stream = EpochStream(self.epochs)
        share = self.batch_size // self.world_size
        size = share // self.micro_batches
        for step in range(self.start_step, self.num_steps):
            indices = stream.take(step * self.batch_size, self.batch_size).tolist()
            for first in range(self.rank * share, (self.rank + 1) * share, size):
                yield [Draw(step, slot, indices[slot]) for slot in range(first, first + size)]


class EvalBatchSampler(Sampler[list[int]]):
    """The evaluation batches of one rank: images of equal size only, and every image once over all ranks.

    Convolutions see the padding, so a batch of unequal images would change the results. All ranks get equally
    many batches, as the training engine wants it; where they do not divide, the last of some ranks is empty.

    Args:
        sizes: height and width of every resized image.
        batch_size: images of a batch at most.
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
