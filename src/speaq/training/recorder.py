"""Losses and times of the last steps, for the log."""

import math
import statistics
import time
from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor


class Recorder:
    """Loss terms and times of the last steps.

    Loss terms remain on their device until `medians` is called, so that recording does not synchronize it.

    Args:
        window: number of steps of the medians.

    Attributes:
        steps: number of steps since the start of this process.
        seconds: duration of these steps, without evaluations and checkpoints.
    """

    def __init__(self, *, window: int):
        self.steps = 0
        self.seconds = 0.0
        self._terms: deque[dict[str, Tensor]] = deque(maxlen=window)
        self._times: deque[tuple[float, float]] = deque(maxlen=window)
        self._step_time = self._data_time = 0.0
        self._since = time.perf_counter()

    def resume(self) -> None:
        """Start the clock, or restart it after a pause: the next batch is being loaded."""
        self._since = time.perf_counter()

    def data_ready(self) -> None:
        """The batch is loaded."""
        self._data_time += time.perf_counter() - self._since

    def batch_done(self) -> None:
        """The batch is computed; a step may consist of several."""
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
        """Mean over all steps; 0 before the first."""
        return self.seconds / self.steps if self.steps else 0.0

    @property
    def last_seconds(self) -> tuple[float, float]:
        """Duration of the last step, and of loading its data."""
        return self._times[-1]

    @property
    def data_seconds(self) -> float:
        """Mean duration of loading the data, over the window."""
        return statistics.fmean(data for _, data in self._times)

    def medians(self) -> dict[str, float]:
        """Median of every term over the window, with one transfer from the device.

        NaN is ignored, such as the loss of a source without images in a step, unless all values are NaN.
        """
        names = list(self._terms[-1])
        table = torch.stack([torch.stack([terms[name] for name in names]) for terms in self._terms])
        columns = table.double().T.tolist()
        kept = [[value for value in column if not math.isnan(value)] or [math.nan] for column in columns]
        return {name: statistics.median(values) for name, values in zip(names, kept, strict=True)}
