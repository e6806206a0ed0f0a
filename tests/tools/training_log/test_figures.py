"""Figures, tables and summaries of training logs show the logged values."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from speaq.errors import SpeaqError
from speaq.tools.training_log.figures import (
    draw_dynamics,
    draw_layers,
    draw_loss_terms,
    draw_metrics,
    draw_overview,
    draw_predicate_recalls,
    draw_sources,
)
from speaq.tools.training_log.history import Collector, Event, Name, TrainingHistory
from speaq.tools.training_log.names import ENTITY_TERMS, RELATION_TERMS, Metric
from speaq.tools.training_log.panel_figure import running_median
from speaq.tools.training_log.plots import plot_training_logs, write_table
from speaq.tools.training_log.reading import read_history
from speaq.tools.training_log.summary import metrics_tables, remarks, training_table

GOLDEN = Path(__file__).parents[2] / "golden"
RECALLS = {39: 0.25, 79: 0.5, 119: 0.375}


def make_history(
    name: str = "run", points: int = 12, scale: float = 1.0, sources: bool = True
) -> TrainingHistory:
    return Collector().history(name, events(points, scale, sources))


def events(points: int, scale: float, sources: bool) -> Iterator[Event]:
    for number in range(points):
        values: dict[Name, float] = {
            "total_loss": scale * (100.0 - number),
            "lr": 1e-4,
            "time": 0.5,
            "data_time": 0.1,
        }
        terms = (*ENTITY_TERMS, *RELATION_TERMS)
        values |= {term: scale * (10.0 * index - number) for index, term in enumerate(terms, start=2)}
        values |= {f"loss_relation_{layer}": 50.0 + layer - number for layer in range(2)}
        values |= {f"k_log_layer{layer}": layer + 0.5 for layer in (1, 2, 3)}
        if sources:
            values |= {f"loss_relation_{source}": 7.0 - number for source in ("synthetic", "real")}
            values |= {"samples_real": 7.0 * (number + 1), "samples_synthetic": 3.0 * (number + 1)}
        iteration = 10 * number + 9
        yield iteration, values | {"skipped_steps": 2.0}
        if iteration in RECALLS:
            recall = RECALLS[iteration]
            yield iteration, evaluated("VG_val", {"R@20": recall, "R@100": 1.5 * recall})
            yield iteration, evaluated("VG_val", {"mR@100": recall / 2, "AP50": 0.125})
            predicates = {"on": recall, "_near_": 1 - recall, "$x": 0.0, "absent": float("nan")}
            yield iteration, predicate_recalls("VG_val", predicates)


def evaluated(dataset: str, metrics: dict[str, float]) -> dict[Name, float]:
    return {Metric(dataset, metric): value for metric, value in metrics.items()}


def predicate_recalls(dataset: str, recalls: dict[str, float]) -> dict[Name, float]:
    return {Metric(dataset, "recall@100", name): value for name, value in recalls.items()}


def lines(figure: Figure | None, title: str) -> list[tuple[list[float], list[float]]]:
    """Points of the lines of the panel with a title, single marks left out."""
    assert figure is not None
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left") + axes.get_title() == title]
    found = [(list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in axes.lines]  # type: ignore[arg-type]
    return [line for line in found if len(line[0]) > 1]


def texts(figure: Figure | None) -> list[str]:
    assert figure is not None
    return [
        text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text")) if text.get_text()
    ]


def printed(*tables: object) -> list[list[str]]:
    console = Console(width=200, markup=False, force_terminal=False)
    with console.capture() as capture:
        console.print(*tables)
    rows = capture.get().replace("│", "|").replace("┃", "|").splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if "|" in row]


def test_overview_shows_the_values_of_the_golden_log():
    figure = draw_overview([read_history(GOLDEN / "detectron2_metrics.json")])
    (total,) = lines(figure, "total loss")
    assert total[0] == [19, 39, 59, 79, 99]
    np.testing.assert_allclose(total[1], [278.8706, 272.9104, 272.1959, 271.8593, 269.5007], atol=1e-4)
    (rate,) = lines(figure, "learning rate")
    assert rate[1] == [1e-4, 1e-4, 1e-4, 1e-5, 1e-5]
    (relation,) = lines(figure, "relation loss (final layer)")
    assert relation[1][0] == pytest.approx(3.198144555091858 + 3.010044813156128 + 1.9085935950279236)
    figure = draw_overview([read_history(GOLDEN / "detectron2_log.txt")])
    assert lines(figure, "VG_val\nrecall R@K (%)") == [([39, 79, 99], [0, 0, 0])] * 3


def test_overview_shows_recalls_in_percent():
    figure = draw_metrics([make_history()])
    assert lines(figure, "recall R@K (%)") == [
        ([39, 79, 119], [25.0, 50.0, 37.5]),
        ([39, 79, 119], [37.5, 75.0, 56.25]),
    ]
    assert lines(figure, "mean recall mR@K (%)") == [([39, 79, 119], [12.5, 25.0, 18.75])]
    assert lines(figure, "entity boxes (%)") == [([39, 79, 119], [12.5, 12.5, 12.5])]
    assert {"@20", "@100", "iteration   |   star: best"} <= set(texts(figure))


def test_figures_of_terms_layers_and_sources():
    history = make_history()
    (term,) = lines(draw_loss_terms([history]), "object: box GIoU")
    assert term[1][:2] == [70.0, 69.0]
    first, second, final = lines(draw_layers([history]), "relation, classification")
    assert (first[1][0], second[1][0], final[1][0]) == (50.0, 51.0, 80.0)
    figure = draw_sources([history])
    real, synthetic = lines(figure, "share of images (%)")
    np.testing.assert_allclose(real[1], 70.0)
    np.testing.assert_allclose(synthetic[1], 30.0)
    assert lines(figure, "images seen")[1][1][-1] == 36.0
    assert lines(figure, "relation: classification")[0][1][0] == 7.0
    assert texts(figure).index("real") < texts(figure).index("synthetic")
    assert draw_sources([make_history(sources=False)]) is None


def test_draw_dynamics_shows_the_logged_values():
    figure = draw_dynamics([make_history()])
    (speed,) = lines(figure, "images per second")
    np.testing.assert_allclose(speed[1], 10 / 10 / 0.5)  # 10 images in 10 steps of half a second
    assert [line[1][0] for line in lines(figure, "mean k (queries per relation)")] == [1.5, 2.5, 3.5]
    assert lines(figure, "steps skipped so far")[0][1] == [2.0] * 12
    titles = [axes.get_title(loc="left") for axes in draw_dynamics([make_history(sources=False)]).axes]  # type: ignore[union-attr]
    assert "images per second" not in titles


def test_curves_of_several_runs_are_overlaid():
    runs = [make_history("_first"), make_history("$second$", scale=0.5), make_history("third", sources=False)]
    figure = draw_overview(runs)
    assert [line[1][0] for line in lines(figure, "total loss")] == [100.0, 50.0, 100.0]
    assert {"_first", "$second$", "third"} <= set(texts(figure))
    assert len(lines(figure, "recall R@K (%)")) == 6
    assert len(lines(draw_sources(runs), "images seen")) == 4
    layers = draw_layers(runs)
    assert lines(layers, "$second$\nrelation, classification")[2][1][0] == 40.0


def test_titles_stay_within_their_panels():
    datasets = ("MULTI_val_synthetic", "W" * 60, "")
    found = [
        (iteration, evaluated(dataset, {"R@20": recall, "F@20": 0.5}))
        for iteration, recall in RECALLS.items()
        for dataset in datasets
    ]
    runs = [Collector().history(name, found) for name in ("a", "b")]
    figure = draw_metrics(runs)
    assert figure is not None
    figure.draw_without_rendering()
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]
    assert {"MULTI_val_synthetic\nF@K (harmonic mean of R and mR) (%)", "recall R@K (%)"} <= set(titles)
    assert any(title.startswith("WWWWW") and title.endswith("W…\nrecall R@K (%)") for title in titles)
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert box.x1 < axes.bbox.x1 + 20  # pixels: less than is between panels


def test_overlapping_lines_do_not_fill_the_panel():
    figure = draw_overview(equal_runs(10))
    assert figure is not None
    widths = [round(float(line.get_linewidth()), 1) for line in figure.axes[0].lines]
    assert widths == [5.1] * 8 + [3.4, 1.7]


def test_runs_of_the_same_colour_have_different_markers():
    figure = draw_overview(equal_runs(18))
    assert figure is not None
    samples = figure.legends[0].get_lines()
    assert len({(sample.get_color(), sample.get_marker()) for sample in samples}) == 18
    marks = [str(line.get_marker()) for line in figure.axes[0].lines]
    assert marks == ["o"] * 8 + ["s"] * 8 + ["D"] * 2
    golden = draw_predicate_recalls(equal_runs(9))
    assert golden is not None
    assert golden.axes[0].lines[8].get_marker() == "s"


def equal_runs(count: int) -> list[TrainingHistory]:
    return [make_history(f"run {number}") for number in range(count)]


def test_figure_notes_weighted_loss_terms():
    runs = equal_runs(3)
    assert not any("do not compare" in text for text in texts(draw_overview(runs)))
    runs[0].weighted_terms = True
    note = "do not compare loss terms: run 0 logged them times their weights, the other runs without"
    for draw in (draw_overview, draw_loss_terms, draw_layers):
        found = " ".join(texts(draw(runs))).replace("\n", " ")
        assert note in found
    for draw in (draw_metrics, draw_dynamics):
        assert not any("do not compare" in text for text in texts(draw(runs)))


def test_running_median_keeps_steps_and_removes_spikes():
    values = np.array([1.0, 2.0, 90.0, 4.0, 5.0])
    assert running_median(values, 3).tolist() == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert running_median(values, 1).tolist() == values.tolist()
    step = np.repeat([3.0, 1.0], 20)
    assert running_median(step, 9).tolist() == step.tolist()
    history = make_history(points=200)
    assert len(lines(draw_overview([history], smooth=1), "total loss")) == 1
    raw, smooth = lines(draw_overview([history]), "total loss")
    assert raw[1] == [100.0 - number for number in range(200)]
    assert smooth[1][50] == 50.0
    figure = draw_overview([history], smooth=10)
    assert any("running median of 9 logged points" in text for text in texts(figure))


def test_spikes_and_numbers_that_are_not_finite_are_marked():
    history = make_history(points=100)
    history.columns["total_loss"][[509, 609]] = 1e6, float("nan")
    figure = draw_overview([history], smooth=1)
    assert figure is not None
    axes = figure.axes[0]
    assert axes.get_ylim()[1] < 300
    marks = {line.get_marker(): list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 1}
    assert marks == {"x": [609], "^": [509]}


def test_draw_predicate_recalls_shows_the_logged_recalls():
    history = make_history()
    figure = draw_predicate_recalls([history])
    assert figure is not None
    over_time, last = figure.axes[:2]
    assert [label.get_text() for label in over_time.get_yticklabels()] == ["_near_", "on", "$x"]
    assert [bar.get_width() for bar in last.patches] == [62.5, 37.5, 0.0]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(
        over_time.images[0].get_array(), [[75, 50, 62.5], [25, 50, 37.5], [0, 0, 0]]
    )
    assert "1 of 4 predicates are absent from these images" in texts(figure)
    recalls = [(99, predicate_recalls("VG_val", {"_near_": 0.5}))]
    other = Collector().history(
        "other", [*recalls, (119, predicate_recalls("VG_val", {"on": 0.75, "by": 0.5}))]
    )
    figure = draw_predicate_recalls([history, other, TrainingHistory("without")])
    assert figure is not None
    (dots,) = figure.axes
    assert [label.get_text() for label in dots.get_yticklabels()] == ["on", "_near_", "by", "$x"]
    assert [line.get_xdata()[0] for line in dots.lines][:2] == [37.5, 75.0]  # type: ignore[index]
    assert draw_predicate_recalls([TrainingHistory("empty")]) is None


def test_draw_predicate_recalls_has_a_line_for_each_of_50_predicates():
    names = {f"predicate {number}": number / 50 for number in range(50)}
    history = Collector().history("run", [(9, predicate_recalls("VG_test", names))])
    figure = draw_predicate_recalls([history])
    assert figure is not None
    (axes,) = figure.axes
    assert len(axes.get_yticklabels()) == 50
    assert figure.get_figheight() / 50 > 0.2  # inches for a line of text


def test_write_table_has_a_row_per_record(tmp_path):
    history = make_history()
    history.columns["total_loss"][19] = float("nan")
    write_table([history, make_history("other", points=1)], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["iteration"]) for row in rows][:2] == [("run", "9"), ("run", "19")]
    assert len(rows) == 12 + 1
    assert (rows[0]["total_loss"], rows[1]["total_loss"]) == ("100.0", "nan")
    assert rows[3]["VG_val/SG/R@100"] == "0.375"
    assert rows[3]["VG_val/bbox/AP50"] == "0.125"
    assert rows[3]["VG_val/recall@100/_near_"] == "0.75"
    assert rows[0]["VG_val/SG/R@100"] == ""


def test_summary_tables_of_a_single_run():
    history = make_history()
    cells = dict(row[:2] for row in printed(training_table([history])) if len(row) == 2)
    assert cells["last iteration"] == "119"
    assert cells["lines in the log"] == "12"
    assert cells["time in steps, about"] == "0:01:00"
    assert cells["seconds per iteration, median"] == "0.5000"
    assert cells["last total loss"] == "89"
    assert cells["last relation loss"] == str(80 + 90 + 100 - 33)
    assert cells["images seen, synthetic"] == "36"
    assert cells["skipped steps"] == "2"
    cells = {row[0]: row[1:] for row in printed(*metrics_tables([history]))}
    assert cells["R@100"] == ["75.00 (79)", "56.25 (119)"]
    assert cells["AP50"] == ["12.50 (39)", "12.50 (119)"]
    assert metrics_tables([TrainingHistory("none")]) == []
    assert remarks([history]) == []


def test_summary_table_has_a_row_per_run():
    runs = equal_runs(7)
    found = printed(training_table(runs))
    header, rows = found[:-7], found[-7:]
    assert [" ".join(filter(None, words)) for words in zip(*header, strict=True)] == [
        "",
        "last iteration",
        "time in steps, about",
        *(f"last {what} loss" for what in ("total", "entity", "relation")),
    ]
    assert [row[0] for row in rows] == [run.name for run in runs]
    assert rows[0][1:4] == ["119", "0:01:00", "89"]
    runs[6] = Collector().history("run 6", [(9, evaluated("VG_val", {"R@100": 0.125}))])
    header, *rows = printed(*metrics_tables(runs))
    assert header == ["", "R@100", "mR@100", "AP50"]
    assert (rows[0], rows[6]) == (["run 0", "75.00", "25.00", "12.50"], ["run 6", "12.50", "-", "-"])


def test_summary_notes_resumed_and_weighted_logs():
    golden = read_history(GOLDEN / "detectron2_metrics.json")
    history = make_history()
    history.resumed = [(40, 59)]
    added, resumed, weights = remarks([golden, history])
    assert "total_loss is 203.2 more than the sum of its terms" in added  # 200 of class errors, 3.2 of mean k
    assert resumed.startswith("run: the log goes back to iteration 40 after 59")
    assert weights.startswith("detectron2_metrics: loss terms were logged times their weights")


def test_plot_training_logs_writes_figures_with_data(tmp_path):
    line = {"iteration": 9, "total_loss": 4.0, "lr": 0.1, "loss_relation": 1.0}
    (tmp_path / "metrics.json").write_text(json.dumps(line) + "\n")
    output = tmp_path / "plots"
    output.mkdir()
    (output / "recall_per_predicate.png").write_text("of a former call")
    plots = plot_training_logs([tmp_path], output, dpi=40)
    names = {"training_overview", "detailed_loss_components", "relation_loss_components", "training_dynamics"}
    assert {path.stem for path in plots.pictures} == names
    assert {path.name for path in output.iterdir()} == {f"{name}.png" for name in names} | {
        "training_log.csv"
    }
    assert set(plots.left_out) == {
        "real_vs_synthetic_losses",
        "validation_metrics_detailed",
        "recall_per_predicate",
    }
    assert "no losses by source of data were logged" in plots.left_out["real_vs_synthetic_losses"]
    for path in plots.pictures:
        picture = np.asarray(Image.open(path).convert("RGB"))
        assert picture.std() > 5
        assert picture.shape[1] > 100


def test_plot_training_logs_refuses_invalid_options(tmp_path):
    with pytest.raises(SpeaqError, match="points to smooth over, 1 or more, found 0"):
        plot_training_logs([GOLDEN / "detectron2_log.txt"], tmp_path, smooth=0)
    with pytest.raises(SpeaqError, match="20 to 600 dots per inch, found 0"):
        plot_training_logs([GOLDEN / "detectron2_log.txt"], tmp_path, dpi=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(SpeaqError, match="cannot write"):
        plot_training_logs([GOLDEN / "detectron2_log.txt"], tmp_path / "file", dpi=20)
