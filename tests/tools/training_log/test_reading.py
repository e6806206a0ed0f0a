"""Reading training logs: the values, and damaged files."""

import json
from pathlib import Path

import numpy as np
import pytest

from speaq.errors import SpeaqError
from speaq.tools.training_log import history as history_module
from speaq.tools.training_log.history import Collector, Name, TrainingHistory, metrics_on
from speaq.tools.training_log.names import ENTITY_TERMS, RELATION_TERMS, Metric, Term, parse_term
from speaq.tools.training_log.reading import read_histories, read_history, run_names

GOLDEN = Path(__file__).parents[2] / "golden"
STAMP = "[11/21 23:18:30] speaq.training INFO:"


def row(iteration: int, loss: float, **others: float) -> str:
    more = "".join(f"{name}: {value}  " for name, value in others.items())
    times = "time: 0.5  last_time: 0.5  data_time: 0.1  last_data_time: 0.1   lr: 0.001"
    return f"{STAMP}  eta: 0:00:10  iter: {iteration}  total_loss: {loss}  {more}    {times}  \n"


def evaluation(iteration: int, recall: float, dataset: str = "VG_val", predicates: str = "") -> str:
    lines = [
        f"Evaluation results for {dataset}",
        f"SGG eval:     R @ 20: {recall:.4f};     R @ 100: {2 * recall:.4f};  for mode=sgdet, type=Recall.",
        f"SGG eval:    zR @ 20: nan;    zR @ 100: {recall / 2:.4f};  for mode=sgdet, type=Zero Shot Recall.",
        f"SGG eval:    mR @ 20: {recall:.4f};    mR @ 100: {recall:.4f};  for mode=sgdet, type=Mean Recall.",
        "----------------------- Details ------------------------",
        predicates or f"(on:{recall:.4f}) (sitting on:0.0000)",
        "--------------------------------------------------------",
        f"SGG eval: ng-mR @ 20: {recall:.4f}; ng-mR @ 100: {recall:.4f};  for mode=sgdet, type=No Graph.",
        "----------------------- Details ------------------------",
        "(on:0.9999) (sitting on:0.9999)",
        "copypaste: Task: bbox",
        "copypaste: AP,AP50,AP75,APs,APm,APl",
        "copypaste: 12.5000,25.0000,10.0000,nan,1.0000,2.0000",
        "copypaste: Task: SG",
        "copypaste: SGMeanRecall@20,SGRecall@20",
        f"copypaste: {recall:.4f},{recall:.4f}",
        f"iteration {iteration}, {dataset}: R@20/100 {100 * recall:.2f}, mR 1.00, box AP50 25.00",
    ]
    return "".join(f"{STAMP} {line}\n" for line in lines)


def write(path: Path, *texts: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(texts).encode())
    return path


def totals(history: TrainingHistory) -> dict[int, float]:
    return history.series("total_loss").to_dict()


def evaluations(history: TrainingHistory) -> dict[str, list[int]]:
    """The iterations of evaluations by data set."""
    return {dataset: sorted(iterations) for dataset, iterations in history.datasets().items()}


def values_at(history: TrainingHistory, iteration: int) -> dict[Name, float]:
    """What was logged at an iteration."""
    columns = history.columns.items()
    return {name: column[iteration] for name, column in columns if iteration in column.index}


def metrics_at(history: TrainingHistory, dataset: str, iteration: int) -> dict[str, float]:
    """The metrics of the whole data set at an iteration."""
    return {
        name.metric: value
        for name, value in values_at(history, iteration).items()
        if isinstance(name, Metric) and name.dataset == dataset and name.predicate is None
    }


def test_read_history_of_a_detectron2_log():
    history = read_history(GOLDEN / "detectron2_log.txt")
    assert history.name == "detectron2_log"
    assert totals(history) == {19: 278.9, 39: 272.9, 59: 272.2, 79: 271.9, 99: 269.5}
    assert values_at(history, 39)["loss_relation"] == 2.931
    assert values_at(history, 79)["loss_bbox_object_0"] == 2.9
    last = values_at(history, 99)
    assert last["loss_giou_relation_1"] == 1.908
    assert (last["time"], last["last_data_time"], last["lr"]) == (0.522, 0.0171, 1e-5)
    scalars = [name for name in last if isinstance(name, str)]
    assert len(scalars) == 1 + 27 + 5  # the total, 9 terms in 3 layers, times and learning rate
    assert "eta" not in last
    assert history.series(*ENTITY_TERMS).iloc[0] == pytest.approx(
        17.637
    )  # 4.019 2.614 2.002 4.073 2.807 2.122
    assert history.series(*RELATION_TERMS).iloc[0] == pytest.approx(8.117)  # 3.198 3.01 1.909
    assert history.seconds() == pytest.approx(20 * (0.5218 + 0.5237 + 0.5077 + 0.5229 + 0.5220))
    # Each evaluation comes before the line of its iteration; the last one came after the training.
    assert evaluations(history) == {
        "VG_val": [39, 79, 99],
        "VG_test": [99],
    }
    assert metrics_at(history, "VG_val", 79) == dict.fromkeys(
        ("AP", "AP50", "AP75", "APs", "APm", "APl", "mR@20", "mR@50", "mR@100", "R@20", "R@50", "R@100"), 0.0
    )
    assert history.notes == history.resumed == []
    assert history.weighted_terms


def test_read_history_of_detectron2_metrics():
    history = read_history(GOLDEN / "detectron2_metrics.json")
    assert history.lines.tolist() == [19, 39, 59, 79, 99]
    assert history.series("total_loss").tolist() == [
        278.8706266283989,
        272.9104211330414,
        272.1959493160248,
        271.8592955470085,
        269.50073635578156,
    ]
    assert values_at(history, 19)["loss_bbox_object"] == 2.8068655729293823
    assert values_at(history, 99)["k_log_layer2"] == 1.1214286088943481
    assert values_at(history, 39)["class_error_subject"] == 100.0
    assert evaluations(history) == {}
    assert history.weighted_terms


def test_log_txt_and_metrics_json_agree():
    log, metrics = (read_history(GOLDEN / f"detectron2_{name}") for name in ("log.txt", "metrics.json"))
    for name in log.scalars:
        if "loss" in name or name == "lr":
            np.testing.assert_allclose(log.series(name), metrics.series(name), rtol=6e-4, err_msg=name)


def test_read_history_of_our_log(tmp_path):
    path = write(
        tmp_path / "run" / "log.txt", row(9, 4.5), row(19, 3.25), evaluation(19, 0.125), row(29, 3.0)
    )
    history = read_history(path)
    assert history.name == "run"
    assert totals(history) == {9: 4.5, 19: 3.25, 29: 3.0}
    assert values_at(history, 9)["skipped_steps"] == 0
    assert not history.weighted_terms
    found = metrics_at(history, "VG_val", 19)
    assert np.isnan(found.pop("zR@20"))
    assert np.isnan(found.pop("APs"))
    assert found == {
        "R@20": 0.125,
        "R@100": 0.25,
        "mR@20": 0.125,
        "mR@100": 0.125,
        "zR@100": 0.0625,
        "ng-mR@20": 0.125,
        "ng-mR@100": 0.125,
        "AP": 0.125,
        "AP50": 0.25,
        "AP75": 0.1,
        "APm": 0.01,
        "APl": 0.02,
    }
    recalls = history.predicate_recalls("VG_val").to_dict("index")
    assert recalls == {19: {"on": 0.125, "sitting on": 0.0}}
    assert Metric("VG_val", "recall@100", "sitting on") in history.metrics
    assert history.series(Metric("VG_val", "R@100")).to_dict() == {19: 0.25}
    names = [metric.metric for metric in metrics_on([history], "VG_val")]
    assert names[:6] == ["R@20", "R@100", "mR@20", "mR@100", "zR@20", "zR@100"]
    assert names[-6:] == ["AP", "AP50", "AP75", "APs", "APm", "APl"]


def test_predicate_names_may_have_any_characters(tmp_path):
    odd = "(a (b):0.1000) ($x_1$:0.2000) (c:d:0.3000) ( :0.4000) (위에:nan)"
    history = read_history(write(tmp_path / "log.txt", row(19, 1.0), evaluation(19, 0.5, predicates=odd)))
    found = history.predicate_recalls("VG_val").loc[19]
    assert list(found.index) == ["a (b)", "$x_1$", "c:d", " ", "위에"]
    assert found.tolist()[:4] == [0.1, 0.2, 0.3, 0.4]
    assert np.isnan(found["위에"])


def test_several_datasets_and_an_evaluation_after_the_training(tmp_path):
    a, b = evaluation(19, 0.25, "A"), evaluation(19, 0.5, "B")
    after = evaluation(0, 0.75, "VG_test").rsplit("[", 1)[0]  # no line tells the iteration
    history = read_history(write(tmp_path / "log.txt", row(19, 1.0), a, b, row(29, 1.0), after))
    assert evaluations(history) == {
        "A": [19],
        "B": [19],
        "VG_test": [29],
    }
    assert metrics_at(history, "B", 19)["R@20"] == 0.5


def test_evaluation_before_a_truncated_line_gets_its_iteration(tmp_path):
    text = (GOLDEN / "detectron2_log.txt").read_text()
    cut = text[: text.index("iter: 39") - 80]
    history = read_history(write(tmp_path / "d2.txt", cut))
    assert totals(history) == {19: 278.9}
    longer = text[: text.index("iter: 79") - 80]
    history = read_history(write(tmp_path / "d2.txt", longer))
    assert evaluations(history)["VG_val"] == [39, 79]  # the line of 79 would have followed


@pytest.mark.parametrize("end", [7, 30, 80, 95])
def test_truncated_line_is_ignored(tmp_path, end):
    line = row(19, 3.25, loss_relation=1.234567)
    start = line.index("total_loss")
    history = read_history(write(tmp_path / "log.txt", row(9, 4.5), line[: start + end]))
    assert totals(history).get(19, 3.25) == 3.25
    assert values_at(history, 19).get("loss_relation", 1.234567) == 1.234567
    assert values_at(history, 19).get("time", 0.5) == 0.5
    assert history.notes == ["log.txt: 1 cut or damaged line"]


def test_resumed_log_after_a_truncated_line_is_read(tmp_path):
    cut = row(19, 3.25)[: row(19, 3.25).index("3.25") + 2]
    start = f"{STAMP} Starting training from iteration 10\n"
    history = read_history(write(tmp_path / "log.txt", row(9, 4.5), cut, start, row(19, 3.125), row(29, 3.0)))
    assert totals(history) == {9: 4.5, 19: 3.125, 29: 3.0}


def test_later_values_replace_repeated_iterations(tmp_path):
    first = [
        row(9, 4.0),
        row(19, 3.0),
        evaluation(19, 0.25),
        row(29, 2.5),
        evaluation(29, 0.5),
        row(39, 2.25),
    ]
    start = f"{STAMP} Starting training from iteration 20\n"
    history = read_history(write(tmp_path / "log.txt", *first, start, row(29, 2.0), row(39, 1.75)))
    assert totals(history) == {9: 4.0, 19: 3.0, 29: 2.0, 39: 1.75}
    assert evaluations(history)["VG_val"] == [19]
    assert history.resumed == [(20, 39)]
    # Even where the second run has not come as far as the first.
    history = read_history(write(tmp_path / "log.txt", *first, start, row(29, 2.0)))
    assert totals(history) == {9: 4.0, 19: 3.0, 29: 2.0}
    # A start that never came to a line changes nothing.
    assert 39 in totals(read_history(write(tmp_path / "log.txt", *first, start)))


def test_second_training_in_the_same_log_replaces_the_first(tmp_path):
    start = f"{STAMP} Starting training from iteration 0\n"
    text = [start, row(9, 4.0), row(19, 3.0), evaluation(19, 0.25), start, row(9, 5.0)]
    history = read_history(write(tmp_path / "log.txt", *text))
    assert totals(history) == {9: 5.0}
    assert evaluations(history) == {}
    assert history.resumed == [(0, 19)]


def test_damaged_and_other_lines_are_skipped(tmp_path):
    lines = [
        "\ufeffsome banner\n",
        "epoch 3 | loss: what\n",
        row(9, 4.0).replace("\n", "\r\n"),
        "\x1b[32m" + row(19, 3.0).replace("eta", "\x1b[0meta"),
        row(29, float("nan")),
        "WARNING iter: many\n",
        row(39, float("inf"), skipped=3, max_mem=0).replace("max_mem: 0", "max_mem: 1234M"),
    ]
    path = tmp_path / "log.txt"
    path.write_bytes("".join(lines).encode() + b"\xff\xfe\x00 broken \xc3\n" + row(49, 2.0).encode())
    history = read_history(path)
    found = totals(history)
    assert list(found) == [9, 19, 29, 39, 49]
    assert np.isnan(found[29])
    assert found[39] == float("inf")
    assert values_at(history, 39)["skipped_steps"] == 3
    assert values_at(history, 39)["max_mem"] == 1234
    assert values_at(history, 49)["skipped_steps"] == 0


def test_read_history_of_our_metrics(tmp_path):
    lines = [
        {"iteration": 9, "total_loss": 4.0, "loss_relation_real": 1.5, "samples_real": 70, "lr": 0.1},
        {"iteration": 19, "total_loss": None, "loss_relation_a b": 2.5, "samples_real": 140, "text": "x"},
        {"iteration": 19, "VG_val/SG/R@20": 0.25, "VG_val/SG/mR@100": None, "VG_val/bbox/AP50": 0.5},
        {"iteration": 19, "VG_test/SG/R@20": 0.125, "VG_test/bbox/AP50": 0.25},
    ]
    history = read_history(write(tmp_path / "metrics.json", *(json.dumps(line) + "\n" for line in lines)))
    assert history.sources() == ["real", "a b"]
    assert np.isnan(values_at(history, 19)["total_loss"])
    assert "text" not in values_at(history, 19)
    assert metrics_at(history, "VG_val", 19)["AP50"] == 0.5
    assert metrics_at(history, "VG_test", 19) == {"R@20": 0.125, "AP50": 0.25}


def test_ap_of_detectron2_metrics_is_scaled_from_percent(tmp_path):
    line = {"iteration": 19, "total_loss": 1.0, "bbox/AP": 12.5, "bbox/APs": 5.0, "SG/SGMeanRecall@20": 0.25}
    path = write(tmp_path / "metrics.json", json.dumps(line) + "\n")
    assert metrics_at(read_history(path), "", 19) == {"AP": 0.125, "APs": 0.05, "mR@20": 0.25}


def test_metrics_of_killed_and_resumed_runs_are_joined(tmp_path):
    lines = [json.dumps({"iteration": i, "total_loss": float(i), "lr": 0.5}) + "\n" for i in (9, 19, 29, 39)]
    again = [json.dumps({"iteration": i, "total_loss": i + 0.5}) + "\n" for i in (29, 29, 39, 49)]
    cut = '{"iteration": 49, "total_lo'
    path = write(tmp_path / "metrics.json", *lines, cut, *again, "\n", "NaN\n", '{"no": "iteration"}\n')
    history = read_history(path)
    assert totals(history) == {9: 9.0, 19: 19.0, 29: 29.5, 39: 39.5, 49: 49.5}
    assert "lr" not in values_at(history, 29)
    assert history.resumed == [(29, 39)]
    assert history.notes == ["metrics.json: 3 cut or damaged lines"]


def test_log_and_metrics_of_a_run_are_joined(tmp_path):
    write(tmp_path / "log.txt", row(19, 3.25), evaluation(19, 0.3333), row(29, 3.0))
    train = {"iteration": 19, "total_loss": 3.2512345, "k_log_layer1": 1.5}
    recall = {"iteration": 19, "SG/R@20": 1 / 3, "SG/mR-tail@20": 0.125, "bbox/AP": 0.1234567}
    write(tmp_path / "metrics.json", json.dumps(train) + "\n", json.dumps(recall) + "\n")
    predicates = {"on": {"images": 5, "R@20": 0.1, "R@100": 0.33333}, "by": {"images": 0, "R@100": None}}
    results = {"iteration": 19, "VG_val": {"predicates": predicates}}
    write(tmp_path / "results.json", json.dumps(results))
    for path in (tmp_path, tmp_path / "log.txt", tmp_path / "metrics.json"):
        history = read_history(path)
        assert totals(history) == {19: 3.2512345, 29: 3.0}
        assert values_at(history, 19)["k_log_layer1"] == 1.5
        assert values_at(history, 19)["last_time"] == 0.5
        assert list(history.datasets()) == ["VG_val"]
        found = metrics_at(history, "VG_val", 19)
        assert (found["R@20"], found["mR@20"]) == (1 / 3, 0.3333)
        assert (found["AP"], found["AP50"]) == (0.1234567, 0.25)
        assert history.predicate_images == {("VG_val", 19): {"on": 5, "by": 0}}
        recalls = history.predicate_recalls("VG_val").loc[19]
        assert list(recalls.index) == ["on", "by"]
        assert recalls["on"] == 0.33333
        assert np.isnan(recalls["by"])
    (tmp_path / "log.txt").unlink()
    assert list(read_history(tmp_path).datasets()) == ["VG_val"]  # results.json tells the name
    write(tmp_path / "results.json", json.dumps(results | {"iteration": None}))
    assert list(read_history(tmp_path).datasets()) == [""]


def test_parse_term_splits_source_and_layer():
    assert parse_term("total_loss_synthetic") == Term("total_loss", source="synthetic")
    assert parse_term("loss_bbox_relation_4") == Term("loss_bbox_relation", layer=4)
    assert parse_term("loss_relation") == Term("loss_relation")
    assert parse_term("loss_ce_subject_my set/2") == Term("loss_ce_subject", source="my set/2")
    assert parse_term("loss_dense_ce") == Term("loss_dense_ce")
    assert parse_term("loss_cls") is None
    assert parse_term("k_log_layer1") is None


def test_run_names_are_unique(tmp_path):
    for name in ("a/x", "b/x", "b/y"):
        write(tmp_path / name / "log.txt", row(9, 1.0))
    a, b, y = (tmp_path / name / "log.txt" for name in ("a/x", "b/x", "b/y"))
    assert run_names([a, y]) == ["x", "y"]
    assert run_names([a, b]) == ["a/x", "b/x"]
    assert run_names([a.parent, y]) == ["x", "y"]
    assert run_names([tmp_path / "first.log", tmp_path / "second.log"]) == ["first", "second"]
    assert [history.name for history in read_histories([a, a, y])] == ["x", "y"]


def test_read_history_refuses_other_files(tmp_path):
    with pytest.raises(SpeaqError, match=r"gone/log\.txt: no such file; expected the log\.txt of a training"):
        read_history(tmp_path / "gone" / "log.txt")
    with pytest.raises(SpeaqError, match=r"neither log\.txt nor metrics\.json in this folder"):
        read_history(tmp_path)
    with pytest.raises(SpeaqError, match=r"log\.txt: this file is empty"):
        read_history(write(tmp_path / "log.txt", "\n \n"))
    with pytest.raises(SpeaqError, match=r"no line of a training in this file, which begins with 'hello"):
        read_history(write(tmp_path / "log.txt", "hello\nworld\n"))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 100)
    with pytest.raises(SpeaqError, match=r"no line of a training"):
        read_history(tmp_path / "picture.png")
    with pytest.raises(SpeaqError, match=r"results\.json: there is no line of a training"):
        read_history(write(tmp_path / "results.json", json.dumps({"iteration": 3, "a": [1]}, indent=2)))


def test_event_files_of_tensorboard_are_read(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    for first in (0, 2):  # the second process was resumed from iteration 29
        with SummaryWriter(tmp_path / "tensorboard", filename_suffix=f".{first}") as writer:
            for number in range(first, 4):
                writer.add_scalar("total_loss", 10.0 * first + number, 10 * number + 9)
            writer.add_scalar("bbox/AP50", 0.5, 39)
            writer.add_scalar("SG/R@20", 0.25, 39)
    history = read_history(tmp_path / "tensorboard")
    assert history.name == "tensorboard"
    assert totals(history) == {9: 0.0, 19: 1.0, 29: 22.0, 39: 23.0}
    assert metrics_at(history, "", 39) == {"AP50": 0.5, "R@20": 0.25}
    assert history.resumed == [(29, 39)]


def test_long_logs_are_thinned_but_for_evaluations_and_extremes(monkeypatch):
    monkeypatch.setattr(history_module, "MAX_LINES", 100)
    odd = {333: 1e6, 500: float("nan"), 777: -5.0, 1039: 3.0}
    recall, other = Metric("V", "R@20"), {"time": 0.5}

    def events():
        for line in range(1500):  # after 1500 lines the training goes back to line 900
            yield 10 * line, {"total_loss": 7.0, **other}
        for line in range(900, 1040):
            yield 10 * line, {"total_loss": odd.get(line, 1.0)}
        yield 10 * 1040, {recall: 0.5}

    def early():
        for iteration, values in events():
            line = iteration // 10
            yield (
                iteration,
                values | ({"total_loss": odd[line]} if line in odd and recall not in values else {}),
            )
            if line % 100 == 99 and "time" in values:
                yield iteration, {recall: line / 1e4}

    history = Collector().history("long", early())
    losses = history.series("total_loss")
    assert len(history.lines) == 1040
    assert history.resumed == [(9000, 14990)]
    assert "of 1,040 lines, one in 16 is shown" in history.notes[0]
    assert 60 < len(losses) < 120
    assert set(range(0, 9000, 160)) <= set(losses.index)  # evenly spaced
    kept = losses[losses.index.isin([10 * line for line in odd])]
    assert kept[3330] == losses.max() == 1e6
    assert np.isnan(kept[5000])
    assert kept[7770] == losses.min() == -5.0
    assert losses.index[-1] == 10390
    assert losses.iloc[-1] == 3.0
    assert history.series(recall).index.tolist() == [*range(990, 9000, 1000), 10400]
    assert history.seconds() == pytest.approx(0.5 * 9000, rel=0.02)
