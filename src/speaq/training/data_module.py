"""Loaders of training and evaluation batches for the training engine."""

import logging
from collections.abc import Sequence
from typing import Any, cast

import lightning as L
from torch.utils.data import DataLoader

from speaq.config import Config
from speaq.data.build import TrainingSet
from speaq.data.collate import collate, collate_by_size
from speaq.data.dataset import EvaluationDataset
from speaq.data.sampling import EvalBatchSampler, TrainBatchSampler
from speaq.training.module import SceneGraphModule

logger = logging.getLogger("speaq.training")


class SceneGraphData(L.LightningDataModule):
    """Training batches from the step that the trainer has reached, and evaluation batches.

    Args:
        config: its SOLVER, TEST and DATALOADER sections.
        training: what to train on; None where only evaluation is wanted.
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
        """This rank's batches, from the next step on."""
        assert self.training is not None and self.trainer is not None
        self._compare_with_what_was_drawn()
        sampler = TrainBatchSampler(
            epochs=self.training.epochs,
            mixture=self.training.mixture,
            start_step=self.trainer.global_step,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            micro_batches=self.config.solver.accumulate,
        )
        return self._loader(self.training.dataset, batch_sampler=sampler, collate_fn=collate)

    def _compare_with_what_was_drawn(self) -> None:
        """Say so where a resumed training draws its sources otherwise than before."""
        assert self.training is not None and self.trainer is not None
        step = self.trainer.global_step
        before = next((before for before, _ in self.training.mixture.batches(step)), None) if step else None
        seen = cast(SceneGraphModule, self.trainer.lightning_module).samples()
        if before is not None and before != list(seen.values()):
            planned = ", ".join(f"{number} {name}" for name, number in zip(seen, before, strict=True))
            drawn = ", ".join(f"{number} {name}" for name, number in seen.items())
            logger.warning(
                "the batch size, the sources or their ratios are others than before: going on as if %s "
                "images had been drawn, but they were %s; some images come again before others",
                planned,
                drawn,
            )

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """This rank's share of every data set; each image once over all ranks."""
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

    def _loader(self, dataset: Any, **options: Any) -> DataLoader[Any]:
        assert self.trainer is not None
        return DataLoader(
            dataset,
            num_workers=self.config.dataloader.num_workers,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.config.dataloader.num_workers > 0,
            **options,
        )
