"""The LightningDataModule: loaders of training and evaluation batches."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import lightning as L
from torch.utils.data import DataLoader, get_worker_info

from speaq.config import Config
from speaq.data.build import TrainingSet
from speaq.data.collate import collate, collate_by_size
from speaq.data.dataset import EvaluationDataset
from speaq.data.sampling import EvalBatchSampler, TrainBatchSampler
from speaq.structures import Batch
from speaq.training.callbacks.signals import ignore_stop_signals
from speaq.training.module import SceneGraphModule

logger = logging.getLogger("speaq.training")


class SceneGraphData(L.LightningDataModule):
    """Loads training batches, starting from the current step of the Trainer, and evaluation batches.

    Args:
        config: its SOLVER, TEST and DATALOADER sections.
        training: the training data; None for evaluation only.
        evaluation: the data sets to evaluate on.
    """

    def __init__(
        self, *, config: Config, training: TrainingSet | None, evaluation: Sequence[EvaluationDataset]
    ):
        super().__init__()
        self.config = config
        self.training = training
        self.evaluation = evaluation

    def train_dataloader(self) -> DataLoader[Any]:
        """Training batches of this rank, starting with the next step."""
        assert self.training is not None and self.trainer is not None
        self._warn_if_counts_differ()
        sampler = TrainBatchSampler(
            epochs=self.training.epochs,
            mixture=self.training.mixture,
            start_step=self.trainer.global_step,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            micro_batches=self.config.solver.accumulate,
        )
        return self._loader(self.training.dataset, batch_sampler=sampler, collate_fn=collate)

    def _warn_if_counts_differ(self) -> None:
        """Warn if a resumed training has used other numbers of images than its current ratios imply."""
        assert self.training is not None and self.trainer is not None
        step = self.trainer.global_step
        expected = next((counts for counts, _ in self.training.mixture.batches(step)), None) if step else None
        used = cast(SceneGraphModule, self.trainer.lightning_module).samples()
        if expected is not None and expected != list(used.values()):
            logger.warning(
                "the batch size, the sources or their ratios have changed: resuming as if %s images had been "
                "used, but %s were; some images are repeated before others are used",
                ", ".join(f"{number} {name}" for name, number in zip(used, expected, strict=True)),
                ", ".join(f"{number} {name}" for name, number in used.items()),
            )

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """This rank's share of the images of every data set."""
        assert self.trainer is not None
        world = self.trainer.world_size
        loaders = []
        for dataset in self.evaluation:
            sampler = EvalBatchSampler(
                sizes=dataset.output_sizes(),
                batch_size=max(self.config.test.ims_per_batch // world, 1),
                rank=self.trainer.global_rank,
                world_size=world,
            )
            loaders.append(self._loader(dataset, batch_sampler=sampler, collate_fn=collate_by_size))
        return loaders

    def _loader(self, dataset: Any, *, collate_fn: Callable[..., Any], **options: Any) -> DataLoader[Any]:
        assert self.trainer is not None
        return DataLoader(
            dataset,
            collate_fn=partial(_collate_and_share, collate_fn),
            worker_init_fn=ignore_stop_signals,
            num_workers=self.config.dataloader.num_workers,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.config.dataloader.num_workers > 0,
            **options,
        )


def _collate_and_share(collate_fn: Callable[..., Any], samples: Sequence[Any]) -> Any:
    """Collate the samples; in a worker, to shared memory.

    Otherwise a thread of the worker would do that later, and where the shared memory is too small, the batch
    would be lost and the training would wait for it.
    """
    batch = collate_fn(samples)
    if get_worker_info() is not None:
        for part in [batch] if isinstance(batch, Batch) else batch:
            part.share_memory()
    return batch
