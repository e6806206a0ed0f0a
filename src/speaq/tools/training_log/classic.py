"""``log.txt``: lines of words, of Detectron2 and of our trainings."""

import re
from collections.abc import Iterable, Iterator

import numpy as np

from speaq.tools.training_log.history import Evaluation, TrainingHistory
from speaq.tools.training_log.json_lines import canonical_figure

_STAMP = re.compile(r"\[\d\d/\d\d \d\d:\d\d:\d\d(?=[\] ])")
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
_NAMES = {"skipped": "skipped_steps", "iter": ""}


def read_classic(lines: Iterable[str], history: TrainingHistory) -> int:
    """Add the lines of a log.txt to ``history``.

    Args:
        lines: with their ends.
        history: what is taken in.

    Returns:
        How many lines were cut while they were written; of them what is surely whole is taken.
    """
    reader, cut = _Reader(history), 0
    for line, whole in _messages(lines):
        reader.read(line, whole)
        cut += not whole
    reader.finish()
    return cut


def _messages(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Lines, and whether they were written to their end.

    A resumed run goes on right behind the line in which the former one was killed.
    """
    for raw in lines:
        line = _TERMINAL_COLOUR.sub("", raw)
        starts = [found.start() for found in _STAMP.finditer(line) if found.start()]
        for start, end in zip([0, *starts], [*starts, None], strict=True):
            yield line[start:end].rstrip("\r\n"), end is None and line.endswith("\n")


class _Reader:
    """Follows a log line by line; what belongs to which iteration shows only later."""

    def __init__(self, history: TrainingHistory):
        self.history = history
        self._dataset = ""
        self._pending: dict[str, Evaluation] = {}
        self._training = True  # logs may lack their beginning
        self._ours = False
        self._depth = 0  # of the recalls by predicate that follow; 0 where none do
        self._task = ""
        self._figures: list[str] = []
        self._periods: list[int] = []

    def read(self, line: str, whole: bool) -> None:
        """Take in a line."""
        self._ours = self._ours or " speaq." in line[:40]
        if found := _ITERATION.search(line):
            self._read_scalars(int(found[1]), line, whole)
        elif not whole:
            return
        elif found := _START.search(line):
            self._place(self._untold_iteration())
            self.history.start(int(found[1]))
            self._training = True
        elif _END.search(line) or _NEW_PROCESS.search(line):
            self._place(self._untold_iteration())
            self._training = False
        elif found := _EVALUATED.search(line):
            self._place(int(found[1]))
        elif found := _DATASET.search(line):
            self._dataset = found["ours"] or found["detectron2"]
        elif "SGG eval:" in line:
            self._read_recalls(line)
        elif "copypaste: " in line:
            self._read_copypaste(line.rpartition("copypaste: ")[2].strip())
        elif self._depth and (pairs := _PREDICATE.findall(line)):
            evaluation = self._evaluation()
            evaluation.depth = self._depth
            evaluation.predicates = {name: float(value) for name, value in pairs}
            self._depth = 0

    def finish(self) -> None:
        """Take in what the log broke off in."""
        self._place(self._untold_iteration())

    def _evaluation(self) -> Evaluation:
        return self._pending.setdefault(self._dataset, Evaluation())

    def _read_scalars(self, iteration: int, line: str, whole: bool) -> None:
        # Fields end with two spaces. In a line that was cut the last one may lack digits.
        fields = re.split(r"\s{2,}", line if whole else line.rpartition("  ")[0])
        values: dict[str, float] = {}
        for field in fields:
            name, _, text = field.rpartition(": ")
            name = _NAMES.get(name, name)
            value = _number(text)
            if name and value is not None:
                values[name] = value
        if not values:
            return
        if self._ours:
            values.setdefault("skipped_steps", 0.0)  # only written where there are any
        else:
            self.history.weighted_terms = True
        last = self.history.last_iteration
        if iteration > last >= 0:
            self._periods.append(iteration - last)
        if not self._training:
            self._place(self._untold_iteration())
        self.history.add_scalars(iteration, values)
        self._place(iteration)  # Detectron2 evaluates before it writes the line of the iteration
        self._training = True

    def _untold_iteration(self) -> int:
        """Of an evaluation that no line about its iteration follows."""
        last = self.history.last_iteration
        if self._ours or not self._training or not self._periods:
            return max(last, 0)  # after the training
        return last + int(np.median(self._periods))  # killed before the line was written

    def _place(self, iteration: int) -> None:
        for dataset, found in self._pending.items():
            evaluation = self.history.evaluation(iteration, dataset)
            evaluation.figures |= found.figures
            evaluation.predicates, evaluation.depth = found.predicates, found.depth
        self._pending.clear()

    def _read_recalls(self, line: str) -> None:
        found = _RECALLS.findall(line)
        figures = {f"{kind}@{depth}": float(value) for kind, depth, value in found}
        self._evaluation().figures |= figures
        self._depth = max((int(depth) for kind, depth, _ in found if kind == "mR"), default=0)

    def _read_copypaste(self, text: str) -> None:
        if text.startswith("Task: "):
            self._task, self._figures = text.removeprefix("Task: "), []
        elif not self._figures:
            self._figures = text.split(",")
        else:
            numbers = [_number(value) for value in text.split(",")]
            names, self._figures = self._figures, []
            if self._task not in ("bbox", "SG") or len(numbers) != len(names):
                return
            for name, number in zip(names, numbers, strict=True):
                if number is not None:
                    in_percent = self._task == "bbox"
                    self._evaluation().figures[canonical_figure(name)] = number / (100 if in_percent else 1)


def _number(text: str) -> float | None:
    """A number with or without a unit such as the M of ``max_mem: 1234M``."""
    try:
        return float(text.removesuffix("M"))
    except ValueError:
        return None
