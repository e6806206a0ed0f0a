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
from speaq.evaluation.comparison import Comparison, compare
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
from speaq.tools.report import EvaluatedSet, Report, write_report
from speaq.tools.report.run import evaluated_set
from speaq.training.logs import console as log


class Rescored(NamedTuple):
    """The scores of a file of predictions.

    Attributes:
        name: of the data set, or of the file if there are several.
        predictions: the file.
        images: predictions, adjusted if that was asked for, and ground truth.
        metrics: with the settings of the results.
        results: values of the metrics.
        predicate_counts: (R,) training relations per predicate, or None.
        curve: recalls by the strength of a change by training statistics, or None.
    """

    name: str
    predictions: Predictions | LoadedPredictions
    images: PredictedImages
    metrics: SceneGraphMetrics
    results: dict[str, Any]
    predicate_counts: np.ndarray | None
    curve: Curve | None

    def to_dict(self) -> dict[str, Any]:
        """The entry of results.json."""
        content: dict[str, Any] = {"predictions": self.predictions.path.name}
        if self.predictions.notes:
            content["notes"] = list(self.predictions.notes)
        if self.curve is not None:
            key = "adjustment" if self.curve.parameter == "tau" else "frequency_bias"
            points = self.curve.recalls.items()
            content[key] = [{self.curve.parameter: strength, **recalls} for strength, recalls in points]
        return content | results_dict(self.results, self.predictions.vocabulary)

    def evaluated(self, num_rel: int) -> EvaluatedSet:
        """The part of the report."""
        return evaluated_set(
            self.name,
            self.results,
            [self.images],
            metrics=self.metrics,
            num_rel=num_rel,
            predicate_counts=self.predicate_counts,
            curve=self.curve,
        )


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
    scored = [
        _score(
            name,
            predictions,
            annotations,
            partial(
                build_metrics,
                _with_mode(config, predictions),
                predictions.vocabulary,
                counts,
                statistics,
                distinct=distinct,
            ),
            predicate_counts=counts,
            change=change,
        )
        for name, predictions in zip(names, opened, strict=True)
    ]
    sets = [each.evaluated(config.test.num_rel) for each in scored] if report or len(scored) > 1 else []
    comparison = None
    if len(sets) > 1:
        more = [additional(each.results) for each in scored]
        comparison = compare(names, [each.analysis for each in sets], additional=more)
    _print(scored, comparison)
    folder = files[0].parent if folder is None else folder
    content: dict[str, Any] = {"iteration": None, **{each.name: each.to_dict() for each in scored}}
    if comparison is not None:
        content["comparison"] = {"data_set": opened[0].dataset, **comparison.to_dict()}
    with replacing(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    log.print(f"results: {folder / 'results.json'}", soft_wrap=True)
    if report:
        several = comparison is not None
        path = folder / ("comparison.html" if several else f"{files[0].stem}.html")
        title = f"Predictions for {opened[0].dataset}" if several else f"Predictions of {files[0].name}"
        facts = {"Task": _modes(scored)}
        notes = [
            f"{each.predictions.path.name}: {note}" for each in scored for note in each.predictions.notes
        ]
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
    name: str,
    predictions: Predictions | LoadedPredictions,
    annotations: Sequence[Annotation],
    build: Callable[[], tuple[SceneGraphMetrics, *tuple[Metric, ...]]],
    *,
    predicate_counts: np.ndarray | None,
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
    return Rescored(name, predictions, images, metrics[0], score(images, metrics), predicate_counts, curve)


def _print(scored: Sequence[Rescored], comparison: Comparison | None) -> None:
    """Tables on standard output."""
    console = results_console()
    if comparison is not None:
        first = scored[0].predictions
        console.print(Text(f"{first.dataset}, {_modes(scored)}, {len(first)} images"))
        console.print(comparison.table())
        return
    console.rule(scored[0].name)
    results, vocabulary = scored[0].results, scored[0].predictions.vocabulary
    console.print(results_table(results))
    console.print(
        predicate_table(results, vocabulary.predicates, predicate_counts=scored[0].predicate_counts)
    )
    curve = scored[0].curve
    if curve is not None:
        console.print(Text(f"{curve.title}, in percent"))
        for strength, recalls in curve.recalls.items():
            shown = ", ".join(f"{key} {100 * value:.2f}" for key, value in recalls.items())
            console.print(Text(f"{curve.parameter} {strength:g}: {shown}"))


def _modes(scored: Sequence[Rescored]) -> str:
    """The tasks of the predictions, such as "sgdet", and the convention."""
    tasks = (task_text(each.results["mode"], each.results["convention"]) for each in scored)
    return ", ".join(dict.fromkeys(tasks))


def _names(files: Sequence[Path]) -> list[str]:
    """A name for each file: its own, or with its folders where several are called the same."""
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        names = [str(file) for file in files]
    if len(set(names)) < len(names):
        raise SpeaqError("--predictions: expected different files, found one of them twice")
    return names


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
    differences = predictions.vocabulary.differences(dataset.vocabulary)
    if differences:
        raise SpeaqError(
            f"{predictions.path}: expected the classes of {predictions.dataset}, found differences: "
            f"{'; '.join(differences)}"
        )
