from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.data.mixing import Mixture, interleave
from speaq.data.sampling import ShuffledEpochs, TrainBatchSampler
from speaq.errors import SpeaqError

ratios = st.integers(0, 100).map(lambda percent: percent / 100)
several_ratios = st.lists(ratios, min_size=1, max_size=4).filter(any)


def counts(mixture: Mixture) -> list[tuple[int, ...]]:
    return [tuple(count) for _, count in mixture.batches()]


def test_mixture_has_exact_counts_where_they_are_integers():
    assert set(counts(Mixture([0.7, 0.3], batch_size=20, num_steps=1000))) == {(14, 6)}


def test_mixture_accepts_ratios_in_any_unit():
    assert set(counts(Mixture([7, 3], batch_size=10, num_steps=5))) == {(7, 3)}
    assert set(counts(Mixture([2, 1, 1], batch_size=8, num_steps=5))) == {(4, 2, 2)}


def test_mixture_carries_fractions_over():
    found = counts(Mixture([0.7, 0.3], batch_size=4, num_steps=10))  # 2.8 and 1.2
    assert Counter(found) == {(3, 1): 8, (2, 2): 2}
    assert np.sum(found, axis=0).tolist() == [28, 12]
    assert np.sum(found[:5], axis=0).tolist() == [14, 6]


def test_mixture_changes_ratios_linearly():
    found = np.array(counts(Mixture([0.5, 0.5], final_ratios=[0.9, 0.1], batch_size=10, num_steps=101)))
    assert found[0].tolist() == [5, 5]
    assert found[-1].tolist() == [9, 1]
    assert found[50].tolist() == [7, 3]
    assert found.sum(0).tolist() == [707, 303]
    assert Mixture([0.5, 0.5], final_ratios=[9, 1], batch_size=10, num_steps=101).shares() == pytest.approx(
        [0.7, 0.3]
    )


def test_mixture_accepts_a_ratio_of_zero_at_the_start():
    found = np.array(counts(Mixture([1, 0], final_ratios=[0, 1], batch_size=8, num_steps=9)))
    assert found[:, 1].tolist() == list(range(9))


@pytest.mark.parametrize("bad", [[0, 0], [-0.1, 1.1], [float("nan"), 1], [float("inf"), 1]])
def test_mixture_rejects_impossible_ratios(bad):
    with pytest.raises(SpeaqError, match=r"sampling ratios .* expected non-negative numbers"):
        Mixture(bad, batch_size=4, num_steps=1)


@settings(max_examples=200, deadline=None)
@given(
    start=several_ratios,
    seed=st.integers(0, 2**32),
    batch_size=st.integers(1, 40),
    num_steps=st.integers(1, 60),
    data=st.data(),
)
def test_mixture_is_never_a_whole_image_ahead_of_its_quotas(start, seed, batch_size, num_steps, data):
    end = data.draw(st.none() | st.lists(ratios, min_size=len(start), max_size=len(start)).filter(any))
    mixture = Mixture(start, final_ratios=end, batch_size=batch_size, num_steps=num_steps)
    total = np.zeros(len(start), dtype=int)
    for step, (before, batch) in enumerate(mixture.batches(), 1):
        assert before == total.tolist()
        assert sum(batch) == batch_size
        assert min(batch) >= 0
        total += batch
        ahead = [count - quota for count, quota in zip(total.tolist(), mixture.quotas(step), strict=True)]
        assert sum(ahead) == 0
        assert max(ahead) < 1
        if len(start) == 2:
            assert max(map(abs, ahead)) <= Fraction(1, 2)
        if all(quota.denominator == 1 for quota in mixture.quotas(step)):
            assert not any(ahead)
    if end is None:
        exact = [Fraction(str(ratio)) for ratio in start]
        share = [batch_size * num_steps * ratio / sum(exact) for ratio in exact]
        assert mixture.quotas(num_steps) == share


@settings(max_examples=150, deadline=None)
@given(
    ratios=several_ratios,
    seed=st.integers(0, 2**31),
    world_size=st.sampled_from([1, 2, 4]),
    micro_batches=st.sampled_from([1, 2, 3]),
    images_per_part=st.integers(1, 5),
    num_steps=st.integers(1, 25),
    data=st.data(),
)
def test_mixed_batches_do_not_depend_on_ranks_accumulation_and_resuming(
    ratios, seed, world_size, micro_batches, images_per_part, num_steps, data
):
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=len(ratios), max_size=len(ratios)))
    resumed_at = data.draw(st.integers(0, num_steps))
    batch_size = world_size * micro_batches * images_per_part
    mixture = Mixture(ratios, batch_size=batch_size, num_steps=num_steps)
    epochs = [ShuffledEpochs(num_images=size, seed=seed + i) for i, size in enumerate(sizes)]
    whole = list(TrainBatchSampler(epochs=epochs, mixture=mixture))
    assert len(whole) == num_steps

    for batch, expected in zip(whole, counts(mixture), strict=True):
        drawn = Counter(draw.source for draw in batch)
        assert tuple(drawn[source] for source in range(len(ratios))) == expected
    for source, size in enumerate(sizes):
        order = [draw.image for batch in whole for draw in batch if draw.source == source]
        for first in range(0, len(order), size):
            epoch = order[first : first + size]
            assert len(set(epoch)) == len(epoch)
        num_epochs = -(-len(order) // size)
        expected = [image for epoch in range(num_epochs) for image in epochs[source](epoch).tolist()]
        assert order == expected[: len(order)]

    ranks = [
        list(
            TrainBatchSampler(
                epochs=epochs,
                mixture=mixture,
                start_step=resumed_at,
                rank=rank,
                world_size=world_size,
                micro_batches=micro_batches,
            )
        )
        for rank in range(world_size)
    ]
    for step in range(resumed_at, num_steps):
        parts = slice((step - resumed_at) * micro_batches, (step - resumed_at + 1) * micro_batches)
        micro = zip(*(rank[parts] for rank in ranks), strict=True)
        together = [draw for shares in micro for part in shares for draw in part]
        assert together == whole[step]
        assert len(set(together)) == batch_size  # the ranks are disjoint: a slot is drawn once


@given(counts=st.lists(st.integers(0, 20), min_size=1, max_size=4).filter(any))
def test_interleave_spreads_each_source_evenly(counts):
    slots = interleave(counts)
    assert np.bincount(slots, minlength=len(counts)).tolist() == counts
    for first in range(0, len(slots) - 4, 5):
        part = np.bincount(slots[first : first + 5], minlength=len(counts))
        assert (np.abs(part - np.array(counts) * 5 / len(slots)) <= len(counts)).all()
