"""Random generators that depend on their purpose and counters only, not on processes, ranks or resuming."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """The purpose of a generator; generators of different purposes are independent."""

    EPOCH = 1
    DRAW = 2
    MODEL = 3
    SOURCE = 4


def generator(purpose: Purpose, seed: int, *counters: int) -> np.random.Generator:
    """The generator for non-negative counters, such as (step, slot) for a draw, in a run with this seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *counters)))
