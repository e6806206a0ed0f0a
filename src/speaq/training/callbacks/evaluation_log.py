"""The results of an evaluation: log lines, results.json, metrics.json and tables on the terminal."""

import json
import logging
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np

from speaq.console import results_console
from speaq.evaluation.results import (
    classic_lines,
    copypaste_lines,
    predicate_table,
    results_dict,
    results_table,
)
from speaq.files import replacing
from speaq.pretrained import Speaq
from speaq.training.logs import FOR_FILES, write_metrics
from speaq.training.module import SceneGraphModule

logger = logging.getLogger("speaq.training")


class EvaluationLog(L.Callback):
    """Writes the results of every evaluation to the log, ``results.json``, ``metrics.json`` and the terminal.

    A resumed training first repeats the evaluation of its checkpoint, if that was interrupted.

    Args:
        output_dir: folder of the files.
        suffix: of the name of ``results.json``.
    """

    def __init__(self, *, output_dir: Path, suffix: str = ""):
        self.output_dir = output_dir
        self.results_file = output_dir / f"results{suffix}.json"

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Evaluate the checkpoint of a resumed training, if there are no results of it yet."""
        batches = trainer.global_step * trainer.accumulate_grad_batches
        due = batches > 0 and batches % trainer.val_check_interval == 0 and pl_module.evaluation.datasets
        if due and trainer.strategy.broadcast(self._evaluated_iteration() != trainer.global_step - 1):
            logger.info("repeating the interrupted evaluation of iteration %d", trainer.global_step - 1)
            epoch = trainer.fit_loop.epoch_loop
            epoch.val_loop.restarting = False
            trainer.validating = True
            epoch.val_loop.run()
            trainer.training = True
            # After an evaluation, the Trainer would not go on from the last batch of fewer steps (MAX_ITER).
            epoch.batch_progress.is_last_batch = False

    def _evaluated_iteration(self) -> int | None:
        """The iteration of ``results.json``."""
        try:
            return json.loads(self.results_file.read_text())["iteration"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Write the results."""
        module: SceneGraphModule = pl_module
        vocabulary, in_training = module.model.vocabulary, module.criterion is not None
        results_of = dict(zip(module.evaluation.names, module.results, strict=True))
        module.evaluated_at = trainer.global_step
        for name, results in results_of.items():
            logger.info("Evaluation results for %s", name, extra=FOR_FILES)
            for line in [*classic_lines(results, vocabulary.predicates), *copypaste_lines(results)]:
                logger.info(line, extra=FOR_FILES)
        if not trainer.is_global_zero:
            return
        content: dict[str, Any] = {"iteration": trainer.global_step - 1 if in_training else None}
        content |= {name: results_dict(results, vocabulary) for name, results in results_of.items()}
        with replacing(self.results_file) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
        for name, results in results_of.items():
            if in_training:
                logger.info("iteration %d, %s: %s", trainer.global_step - 1, name, _summary(results))
                self._write_metrics(trainer, f"{name}/" if len(results_of) > 1 else "", results)
            if not in_training or trainer.should_stop or trainer.global_step == trainer.max_steps:
                _print_tables(name, results, module.model)

    def _write_metrics(self, trainer: L.Trainer, prefix: str, results: dict[str, Any]) -> None:
        metrics = {f"{prefix}SG/{key}": value for key, value in results.items() if "@" in key}
        metrics |= {f"{prefix}bbox/{key}": results[key] for key in ("AP", "AP50", "AP75")}
        metrics["iteration"] = trainer.global_step - 1
        write_metrics(self.output_dir, metrics, trainer.loggers)


def _print_tables(name: str, results: dict[str, Any], model: Speaq) -> None:
    """Print the results on a data set on the standard output."""
    counts = np.array(model.config.predicate_counts) if model.config.predicate_counts else None
    console = results_console()
    console.rule(name)
    console.print(results_table(results))
    console.print(predicate_table(results, model.vocabulary.predicates, predicate_counts=counts))


def _summary(results: dict[str, Any]) -> str:
    """The main metrics on one line, in percent."""
    ks = sorted(int(name.removeprefix("R@")) for name in results if name.startswith("R@"))
    recalls = {kind: " / ".join(f"{100 * results[f'{kind}@{k}']:.2f}" for k in ks) for kind in ("R", "mR")}
    depths = "/".join(str(k) for k in ks)
    return f"R@{depths} {recalls['R']}, mR {recalls['mR']}, box AP50 {100 * results['AP50']:.2f}"
