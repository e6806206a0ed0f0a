"""Saved predictions of an evaluation, to be scored and drawn again without the model."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning as L

from speaq.evaluation.metrics import DEPTHS
from speaq.evaluation.prediction_writer import PredictionWriter, merge_predictions
from speaq.training.module import SceneGraphModule


class PredictionFiles(L.Callback):
    """Writes the predictions on every data set to a file, ``folder/<data set><suffix>.h5``.

    The best relations of an image are kept, as many as the metrics use, times the predicates per query.

    Args:
        folder: folder of the files.
        suffix: of their names.

    Attributes:
        written: the files of the last evaluation.
    """

    def __init__(self, *, folder: Path, suffix: str = ""):
        self.folder, self.suffix = folder, suffix
        self.written: list[Path] = []
        self._open = ExitStack()
        self._writers: list[PredictionWriter] = []

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Open the files of this rank."""
        module: SceneGraphModule = pl_module
        names = module.evaluation.dataset_names
        self.written = [self.folder / f"{name}{self.suffix}.h5" for name in names]
        self._writers = [
            self._open.enter_context(
                PredictionWriter(
                    _part(file, trainer.global_rank),
                    vocabulary=module.model.vocabulary,
                    dataset=name,
                    predicate_counts=module.model.config.predicate_counts or None,
                    mode=module.config.test.mode,
                    max_relations=max(DEPTHS) * module.config.test.num_rel,
                )
            )
            for file, name in zip(self.written, names, strict=True)
        ]

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the predictions of a batch."""
        for graph, annotation in outputs["predictions"]:
            writer = self._writers[dataloader_idx]
            writer.add(graph, image_id=annotation.image_id, source=annotation.source)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Merge the files of all ranks, with the images in the order of the data set."""
        module: SceneGraphModule = pl_module
        self._open.close()
        trainer.strategy.barrier()
        if not trainer.is_global_zero:
            return
        for file, dataset in zip(self.written, module.evaluation.datasets, strict=True):
            parts = [_part(file, rank) for rank in range(trainer.world_size)]
            merge_predictions(parts, file, image_ids=dataset.dataset.image_ids)
            for part in parts:
                part.unlink()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Remove incomplete files."""
        self._open.__exit__(type(exception), exception, exception.__traceback__)


def _part(file: Path, rank: int) -> Path:
    return file.with_name(f"{file.stem}.rank{rank}.h5")
