import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.data.mixing import Mixture
from speaq.data.sampling import Draw, EvalBatchSampler, ShuffledEpochs, TrainBatchSampler
from speaq.errors import SpeaqError


def sampler(**options) -> TrainBatchSampler:
    settings = {"epochs": ShuffledEpochs(num_images=23, seed=5), "batch_size": 12, "num_steps": 9, **options}
    mixture = Mixture([1.0], batch_size=settings.pop("batch_size"), num_steps=settings.pop("num_steps"))
    return TrainBatchSampler(epochs=[settings.pop("epochs")], mixture=mixture, **settings)


def test_train_sampler_draws_epochs_without_replacement():
    indices = [draw.image for batch in sampler(num_steps=23) for draw in batch]
    epochs = np.reshape(indices, (12, 23))
    assert (np.sort(epochs, axis=1) == np.arange(23)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 12


def test_draws_have_step_and_slot():
    batches = list(sampler())
    assert len(batches) == 9
    assert [[(draw.step, draw.slot) for draw in batch] for batch in batches] == [
        [(step, slot) for slot in range(12)] for step in range(9)
    ]


@settings(max_examples=50, deadline=None)
@given(
    world_size=st.sampled_from([1, 2, 3, 4]),
    micro_batches=st.sampled_from([1, 2]),
    start_step=st.integers(0, 9),
    num_images=st.integers(1, 40),
)
def test_train_sampler_does_not_depend_on_ranks_and_resuming(
    world_size, micro_batches, start_step, num_images
):
    epochs = ShuffledEpochs(num_images=num_images, seed=1)
    whole = list(sampler(epochs=epochs, batch_size=24, num_steps=10))
    parts = [
        sampler(
            epochs=epochs,
            batch_size=24,
            num_steps=10,
            start_step=start_step,
            rank=rank,
            world_size=world_size,
            micro_batches=micro_batches,
        )
        for rank in range(world_size)
    ]
    lists = [list(part) for part in parts]
    assert {len(batches) for batches in lists} == {(10 - start_step) * micro_batches}
    for step in range(start_step, 10):
        first = (step - start_step) * micro_batches
        shares = [batches[first : first + micro_batches] for batches in lists]
        assert {len(batch) for share in shares for batch in share} == {24 // world_size // micro_batches}
        micro = [draw for parts in zip(*shares, strict=True) for batch in parts for draw in batch]
        assert micro == whole[step]  # a micro-batch of all ranks is one of a single rank


def test_shuffled_epochs_depend_on_the_seed():
    other = sampler(epochs=ShuffledEpochs(num_images=23, seed=6))
    assert next(iter(other)) != next(iter(sampler()))


@pytest.mark.parametrize(
    "options", [{"world_size": 5}, {"world_size": 4, "micro_batches": 2}, {"batch_size": 0}]
)
def test_train_sampler_rejects_unequal_shares(options):
    with pytest.raises(SpeaqError, match=r"SOLVER\.IMS_PER_BATCH is"):
        sampler(**options)


@pytest.mark.parametrize("start_step", range(12))
def test_train_sampler_accepts_epochs_of_unequal_length(start_step):
    def epochs(epoch: int) -> np.ndarray:
        return np.full(epoch % 3 + 1, epoch)

    whole = [0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 5, 5]
    batches = sampler(epochs=epochs, batch_size=1, num_steps=12, start_step=start_step)
    assert [draw.image for batch in batches for draw in batch] == whole[start_step:]


def test_draw_is_a_tuple():
    assert Draw(1, 2, 3) == (1, 2, 3, 0)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=60),
    batch_size=st.integers(1, 7),
    world_size=st.integers(1, 4),
)
def test_eval_sampler_covers_each_image_once_in_batches_of_equal_size(sizes, batch_size, world_size):
    ranks = [
        EvalBatchSampler(sizes=sizes, batch_size=batch_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    batches = [batch for rank in ranks for batch in rank]
    assert sorted(index for batch in batches for index in batch) == list(range(len(sizes)))
    assert all(len({sizes[index] for index in batch}) == 1 for batch in batches if batch)
    assert max(map(len, batches)) <= batch_size
    assert len({len(rank) for rank in ranks}) == 1
    assert all(batch for rank in ranks for batch in list(rank)[:-1])
    assert [len(list(rank)) for rank in ranks] == [len(rank) for rank in ranks]
