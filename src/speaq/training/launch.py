"""`train` and `evaluate`: a run from the configuration to the results."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from speaq.checkpoints.saved_models import CONFIG_FILE, find_model, is_saved_model
from speaq.checkpoints.weights import load_initial_weights, load_matching
from speaq.config import Config
from speaq.data.build import (
    TrainingStatistics,
    build_mixture,
    build_statistics,
    build_training_set,
    load_statistics,
)
from speaq.data.mixing import Mixture
from speaq.data.sources import DataSource, load_training_sources
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError, first_names
from speaq.evaluation.build import EvaluationSets, build_metrics, load_evaluation_sets
from speaq.inference.build import build_postprocessor
from speaq.losses.build import build_criterion
from speaq.losses.criterion import Criterion
from speaq.model.build import model_config
from speaq.model.config import ModelConfig
from speaq.model.speaq import parameter_count
from speaq.pretrained import Speaq
from speaq.structures import Vocabulary
from speaq.training.callbacks.averaging import WeightAveraging
from speaq.training.callbacks.checkpoints import Checkpoints
from speaq.training.callbacks.early_stopping import EarlyStopping
from speaq.training.callbacks.evaluation_log import EvaluationLog
from speaq.training.callbacks.prediction_files import PredictionFiles
from speaq.training.callbacks.progress import TrainingProgress
from speaq.training.callbacks.signals import StopSignals
from speaq.training.callbacks.training_log import TrainingLog
from speaq.training.checkpoints import (
    find_checkpoint,
    newest_checkpoint,
    published_checkpoint,
    remove_unfinished,
)
from speaq.training.cluster import Cluster
from speaq.training.data_module import SceneGraphData
from speaq.training.failures import explained
from speaq.training.logs import set_up_logging, start_loggers
from speaq.training.module import SceneGraphModule
from speaq.training.output_lock import locked
from speaq.training.trainer import build_trainer, choose_seed

logger = logging.getLogger("speaq.training")

_PROBLEMS = ("of another size than listed", "with an EXIF orientation in doubt", "truncated or damaged")


def train(config: Config, *, cluster: Cluster | None = None, resume: bool = False) -> list[dict[str, Any]]:
    """Train and evaluate a model, and write checkpoints, logs and results to OUTPUT_DIR.

    Args:
        config: the configuration.
        cluster: the devices; one GPU if there is any by default.
        resume: continue from the newest checkpoint in OUTPUT_DIR, if there is one; else start from
            MODEL.WEIGHTS.

    Returns:
        The results of the last evaluation, in the order of `EvaluationSets.names`.

    Raises:
        SpeaqError: the configuration, the data or a checkpoint cannot be used, or the loss is not finite.
    """
    cluster = cluster or Cluster()
    output_dir = Path(config.output_dir)
    _check_output(output_dir, resume=resume)
    trainer = build_trainer(config, cluster, _callbacks(config))
    with locked(output_dir) if trainer.is_global_zero else nullcontext(), explained(trainer):
        set_up_logging(config, trainer)
        if trainer.is_global_zero:
            remove_unfinished(output_dir)
        resume_from = find_checkpoint(output_dir) if resume else None
        config = config.model_copy(update={"seed": choose_seed(config, cluster, resume_from)})
        module = _fit(config, trainer, resume_from)
        if trainer.is_global_zero:
            logger.info("Done. All files are in %s; use the model in %s", output_dir, find_model(output_dir))
        return module.results


def _callbacks(config: Config) -> list[L.Callback]:
    """The callbacks of a training, in the order in which they run."""
    output_dir, solver, stopping = Path(config.output_dir), config.solver, config.test.early_stopping
    checkpoints = Checkpoints(
        output_dir=output_dir,
        period=solver.checkpoint_period,
        keep=solver.max_to_keep,
        with_evaluation=stopping.patience > 0,
    )
    callbacks: list[L.Callback] = []
    if solver.ema.enabled:
        callbacks.append(WeightAveraging(solver.ema))
    if stopping.patience:
        callbacks.append(EarlyStopping(stopping))
    return [
        *callbacks,
        TrainingLog(folder=output_dir, period=solver.log_period, max_iter=solver.max_iter),
        checkpoints,
        EvaluationLog(output_dir=output_dir),  # after the best model is saved
        TrainingProgress(max_iter=solver.max_iter),
        StopSignals(checkpoints),
    ]


def _fit(config: Config, trainer: L.Trainer, resume_from: Path | None) -> SceneGraphModule:
    """Build data, model and losses, train, evaluate at the end, and return the trained module."""
    if trainer.is_global_zero:
        config.save(Path(config.output_dir) / "config.yaml")
    trainer.loggers = start_loggers(config)
    torch.manual_seed(config.seed)
    sources = load_training_sources(config)
    mixture = build_mixture(sources, config.solver)
    statistics = build_statistics(sources, mixture, of=config.datasets.multi_dataset.statistics)
    vocabulary = sources[0].dataset.vocabulary
    evaluation = load_evaluation_sets(config, vocabulary)
    datasets = [source.dataset for source in sources] + [each.dataset for each in evaluation.datasets]
    _check_images(datasets)
    model = Speaq(model_config(config, vocabulary, statistics.predicate_counts))
    model.set_gradient_checkpointing(config.solver.gradient_checkpointing)
    if resume_from is None:
        load_initial_weights(model, config)
    else:
        _check_same_model(model, resume_from)
        logger.info("resuming from %s", resume_from)
    names = [source.name for source in sources]
    criterion = build_criterion(config, model.config, statistics.predicate_counts, source_names=names)
    _log_start(sources, mixture, model)
    training = build_training_set(sources, mixture, input_settings=config.input, seed=config.seed)
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    averaging = next((each for each in callbacks if isinstance(each, WeightAveraging)), None)
    module = _build_module(config, model, criterion, evaluation, statistics, averaging)
    data = SceneGraphData(config=config, training=training, evaluation=evaluation.datasets)
    trainer.fit(module, data, ckpt_path=resume_from, weights_only=True)
    if evaluation.datasets and module.evaluated_at != trainer.global_step:
        trainer.validate(module, data, verbose=False)
    _log_problems(datasets, trainer)
    return module


def _check_images(datasets: Sequence[VisualGenome]) -> None:
    """Look for the image files, and have the data sets warn of each problem of images once."""
    for dataset in datasets:
        dataset.warned = datasets[0].warned
        dataset.check_images()


def _check_ids(evaluation: EvaluationSets) -> None:
    """Find out whether predictions can be saved under the ids of their images.

    Raises:
        SpeaqError: an id occurs more than once in a data set.
    """
    for name, each in zip(evaluation.dataset_names, evaluation.datasets, strict=True):
        repeated = [image_id for image_id, count in Counter(each.dataset.image_ids).items() if count > 1]
        if repeated:
            raise SpeaqError(
                f"{name}: {len(repeated):,} image ids occur more than once ({first_names(repeated)}), and "
                "predictions are saved by id. 'speaq data check' lists the images and writes a repaired copy "
                "(--fix); without --report the data set can be evaluated as it is"
            )


def _log_problems(datasets: Sequence[VisualGenome], trainer: L.Trainer) -> None:
    """Log how many images were read in spite of a problem, by all processes, and the first of each kind."""
    reduced = [
        trainer.strategy.reduce(
            dataset.problems.to(trainer.strategy.root_device, torch.uint8), reduce_op="max"
        ).bool()
        for dataset in datasets
    ]
    described = []
    for number, what in enumerate(_PROBLEMS):
        found = [
            (dataset.image_id(int(problems[number].int().argmax())), int(problems[number].sum()))
            for dataset, problems in zip(datasets, reduced, strict=True)
            if problems[number].any()
        ]
        if found:
            described.append(f"{sum(count for _, count in found)} {what} (first image {found[0][0]})")
    if described:
        logger.warning("images were read in spite of problems: %s", ", ".join(described))


@dataclasses.dataclass(frozen=True, slots=True)
class EvaluationRun:
    """A finished evaluation.

    Attributes:
        module: the Lightning module, with metrics and results.
        source: the folder or file of the model.
        prediction_files: the saved predictions, one file per data set; empty if they were not saved.
        suffix: of the names of the files of the evaluation.
    """

    module: SceneGraphModule
    source: Path
    prediction_files: list[Path]
    suffix: str


def evaluate(
    config: Config, *, cluster: Cluster | None = None, resume: bool = False, save_predictions: bool = False
) -> EvaluationRun:
    """Evaluate a model on DATASETS.TEST, and write the results to OUTPUT_DIR.

    With a TEST.MODE other than sgdet, it is in the names of the files: ``results_predcls.json``.

    Args:
        config: the configuration.
        cluster: the devices; one GPU if there is any by default.
        resume: use the newest checkpoint in OUTPUT_DIR, also one of the published code, if there is one; else
            MODEL.WEIGHTS.
        save_predictions: also write the predictions to predictions/<data set>.h5.

    Returns:
        The run; ``run.module.results`` contains the results in the order of `EvaluationSets.names`.

    Raises:
        SpeaqError: there is no model, or the configuration or the data cannot be used.
    """
    output_dir = Path(config.output_dir)
    suffix = "" if config.test.mode == "sgdet" else f"_{config.test.mode}"
    callbacks: list[L.Callback] = [
        EvaluationLog(output_dir=output_dir, suffix=suffix),
        TrainingProgress(max_iter=0),
        StopSignals(None),
    ]
    files = PredictionFiles(folder=output_dir / "predictions", suffix=suffix)
    trainer = build_trainer(config, cluster or Cluster(), callbacks + [files] * save_predictions)
    with explained(trainer):
        set_up_logging(config, trainer)
        evaluation = load_evaluation_sets(config, None)
        if evaluation.vocabulary is None:
            raise SpeaqError("DATASETS.TEST is empty: name a data set to evaluate on, such as ('VG_test',)")
        datasets = [each.dataset for each in evaluation.datasets]
        _check_images(datasets)
        if save_predictions:
            _check_ids(evaluation)
        source = _find_source(config, resume=resume)
        logger.info("evaluating %s", source)
        model = _load_model(config, source, evaluation.vocabulary)
        module = _build_module(config, model, None, evaluation, load_statistics(config))
        data = SceneGraphData(config=config, training=None, evaluation=evaluation.datasets)
        trainer.validate(module, data, verbose=False)
        _log_problems(datasets, trainer)
    return EvaluationRun(module, source, files.written, suffix)


def _check_output(output_dir: Path, *, resume: bool) -> None:
    """Refuse an OUTPUT_DIR with the files of a training that is not resumed.

    Raises:
        SpeaqError: there are checkpoints of another training.
    """
    newest, published = newest_checkpoint(output_dir), published_checkpoint(output_dir)
    if newest is not None and not resume:
        raise SpeaqError(
            f"{newest}: OUTPUT_DIR contains the checkpoints of another training. Continue that training "
            f"with --resume, use another OUTPUT_DIR, or delete {newest.parent}"
        )
    if newest is None and published is not None:
        raise SpeaqError(
            f"{published}: OUTPUT_DIR contains the log and the checkpoints of a training with the published "
            "code, which cannot be resumed. Use another OUTPUT_DIR; MODEL.WEIGHTS "
            f"{published} starts from its weights"
        )


def _log_start(sources: Sequence[DataSource], mixture: Mixture, model: Speaq) -> None:
    """Log the training data and the number of parameters."""
    for source, share in zip(sources, mixture.shares().tolist(), strict=True):
        drawn = round(share * mixture.batch_size * mixture.num_steps)
        part = f" ({share:.1%}), loss weight {source.share.loss_weight:g}" * (len(sources) > 1)
        logger.info(f"{source.name}: {len(source.dataset):,} images; {drawn:,} samples in total{part}")
    total = parameter_count(model.parameters())
    trained = parameter_count(parameter for parameter in model.parameters() if parameter.requires_grad)
    logger.info(f"{total:,} parameters, {trained:,} of them trained")


def _build_module(
    config: Config,
    model: Speaq,
    criterion: Criterion | None,
    evaluation: EvaluationSets,
    statistics: TrainingStatistics | None,
    averaging: WeightAveraging | None = None,
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
        averaging=averaging,
    )


def _find_source(config: Config, *, resume: bool) -> Path:
    """The model to evaluate: that of OUTPUT_DIR with ``resume``, else MODEL.WEIGHTS."""
    output_dir = Path(config.output_dir)
    if resume:
        saved = output_dir if is_saved_model(output_dir) else published_checkpoint(output_dir)
        found = find_checkpoint(output_dir) or saved
        if found is not None:
            return found
    if not config.model.weights:
        raise SpeaqError(
            f"{output_dir}: there is no checkpoint to evaluate; give the folder of a training as OUTPUT_DIR "
            "with --resume, or a checkpoint as MODEL.WEIGHTS"
        )
    return Path(config.model.weights)


def _load_model(config: Config, source: Path, vocabulary: Vocabulary) -> Speaq:
    """The model in a folder or in a file of weights, for the classes of the data."""
    if source.is_file():
        model = Speaq(model_config(config, vocabulary, np.zeros(0, dtype=np.int64)))
        report = load_matching(model, source)
        if report.missing or report.mismatched or report.partial:
            raise SpeaqError(f"{source}: does not match the model of the configuration: {report}")
        return model.eval()
    model = Speaq.from_pretrained(source)
    differences = model.vocabulary.differences(vocabulary)
    if differences:
        raise SpeaqError(
            f"{source}: expected a dataset with the classes of the model, found differences: "
            f"{'; '.join(differences)}. Evaluate it on the classes it was trained on"
        )
    return model


def _check_same_model(model: Speaq, checkpoint: Path) -> None:
    """Refuse to resume with another architecture or other classes.

    Raises:
        SpeaqError: they differ.
    """
    saved = ModelConfig.from_json(checkpoint / CONFIG_FILE)
    names = {item.name for item in dataclasses.fields(ModelConfig)}
    names -= {"predicate_counts", "min_size", "max_size", "nms_threshold", "dropout", "freeze_at"}
    changed = sorted(name for name in names if getattr(saved, name) != getattr(model.config, name))
    if changed:
        raise SpeaqError(
            f"{checkpoint}: the training to resume had another model; different: {', '.join(changed)}. Use "
            "its config.yaml, or another OUTPUT_DIR"
        )
