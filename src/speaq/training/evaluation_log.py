"""Where the results of an evaluation go: the log, files and the terminal."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np

from speaq.evaluation.results import predicate_table, results_table
from speaq.structures import Vocabulary
from speaq.training.logs import console, write_figures
from speaq.training.module import SceneGraphModule, log_results, save_results

logger = logging.getLogger("speaq.training")


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
