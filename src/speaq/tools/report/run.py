"""Evaluate a model and write the report."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speaq.config import Config
from speaq.evaluation.adjustment import Curve
from speaq.evaluation.bootstrap import recalls
from speaq.evaluation.ground_truth import PredictedImages
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.predictions import Predictions
from speaq.evaluation.results import task_text
from speaq.losses.build import build_groups
from speaq.tools.report import EvaluatedSet, Report, choose_examples, write_report
from speaq.tools.training_log.reading import METRICS, read_history
from speaq.training.cluster import Cluster
from speaq.training.launch import EvaluationRun, evaluate

logger = logging.getLogger("speaq.training")


def evaluated_set(
    name: str,
    results: Mapping[str, Any],
    images: Sequence[PredictedImages],
    *,
    metrics: SceneGraphMetrics,
    num_rel: int,
    predicate_counts: np.ndarray | None = None,
    curve: Curve | None = None,
) -> EvaluatedSet:
    """Analyse the predictions that contribute to a result, those on one data set or on the sources of a mix.

    With several sources there are no examples: each source has its own. ``metrics`` have the settings of the
    results, ``num_rel`` is TEST.NUM_REL; ``predicate_counts`` (R,) are those of the predictions by default.
    """
    analysis = metrics.analyze(chain.from_iterable(images), num_rel=num_rel)
    best, worst = choose_examples(analysis, images[0]) if len(images) == 1 else ((), ())
    first = images[0].predictions
    return EvaluatedSet(
        name=name,
        vocabulary=first.vocabulary,
        results=results,
        analysis=analysis,
        predicate_counts=first.predicate_counts if predicate_counts is None else predicate_counts,
        curve=curve,
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
    if run.module.trainer.is_global_zero:
        path = Path(run.module.config.output_dir) / f"report{run.suffix}.html"
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
        "Task": task_text(config.test.mode, config.test.convention),
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
