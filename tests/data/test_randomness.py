import numpy as np

from speaq.data.randomness import Purpose, generator


def test_generator_differs_for_each_purpose_seed_and_counters():
    arguments = [
        (purpose, seed, *counters)
        for purpose in Purpose
        for seed in (0, 1)
        for counters in ((), (0,), (1,), (0, 0), (0, 1), (1, 0))
    ]
    numbers = {tuple(generator(*each).integers(2**62, size=2)) for each in arguments}
    assert len(numbers) == len(arguments)


def test_generator_is_reproducible():
    first, second = (generator(Purpose.DRAW, 7, 3, 4).random(5) for _ in range(2))
    np.testing.assert_array_equal(first, second)
