import numpy as np

from speaq.data.randomness import Purpose, generator


def test_every_occasion_has_its_own_numbers():
    occasions = [
        (purpose, seed, *counters)
        for purpose in Purpose
        for seed in (0, 1)
        for counters in ((), (0,), (1,), (0, 0), (0, 1), (1, 0))
    ]
    numbers = {tuple(generator(*occasion).integers(2**62, size=2)) for occasion in occasions}
    assert len(numbers) == len(occasions)


def test_numbers_are_reproducible():
    first, second = (generator(Purpose.DRAW, 7, 3, 4).random(5) for _ in range(2))
    np.testing.assert_array_equal(first, second)
