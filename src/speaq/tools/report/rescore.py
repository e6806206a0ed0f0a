"""Score saved predictions of one or several models: tables, results.json and the report."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.text import Text
from torchmetrics import Metric

from speaq.config import Config
from speaq.console import results_console
from speaq.data.build import TrainingStatistics, load_statistics
from speaq.data.selection import EmptySplitError
from speaq.data.sources import load_sources, places
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.evaluation.adjustment import (
    STRENGTHS,
    Curve,
    StrengthChange,
    check_adjustable,
    check_strengths,
    choose_change,
)
from speaq.evaluation.build import build_metrics, load_evaluation_sets
from speaq.evaluation.comparison import compare
from speaq.evaluation.formats.loaded import LoadedPredictions
from speaq.evaluation.formats.read import is_saved_by_evaluation, read_predictions
from speaq.evaluation.formats.target import Target
from speaq.evaluation.formats.triplets import BoxScale
from speaq.evaluation.ground_truth import PredictedImages, score
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.predictions import Predictions
from speaq.evaluation.results import (
    additional,
    predicate_table,
    results_dict,
    results_table,
    task_text,
)
from speaq.files import replacing
from speaq.structures import Annotation
from speaq.tools.report import Report, write_report
from speaq.tools.report.run import evaluated_set
from speaq.training.logs import console as log


class Rescored(NamedTuple):
    """The scores of a file of predictions.

    Attributes:
        images: predictions, adjusted if that was asked for, and ground truth.
        metrics: with the settings of the results.
        results: values of the metrics.
        curve: recalls by the strength of a change by training statistics, or None.
    """

    images: PredictedImages
    metrics: SceneGraphMetrics
    results: dict[str, Any]
    curve: Curve | None

    def to_dict(self) -> dict[str, Any]:
        """The entry of results.json."""
        predictions = self.images.predictions
        content: dict[str, Any] = {"predictions": predictions.path.name}
        if predictions.notes:
            content["notes"] = list(predictions.notes)
        if self.curve is not None:
            key = "adjustment" if self.curve.parameter == "tau" else "frequency_bias"
            points = self.curve.recalls.items()
            content[key] = [{self.curve.parameter: strength, **recalls} for strength, recalls in points]
        return content | results_dict(self.results, predictions.vocabulary)


def rescore(
    config: Config,
    files: Sequence[Path],
    *,
    folder: Path | None = None,
    report: bool = False,
    box_scale: BoxScale = "auto",
    adjustment: float | None = None,
    frequency_bias: float | None = None,
) -> list[dict[str, Any]]:
    """Score files of predictions on one data set with the TEST settings of a configuration.

    Prints tables to standard output, and writes ``results.json`` and, with ``report``, an HTML page. Several
    files are compared.

    Args:
        config: the configuration.
        files: predictions saved by an evaluation, or in a format of `speaq.evaluation.formats`.
        folder: where to write; by default beside the first file.
        report: write the report, named as the file, or ``comparison.html`` for several.
        box_scale: unit of the boxes of triplets; see `speaq.evaluation.formats.triplets.read`.
        adjustment: tau of a logit adjustment by predicate frequency; see `speaq.evaluation.adjustment`.
        frequency_bias: alpha of a bias by the frequency of predicates between classes, see the same; at most
            one of the two.

    Returns:
        The results of each file.

    Raises:
        SpeaqError: a file or the data set cannot be read, or do not match.
    """
    check_strengths(adjustment, frequency_bias)
    opened, annotations = _open(config, files, box_scale)
    for predictions in opened:
        for note in predictions.notes:
            log.print(f"{predictions.path}: {note}", style="yellow", soft_wrap=True)
    statistics = _statistics(config)
    names = [opened[0].dataset] if len(opened) == 1 else _names(files)
    known = [each.predicate_counts for each in opened if each.predicate_counts is not None]
    if statistics is not None:
        known.append(statistics.predicate_counts)
    counts = known[0] if known else None  # head, body and tail are the same for all
    distinct = any(predictions.distinct for predictions in opened)  # the same ranking for all
    change = choose_change(
        str(files[0]),
        adjustment=adjustment,
        frequency_bias=frequency_bias,
        predicate_counts=counts,
        statistics=statistics,
        num_rel=config.test.num_rel,
    )
    scored = []
    for predictions in opened:
        settings = _with_mode(config, predictions), predictions.vocabulary, counts, statistics
        build = partial(build_metrics, *settings, distinct=distinct)
        scored.append(_score(predictions, annotations, build, change))
    tasks = (task_text(each.results["mode"], each.results["convention"]) for each in scored)
    task = ", ".join(dict.fromkeys(tasks))
    sets = [
        evaluated_set(
            name,
            each.results,
            [each.images],
            metrics=each.metrics,
            num_rel=config.test.num_rel,
            predicate_counts=counts,
            curve=each.curve,
        )
        for name, each in zip(names, scored, strict=True)
        if report or len(scored) > 1
    ]
    folder = files[0].parent if folder is None else folder
    content: dict[str, Any] = {"iteration": None}
    content |= {name: each.to_dict() for name, each in zip(names, scored, strict=True)}
    comparison = None
    if len(sets) > 1:
        more = [additional(each.results) for each in scored]
        comparison = compare(names, [each.analysis for each in sets], additional=more)
        content["comparison"] = {"data_set": opened[0].dataset, **comparison.to_dict()}
        console = results_console()
        console.print(Text(f"{opened[0].dataset}, {task}, {len(opened[0])} images"))
        console.print(comparison.table())
    else:
        _print(names[0], scored[0], counts)
    with replacing(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    log.print(f"results: {folder / 'results.json'}", soft_wrap=True)
    if report:
        path, title = folder / f"{files[0].stem}.html", f"Predictions of {files[0].name}"
        if comparison is not None:
            path, title = folder / "comparison.html", f"Predictions for {opened[0].dataset}"
        facts = {"Task": task}
        notes = [f"{predictions.path.name}: {note}" for predictions in opened for note in predictions.notes]
        if notes:
            facts["Notes"] = "; ".join(notes)
        write_report(path, Report(title=title, facts=facts, sets=sets, comparison=comparison))
        log.print(f"report: {path}", soft_wrap=True)
    return [each.results for each in scored]


def _with_mode(config: Config, predictions: Predictions | LoadedPredictions) -> Config:
    """The configuration with the task of predictions for given boxes, which their file names."""
    if predictions.mode not in ("sgcls", "predcls") or config.test.mode != "sgdet":
        return config
    test = config.test.model_copy(update={"mode": predictions.mode})
    return config.model_copy(update={"test": test})


def _score(
    predictions: Predictions | LoadedPredictions,
    annotations: Sequence[Annotation],
    build: Callable[[], tuple[SceneGraphMetrics, *tuple[Metric, ...]]],
    change: StrengthChange | None,
) -> Rescored:
    """Score a file with new metrics, after a ``change`` of its predictions, if any."""
    metrics, curve = build(), None
    images = PredictedImages(predictions, annotations)
    if change is not None:
        check_adjustable(predictions, str(predictions.path))

        def changed(strength: float) -> PredictedImages:
            return PredictedImages(
                predictions, annotations, transform=lambda graph: change.apply(graph, strength)
            )

        recalls = {}
        for strength in sorted({*STRENGTHS, change.value}):
            found = score(changed(strength), build()[:1])
            recalls[strength] = {
                f"{kind}@{k}": found[f"{kind}@{k}"] for kind in ("R", "mR", "F") for k in metrics[0].ks
            }
        curve, images = Curve(change.parameter, recalls), changed(change.value)
    return Rescored(images, metrics[0], score(images, metrics), curve)


def _print(name: str, scored: Rescored, predicate_counts: np.ndarray | None) -> None:
    """Tables on standard output."""
    console, curve = results_console(), scored.curve
    predicates = scored.images.predictions.vocabulary.predicates
    console.rule(name)
    console.print(results_table(scored.results))
    console.print(predicate_table(scored.results, predicates, predicate_counts=predicate_counts))
    if curve is not None:
        console.print(Text(f"{curve.title}, in percent"))
        for strength, recalls in curve.recalls.items():
            shown = ", ".join(f"{key} {100 * value:.2f}" for key, value in recalls.items())
            console.print(Text(f"{curve.parameter} {strength:g}: {shown}"))


def _names(files: Sequence[Path]) -> list[str]:
    """A name for each file: its own, or with its folders where several are called the same."""
    for names in ([file.name for file in files], [str(file) for file in files]):
        if len(set(names)) == len(names):
            return names
    raise SpeaqError("--predictions: expected different files, found one of them twice")


def _statistics(config: Config) -> TrainingStatistics | None:
    try:
        return load_statistics(config)
    except EmptySplitError:  # a data set of test images alone
        return None


def _open(
    config: Config, files: Sequence[Path], box_scale: BoxScale
) -> tuple[list[Predictions | LoadedPredictions], list[Annotation]]:
    """Predictions of all files, and the images of the data set.

    The first file saved by an evaluation names the data set, DATASETS.TEST if there is none.
    """
    saved = {file: Predictions(file) for file in files if is_saved_by_evaluation(file)}
    if saved:
        first = next(iter(saved.values()))
        for predictions in saved.values():
            if predictions.dataset != first.dataset:
                raise SpeaqError(
                    f"{predictions.path}: expected predictions for {first.dataset} as in {first.path}, found "
                    f"{predictions.dataset}; compare predictions for one data set"
                )
        name, dataset = first.dataset, _load_dataset(config, first)
        for predictions in saved.values():
            _check_vocabulary(predictions, dataset)
    else:
        sets = load_evaluation_sets(config, None)
        if len(sets.datasets) != 1:
            raise SpeaqError(
                f"DATASETS.TEST: expected the one data set that {files[0]} is for, such as ('VG_test',), "
                f"found {', '.join(sets.dataset_names) or 'none'}"
            )
        name, dataset = sets.dataset_names[0], sets.datasets[0].dataset
    annotations = [dataset.annotation(index) for index in range(len(dataset))]
    target = Target(name, dataset.vocabulary, annotations)
    opened = [
        saved[file] if file in saved else read_predictions(file, target, box_scale=box_scale)
        for file in files
    ]
    return opened, annotations


def _load_dataset(config: Config, predictions: Predictions) -> VisualGenome:
    """The data set of the predictions; for a mix such as MULTI_val_real, one of its sources."""
    kind, _, rest = predictions.dataset.partition("_")
    split, _, source_name = rest.partition("_")
    name = f"{kind}_{split}"
    try:
        places(config.datasets, name)
    except SpeaqError as error:
        raise SpeaqError(
            f"{predictions.path}: expected predictions on a data set such as VG_test, SYNTHETIC_val or "
            f"MULTI_test, found {predictions.dataset!r}"
        ) from error
    datasets = {source.name: source.dataset for source in load_sources(config, name)}
    dataset = datasets.get(source_name or next(iter(datasets)))
    if dataset is None:
        raise SpeaqError(
            f"{predictions.path}: expected a source of the mix ({', '.join(datasets)}), found "
            f"{predictions.dataset}"
        )
    if set(predictions.sources) - {dataset.source}:
        names = ", ".join(sorted(set(predictions.sources)))
        raise SpeaqError(
            f"{predictions.path}: expected images of {dataset.source}, found images of {names}; "
            "use the configuration of the evaluation"
        )
    return dataset


def _check_vocabulary(predictions: Predictions, dataset: VisualGenome) -> None:
    differences = dataset.vocabulary.differences(predictions.vocabulary)
    if differences:
        raise SpeaqError(
            f"{predictions.path}: expected the classes of {predictions.dataset}, found differences: "
            f"{'; '.join(differences)}"
        )
