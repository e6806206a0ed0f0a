"""The LightningModule: training step, evaluation step, and steps that are skipped as not finite."""

import logging
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric

from speaq.config import Config
from speaq.data.randomness import Purpose, generator
from speaq.errors import SpeaqError
from speaq.evaluation.build import EvaluationSets
from speaq.inference.given_boxes import GivenBoxes
from speaq.inference.postprocess import PostProcessor
from speaq.losses.criterion import Criterion, Losses
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation, Batch, RawOutput, Target
from speaq.training.callbacks.averaging import WeightAveraging
from speaq.training.optimizer import apply_settings, build_optimizer, build_scheduler, clip_gradients

logger = logging.getLogger("speaq.training")


class SceneGraphModule(L.LightningModule):
    """Model, loss and metrics for the Trainer.

    Args:
        model: the model to train or evaluate.
        criterion: the loss; None for evaluation only.
        config: its SOLVER section and SEED.
        postprocess: computes scene graphs from the output of the model.
        evaluation: the data sets to evaluate on, and the results to compute.
        metrics: the metrics of each result of ``evaluation``.
        averaging: the average of the weights; None to evaluate ``model`` itself.

    Attributes:
        step_completed: whether the last batch completed a step of the optimizer.
        step_terms: loss terms of the last step, scalars.
        skipped_steps: number of steps skipped because of non-finite numbers.
        skipped_in_a_row: number of them since the last step that was not skipped.
        source_images: (S,) int64, number of training images seen, by source of data.
        evaluation: the data sets to evaluate on, and the results to compute.
        results: results of the last evaluation, in the order of ``evaluation.names``.
        evaluated_at: global step of the last evaluation.
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
        metrics: Sequence[Sequence[Metric]],
        averaging: WeightAveraging | None = None,
    ):
        super().__init__()
        self.model = model
        self.criterion = criterion
        self.config = config
        self.averaging = averaging
        self.postprocess = postprocess
        self.metrics = nn.ModuleList(nn.ModuleList(group) for group in metrics)
        self.evaluation = evaluation
        self.step_completed = False
        self.step_terms: dict[str, Tensor] = {}
        self.skipped_steps = 0
        self.skipped_in_a_row = 0
        self._source_names = criterion.source_names if criterion is not None else ()
        self._saved_samples: dict[str, int] = {}
        no_images = torch.zeros(len(self._source_names), dtype=torch.int64)
        self.register_buffer("source_images", no_images, persistent=False)
        self.results: list[dict[str, Any]] = []
        self.evaluated_at = -1
        self._nonfinite_images = 0
        self._pending: list[tuple[Losses, Batch]] = []
        self._running_statistics: list[Tensor] = []
        self._saved_statistics: list[Tensor] = []

    @property
    def evaluated_model(self) -> Speaq:
        """The model to evaluate and to save as the best one: the averaged one if there is an average."""
        return self.model if self.averaging is None else self.averaging.model

    def setup(self, stage: str) -> None:
        """Compile encoder and decoder with MODEL.COMPILE; the names of their weights do not change.

        The backbone is left out: with dropout after it, the compiler fails for images of several sizes.

        Raises:
            SpeaqError: there is no C++ compiler.
        """
        if not self.config.model.compile or (stage != "fit" and self.criterion is not None):
            return
        compiler = os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
        if shutil.which(compiler) is None:
            raise SpeaqError(
                f"MODEL.COMPILE True needs a C++ compiler, and there is no {compiler}: install it, name "
                "another one in the environment variable CXX, or set MODEL.COMPILE False"
            )
        models = [self.model]
        if self.averaging is not None and stage == "fit":
            models.append(self.averaging.model)
        for model in models:
            model.encoder.compile(dynamic=True)
            model.decoder.compile(dynamic=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimizer and schedule."""
        optimizer = build_optimizer(self.model, self.config.solver)
        scheduler = build_scheduler(optimizer, self.config.solver)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a training batch, or the list of batches of an evaluation step."""
        if isinstance(batch, Batch):
            return batch.to(device, non_blocking=True)
        return [part.to(device, non_blocking=True) for part in batch]

    def on_train_start(self) -> None:
        """Find the running statistics of batch norms on the device of the training."""
        batch_norm = nn.modules.batchnorm._BatchNorm
        layers = [module for module in self.model.modules() if isinstance(module, batch_norm)]
        self._running_statistics = [buffer for layer in layers for buffer in layer.buffers(recurse=False)]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout by (seed, step, micro-batch, rank), so that resuming is exact.

        The running statistics of batch norms are saved, to restore them if the step is skipped.
        """
        self.step_completed = False
        micro_batch = batch_idx % self.trainer.accumulate_grad_batches
        if micro_batch == 0:
            self._saved_statistics = [statistic.clone() for statistic in self._running_statistics]
        counters = (self.global_step, micro_batch, self.global_rank)
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

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient, or skip the step if the loss or the gradient is not finite.

        A skipped step does not change the model. Loss and gradients are already reduced over the ranks, so
        that all ranks take the same decision.
        """
        self.step_completed = True
        norm = clip_gradients(self.model.parameters(), self.config.solver.clip_gradients)
        pending, self._pending = self._pending, []
        self.step_terms = self._terms_of(pending)
        loss_finite = bool(torch.isfinite(torch.stack([losses.value for losses, _ in pending])).all())
        # With fp16 gradients overflow regularly: the gradient scaler skips the step and reduces its scale.
        is_scaled = self.trainer.precision == "16-mixed"
        if loss_finite and (is_scaled or bool(torch.isfinite(norm))):
            self.skipped_in_a_row = 0
            return
        self._skip_step(pending, loss_finite)

    def _skip_step(self, pending: list[tuple[Losses, Batch]], loss_finite: bool) -> None:
        """Drop the gradients and the new running statistics of a step, and log what was not finite.

        Raises:
            SpeaqError: too many steps in a row were skipped.
        """
        for losses, batch in pending:
            self._log_not_finite(losses, batch)
        for parameter in self.model.parameters():
            parameter.grad = None
        for statistic, saved in zip(self._running_statistics, self._saved_statistics, strict=True):
            statistic.copy_(saved)
        self.skipped_steps += 1
        self.skipped_in_a_row += 1
        step, in_a_row = self.global_step, self.skipped_in_a_row
        if loss_finite:
            logger.error("iteration %d: the gradient is not finite, but the loss is", step)
        total = self.skipped_steps
        logger.error("iteration %d: step skipped (%d in a row, %d in all)", step, in_a_row, total)
        limit = self.config.solver.max_nonfinite_steps
        if in_a_row > limit:
            raise SpeaqError(
                f"training stopped at iteration {step}: {in_a_row} steps in a row had a non-finite loss or "
                f"gradient (SOLVER.MAX_NONFINITE_STEPS allows {limit}). The log names the images and terms. "
                "Lower SOLVER.BASE_LR, clip gradients (SOLVER.CLIP_GRADIENTS), or train in float32 "
                "(SOLVER.AMP.ENABLED False), and resume from the last checkpoint with --resume"
            )

    def _terms_of(self, pending: list[tuple[Losses, Batch]]) -> dict[str, Tensor]:
        """Loss terms of a step: means over its micro-batches; of a source, over those with images of it."""
        terms = _means([{"total_loss": losses.value, **losses.terms} for losses, _ in pending], torch.mean)
        if len(self._source_names) > 1:
            terms |= _means([losses.source_terms for losses, _ in pending], torch.nanmean)
        return terms

    def _log_not_finite(self, losses: Losses, batch: Batch) -> None:
        """Log the images and loss terms of this rank that are not finite."""
        for name, shares in losses.image_terms.items():
            bad = (~torch.isfinite(shares)).nonzero().flatten().tolist()
            if bad:
                images = ", ".join(self._describe(batch.targets[i]) for i in bad)
                logger.error("iteration %d: %s is not finite for image %s", self.global_step, name, images)

    def _describe(self, target: Target) -> str:
        return f"{target.image_id} ({target.source})" if len(self._source_names) > 1 else str(target.image_id)

    def validation_step(
        self, batches: list[Batch], batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, list[tuple[SceneGraph, Annotation]]]:
        """Predict scene graphs, in float32 whatever the precision of training, and update the metrics.

        With TEST.MODE sgcls and predcls the entities of the graphs are the ground-truth boxes.

        Returns:
            "predictions": the predicted graph and the annotation of every image.
        """
        predictions: list[tuple[SceneGraph, Annotation]] = []
        for batch in batches:
            sizes = [(annotation.height, annotation.width) for annotation in batch.annotations]
            with torch.autocast(self.device.type, enabled=False):
                output = self.evaluated_model(batch.images, batch.sizes).last_layer()
                given = self._given_boxes(batch.annotations)
                graphs = self.postprocess(self._checked(output, batch), sizes, given)
            for result in self.evaluation.results_of_dataset[dataloader_idx]:
                for metric in self.metrics[result]:  # type: ignore[attr-defined]
                    metric.update(graphs, batch.annotations)
            predictions += zip(graphs, batch.annotations, strict=True)
        return {"predictions": predictions}

    def _given_boxes(self, annotations: Sequence[Annotation]) -> list[GivenBoxes] | None:
        """The ground-truth boxes that the task gives, with classes in predcls; None in other tasks."""
        mode = self.config.test.mode
        if mode not in ("sgcls", "predcls"):
            return None
        return [GivenBoxes.of_annotation(each, classes=mode == "predcls") for each in annotations]

    def _checked(self, output: RawOutput, batch: Batch) -> RawOutput:
        """The output with 0 for numbers that are not finite; the first image that has some is logged."""
        parts = {item.name: getattr(output, item.name) for item in fields(output)}
        parts = {
            name: part for name, part in parts.items() if part is not None and not name.startswith("token")
        }
        finite = torch.stack(
            [part.isfinite().flatten(2).all(dim=2).all(dim=0) for part in parts.values()]
        ).all(dim=0)
        bad = (~finite).nonzero().flatten().tolist()
        if not bad:
            return output
        if not self._nonfinite_images:
            annotation = batch.annotations[bad[0]]
            logger.warning(
                "%s: the output of the model is not finite, nor are the metrics of this evaluation. The "
                "model has diverged: resume from an earlier checkpoint with a lower SOLVER.BASE_LR or with "
                "SOLVER.CLIP_GRADIENTS, or use the model in best/",
                annotation.path,
            )
        self._nonfinite_images += len(bad)
        zeros = {name: part.nan_to_num(0.0, 0.0, 0.0) for name, part in parts.items()}
        return replace(output, **zeros)

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics over all ranks; they are NaN if an output was not finite."""
        number = torch.tensor(self._nonfinite_images, device=self.device)
        diverged = bool(self.trainer.strategy.reduce(number, reduce_op="sum"))
        self._nonfinite_images = 0
        self.results = []
        for group in self.metrics:
            results: dict[str, Any] = {}
            for metric in group:  # type: ignore[attr-defined]
                results |= metric.compute()
                metric.reset()
            self.results.append(_as_nan(results) if diverged else results)

    def samples(self) -> dict[str, int]:
        """Number of training images seen by all ranks, by source of data."""
        return dict(zip(self._source_names, self.source_images.tolist(), strict=True))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the configuration of the model, the seed, and counts of images and skipped steps."""
        checkpoint["model_config"] = self.model.config.to_json()
        checkpoint["seed"] = self.config.seed
        checkpoint["skipped_steps"] = self.skipped_steps
        checkpoint["samples"] = {**self._saved_samples, **self.samples()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counts, and apply the current settings to the optimizer."""
        self.skipped_steps = checkpoint["skipped_steps"]
        self._saved_samples = checkpoint["samples"]  # also of sources that are not used now
        counts = [self._saved_samples.get(name, 0) for name in self._source_names]
        self.source_images.copy_(torch.tensor(counts, dtype=torch.int64))
        states = checkpoint["optimizer_states"][0], checkpoint["lr_schedulers"][0]
        apply_settings(*states, self.model, self.config.solver)


def _as_nan(results: dict[str, Any]) -> dict[str, Any]:
    """The results with NaN for every metric; counts are kept."""
    return {
        name: math.nan
        if isinstance(value, float)
        else torch.full_like(value, math.nan)
        if isinstance(value, Tensor) and value.is_floating_point()
        else value
        for name, value in results.items()
    }


def _means(parts: Sequence[dict[str, Tensor]], mean: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """The mean of each scalar over the parts."""
    return {name: mean(torch.stack([part[name] for part in parts])) for name in parts[0]}
