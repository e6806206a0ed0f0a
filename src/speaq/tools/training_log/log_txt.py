"""Reads ``log.txt``: the text log, as Detectron2 and our training write it."""

import re
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from speaq.tools.training_log.history import Event, Name
from speaq.tools.training_log.names import Metric, canonical_metric

_TIMESTAMP = re.compile(r"\[\d\d/\d\d \d\d:\d\d:\d\d(?=[\] ])")
_TERMINAL_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_ITERATION = re.compile(r"(?:^|\s)iter: (\d{1,18})(?:\s|$)")
_START = re.compile(r"Starting training from iteration (\d{1,18})\s*$")
_END = re.compile(r"(?:Overall training speed|Total training time|Rank of current process): ")
_DATASET = re.compile(
    r"Evaluation results for (?!bbox\b|segm\b)(?P<ours>\S+?)(?: in csv format)?:?\s*$"
    r"|Trying to convert '(?P<detectron2>[^']+)' to COCO format"
)
_EVALUATED = re.compile(r"INFO: iteration (\d{1,18}), .+: R@")
_RECALLS = re.compile(r"([A-Za-z-]+) @ (\d+): ([\d.]+|nan);")
_PREDICATE = re.compile(r"\((.*?):(\d\.\d+|nan)\)(?= \(|\s*$)")
_RENAMED = {"skipped": "skipped_steps", "iter": ""}


class LogText:
    """Iterates over the events in the lines of a log.txt, which have their line ends.

    The iteration of an evaluation is often known only some lines later. ``damaged`` counts lines that were
    cut off, of which complete fields are used; ``weighted_terms`` is that of a `TrainingHistory`.
    """

    def __init__(self, lines: Iterable[str]):
        self.damaged = 0
        self.weighted_terms = False
        self._lines = lines
        self._last = -1  # iteration
        self._periods: deque[int] = deque(maxlen=1000)  # iterations between lines
        self._is_training = True  # logs may lack their beginning
        self._ours = False
        self._dataset = ""
        self._evaluated: dict[Name, float] = {}  # metrics whose iteration is not known yet
        self._predicates_k = 0  # k of the recalls by predicate in the next line that has them, 0 for none
        self._task = ""
        self._header: list[str] = []  # of the copypaste table

    def __iter__(self) -> Iterator[Event]:
        for raw in self._lines:
            line = _TERMINAL_COLOUR.sub("", raw)
            # A resumed run continues on the line that the killed run left unfinished.
            starts = [found.start() for found in _TIMESTAMP.finditer(line) if found.start()]
            for start, end in zip([0, *starts], [*starts, None], strict=True):
                complete = end is None and line.endswith("\n")
                self.damaged += not complete
                yield from self._read(line[start:end].rstrip("\r\n"), complete)
        yield from self._finish()

    def _read(self, line: str, complete: bool) -> Iterator[Event]:
        self._ours = self._ours or " speaq." in line[:40]
        if found := _ITERATION.search(line):
            # Fields end with two spaces. In a line that was cut off the last one may lack digits.
            yield from self._scalars(int(found[1]), line if complete else line.rpartition("  ")[0])
        elif not complete:
            return
        elif found := _START.search(line):
            yield from self._finish()
            yield int(found[1]), {}
            self._is_training = True
        elif _END.search(line):
            yield from self._finish()
            self._is_training = False
        elif found := _EVALUATED.search(line):
            yield from self._evaluation(int(found[1]))
        elif found := _DATASET.search(line):
            self._dataset = found["ours"] or found["detectron2"]
        elif "SGG eval:" in line:
            recalls = _RECALLS.findall(line)
            for kind, k, value in recalls:
                self._set(f"{kind}@{k}", float(value))
            self._predicates_k = max((int(k) for kind, k, _ in recalls if kind == "mR"), default=0)
        elif "copypaste: " in line:
            self._read_copypaste(line.rpartition("copypaste: ")[2].strip())
        elif self._predicates_k and (pairs := _PREDICATE.findall(line)):
            for name, value in pairs:
                self._set(f"recall@{self._predicates_k}", float(value), name)
            self._predicates_k = 0

    def _finish(self) -> Iterator[Event]:
        """An evaluation that is not followed by a line with its iteration."""
        iteration = max(self._last, 0)
        if not self._ours and self._is_training and self._periods:  # killed before the line was written
            iteration = self._last + int(np.median(self._periods))
        yield from self._evaluation(iteration)

    def _set(self, metric: str, value: float, predicate: str | None = None) -> None:
        self._evaluated[Metric(self._dataset, metric, predicate)] = value

    def _evaluation(self, iteration: int) -> Iterator[Event]:
        if self._evaluated:
            self._last = iteration
            yield iteration, self._evaluated
            self._evaluated = {}

    def _scalars(self, iteration: int, line: str) -> Iterator[Event]:
        values: dict[Name, float] = {}
        for field in re.split(r"\s{2,}", line):
            name, _, text = field.rpartition(": ")
            name, value = _RENAMED.get(name, name), _number(text)
            if name and value is not None:
                values[name] = value
        if not values:
            return
        if self._ours:
            values.setdefault("skipped_steps", 0.0)  # only written where steps were skipped
        else:
            self.weighted_terms = True
        if iteration > self._last >= 0:
            self._periods.append(iteration - self._last)
        if not self._is_training:
            yield from self._finish()
        self._last, self._is_training = iteration, True
        yield iteration, values
        yield from self._evaluation(iteration)  # Detectron2 evaluates before it writes the line

    def _read_copypaste(self, text: str) -> None:
        if text.startswith("Task: "):
            self._task, self._header = text.removeprefix("Task: "), []
        elif not self._header:
            self._header = text.split(",")
        else:
            names, numbers = self._header, [_number(value) for value in text.split(",")]
            self._header = []
            if self._task in ("bbox", "SG") and len(numbers) == len(names):
                for name, number in zip(names, numbers, strict=True):
                    if number is not None:
                        self._set(canonical_metric(name), number / (100 if self._task == "bbox" else 1))


def _number(text: str) -> float | None:
    """A number with or without a unit such as the M of ``max_mem: 1234M``."""
    try:
        return float(text.removesuffix("M"))
    except ValueError:
        return None
