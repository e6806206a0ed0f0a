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
    """Train a model and evaluate it; everything is written to OUTPUT_DIR.

    Args:
        overrides: KEY VALUE pairs that win over the configuration file, such as SOLVER.IMS_PER_BATCH 20.
        config_file: YAML configuration.
        resume: continue from the newest checkpoint in OUTPUT_DIR, if there is one.
        eval_only: evaluate instead: with --resume the newest checkpoint in OUTPUT_DIR, else MODEL.WEIGHTS.
        num_gpus: GPUs of this machine; 0 is the CPU; one if there is any by default.
        num_machines: how many machines run this command.
        machine_rank: which of them this is, from 0.
        dist_url: where the processes meet: a port, or tcp://HOST:PORT for several machines.
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
    """Evaluate a model on DATASETS.TEST, or score saved predictions again without it.

    OUTPUT_DIR gets results.json, and with --report predictions/<data set>.h5 and report.html. The report on
    saved predictions is written beside them.

    Args:
        model: folder of a saved model, or output folder of a training (its best model is taken).
        overrides: KEY VALUE pairs that win over the configuration file, such as DATASETS.TEST "('VG_test',)".
        config_file: YAML configuration; by default the config.yaml of the training.
        report: write everything about the evaluation as one HTML page.
        predictions: a file of saved predictions; no model is needed then.
        num_gpus: GPUs of this machine; 0 is the CPU; one if there is any by default.
        dist_url: where the processes of several GPUs meet: a port.
    """
    from speaq.checkpoints.weights import find_checkpoint
    from speaq.config import load_config
    from speaq.errors import SpeaqError
    from speaq.tools.report.rescore import rescore
    from speaq.tools.report.run import evaluate_with_report
    from speaq.training import launch

    if predictions is not None:
        folder = predictions.parent.parent
        pairs = overrides if model is None else (str(model), *overrides)  # there is no model to name
        config = load_config(_config_file(config_file, folder), pairs)
        rescore(config, predictions, report=predictions.with_suffix(".html") if report else None)
        return
    if model is None:
        raise SpeaqError("evaluate what? Give the folder of a model, or --predictions FILE")
    weights = ["MODEL.WEIGHTS", str(find_checkpoint(model))]
    config = load_config(_config_file(config_file, model), [*overrides, *weights])
    cluster = launch.Cluster(num_gpus=num_gpus, dist_url=dist_url)
    start = evaluate_with_report if report else launch.evaluate
    start(config, cluster=cluster)


def _config_file(given: Path | None, folder: Path) -> Path:
    """The configuration that is given, or that of the training in a folder."""
    from speaq.errors import SpeaqError

    file = given or folder / "config.yaml"
    if not file.is_file():
        raise SpeaqError(f"{file}: no such file; name the data to evaluate on with --config-file")
    return file
