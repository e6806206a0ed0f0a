"""Random numbers as a function of their purpose, so that no process, rank or resumption changes them."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """The purpose of a generator; the generators of different purposes are independent."""

    EPOCH = 1
    DRAW = 2
    MODEL = 3
    SOURCE = 4


def generator(purpose: Purpose, seed: int, *counters: int) -> np.random.Generator:
    """The random generator of one occasion, such as (seed, step, slot) for a draw.

    Args:
        purpose: of the random numbers.
        seed: of the run, not negative.
        counters: which occasion, not negative.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *counters)))
