"""Evaluate a model, or score saved predictions, and write the report."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from speaq.config import Config
from speaq.data.build import load_statistics
from speaq.data.sources import load_sources, places
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.evaluation.bootstrap import recalls
from speaq.evaluation.build import build_metrics
from speaq.evaluation.ground_truth import PredictedImages, score
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.predictions import Predictions
from speaq.losses.build import build_groups
from speaq.tools.report import EvaluatedSet, Report, choose_examples, write_report
from speaq.tools.training_log.reading import METRICS, read_history
from speaq.training.cluster import Cluster
from speaq.training.evaluation_log import print_results
from speaq.training.launch import EvaluationRun, evaluate

logger = logging.getLogger("speaq.training")


def evaluated_set(
    name: str,
    results: Mapping[str, Any],
    images: Sequence[PredictedImages],
    *,
    metrics: SceneGraphMetrics,
    num_rel: int,
) -> EvaluatedSet:
    """Analyse the predictions that contribute to a result, those on one data set or on the sources of a mix.

    With several sources there are no examples: each source has its own. ``metrics`` have the settings of the
    results, ``num_rel`` is TEST.NUM_REL.
    """
    analysis = metrics.analyze(chain.from_iterable(images), num_rel=num_rel)
    best, worst = choose_examples(analysis, images[0]) if len(images) == 1 else ((), ())
    first = images[0].predictions
    return EvaluatedSet(
        name=name,
        vocabulary=first.vocabulary,
        results=results,
        analysis=analysis,
        predicate_counts=first.predicate_counts,
        variants=_other_ranking(images, metrics) if num_rel == 1 else {},
        best=best,
        worst=worst,
    )


def _other_ranking(
    images: Sequence[PredictedImages], metrics: SceneGraphMetrics
) -> dict[str, Sequence[float]]:
    """Recalls without graph constraint by the ranking that TEST.RELATION.DISTINCT does not choose."""
    other = recalls(metrics.analyze(chain.from_iterable(images), distinct=not metrics.distinct))
    kind = "each relation once per query" if metrics.distinct else "each relation once"
    names = {"ng-R": "Recall", "ng-mR": "Mean recall"}
    return {
        f"{title}, no graph constraint, {kind}": [other[f"{name}@{k}"] for k in metrics.ks]
        for name, title in names.items()
    }


def evaluate_with_report(config: Config, *, cluster: Cluster | None = None) -> EvaluationRun:
    """Evaluate a model on DATASETS.TEST, save its predictions, and write ``report.html`` to OUTPUT_DIR.

    Only the main process writes. See `speaq.training.launch.evaluate`.
    """
    run = evaluate(config, cluster=cluster, save_predictions=True)
    if run.is_main:
        path = Path(run.module.config.output_dir) / "report.html"
        write_report(path, _model_report(run))
        logger.info("report: %s", path)
    return run


def _model_report(run: EvaluationRun) -> Report:
    module = run.module
    config, model, evaluation = module.config, module.model.config, module.evaluation
    with ExitStack() as stack:
        images = [
            PredictedImages(stack.enter_context(Predictions(file)), dataset.dataset)
            for file, dataset in zip(run.prediction_files, evaluation.datasets, strict=True)
        ]
        sets = []
        for result, name in enumerate(evaluation.names):
            indices = [i for i, results in enumerate(evaluation.results_of_dataset) if result in results]
            metrics = module.metrics[result][0]  # type: ignore[index]
            sets.append(
                evaluated_set(
                    name,
                    module.results[result],
                    [images[i] for i in indices],
                    metrics=metrics,
                    num_rel=config.test.num_rel,
                )
            )
    groups = build_groups(config, model, model.predicate_counts) if model.predicate_counts else None
    predicates = model.num_queries * model.query_multiplier
    facts = {
        "Backbone": str(model.backbone.get("model_type", "unknown")),
        "Queries": f"{model.num_queries} entity, {predicates} predicate",
        "Decoder layers": str(model.decoder_layers),
        "Task": config.test.mode,
    }
    if groups is not None:
        facts["Query groups"] = f"{len(groups.queries_per_group)}"
    return Report(
        title=f"Evaluation of {run.source}",
        facts=facts,
        sets=sets,
        group_of_query=() if groups is None else groups.group_of_query,
        group_of_predicate=() if groups is None else groups.group_of_predicate,
        assignment=_assignment(Path(config.output_dir) / METRICS, model.decoder_layers),
    )


def _assignment(metrics: Path, layers: int) -> pd.DataFrame | None:
    """Number of queries assigned to a relation during training, if its log exists."""
    if not metrics.is_file():
        return None
    table = read_history(metrics).table(*(f"k_log_layer{layer + 1}" for layer in range(layers)))
    return None if table.empty else table


def rescore(config: Config, file: Path, *, report: Path | None = None) -> dict[str, Any]:
    """Score the predictions in ``file`` with the TEST settings of a configuration, and print the results.

    Writes a ``report`` to a file, if given.

    Raises:
        SpeaqError: the file or the data set cannot be read, or do not match.
    """
    predictions = Predictions(file)
    dataset = _load_dataset(config, predictions)
    counts = predictions.predicate_counts
    metrics = build_metrics(config, predictions.vocabulary, counts, load_statistics(config))
    images = PredictedImages(predictions, dataset)
    results = score(images, metrics)
    print_results(predictions.dataset, results, predictions.vocabulary, () if counts is None else counts)
    if report is not None:
        num_rel, name = config.test.num_rel, predictions.dataset
        evaluated = evaluated_set(name, results, [images], metrics=metrics[0], num_rel=num_rel)
        write_report(report, Report(title=f"Predictions of {file.name}", facts={}, sets=[evaluated]))
    return results


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
    differences = predictions.vocabulary.differences(dataset.vocabulary)
    if differences:
        raise SpeaqError(
            f"{predictions.path}: expected the classes of {predictions.dataset}, found differences: "
            f"{'; '.join(differences)}"
        )
    return dataset
