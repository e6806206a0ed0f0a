"""The training step, the evaluation step, and what is done when numbers are not finite."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from speaq.config import Config
from speaq.data.randomness import Purpose, generator
from speaq.errors import SpeaqError
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.results import classic_lines, copypaste_lines, results_dict
from speaq.evaluation.sets import EvaluationSets
from speaq.files import replacing
from speaq.inference.postprocess import PostProcessor
from speaq.losses.criterion import Criterion, Losses
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation, Batch, Target
from speaq.training.logs import FOR_FILES
from speaq.training.optimizer import adopt_settings, build_optimizer, build_scheduler, clip_gradients

logger = logging.getLogger("speaq.training")


class SceneGraphModule(L.LightningModule):
    """Model, loss and metrics for the training engine.

    Args:
        model: to be trained or evaluated.
        criterion: the loss; None where only evaluation is wanted.
        config: the schedule.
        postprocess: from the model's output to scene graphs.
        evaluation: what is measured on which images.
        metrics: for each of its results, the metrics to compute.

    Attributes:
        step_completed: whether the last batch completed a step of the optimiser.
        step_terms: scalars of the last step.
        skipped_steps: steps skipped because of non-finite numbers.
        source_images: (S,) int64, training images seen so far, by source of data.
        evaluation: what is measured on which images.
        results: of the last evaluation, in the order of ``evaluation.names``.
        evaluated_at: steps that had been taken by then.
    """

    source_images: Tensor

    def __init__(
        self,
        *,
        model: Speaq,
        criterion: Criterion | None,
        config: Config,
        postprocess: PostProcessor,
        evaluation: EvaluationSets,
        metrics: Sequence[Sequence[SceneGraphMetrics | DetectionAP]],
    ):
        super().__init__()
        self.model = model
        self.criterion = criterion
        self.config = config
        self.postprocess = postprocess
        self.metrics = nn.ModuleList(nn.ModuleList(group) for group in metrics)
        self.evaluation = evaluation
        self.step_completed = False
        self.step_terms: dict[str, Tensor] = {}
        self.skipped_steps = 0
        self._source_names = criterion.source_names if criterion is not None else ()
        self._former_samples: dict[str, int] = {}
        no_images = torch.zeros(len(self._source_names), dtype=torch.int64)
        self.register_buffer("source_images", no_images, persistent=False)
        self.results: list[dict[str, Any]] = []
        self.evaluated_at = -1
        self._skipped_in_a_row = 0
        self._pending: list[tuple[Losses, Batch]] = []
        self._running_statistics: list[Tensor] = []
        self._former_statistics: list[Tensor] = []

    def configure_optimizers(self) -> dict[str, Any]:
        """Optimiser and schedule."""
        optimizer = build_optimizer(self.model, self.config.solver)
        scheduler = build_scheduler(optimizer, self.config.solver)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a training batch, or the list of batches that an evaluation step has."""
        if isinstance(batch, Batch):
            return batch.to(device, non_blocking=True)
        return [part.to(device, non_blocking=True) for part in batch]

    def on_train_start(self) -> None:
        """Find the running statistics of batch norms, now that the model is where it is trained."""
        norms = [one for one in self.model.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
        self._running_statistics = [buffer for layer in norms for buffer in layer.buffers(recurse=False)]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make dropout a function of (seed, step, part of the step, rank), so that resuming is exact.

        Running means of batch norms are kept, so that a skipped step leaves no trace in them either.
        """
        self.step_completed = False
        part = batch_idx % self.trainer.accumulate_grad_batches
        if part == 0:
            self._former_statistics = [statistic.clone() for statistic in self._running_statistics]
        counters = (self.global_step, part, self.global_rank)
        torch.manual_seed(int(generator(Purpose.MODEL, self.config.seed, *counters).integers(2**63)))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        assert self.criterion is not None
        output = self.model(batch.images, batch.sizes)
        with torch.autocast(self.device.type, enabled=False):
            losses = self.criterion(output, batch.targets)
        self.source_images += losses.source_images
        self._pending.append((losses, batch))
        return losses.total

    def _terms_of(self, pending: list[tuple[Losses, Batch]]) -> dict[str, Tensor]:
        """What to log of a step: means over its parts; of a source, over the parts with images of it."""
        terms = _means([{"total_loss": losses.value, **losses.terms} for losses, _ in pending], torch.mean)
        if len(self._source_names) > 1:
            terms |= _means([losses.source_terms for losses, _ in pending], torch.nanmean)
        return terms

    def samples(self) -> dict[str, int]:
        """Training images seen so far, over all ranks, by source of data that is trained on."""
        return dict(zip(self._source_names, self.source_images.tolist(), strict=True))

    def _report(self, losses: Losses, batch: Batch) -> None:
        """Name the images and the terms of this rank that are not finite."""
        for name, shares in losses.image_terms.items():
            bad = (~torch.isfinite(shares)).nonzero().flatten().tolist()
            if bad:
                images = ", ".join(self._describe(batch.targets[i]) for i in bad)
                logger.error("iteration %d: %s is not finite for image %s", self.global_step, name, images)

    def _describe(self, target: Target) -> str:
        return f"{target.image_id} ({target.source})" if len(self._source_names) > 1 else str(target.image_id)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; and drop the step where the loss or the gradient is not finite, without a trace in the model.

        Gradients are summed over the ranks by now and the loss was too, so all ranks decide alike.
        """
        self.step_completed = True
        norm = clip_gradients(self.model.parameters(), self.config.solver.clip_gradients)
        pending, self._pending = self._pending, []
        self.step_terms = self._terms_of(pending)
        loss_finite = bool(torch.isfinite(torch.stack([losses.value for losses, _ in pending])).all())
        # With fp16 an overflowing gradient is routine: the gradient scaler skips the step and scales down.
        if loss_finite and (self._scaled or bool(torch.isfinite(norm))):
            self._skipped_in_a_row = 0
            return
        for losses, batch in pending:
            self._report(losses, batch)
        for parameter in self.model.parameters():
            parameter.grad = None
        for statistic, former in zip(self._running_statistics, self._former_statistics, strict=True):
            statistic.copy_(former)
        self.skipped_steps += 1
        self._skipped_in_a_row += 1
        if loss_finite:
            logger.error("iteration %d: the gradient is not finite; the loss is", self.global_step)
        logger.error(
            "iteration %d: step skipped (%d in a row, %d in all)",
            self.global_step,
            self._skipped_in_a_row,
            self.skipped_steps,
        )
        if self._skipped_in_a_row > self.config.solver.max_nonfinite_steps:
            raise SpeaqError(
                f"training stopped at iteration {self.global_step}: {self._skipped_in_a_row} steps in a row "
                "had a non-finite loss or gradient (SOLVER.MAX_NONFINITE_STEPS allows "
                f"{self.config.solver.max_nonfinite_steps}). The log names the images and terms. Lower "
                "SOLVER.BASE_LR, clip gradients (SOLVER.CLIP_GRADIENTS), or train in float32 "
                "(SOLVER.AMP.ENABLED False), and go on from the last checkpoint with --resume"
            )

    @property
    def _scaled(self) -> bool:
        return self.trainer.precision == "16-mixed"

    def validation_step(
        self, batches: list[Batch], batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, list[tuple[SceneGraph, Annotation]]]:
        """Predict, in float32 whatever the precision of training is, and measure.

        Returns:
            "predictions": the graph and the ground truth of every image.
        """
        predictions: list[tuple[SceneGraph, Annotation]] = []
        for batch in batches:
            sizes = [(annotation.height, annotation.width) for annotation in batch.annotations]
            with torch.autocast(self.device.type, enabled=False):
                graphs = self.postprocess(self.model(batch.images, batch.sizes), sizes)
            for result in self.evaluation.results_of_dataset[dataloader_idx]:
                for metric in self.metrics[result]:  # type: ignore[attr-defined]
                    metric.update(graphs, batch.annotations)
            predictions += zip(graphs, batch.annotations, strict=True)
        return {"predictions": predictions}

    def on_validation_epoch_end(self) -> None:
        """Gather the metrics of all ranks."""
        self.results = []
        for group in self.metrics:
            results: dict[str, Any] = {}
            for metric in group:  # type: ignore[attr-defined]
                results |= metric.compute()
                metric.reset()
            self.results.append(results)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the checkpoint needs beyond weights and the state of the engine."""
        checkpoint["model_config"] = self.model.config.to_json()
        checkpoint["seed"] = self.config.seed
        checkpoint["skipped_steps"] = self.skipped_steps
        checkpoint["samples"] = {**self._former_samples, **self.samples()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what was counted, and the settings of the configuration for the optimiser."""
        self.skipped_steps = checkpoint["skipped_steps"]
        self._former_samples = checkpoint["samples"]  # a source may be left out and come back
        former = [self._former_samples.get(name, 0) for name in self._source_names]
        self.source_images.copy_(torch.tensor(former, dtype=torch.int64))
        states = checkpoint["optimizer_states"][0], checkpoint["lr_schedulers"][0]
        adopt_settings(*states, self.model, self.config.solver)


def _means(parts: Sequence[dict[str, Tensor]], mean: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Means of scalars by name."""
    return {name: mean(torch.stack([part[name] for part in parts])) for name in parts[0]}


def log_results(module: SceneGraphModule) -> None:
    """Write the classic lines of the last evaluation to the log."""
    vocabulary = module.model.vocabulary
    for name, results in zip(module.evaluation.names, module.results, strict=True):
        logger.info("Evaluation results for %s", name, extra=FOR_FILES)
        for line in [*classic_lines(results, vocabulary.predicates), *copypaste_lines(results)]:
            logger.info(line, extra=FOR_FILES)


def save_results(module: SceneGraphModule, path: Path, iteration: int | None) -> None:
    """Write the last evaluation to a JSON file: for each of its names what ``results_dict`` gives."""
    content: dict[str, Any] = {"iteration": iteration}
    for name, results in zip(module.evaluation.names, module.results, strict=True):
        content[name] = results_dict(results, module.model.vocabulary)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
