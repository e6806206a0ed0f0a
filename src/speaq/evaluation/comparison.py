"""Several models on the same images: their recalls, and paired bootstrap intervals of the differences.

Every sample of images is the same for all models, so that what makes an image easy or hard for all of them
does not widen the intervals (paired bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from speaq.errors import SpeaqError
from speaq.evaluation.analysis import Analysis
from speaq.evaluation.bootstrap import Interval, paired_intervals, recalls
from speaq.evaluation.results import RECALL_NAMES, additional_title, numeric, percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Recalls of models and their differences to those of the first.

    Attributes:
        names: of the models.
        ks: depths.
        values: recalls of each model by name.
        intervals: their intervals.
        differences: intervals of the differences to the first model, for all but the first.
        additional: values of further metrics of each model, without intervals.
    """

    names: Sequence[str]
    ks: Sequence[int]
    values: Sequence[Mapping[str, float]]
    intervals: Sequence[Mapping[str, Interval]]
    differences: Sequence[Mapping[str, Interval]]
    additional: Sequence[Mapping[str, float]] = ()

    def additional_rows(self) -> list[tuple[str, list[float]]]:
        """Title and values of the further metrics."""
        names = list(self.additional[0]) if self.additional else []
        return [(additional_title(name), [values[name] for values in self.additional]) for name in names]

    def rows(self) -> list[tuple[str, str]]:
        """Key and title of the recalls that all models have."""
        return [
            (f"{name}@{k}", f"{title} @{k}")
            for name, title in RECALL_NAMES.items()
            for k in self.ks
            if all(not math.isnan(values.get(f"{name}@{k}", math.nan)) for values in self.values)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Differences by model and recall, in plain types."""
        first = self.values[0]
        return {
            "baseline": self.names[0],
            "differences": {
                name: {
                    key: {"difference": values[key] - first[key], "low": bounds[key].low.item()}
                    | {"high": bounds[key].high.item()}
                    for key, _ in self.rows()
                }
                for name, values, bounds in zip(
                    self.names[1:], self.values[1:], self.differences, strict=True
                )
            },
        }

    def table(self) -> Table:
        """Recalls in percent, and differences to the first model with 95 % intervals."""
        caption = f"In brackets: 95 % bootstrap interval of the difference to {self.names[0]}"
        table = Table("", *numeric(self.names, overflow="fold"), title="Comparison (%)", caption=caption)
        for key, title in self.rows():
            cells = [f"{100 * self.values[0][key]:.2f}"]
            for values, bounds in zip(self.values[1:], self.differences, strict=True):
                low, high = (100 * end for end in bounds[key])
                cells.append(f"{100 * values[key]:.2f} [{low:+.2f}, {high:+.2f}]")
            table.add_row(title, *cells)
        for title, shares in self.additional_rows():
            table.add_row(title, *map(percent, shares))
        return table


def compare(
    names: Sequence[str],
    analyses: Sequence[Analysis],
    *,
    additional: Sequence[Mapping[str, float]] = (),
    resamples: int = 1000,
) -> Comparison:
    """Compare models by analyses of their predictions for the same images, in any order.

    ``additional`` has further metrics of each model, which are shown without intervals.

    Raises:
        SpeaqError: they are not of the same images.
    """
    for name, analysis in zip(names, analyses, strict=True):
        if set(analysis.image_ids) != set(analyses[0].image_ids):
            raise SpeaqError(f"{name}: expected predictions for the same images as {names[0]}")
    bounds, differences = paired_intervals(analyses, resamples=resamples)
    return Comparison(
        names=names,
        ks=analyses[0].ks,
        values=[recalls(analysis) for analysis in analyses],
        intervals=bounds,
        differences=differences,
        additional=additional,
    )
