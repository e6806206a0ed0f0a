"""One training or evaluation run: devices, data, model, engine."""

import dataclasses
import logging
import os
import random
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from speaq.checkpoints.weights import (
    CONFIG_FILE,
    find_checkpoint,
    is_pretrained,
    load_initial_weights,
    load_matching,
)
from speaq.config import Config, log_without_effect
from speaq.data.build import (
    TrainingStatistics,
    build_mixture,
    build_statistics,
    build_training_set,
    load_statistics,
)
from speaq.data.mixing import Mixture
from speaq.data.sources import DataSource, load_training_sources
from speaq.errors import SpeaqError
from speaq.evaluation.build import build_metrics
from speaq.evaluation.sets import EvaluationSets, load_evaluation_sets
from speaq.inference.build import build_postprocessor
from speaq.losses.build import build_criterion
from speaq.losses.criterion import Criterion
from speaq.model.build import model_config
from speaq.model.config import ModelConfig
from speaq.model.speaq import parameter_count
from speaq.pretrained import Speaq
from speaq.structures import Vocabulary
from speaq.training.checkpoints import Checkpoints, FolderCheckpoint, newest_checkpoint, read_state
from speaq.training.cluster import Cluster
from speaq.training.data_module import SceneGraphData
from speaq.training.evaluation_log import EvaluationLog
from speaq.training.logs import TrainingLog, TrainingProgress, build_loggers, log_to
from speaq.training.module import SceneGraphModule
from speaq.training.prediction_files import PredictionFiles

logger = logging.getLogger("speaq.training")


def train(config: Config, *, cluster: Cluster | None = None, resume: bool = False) -> list[dict[str, Any]]:
    """Train a model as configured, evaluate it, and leave everything in OUTPUT_DIR.

    Args:
        config: what to do.
        cluster: where to compute.
        resume: continue from the newest checkpoint in OUTPUT_DIR, if there is one; else start from
            MODEL.WEIGHTS.

    Returns:
        The results of the last evaluation, in the order of `EvaluationSets.names`.

    Raises:
        SpeaqError: the configuration, the data or a checkpoint cannot be used, or the loss stays non-finite.
    """
    cluster = cluster or Cluster()
    output_dir = Path(config.output_dir)
    resume_from = newest_checkpoint(output_dir)
    if resume_from is not None and not resume:
        raise SpeaqError(
            f"{resume_from}: OUTPUT_DIR holds the checkpoints of another training, and they would be mixed. "
            f"Go on from there with --resume, name another OUTPUT_DIR, or delete {resume_from.parent}"
        )
    config = config.model_copy(update={"seed": _choose_seed(config, cluster, resume_from)})
    callbacks = [
        TrainingLog(folder=output_dir, period=config.solver.log_period, max_iter=config.solver.max_iter),
        EvaluationLog(output_dir=output_dir),
        Checkpoints(
            output_dir=output_dir, period=config.solver.checkpoint_period, keep=config.solver.max_to_keep
        ),
        TrainingProgress(max_iter=config.solver.max_iter),
    ]
    trainer = _build_trainer(config, cluster, callbacks, loggers=build_loggers(config))
    _start(config, trainer)
    if trainer.is_global_zero:
        config.save(output_dir / "config.yaml")
    torch.manual_seed(config.seed)

    sources = load_training_sources(config)
    mixture = build_mixture(sources, config.solver)
    statistics = build_statistics(sources, mixture, of=config.datasets.multi_dataset.statistics)
    model = Speaq(model_config(config, sources[0].dataset.vocabulary, statistics.predicate_counts))
    if resume_from is None:
        load_initial_weights(model, config)
    else:
        _check_same_model(model, resume_from)
        logger.info("continuing from %s", resume_from)
    names = [source.name for source in sources]
    criterion = build_criterion(config, model.config, statistics.predicate_counts, source_names=names)
    _log_sources(sources, mixture)
    total = parameter_count(model.parameters())
    trained = parameter_count(parameter for parameter in model.parameters() if parameter.requires_grad)
    logger.info(f"{total:,} parameters, {trained:,} of them trained")
    training = build_training_set(sources, mixture, input_settings=config.input, seed=config.seed)
    evaluation = load_evaluation_sets(config, model.vocabulary)
    module = _build_module(config, model, criterion, evaluation, statistics)
    data = SceneGraphData(config=config, training=training, evaluation=evaluation.datasets)
    with _interruptible(trainer):
        trainer.fit(module, data, ckpt_path=resume_from, weights_only=True)
        if evaluation.datasets and module.evaluated_at != trainer.global_step:
            trainer.validate(module, data, verbose=False)
    if trainer.is_global_zero:
        logger.info(
            "Done. Everything is in %s; the model to use is %s", output_dir, find_checkpoint(output_dir)
        )
    return module.results


@dataclasses.dataclass(frozen=True, slots=True)
class EvaluationRun:
    """What an evaluation leaves in memory.

    Attributes:
        module: with its metrics and results.
        source: the folder or file that the model is from.
        prediction_files: the saved predictions, one file per data set; empty where they were not asked for.
        is_main: whether this process is the one that writes files.
    """

    module: SceneGraphModule
    source: Path
    prediction_files: list[Path]
    is_main: bool


def evaluate(
    config: Config, *, cluster: Cluster | None = None, resume: bool = False, save_predictions: bool = False
) -> EvaluationRun:
    """Evaluate a model on DATASETS.TEST, and leave the results in OUTPUT_DIR.

    Args:
        config: what to do.
        cluster: where to compute.
        resume: take the newest checkpoint in OUTPUT_DIR, if there is one; else MODEL.WEIGHTS.
        save_predictions: also write the predictions to predictions/<data set>.h5.

    Returns:
        The run; ``run.module.results`` holds the results in the order of `EvaluationSets.names`.

    Raises:
        SpeaqError: there is no model, or the configuration or the data cannot be used.
    """
    output_dir = Path(config.output_dir)
    callbacks: list[L.Callback] = [EvaluationLog(output_dir=output_dir), TrainingProgress(max_iter=0)]
    files = PredictionFiles(folder=output_dir / "predictions")
    trainer = _build_trainer(config, cluster or Cluster(), callbacks + [files] * save_predictions, loggers=[])
    _start(config, trainer)
    evaluation = load_evaluation_sets(config, None)
    if evaluation.vocabulary is None:
        raise SpeaqError("DATASETS.TEST is empty: name a data set to evaluate on, such as ('VG_test',)")
    source = _find_model(config, resume=resume)
    model = _trained_model(config, source, evaluation.vocabulary)
    module = _build_module(config, model, None, evaluation, load_statistics(config))
    data = SceneGraphData(config=config, training=None, evaluation=evaluation.datasets)
    with _interruptible(trainer):
        trainer.validate(module, data, verbose=False)
    return EvaluationRun(module, source, files.written if save_predictions else [], trainer.is_global_zero)


def _build_trainer(
    config: Config, cluster: Cluster, callbacks: Sequence[L.Callback], *, loggers: list[Logger]
) -> L.Trainer:
    solver = config.solver
    options = cluster.trainer_options(config)
    precision = "32-true"
    if solver.amp.enabled and options["accelerator"] == "gpu":
        precision = "16-mixed" if solver.amp.precision == "fp16" else "bf16-mixed"
    period = config.test.eval_period or solver.max_iter + 1
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # more workers than cores
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


def _start(config: Config, trainer: L.Trainer) -> None:
    """Logs and numerics, once the engine knows this process's rank."""
    log_to(Path(config.output_dir), trainer.global_rank)
    if config.float32_precision:
        torch.set_float32_matmul_precision(config.float32_precision)
    if trainer.is_global_zero:
        log_without_effect(config)


@contextmanager
def _interruptible(trainer: L.Trainer) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a run as they end any program, after a word on how to go on.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        SystemExit: 128 + 15 after SIGTERM, which the engine answers at the end of a step.
    """
    try:
        yield
    except (SystemExit, RuntimeError) as stop:
        # The engine itself would end with 0 after SIGTERM and with 1 after Ctrl-C. Where SIGTERM reached the
        # processes of the data loader too, their end is noticed first, as a RuntimeError.
        terminated = isinstance(stop, SIGTERMException) or trainer.received_sigterm
        if not terminated and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        newest = newest_checkpoint(Path(trainer.default_root_dir))
        logger.warning("interrupted%s", f"; --resume goes on from {newest}" if newest else "")
        if terminated:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise KeyboardInterrupt from None


def _choose_seed(config: Config, cluster: Cluster, resume_from: Path | None) -> int:
    """SEED, or the seed of the training that is continued, or a new one that all processes share."""
    if config.seed >= 0:
        return config.seed
    if resume_from is not None:
        return int(read_state(resume_from)["seed"])
    if cluster.num_machines > 1:
        return 0  # machines cannot agree on a number before they have met
    # The other processes of this machine are started by this one and inherit its environment.
    return int(os.environ.setdefault("SPEAQ_SEED", str(random.randrange(2**31))))


def _log_sources(sources: Sequence[DataSource], mixture: Mixture) -> None:
    """What is trained on, and how much of it."""
    for source, share in zip(sources, mixture.shares().tolist(), strict=True):
        drawn = round(share * mixture.batch_size * mixture.num_steps)
        part = f" ({share:.1%}), loss weight {source.share.loss_weight:g}" * (len(sources) > 1)
        logger.info(f"{source.name}: {len(source.dataset):,} images; {drawn:,} are drawn in all{part}")


def _build_module(
    config: Config,
    model: Speaq,
    criterion: Criterion | None,
    evaluation: EvaluationSets,
    statistics: TrainingStatistics | None,
) -> SceneGraphModule:
    return SceneGraphModule(
        model=model,
        criterion=criterion,
        config=config,
        postprocess=build_postprocessor(config, model.vocabulary),
        evaluation=evaluation,
        metrics=[
            build_metrics(config, model.vocabulary, model.config.predicate_counts or None, statistics)
            for _ in evaluation.names
        ],
    )


def _find_model(config: Config, *, resume: bool) -> Path:
    """The model to evaluate: of OUTPUT_DIR with ``resume``, else MODEL.WEIGHTS."""
    output_dir = Path(config.output_dir)
    if resume:
        found = newest_checkpoint(output_dir) or (output_dir if is_pretrained(output_dir) else None)
        if found is not None:
            return found
    if not config.model.weights:
        raise SpeaqError(
            f"{output_dir}: there is no checkpoint to evaluate; give the folder of a training as OUTPUT_DIR "
            "with --resume, or a checkpoint as MODEL.WEIGHTS"
        )
    return Path(config.model.weights)


def _trained_model(config: Config, source: Path, vocabulary: Vocabulary) -> Speaq:
    """The model in a folder, or in a file of weights, which must have the classes of the data."""
    logger.info("evaluating %s", source)
    if source.is_file():
        counts = np.zeros(0, dtype=np.int64)
        model = Speaq(model_config(config, vocabulary, counts))
        report = load_matching(model, source)
        if report.missing or report.mismatched:
            raise SpeaqError(f"{source}: does not fill the model that the configuration describes: {report}")
        return model.eval()
    model = Speaq.from_pretrained(source)
    differences = model.vocabulary.differences(vocabulary)
    if differences:
        raise SpeaqError(
            f"{source}: the model was trained on other classes than those of the data set: "
            f"{'; '.join(differences)}. Evaluate it on the classes it was trained on"
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
            f"{checkpoint}: the training to continue had another model; different: {', '.join(changed)}. Use "
            "its config.yaml, or another OUTPUT_DIR"
        )
