"""Dynamic batching: values that arrive one by one are computed together."""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

logger = logging.getLogger("speaq.serve")

Value = TypeVar("Value")
Result = TypeVar("Result")


class PredictionError(Exception):
    """The function failed for a value."""


@dataclass(slots=True, eq=False)
class _Item(Generic[Value, Result]):
    value: Value
    arrived: float  # in the time of the event loop
    result: "asyncio.Future[Result]"


class Batcher(Generic[Value, Result]):
    """Calls a function in a thread with batches of the values that coroutines submit.

    The values of a batch have equal keys. A batch is computed as soon as the thread is free and there are
    ``max_batch`` values of one key, or the value that came first has waited for ``max_wait`` seconds; then it
    goes first. While a batch is computed, further values arrive, so batches grow with the load.

    Args:
        function: from a list of values to their results.
        max_batch: largest number of values of a batch.
        max_wait: seconds that a value waits for others although the thread is free.
    """

    def __init__(
        self, function: Callable[[list[Value]], Sequence[Result]], *, max_batch: int, max_wait: float
    ) -> None:
        self._function, self._max_batch, self._max_wait = function, max_batch, max_wait
        self._waiting: dict[Hashable, list[_Item[Value, Result]]] = {}
        self._arrival = asyncio.Event()

    async def submit(self, key: Hashable, value: Value) -> Result:
        """The result of a value.

        If this is cancelled before the value is in a batch, the value is not computed. A batch that
        fails is computed again one by one.

        Raises:
            PredictionError: the function failed for this value; the log has the reason.
        """
        loop = asyncio.get_running_loop()
        item = _Item(value, loop.time(), loop.create_future())
        self._waiting.setdefault(key, []).append(item)
        self._arrival.set()
        try:
            return await item.result
        finally:
            items = self._waiting.get(key, [])
            if item in items:
                items.remove(item)
                if not items:
                    del self._waiting[key]

    async def run(self) -> None:
        """Compute batches until this is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="model") as thread:
            while True:
                batch = await self._next_batch()
                results = await loop.run_in_executor(thread, self._compute, [item.value for item in batch])
                for item, result in zip(batch, results, strict=True):
                    if item.result.done():  # cancelled: nobody waits for it any more
                        continue
                    if isinstance(result, PredictionError):
                        item.result.set_exception(result)
                    else:
                        item.result.set_result(result)

    async def _next_batch(self) -> list[_Item[Value, Result]]:
        loop = asyncio.get_running_loop()
        while True:
            wait = None
            if self._waiting:
                first = min(self._waiting, key=lambda key: self._waiting[key][0].arrived)
                wait = self._waiting[first][0].arrived + self._max_wait - loop.time()
                full = (key for key, items in self._waiting.items() if len(items) >= self._max_batch)
                key = first if wait <= 0 else next(full, None)
                if key is not None:
                    items = self._waiting.pop(key)
                    if items[self._max_batch :]:
                        self._waiting[key] = items[self._max_batch :]
                    return items[: self._max_batch]
            self._arrival.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._arrival.wait()
            except TimeoutError:
                continue  # the first value has waited long enough

    def _compute(self, values: list[Value]) -> list[Result | PredictionError]:
        try:
            return list(self._function(values))
        except Exception as error:
            if len(values) == 1:
                logger.exception("a prediction failed")
                return [PredictionError(str(error))]
            logger.warning("a batch of %d failed (%s): now one by one", len(values), error)
        return [result for value in values for result in self._compute([value])]
