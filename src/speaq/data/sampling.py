"""Which images come in which order: in training and in evaluation, on one or many ranks.

I: images of a source, S: sources. The order is a function of the seed and the step, never of what happened
before: a run that resumes at step s, with any number of workers, goes on exactly as if it had not stopped.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from speaq.data.mixing import Mixture, interleave
from speaq.data.randomness import Purpose, generator
from speaq.errors import SpeaqError

Epochs = Callable[[int], np.ndarray]
"""From the number of an epoch to its image indices in the order of the walk; not empty."""


class Draw(NamedTuple):
    """One image of one optimiser step.

    Attributes:
        step: optimiser step from 0.
        slot: position in the global batch of the step, over all ranks.
        image: index of the image in its source.
        source: index of the source.
    """

    step: int
    slot: int
    image: int
    source: int = 0


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

    Each source is an endless stream of epochs, of which every global batch takes as many of the next images
    as the mixture says. Each rank has an equal, contiguous share of the slots of the global batch, in
    ``micro_batches`` equal, contiguous lists. There is no length, so that the training engine counts steps
    rather than epochs.

    Args:
        epochs: S orders of images, such as `ShuffledEpochs`.
        mixture: how many of each source; it has the size of the global batch (SOLVER.IMS_PER_BATCH) and the
            optimiser steps of the whole training.
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
        streams = [EpochStream(epochs) for epochs in self.epochs]
        share = self.mixture.batch_size // self.world_size
        size = share // self.micro_batches
        for step, (before, counts) in enumerate(self.mixture.batches(self.start_step), self.start_step):
            sources = interleave(counts)
            indices = np.empty(len(sources), dtype=np.int64)
            for source, stream in enumerate(streams):
                indices[sources == source] = stream.take(before[source], counts[source])
            for first in range(self.rank * share, (self.rank + 1) * share, size):
                slots = range(first, first + size)
                yield [Draw(step, slot, int(indices[slot]), int(sources[slot])) for slot in slots]


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
