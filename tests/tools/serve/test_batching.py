"""Batches: their sizes, order and failures."""

import asyncio

import pytest

pytest.importorskip("fastapi_offline")

from speaq.tools.serve.batching import Batcher, PredictionError


def batches_of(values, *, max_batch=3, max_wait=0.0, fail_on=()):
    """The batches in which pairs of a key and a number are computed, and the results."""
    batches = []

    def function(batch):
        batches.append(batch)
        if set(batch) & set(fail_on):
            raise ValueError("an unlucky number")
        return [10 * number for number in batch]

    async def main():
        batcher = Batcher(function, max_batch=max_batch, max_wait=max_wait)
        task = asyncio.create_task(batcher.run())
        calls = [batcher.submit(key, number) for key, number in values]
        results = await asyncio.gather(*calls, return_exceptions=True)
        task.cancel()
        return results

    return batches, asyncio.run(main())


def test_values_with_one_key_share_a_batch():
    batches, results = batches_of([("a", 1), ("b", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 6)])
    assert batches == [[1, 3, 4], [2, 6], [5]]
    assert results == [10, 20, 30, 40, 50, 60]


def test_full_batch_does_not_wait():
    batches, _ = batches_of([("b", 1), ("a", 2), ("a", 3), ("a", 4)], max_wait=0.05)
    assert batches == [[2, 3, 4], [1]]


def test_failure_is_of_one_value():
    batches, results = batches_of([("a", 1), ("a", 2), ("a", 3)], fail_on=[2])
    assert batches == [[1, 2, 3], [1], [2], [3]]
    assert results[0] == 10 and results[2] == 30
    assert isinstance(results[1], PredictionError) and "unlucky" in str(results[1])


def test_cancelled_value_is_not_computed():
    batches = []

    async def main():
        batcher = Batcher(lambda batch: batches.append(batch) or batch, max_batch=2, max_wait=0.0)
        calls = [asyncio.create_task(batcher.submit("a", number)) for number in range(3)]
        await asyncio.sleep(0)
        calls[1].cancel()
        task = asyncio.create_task(batcher.run())
        assert await calls[0] == 0 and await calls[2] == 2
        task.cancel()

    asyncio.run(main())
    assert batches == [[0, 2]]
