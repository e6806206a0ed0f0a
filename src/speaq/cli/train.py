"""``speaq train`` and ``speaq evaluate``."""

from pathlib import Path


def train(
    *overrides: str,
    config_file: Path | None = None,
    resume: bool = False,
    eval_only: bool = False,
    num_gpus: int | None = None,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "",
) -> None:
    """Train and evaluate a model, and write checkpoints, logs and results to OUTPUT_DIR.

    Args:
        overrides: KEY VALUE pairs that override the configuration file, such as SOLVER.IMS_PER_BATCH 20.
        config_file: YAML configuration.
        resume: continue from the newest checkpoint in OUTPUT_DIR, if there is one.
        eval_only: only evaluate: with --resume the newest checkpoint in OUTPUT_DIR, else MODEL.WEIGHTS.
        num_gpus: number of GPUs of this machine; 0 for the CPU; by default one GPU if there is any.
        num_machines: number of machines that run this command.
        machine_rank: rank of this machine, from 0.
        dist_url: address of rank 0: a port, or tcp://HOST:PORT for several machines.
    """
    from speaq.config import load_config
    from speaq.training import launch

    config = load_config(config_file, overrides)
    cluster = launch.Cluster(
        num_gpus=num_gpus, num_machines=num_machines, machine_rank=machine_rank, dist_url=dist_url
    )
    if eval_only:
        launch.evaluate(config, cluster=cluster, resume=resume)
    else:
        launch.train(config, cluster=cluster, resume=resume)


def evaluate(
    model: Path | None = None,
    *overrides: str,
    config_file: Path | None = None,
    report: bool = False,
    predictions: Path | None = None,
    num_gpus: int | None = None,
    dist_url: str = "",
) -> None:
    """Evaluate a model on DATASETS.TEST, or score saved predictions without a model.

    Writes results.json, and with --report also predictions/<data set>.h5 and report.html, to the folder of
    the training, or to OUTPUT_DIR if it or a configuration file is given. The report on saved predictions is
    written to their folder.

    Args:
        model: folder of a saved model, or output folder of a training, of which the best model is used.
        overrides: KEY VALUE pairs that override the configuration file, such as DATASETS.TEST "('VG_test',)".
        config_file: YAML configuration; by default config.yaml of the training.
        report: write a report on the evaluation as one HTML page.
        predictions: file of saved predictions, to be scored instead of a model.
        num_gpus: number of GPUs of this machine; 0 for the CPU; by default one GPU if there is any.
        dist_url: port that the processes of several GPUs use.
    """
    from speaq.checkpoints.saved_models import find_model
    from speaq.config import load_config
    from speaq.errors import SpeaqError
    from speaq.tools.report.run import evaluate_with_report, rescore
    from speaq.training import launch

    if predictions is not None:
        folder = predictions.parent.parent
        pairs = overrides if model is None else (str(model), *overrides)  # the first argument is a key, too
        config = load_config(_config_file(config_file, folder), pairs)
        rescore(config, predictions, report=predictions.with_suffix(".html") if report else None)
        return
    if model is None:
        raise SpeaqError("nothing to evaluate: give the folder of a model, or --predictions FILE")
    weights = ["MODEL.WEIGHTS", str(find_model(model))]
    # The run may have been copied or moved since its config.yaml was written.
    is_given = config_file is not None or any(item.partition("=")[0] == "OUTPUT_DIR" for item in overrides)
    output = [] if is_given else ["OUTPUT_DIR", str(model)]
    config = load_config(_config_file(config_file, model), [*overrides, *weights, *output])
    cluster = launch.Cluster(num_gpus=num_gpus, dist_url=dist_url)
    start = evaluate_with_report if report else launch.evaluate
    start(config, cluster=cluster)


def _config_file(given: Path | None, folder: Path) -> Path:
    """The given configuration file, or that of the training in a folder."""
    from speaq.errors import SpeaqError

    file = given or folder / "config.yaml"
    if not file.is_file():
        raise SpeaqError(
            f"{file}: no such file; give the configuration of the data to evaluate on with --config-file"
        )
    return file
