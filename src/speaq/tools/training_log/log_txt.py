"""Reads ``log.txt``: the text log, as Detectron2 and our training write it."""

import re
from collections.abc import Iterable, Iterator

import numpy as np

from speaq.tools.training_log.history import Metric, TrainingHistory
from speaq.tools.training_log.metrics_json import canonical_metric

_TIMESTAMP = re.compile(r"\[\d\d/\d\d \d\d:\d\d:\d\d(?=[\] ])")
_TERMINAL_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_ITERATION = re.compile(r"(?:^|\s)iter: (\d+)(?:\s|$)")
_START = re.compile(r"Starting training from iteration (\d+)\s*$")
_NEW_PROCESS = re.compile(r"Rank of current process: ")
_END = re.compile(r"(?:Overall training speed|Total training time): ")
_DATASET = re.compile(
    r"Evaluation results for (?!bbox\b|segm\b)(?P<ours>\S+?)(?: in csv format)?:?\s*$"
    r"|Trying to convert '(?P<detectron2>[^']+)' to COCO format"
)
_EVALUATED = re.compile(r"INFO: iteration (\d+), .+: R@")
_RECALLS = re.compile(r"([A-Za-z-]+) @ (\d+): ([\d.]+|nan);")
_PREDICATE = re.compile(r"\((.*?):(\d\.\d+|nan)\)(?= \(|\s*$)")
_RENAMED = {"skipped": "skipped_steps", "iter": ""}


def read_log(lines: Iterable[str], history: TrainingHistory) -> int:
    """Add the lines of a log.txt, with their line ends, to ``history``; returns how many were truncated.

    Of truncated lines, complete fields are used.
    """
    reader, cut = _LogReader(history), 0
    for line, complete in _messages(lines):
        reader.read(line, complete)
        cut += not complete
    reader.finish()
    return cut


def _messages(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Messages, and whether they were written completely.

    A resumed run continues on the line that the killed run left unfinished.
    """
    for raw in lines:
        line = _TERMINAL_COLOUR.sub("", raw)
        starts = [found.start() for found in _TIMESTAMP.finditer(line) if found.start()]
        for start, end in zip([0, *starts], [*starts, None], strict=True):
            yield line[start:end].rstrip("\r\n"), end is None and line.endswith("\n")


class _LogReader:
    """Reads a log line by line; the iteration of an evaluation is often known only some lines later."""

    def __init__(self, history: TrainingHistory):
        self.history = history
        self._dataset = ""
        self._evaluated: dict[str, float] = {}  # metrics whose iteration is not known yet
        self._is_training = True  # logs may lack their beginning
        self._ours = False
        self._predicates_k = 0  # k of the recalls by predicate in the next line that has them, 0 for none
        self._task = ""
        self._header: list[str] = []  # of the copypaste table
        self._periods: list[int] = []

    def read(self, line: str, complete: bool) -> None:
        """Read one message."""
        self._ours = self._ours or " speaq." in line[:40]
        if found := _ITERATION.search(line):
            self._read_scalars(int(found[1]), line, complete)
        elif not complete:
            return
        elif found := _START.search(line):
            self.finish()
            self.history.start(int(found[1]))
            self._is_training = True
        elif _END.search(line) or _NEW_PROCESS.search(line):
            self.finish()
            self._is_training = False
        elif found := _EVALUATED.search(line):
            self._add_evaluation(int(found[1]))
        elif found := _DATASET.search(line):
            self._dataset = found["ours"] or found["detectron2"]
        elif "SGG eval:" in line:
            self._read_recalls(line)
        elif "copypaste: " in line:
            self._read_copypaste(line.rpartition("copypaste: ")[2].strip())
        elif self._predicates_k and (pairs := _PREDICATE.findall(line)):
            for name, value in pairs:
                self._set(f"recall@{self._predicates_k}", float(value), name)
            self._predicates_k = 0

    def finish(self) -> None:
        """Add an evaluation that is not followed by a line with its iteration."""
        iteration = max(self.history.last_iteration, 0)
        if not self._ours and self._is_training and self._periods:  # killed before the line was written
            iteration = self.history.last_iteration + int(np.median(self._periods))
        self._add_evaluation(iteration)

    def _set(self, metric: str, value: float, predicate: str | None = None) -> None:
        self._evaluated[Metric(self._dataset, metric, predicate).column] = value

    def _add_evaluation(self, iteration: int) -> None:
        self.history.add(iteration, self._evaluated)
        self._evaluated = {}

    def _read_scalars(self, iteration: int, line: str, complete: bool) -> None:
        # Fields end with two spaces. In a line that was cut off the last one may lack digits.
        fields = re.split(r"\s{2,}", line if complete else line.rpartition("  ")[0])
        values: dict[str, float] = {}
        for field in fields:
            name, _, text = field.rpartition(": ")
            name = _RENAMED.get(name, name)
            value = _number(text)
            if name and value is not None:
                values[name] = value
        if not values:
            return
        if self._ours:
            values.setdefault("skipped_steps", 0.0)  # only written where steps were skipped
        else:
            self.history.weighted_terms = True
        last = self.history.last_iteration
        if iteration > last >= 0:
            self._periods.append(iteration - last)
        if not self._is_training:
            self.finish()
        self.history.add(iteration, values)
        self._add_evaluation(iteration)  # Detectron2 evaluates before it writes the line of the iteration
        self._is_training = True

    def _read_recalls(self, line: str) -> None:
        found = _RECALLS.findall(line)
        for kind, k, value in found:
            self._set(f"{kind}@{k}", float(value))
        self._predicates_k = max((int(k) for kind, k, _ in found if kind == "mR"), default=0)

    def _read_copypaste(self, text: str) -> None:
        if text.startswith("Task: "):
            self._task, self._header = text.removeprefix("Task: "), []
        elif not self._header:
            self._header = text.split(",")
        else:
            names, numbers = self._header, [_number(value) for value in text.split(",")]
            self._header = []
            if self._task not in ("bbox", "SG") or len(numbers) != len(names):
                return
            for name, number in zip(names, numbers, strict=True):
                if number is not None:
                    in_percent = self._task == "bbox"
                    self._set(canonical_metric(name), number / (100 if in_percent else 1))


def _number(text: str) -> float | None:
    """A number with or without a unit such as the M of ``max_mem: 1234M``."""
    try:
        return float(text.removesuffix("M"))
    except ValueError:
        return None
