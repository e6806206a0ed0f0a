"""The results of an evaluation: log lines, results.json, metrics.json and tables on the terminal."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np

from speaq.evaluation.results import (
    classic_lines,
    copypaste_lines,
    predicate_table,
    results_dict,
    results_table,
)
from speaq.files import replacing
from speaq.structures import Vocabulary
from speaq.training.logs import FOR_FILES, console, write_metrics
from speaq.training.module import SceneGraphModule

logger = logging.getLogger("speaq.training")


class EvaluationLog(L.Callback):
    """Writes the results of every evaluation to the log, ``results.json``, ``metrics.json`` and the terminal.

    Args:
        output_dir: folder of the files.
    """

    def __init__(self, *, output_dir: Path):
        self.output_dir = output_dir

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Write the results."""
        module: SceneGraphModule = pl_module
        model, names = module.model, module.evaluation.names
        in_training = module.criterion is not None
        module.evaluated_at = trainer.global_step
        for name, results in zip(names, module.results, strict=True):
            logger.info("Evaluation results for %s", name, extra=FOR_FILES)
            for line in [*classic_lines(results, model.vocabulary.predicates), *copypaste_lines(results)]:
                logger.info(line, extra=FOR_FILES)
        if not trainer.is_global_zero:
            return
        iteration = trainer.global_step - 1 if in_training else None
        content: dict[str, Any] = {"iteration": iteration}
        for name, results in zip(names, module.results, strict=True):
            content[name] = results_dict(results, model.vocabulary)
        with replacing(self.output_dir / "results.json") as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
        for name, results in zip(names, module.results, strict=True):
            if in_training:
                logger.info("iteration %d, %s: %s", iteration, name, _summary(results))
                prefix = f"{name}/" if len(names) > 1 else ""
                metrics = {f"{prefix}SG/{key}": value for key, value in results.items() if "@" in key}
                metrics |= {f"{prefix}bbox/{key}": results[key] for key in ("AP", "AP50", "AP75")}
                write_metrics(self.output_dir, metrics | {"iteration": iteration}, trainer.loggers)
            if not in_training or trainer.should_stop or trainer.global_step == trainer.max_steps:
                print_results(name, results, model.vocabulary, model.config.predicate_counts)


def print_results(
    name: str, results: dict[str, Any], vocabulary: Vocabulary, predicate_counts: Sequence[int] | np.ndarray
) -> None:
    """Print the results on a data set as tables on the terminal.

    Args:
        name: name of the data set.
        results: values of the metrics.
        vocabulary: class names.
        predicate_counts: (R,) relations in the training data, or empty.
    """
    counts = np.array(predicate_counts) if len(predicate_counts) else None
    console.rule(name)
    console.print(results_table(results))
    console.print(predicate_table(results, vocabulary.predicates, predicate_counts=counts))


def _summary(results: dict[str, Any]) -> str:
    """The main metrics on one line, in percent."""
    ks = sorted(int(name.removeprefix("R@")) for name in results if name.startswith("R@"))
    recalls = {kind: " / ".join(f"{100 * results[f'{kind}@{k}']:.2f}" for k in ks) for kind in ("R", "mR")}
    depths = "/".join(str(k) for k in ks)
    return f"R@{depths} {recalls['R']}, mR {recalls['mR']}, box AP50 {100 * results['AP50']:.2f}"
