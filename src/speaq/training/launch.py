"""One training or evaluation run: devices, data, model, engine."""

import dataclasses
import logging
import os
import random
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from speaq.config import Config, log_without_effect
from speaq.config.data import GenomeSection
from speaq.data.build import (
    build_test_transform,
    build_train_transform,
    build_training_set,
    find_source,
    load_split,
)
from speaq.data.dataset import EvaluationDataset
from speaq.data.statistics import DatasetStatistics
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.report import predicate_table, results_table
from speaq.evaluation.zero_shot import load_zero_shot_triplets
from speaq.losses.criterion import Criterion
from speaq.model.config import ModelConfig
from speaq.model.speaq import Speaq, parameter_count
from speaq.model.weights import CONFIG_FILE, is_pretrained, load_matching
from speaq.structures import Vocabulary
from speaq.training.build import build_criterion, build_model, build_postprocessor, model_config
from speaq.training.checkpoints import Checkpoints, FolderCheckpoint, newest_checkpoint
from speaq.training.data_module import SceneGraphData
from speaq.training.logs import TrainingLog, TrainingProgress, console, log_to, write_figures
from speaq.training.module import SceneGraphModule, log_results, save_results

logger = logging.getLogger("speaq.training")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where a run computes.

    Attributes:
        num_gpus: per machine; 0: the CPU; None: one GPU if there is any.
        num_machines: how many machines run the same command.
        machine_rank: which of them this is, from 0.
        dist_url: where rank 0 is met: ``tcp://host:port``, or a bare port on this machine.
        cpu_processes: ranks on the CPU, where ``num_gpus`` is 0.
    """

    num_gpus: int | None = None
    num_machines: int = 1
    machine_rank: int = 0
    dist_url: str = ""
    cpu_processes: int = 1

    def trainer_options(self, config: Config) -> dict[str, Any]:
        """Accelerator, devices and strategy for the engine; sets the meeting point for several ranks.

        Raises:
            SpeaqError: more GPUs than there are, or no meeting point for several machines.
        """
        num_gpus = self.num_gpus
        available = torch.cuda.device_count()
        if config.model.device == "cpu":
            num_gpus = 0
        elif num_gpus is None:
            num_gpus = min(available, 1)
        if num_gpus > available:
            raise SpeaqError(
                f"--num-gpus {num_gpus}: this machine has {available} CUDA GPU{'s' * (available != 1)}"
                f"{_visible()}. Use --num-gpus {available}{' (the CPU)' * (available == 0)}"
            )
        if not 0 <= self.machine_rank < self.num_machines:
            raise SpeaqError(
                f"--machine-rank {self.machine_rank}: expected 0 to {self.num_machines - 1}, as --num-machines is "
                f"{self.num_machines}"
            )
        self._set_meeting_point()
        devices: int | list[int] = max(num_gpus, 1) if num_gpus else self.cpu_processes
        if num_gpus == 1 and ":" in config.model.device:
            devices = [int(config.model.device.split(":")[1])]
        several = self.num_machines > 1 or (devices if isinstance(devices, int) else 1) > 1
        backend = "nccl" if num_gpus else "gloo"
        return {
            "accelerator": "gpu" if num_gpus else "cpu",
            "devices": devices,
            "num_nodes": self.num_machines,
            # The buffers of frozen norms are constants; those of trained norms are rank 0's in checkpoints.
            "strategy": DDPStrategy(broadcast_buffers=False, process_group_backend=backend)
            if several
            else "auto",
        }

    def _set_meeting_point(self) -> None:
        match = re.fullmatch(r"(?:(?:tcp://)?(?P<host>[^:/]+):)?(?P<port>\d+)", self.dist_url or "auto")
        if self.dist_url and not match and self.dist_url != "auto":
            raise SpeaqError(f"--dist-url {self.dist_url}: expected a port such as 29503, or tcp://HOST:PORT")
        host = match["host"] if match else None
        if self.num_machines > 1 and not host:
            raise SpeaqError(
                f"--num-machines {self.num_machines}: all machines must meet at one of them; "
                "give --dist-url tcp://HOST:PORT with the address of the machine of rank 0"
            )
        if match:
            os.environ.setdefault("MASTER_ADDR", host or "127.0.0.1")
            os.environ.setdefault("MASTER_PORT", match["port"])
        if self.num_machines > 1:
            os.environ.setdefault("NODE_RANK", str(self.machine_rank))


def _visible() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f" (CUDA_VISIBLE_DEVICES is {visible!r})" if visible is not None else ""


def train(config: Config, *, cluster: Cluster | None = None, resume: bool = False) -> list[dict[str, Any]]:
    """Train a model as configured, evaluate it, and leave everything in OUTPUT_DIR.

    Args:
        config: what to do.
        cluster: where to compute.
        resume: continue from the newest checkpoint in OUTPUT_DIR, if there is one; else start from
            MODEL.WEIGHTS.

    Returns:
        The results of the last evaluation, for each data set of DATASETS.TEST.

    Raises:
        SpeaqError: the configuration, the data or a checkpoint cannot be used, or the loss stays non-finite.
    """
    cluster = cluster or Cluster()
    output_dir = Path(config.output_dir)
    resume_from = newest_checkpoint(output_dir) if resume else None
    config = config.model_copy(update={"seed": _choose_seed(config, cluster, resume_from)})
    callbacks = [
        TrainingLog(folder=output_dir, period=config.solver.log_period, max_iter=config.solver.max_iter),
        EvaluationLog(output_dir=output_dir),
        Checkpoints(
            output_dir=output_dir, period=config.solver.checkpoint_period, keep=config.solver.max_to_keep
        ),
        TrainingProgress(max_iter=config.solver.max_iter),
    ]
    trainer = _build_trainer(config, cluster, callbacks, loggers=_build_loggers(config))
    _start(config, trainer)
    if trainer.is_global_zero:
        config.save(output_dir / "config.yaml")
    torch.manual_seed(config.seed)

    genome, section = _training_split(config)
    statistics = DatasetStatistics.of(genome)
    model = build_model(config, genome.vocabulary, statistics.predicate_counts)
    if resume_from is not None:
        _check_same_model(model, resume_from)
        logger.info("continuing from %s", resume_from)
    criterion = build_criterion(config, model, statistics.predicate_counts, source_names=(genome.source,))
    total, trained = (
        parameter_count(p for p in model.parameters() if p.requires_grad or every) for every in (1, 0)
    )
    logger.info(
        "%s images; %s parameters, %s of them trained", f"{len(genome):,}", f"{total:,}", f"{trained:,}"
    )
    training = build_training_set(
        section, genome, transform=build_train_transform(config.input, genome.vocabulary), seed=config.seed
    )
    evaluation = _evaluation_sets(config, model.vocabulary)
    module = _build_module(config, model, criterion, evaluation, statistics)
    data = SceneGraphData(config=config, training=training, evaluation=[dataset for _, dataset in evaluation])
    trainer.fit(module, data, ckpt_path=resume_from, weights_only=True)
    if evaluation and module.evaluated_at != trainer.global_step:
        trainer.validate(module, data, verbose=False)
    return module.results


def evaluate(config: Config, *, cluster: Cluster | None = None, resume: bool = False) -> list[dict[str, Any]]:
    """Evaluate a model on DATASETS.TEST, and leave the results in OUTPUT_DIR.

    Args:
        config: what to do.
        cluster: where to compute.
        resume: take the newest checkpoint in OUTPUT_DIR, if there is one; else MODEL.WEIGHTS.

    Raises:
        SpeaqError: there is no model, or the configuration or the data cannot be used.
    """
    trainer = _build_trainer(
        config,
        cluster or Cluster(),
        [EvaluationLog(output_dir=Path(config.output_dir)), TrainingProgress(max_iter=0)],
        loggers=[],
    )
    _start(config, trainer)
    statistics = None
    if config.datasets.train:
        genome, _ = _training_split(config)
        statistics = DatasetStatistics.of(genome)
    evaluation = _evaluation_sets(config, None)
    if not evaluation:
        raise SpeaqError("DATASETS.TEST is empty: name a data set to evaluate on, such as ('VG_test',)")
    model = _trained_model(config, evaluation[0][1].genome.vocabulary, resume=resume)
    module = _build_module(config, model, None, evaluation, statistics)
    data = SceneGraphData(config=config, training=None, evaluation=[dataset for _, dataset in evaluation])
    trainer.validate(module, data, verbose=False)
    return module.results


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
        for name, results in zip(module.names, module.results, strict=True):
            console.print(results_table(results))
            if in_training:
                prefix = f"{name}/" if len(module.names) > 1 else ""
                figures = {f"{prefix}SG/{key}": value for key, value in results.items() if "@" in key}
                figures |= {f"{prefix}bbox/{key}": results[key] for key in ("AP", "AP50", "AP75")}
                write_figures(self.output_dir, figures | {"iteration": iteration}, trainer.loggers, True)
            else:
                counts = (
                    np.array(module.model.config.predicate_counts)
                    if module.model.config.predicate_counts
                    else None
                )
                console.print(
                    predicate_table(results, module.model.vocabulary.predicates, predicate_counts=counts)
                )


def _build_trainer(
    config: Config, cluster: Cluster, callbacks: Sequence[L.Callback], *, loggers: list[Logger]
) -> L.Trainer:
    solver = config.solver
    options = cluster.trainer_options(config)
    precision = "32-true"
    if solver.amp.enabled:
        precision = (
            "16-mixed" if solver.amp.precision == "fp16" and options["accelerator"] == "gpu" else "bf16-mixed"
        )
    period = config.test.eval_period or solver.max_iter + 1
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
    return L.Trainer(
        **options,
        precision=precision,
        max_steps=solver.max_iter,
        max_epochs=-1,
        accumulate_grad_batches=solver.accumulate,
        val_check_interval=period * solver.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        benchmark=config.cudnn_benchmark,
        callbacks=list(callbacks),
        logger=loggers,
        plugins=[FolderCheckpoint()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=config.output_dir,
    )


def _build_loggers(config: Config) -> list[Logger]:
    loggers: list[Logger] = [TensorBoardLogger(config.output_dir, name="tensorboard", version="")]
    if config.wandb.use_wandb:
        from lightning.pytorch.loggers import WandbLogger

        wandb = config.wandb
        try:
            loggers.append(
                WandbLogger(
                    project=wandb.project,
                    entity=None if wandb.entity == type(wandb)().entity else wandb.entity,
                    name=None if wandb.exp_name == type(wandb)().exp_name else wandb.exp_name,
                    group=wandb.group,
                    save_dir=config.output_dir,
                )
            )
        except ModuleNotFoundError:
            raise SpeaqError(
                "WANDB.USE_WANDB is True, but wandb is not installed: pip install speaq[wandb]"
            ) from None
    return loggers


def _start(config: Config, trainer: L.Trainer) -> None:
    """Logs and numerics, once the engine knows this process's rank."""
    log_to(Path(config.output_dir), trainer.global_rank)
    if config.float32_precision:
        torch.set_float32_matmul_precision(config.float32_precision)
    if trainer.is_global_zero:
        log_without_effect(config)


def _choose_seed(config: Config, cluster: Cluster, resume_from: Path | None) -> int:
    """SEED, or the seed of the training that is continued, or a new one that all processes share."""
    if config.seed >= 0:
        return config.seed
    if resume_from is not None:
        return int(FolderCheckpoint().load_checkpoint(resume_from)["seed"])
    if cluster.num_machines > 1:
        return 0  # machines cannot agree on a number before they have met
    # The other processes of this machine are started by this one and inherit its environment.
    return int(os.environ.setdefault("SPEAQ_SEED", str(random.randrange(2**31))))


def _training_split(config: Config) -> tuple[VisualGenome, GenomeSection]:
    names = config.datasets.train
    if len(names) != 1:
        raise SpeaqError(
            f"DATASETS.TRAIN names {len(names)} data sets ({', '.join(names) or 'none'}); expected one, such as "
            "('VG_train',)"
        )
    return load_split(config, names[0]), find_source(config, names[0]).section


def _evaluation_sets(config: Config, vocabulary: Vocabulary | None) -> list[tuple[str, EvaluationDataset]]:
    """The data sets of DATASETS.TEST, which must have the classes of ``vocabulary``."""
    found = []
    for name in config.datasets.test:
        genome = load_split(config, name)
        if vocabulary is not None and genome.vocabulary != vocabulary:
            raise SpeaqError(
                f"{name} has other classes than the training data: {len(genome.vocabulary.objects)} objects and "
                f"{len(genome.vocabulary.predicates)} predicates for {len(vocabulary.objects)} and "
                f"{len(vocabulary.predicates)}, or other names; use the same MAPPING_DICTIONARY"
            )
        vocabulary = genome.vocabulary
        found.append((name, EvaluationDataset(genome, transform=build_test_transform(config.input))))
    return found


def _build_module(
    config: Config,
    model: Speaq,
    criterion: Criterion | None,
    evaluation: Sequence[tuple[str, EvaluationDataset]],
    statistics: DatasetStatistics | None,
) -> SceneGraphModule:
    vocabulary = model.vocabulary
    counts = np.array(model.config.predicate_counts) if model.config.predicate_counts else None
    zero_shot, seen = _zero_shot(config, vocabulary), None
    if zero_shot is None and statistics is not None:
        seen = statistics.triplets
    metrics = [
        (
            SceneGraphMetrics(
                num_predicates=len(vocabulary.predicates),
                iou_threshold=config.test.relation.iou_threshold,
                zero_shot_triplets=zero_shot,
                seen_triplets=seen,
                predicate_counts=counts,
            ),
            DetectionAP(num_objects=len(vocabulary.objects)),
        )
        for _ in evaluation
    ]
    return SceneGraphModule(
        model=model,
        criterion=criterion,
        config=config,
        postprocess=build_postprocessor(config, vocabulary),
        metrics=metrics,
        names=[name for name, _ in evaluation],
        seed=max(config.seed, 0),
    )


def _zero_shot(config: Config, vocabulary: Vocabulary) -> np.ndarray | None:
    """The published list where it is on disk; None where it is not and was not asked for."""
    head = config.model.roi_scenegraph_head
    path = Path(head.zero_shot_triplets)
    if head.zero_shot_triplets in ("", type(head)().zero_shot_triplets) and not path.is_file():
        return None
    return load_zero_shot_triplets(
        path, num_objects=len(vocabulary.objects), num_predicates=len(vocabulary.predicates)
    )


def _trained_model(config: Config, vocabulary: Vocabulary, *, resume: bool) -> Speaq:
    """The model to evaluate: of OUTPUT_DIR with ``resume``, else MODEL.WEIGHTS."""
    output_dir, weights = Path(config.output_dir), Path(config.model.weights)
    source: Path | None = None
    if resume:
        source = newest_checkpoint(output_dir) or (output_dir if is_pretrained(output_dir) else None)
    if source is None and config.model.weights:
        source = weights
    if source is None:
        raise SpeaqError(
            f"{output_dir}: there is no checkpoint to evaluate; give the folder of a training as OUTPUT_DIR with "
            "--resume, or a checkpoint as MODEL.WEIGHTS"
        )
    logger.info("evaluating %s", source)
    if source.is_file():
        counts = np.zeros(0, dtype=np.int64)
        model = Speaq(model_config(config, vocabulary, counts))
        report = load_matching(model, source)
        if report.missing or report.mismatched:
            raise SpeaqError(f"{source}: does not fill the model that the configuration describes: {report}")
        return model.eval()
    model = Speaq.from_pretrained(source)
    if model.vocabulary != vocabulary:
        raise SpeaqError(
            f"{source}: the model knows {len(model.vocabulary.objects)} objects and "
            f"{len(model.vocabulary.predicates)} predicates, the data set has {len(vocabulary.objects)} and "
            f"{len(vocabulary.predicates)}, or other names; evaluate it on the classes it was trained on"
        )
    return model


def _check_same_model(model: Speaq, checkpoint: Path) -> None:
    """Continuing with another architecture or other classes is a mistake."""
    theirs, ours = ModelConfig.from_json(checkpoint / CONFIG_FILE), model.config
    names = [item.name for item in dataclasses.fields(ModelConfig)]
    free = {"predicate_counts", "min_size", "max_size", "nms_threshold", "dropout", "freeze_at"}
    changed = [name for name in names if name not in free and getattr(theirs, name) != getattr(ours, name)]
    if changed:
        raise SpeaqError(
            f"{checkpoint}: the training to continue had another model; different: {', '.join(changed)}. Use its "
            "config.yaml, another OUTPUT_DIR, or leave out --resume"
        )
