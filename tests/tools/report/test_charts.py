"""Charts of the report."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from speaq.tools.report.charts import Heatmap, assignment_lines, opacity, query_bars, recall_histogram


def elements(chart, tag):
    return list(ElementTree.fromstring(chart.svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def tips(chart):
    return [title.text for title in elements(chart, "title")]


def test_recall_histogram():
    chart = recall_histogram(np.array([0, 0, 0.05, 0.999, 1.0, np.nan]), 100)
    found = tips(chart)
    assert found[0] == "recall 0 %: 2 images" and found[-1] == "recall 100 %: 1 images" and len(found) == 12
    bars = [path for path in elements(chart, "path") if "var(--g0)" in path.get("style", "")]
    corners = [np.array(re.findall(r"[\d.]+ ([\d.]+)", bar.get("d")), float) for bar in bars]
    heights = np.array([ends.max() - ends.min() for ends in corners])
    assert heights[0] == pytest.approx(2 * heights[[1, -2, -1]]) and heights[0] > 0
    assert heights[2:-2].sum() == 0
    assert not elements(chart, "style") and not any("id" in group.attrib for group in elements(chart, "g"))
    assert chart.label == "Images by recall at 100: 2 with 0, 1 with 100 %, of 5"
    assert recall_histogram(np.array([]), 20).svg.startswith("<svg")


def test_query_bars():
    chart = query_bars(np.arange(5.0), [0, 0, 1, 1, 1], 20)
    assert tips(chart) == ["group 1: queries 0 to 1", "group 2: queries 2 to 4"]
    assert list(chart.legend) == ["group 1", "group 2"]
    assert "var(--g1)" in chart.svg
    ungrouped = query_bars(np.zeros(0), [], 20)
    assert ungrouped.svg.startswith("<svg") and not ungrouped.legend


def test_assignment_lines():
    chart = assignment_lines(pd.DataFrame({"a": [1, 2, 3], "b": [1, np.nan, 2]}))
    assert tips(chart) == list(chart.legend) == ["layer 1", "layer 2"]


def test_heatmap_shares_add_up_along_its_axis():
    heatmap = Heatmap(
        counts=np.array([[4, 0, 1], [2, 2, 0]]),
        axis=1,
        rows=["a", "b"],
        columns=["c", "d", "e"],
        titles=("r", "c"),
        tip="{row} {column}",
        label="l",
        correct=np.eye(2, 3, dtype=bool),
        kinds=("correct", "confused"),
    )
    right, wrong = ("right", opacity(0.8), "a c: 4 of 5 (80.0%)"), ("wrong", 0.48, "a e: 1 of 5 (20.0%)")
    assert heatmap.cells[0] == [right, None, wrong]
    right, wrong = ("right", opacity(0.5), "b d: 2 of 4 (50.0%)"), ("wrong", 0.72, "b c: 2 of 4 (50.0%)")
    assert heatmap.cells[1] == [wrong, right, None]
