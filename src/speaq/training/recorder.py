"""What happened in the last steps, for the logs."""

import math
import statistics
import time
from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor


class Recorder:
    """Loss terms and times of the last steps.

    Loss terms stay on their device until they are asked for, so that recording never waits for it.

    Args:
        window: steps over which medians are taken.

    Attributes:
        steps: recorded since the start of this process.
        seconds: spent in these steps, evaluations and checkpoints left out.
    """

    def __init__(self, *, window: int):
        self.steps = 0
        self.seconds = 0.0
        self._terms: deque[dict[str, Tensor]] = deque(maxlen=window)
        self._times: deque[tuple[float, float]] = deque(maxlen=window)
        self._step_time = self._data_time = 0.0
        self._since = time.perf_counter()

    def resume(self) -> None:
        """The clock runs (again): a batch is being waited for."""
        self._since = time.perf_counter()

    def data_ready(self) -> None:
        """The batch has arrived."""
        self._data_time += time.perf_counter() - self._since

    def batch_done(self) -> None:
        """The batch is computed; it may be one of several of a step."""
        now = time.perf_counter()
        self._step_time += now - self._since
        self._since = now

    def step_done(self, terms: Mapping[str, Tensor]) -> None:
        """The step is complete; ``terms`` are its scalars."""
        self._terms.append(dict(terms))
        self._times.append((self._step_time, self._data_time))
        self.seconds += self._step_time
        self.steps += 1
        self._step_time = self._data_time = 0.0

    @property
    def seconds_per_step(self) -> float:
        """Mean over all steps, 0 before the first."""
        return self.seconds / self.steps if self.steps else 0.0

    @property
    def last_seconds(self) -> tuple[float, float]:
        """Seconds of the last step and of its waiting for data."""
        return self._times[-1]

    @property
    def data_seconds(self) -> float:
        """Mean seconds of waiting for data, over the window."""
        return statistics.fmean(data for _, data in self._times)

    def medians(self) -> dict[str, float]:
        """Median of every term over the window, in one transfer from the device.

        NaN is left out, such as the loss of a source that had no image in a step; it is the median where
        there is nothing else.
        """
        names = list(self._terms[-1])
        table = torch.stack([torch.stack([terms[name] for name in names]) for terms in self._terms])
        columns = table.double().T.tolist()
        kept = [[value for value in column if not math.isnan(value)] or [math.nan] for column in columns]
        return {name: statistics.median(values) for name, values in zip(names, kept, strict=True)}
