"""Evaluation during and after training: on what, by which metrics, and where the results go."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np

from speaq.config import Config
from speaq.data.build import TrainingStatistics
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.report import predicate_table, results_table
from speaq.evaluation.zero_shot import load_zero_shot_triplets
from speaq.structures import Vocabulary
from speaq.training.logs import console, write_figures
from speaq.training.module import SceneGraphModule, log_results, save_results

logger = logging.getLogger("speaq.training")


def build_metrics(
    config: Config,
    vocabulary: Vocabulary,
    predicate_counts: Sequence[int] | np.ndarray | None,
    statistics: TrainingStatistics | None,
) -> tuple[SceneGraphMetrics, DetectionAP]:
    """What is measured on a data set.

    Zero-shot triplets are read from MODEL.ROI_SCENEGRAPH_HEAD.ZERO_SHOT_TRIPLETS; without such a
    file they are those that the training data lack.

    Args:
        config: its TEST section.
        vocabulary: the classes that are measured.
        predicate_counts: (R,) relations that the model was trained on, if known; for head, body and tail.
        statistics: of the training data, if known.
    """
    zero_shot, seen = _zero_shot(config, vocabulary), None
    if zero_shot is None and statistics is not None:
        seen = statistics.triplets
    recalls = SceneGraphMetrics(
        num_predicates=len(vocabulary.predicates),
        iou_threshold=config.test.relation.iou_threshold,
        zero_shot_triplets=zero_shot,
        seen_triplets=seen,
        predicate_counts=None if predicate_counts is None else np.asarray(predicate_counts),
    )
    return recalls, DetectionAP(num_objects=len(vocabulary.objects))


def _zero_shot(config: Config, vocabulary: Vocabulary) -> np.ndarray | None:
    """The published list where it is on disk; None where it is not and was not asked for."""
    head = config.model.roi_scenegraph_head
    path = Path(head.zero_shot_triplets)
    if head.zero_shot_triplets in ("", type(head)().zero_shot_triplets) and not path.is_file():
        return None
    return load_zero_shot_triplets(
        path, num_objects=len(vocabulary.objects), num_predicates=len(vocabulary.predicates)
    )


class EvaluationLog(L.Callback):
    """Writes the results of every evaluation to the log, ``results.json``, ``metrics.json`` and the terminal.

    Args:
        output_dir: where.
    """

    def __init__(self, *, output_dir: Path):
        self.output_dir = output_dir

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Write them."""
        module: SceneGraphModule = pl_module
        in_training = module.criterion is not None
        module.evaluated_at = trainer.global_step
        log_results(module)
        if not trainer.is_global_zero:
            return
        iteration = trainer.global_step - 1 if in_training else None
        save_results(module, self.output_dir / "results.json", iteration)
        for name, results in zip(module.evaluation.names, module.results, strict=True):
            if in_training:
                logger.info("iteration %d, %s: %s", iteration, name, _summary(results))
                prefix = f"{name}/" if len(module.evaluation.names) > 1 else ""
                figures = {f"{prefix}SG/{key}": value for key, value in results.items() if "@" in key}
                figures |= {f"{prefix}bbox/{key}": results[key] for key in ("AP", "AP50", "AP75")}
                write_figures(self.output_dir, figures | {"iteration": iteration}, trainer.loggers, True)
            if not in_training or trainer.global_step == trainer.max_steps:
                model = module.model
                print_results(name, results, model.vocabulary, model.config.predicate_counts)


def print_results(
    name: str, results: dict[str, Any], vocabulary: Vocabulary, predicate_counts: Sequence[int] | np.ndarray
) -> None:
    """Show the results on a data set as tables on the terminal."""
    counts = np.array(predicate_counts) if len(predicate_counts) else None
    console.rule(name)
    console.print(results_table(results))
    console.print(predicate_table(results, vocabulary.predicates, predicate_counts=counts))


def _summary(results: dict[str, Any]) -> str:
    """The main figures in a line, in percent."""
    ks = sorted(int(name.removeprefix("R@")) for name in results if name.startswith("R@"))
    depths = "/".join(str(k) for k in ks)
    recalls = {kind: " / ".join(f"{100 * results[f'{kind}@{k}']:.2f}" for k in ks) for kind in ("R", "mR")}
    return f"R@{depths} {recalls['R']}, mR {recalls['mR']}, box AP50 {100 * results['AP50']:.2f}"
