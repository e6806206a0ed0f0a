"""Figures of distributions: the values shown, and that no text overlaps or is cut off."""

import io
import logging
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from counted_datasets import VG_PREDICATES, comparison_of, long_tail
from speaq.tools.distribution.charts import draw_all, draw_cumulative, draw_top
from speaq.tools.distribution.comparison import Comparison
from speaq.tools.distribution.files import save_charts
from speaq.tools.distribution.summary import draw_summary, missing_rows, summary_rows, summary_tables
from speaq.visualize.charts import chart_style, dataset_colours, plain_number, rgb

DRAWINGS = (draw_top, draw_all, draw_cumulative, draw_summary)


def visual_genome(num_classes: int = 50) -> Comparison:
    names = [name + "" if i < 50 else f"{name} {i // 50}" for i, name in enumerate(VG_PREDICATES * 4)]
    real = dict(zip(names[:num_classes], long_tail(num_classes, 400_000), strict=True))
    synthetic = dict(zip(names[:num_classes], long_tail(num_classes, 30_000, 0.8)[::-1], strict=True))
    synthetic["left of"] = 900
    del synthetic["wears"]
    return comparison_of(real=real, synthetic=synthetic)


SETS = {
    "visual_genome": visual_genome(),
    "two_hundred": visual_genome(200),
    "one": comparison_of(synthetic={"on": 5, "in": 2}),
    "three": comparison_of(a={"on": 5, "in": 2}, b={"in": 2, "by": 9}, c={"on": 1, "in": 1}),
    "five": comparison_of(**{f"a set with a long name, number {i}": {"on": i, "in": 2} for i in range(5)}),
    "empty_first": comparison_of(real={"on": 0, "in": 0}, synthetic={"on": 3}),
    "all_empty": comparison_of(real={"on": 0}, synthetic={"on": 0}),
    "no_triplets": comparison_of("triplets", real={}, synthetic={}),
    "odd_names": comparison_of(**{"<b>[x]$": {"a $x^2$": 90, "w" * 60: 3, "\x07\n": 1, "[bold]_{": 0}}),
}


def drawn(draw, comparison: Comparison) -> Figure:
    """The figure, laid out."""
    with chart_style([*comparison.sets, *comparison.counts.index]):
        figure = draw(comparison)
        FigureCanvasAgg(figure).draw()
    return figure


def heights(axes) -> list[float]:
    return [patch.get_height() for patch in axes.patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("comparison", SETS.values(), ids=SETS)
def test_texts_are_inside_the_figure_and_do_not_overlap(comparison, draw):
    figure = drawn(draw, comparison)
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure) if text.get_text()]
    assert len(boxes) > 5
    for i, (text, box) in enumerate(boxes):
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert inside, f"{text!r} is cut off"
        for other, other_box in boxes[i + 1 :]:
            width = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            height = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            assert min(width, height) < 2, f"{text!r} and {other!r} overlap"


def texts_of(figure: Figure) -> list[Text]:
    """All texts that can be seen."""
    legends, texts = [*figure.legends], [*figure.texts]
    for axes in figure.get_axes():
        legends += [axes.get_legend()] if axes.get_legend() else []
        texts += [*axes.texts, axes._left_title]
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label]
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    for legend in legends:
        texts += legend.get_texts()
    return [text for text in texts if text.get_visible()]


def test_top_classes_are_ordered_and_have_their_shares():
    comparison = comparison_of(real={"on": 60, "in": 10, "has": 30, "says": 0}, synthetic={"in": 3, "on": 1})
    real, synthetic = drawn(draw_top, comparison).get_axes()
    assert [label.get_text() for label in real.get_yticklabels()] == ["on", "has", "in"]
    assert [patch.get_width() for patch in real.patches] == [60, 30, 10]
    assert [text.get_text() for text in real.texts] == ["60", "30", "10"]
    assert real.lines[0].get_xdata().tolist() == pytest.approx(
        [25, np.nan, 75], nan_ok=True
    )  # "has" is not there
    assert [label.get_text() for label in synthetic.get_yticklabels()] == ["in", "on"]
    assert [patch.get_width() for patch in synthetic.patches] == [75, 25]
    assert real.get_xlim() == synthetic.get_xlim()
    twenty = drawn(draw_top, SETS["two_hundred"]).get_axes()[0]
    assert [label.get_text() for label in twenty.get_yticklabels()] == VG_PREDICATES[:20]


def test_all_classes_are_shown_side_by_side():
    (axes,) = drawn(
        draw_all, comparison_of(real={"on": 30, "in": 10}, synthetic={"by": 9, "in": 1})
    ).get_axes()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["on", "in", "by"]
    assert heights(axes) == pytest.approx([75, 25, 0, 0, 10, 90])
    assert axes.get_yscale() == "linear"
    assert [text.get_text() for text in axes.texts] == ["body", "tail", "not in real"]  # two have no head


def test_long_tail_has_a_logarithmic_axis_and_several_rows():
    comparison = SETS["two_hundred"]
    rows = drawn(draw_all, comparison).get_axes()
    assert {axes.get_yscale() for axes in rows} == {"log"}
    assert [len(axes.get_xticklabels()) for axes in rows] == [41, 41, 41, 41, 37]
    assert [label.get_text() for axes in rows for label in axes.get_xticklabels()] == list(
        comparison.counts.index
    )
    percent = 100 * comparison.shares["real"].iloc[0]
    assert heights(rows[0])[0] + rows[0].get_ylim()[0] == pytest.approx(percent)
    groups = [[text.get_text() for text in axes.texts] for axes in rows]
    assert groups == [["head"], ["head", "body"], ["body"], ["body", "tail"], ["tail", "not in real"]]


def test_most_frequent_triplets_of_each_dataset_are_shown():
    real = {f"r{i} - on - x": 1000 - i for i in range(300)}
    synthetic = {f"s{i} - on - x": 5 for i in range(30)}
    rows = drawn(draw_all, comparison_of("triplets", real=real, synthetic=synthetic)).get_axes()
    shown = [label.get_text() for axes in rows for label in axes.get_xticklabels()]
    assert shown == [*list(real)[:70], *synthetic]


def test_cumulative_shares_end_at_100_percent():
    (axes,) = drawn(draw_cumulative, comparison_of(a={"x": 1, "y": 6, "z": 3}, b={"x": 0})).get_axes()
    curve, points = axes.lines[:2]
    assert curve.get_ydata().tolist() == [0, 60, 90, 100]
    assert np.asarray(points.get_xdata()).tolist() == [1, 2]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["a: 50 % in 1, 90 % in 2", "b: none", "3 predicates of equal shares"]


def test_cumulative_shares_of_a_single_class():
    (axes,) = drawn(draw_cumulative, comparison_of(a={"x": 4})).get_axes()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a: 50 % in 1, 90 % in 1"]


@pytest.mark.parametrize(
    ("counts", "labels"),
    [((900, 300, 80, 20), ["1", "3", "10", "30"]), ((90_000, 9_000, 20), ["0.1", "1", "10"])],
)
def test_ticks_of_logarithmic_axes_are_labelled(counts, labels):
    (axes,) = drawn(draw_all, comparison_of(a={f"p{i}": count for i, count in enumerate(counts)})).get_axes()
    assert axes.get_yscale() == "log"
    assert [label.get_text() for label in axes.get_yticklabels()] == labels
    assert len(axes.yaxis.get_minorticklocs()) == 0


def test_summary_has_the_statistics():
    comparison = comparison_of(real={"on": 60, "in": 10, "has": 30}, synthetic={"in": 3, "on": 1, "by": 0})
    rows = dict(summary_rows(comparison))
    assert rows["Relations"] == ["100", "4"]
    assert rows["Predicates that occur"] == ["3", "2"]
    assert rows["Coverage (%)"] == ["100", "66.7"]
    assert rows["Head / body / tail (%)"] == ["60.0 / 30.0 / 10.0", "75.0 / 25.0 / 0.0"]
    assert missing_rows(comparison) == [
        ("synthetic", "not in the vocabulary of synthetic (1)", ["has"]),
        ("synthetic", "never occur in synthetic (1)", ["by"]),
    ]
    figure = drawn(draw_summary, comparison)
    texts = {text.get_text() for axes in figure.get_axes() for text in axes.texts}
    assert {"Gini coefficient", "66.7", "has", "by", "real / synthetic", "0.650", "30.00 / 0.00"} <= texts
    differences = figure.get_axes()[2]
    assert [patch.get_width() for patch in differences.patches] == pytest.approx([65, -30, -35])


def test_dataset_has_the_same_colour_in_all_figures():
    assert dataset_colours(["synthetic"])["synthetic"] == dataset_colours(["real", "synthetic"])["synthetic"]
    assert len(set(dataset_colours(["rendered", "real", "synthetic", "x"]).values())) == 4
    comparison = SETS["one"]
    expected = rgb(dataset_colours(["synthetic"])["synthetic"])
    assert to_rgb(drawn(draw_top, comparison).get_axes()[0].patches[0].get_facecolor()) == expected
    assert to_rgb(drawn(draw_all, comparison).get_axes()[0].patches[0].get_facecolor()) == expected
    assert to_rgb(drawn(draw_cumulative, comparison).get_axes()[0].lines[0].get_color()) == expected


def test_figures_show_special_characters_of_names():
    axes = drawn(draw_top, SETS["odd_names"]).get_axes()[0]
    labels = axes.get_yticklabels()
    assert labels[0].get_text() == "a $x^2$"
    assert not any(label.get_parse_math() for label in labels)
    assert len(labels[1].get_text()) == 32
    assert "<b>[x]$" in axes._left_title.get_text()


def test_svg_charts_are_valid_xml_whatever_the_names(tmp_path):
    name = "a\x00\x1b[31m\ufffe<&>-->"
    save_charts(comparison_of(**{"<&>\x1b": {name: 90, "b": 3}}), tmp_path, ending="svg")
    files = sorted(tmp_path.glob("*.svg"))
    assert len(files) == 4
    for file in files:
        ElementTree.parse(file)


def test_tables_show_special_characters_of_names():
    from rich.console import Console

    console = Console(width=120, file=io.StringIO())
    console.print(summary_tables(SETS["odd_names"]))
    text = console.file.getvalue()
    assert "<b>[x]$" in text
    assert "[bold]_{" in text


def test_numbers_on_axes_are_abbreviated():
    numbers = [plain_number(value) for value in (0, 0.00001, 0.01, 1, 2.4, 10_000)]
    assert numbers == ["0", "0.00001", "0.01", "1", "2.4", "10,000"]


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_figures_are_written_in_each_format(tmp_path, caplog, ending, start):
    with caplog.at_level(logging.WARNING):
        save_charts(SETS["three"], tmp_path / "new", ending=ending)
    assert not caplog.records
    names = (
        "cumulative_predicate_distribution",
        "predicate_distribution_comparison",
        "predicate_statistics_summary",
        "top_predicates_comparison",
    )
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        f"{name}.{ending}" for name in names
    ]
    for path in (tmp_path / "new").iterdir():
        assert path.read_bytes().startswith(start)
