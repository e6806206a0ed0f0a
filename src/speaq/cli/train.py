"""``speaq train`` and ``speaq evaluate``."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from speaq.errors import SpeaqError


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
        eval_only: only evaluate: with --resume the newest checkpoint in OUTPUT_DIR, otherwise MODEL.WEIGHTS.
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
    predictions: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    data: Path | None = None,
    box_scale: Literal["auto", "1", "1000", "pixels"] = "auto",
    adjust: float | None = None,
    frequency_bias: float | None = None,
    convention: Literal["speaq", "scene-graph-benchmark"] | None = None,
    num_gpus: int | None = None,
    dist_url: str = "",
) -> None:
    """Evaluate a model on DATASETS.TEST, or score saved predictions without a model.

    Writes results.json, and with --report also predictions/DATASET.h5 and report.html, to the folder of the
    training run, or to OUTPUT_DIR if OUTPUT_DIR or --config-file is given. With a TEST.MODE other than sgdet,
    file names have the task in them, such as results_predcls.json. With --predictions, files are written
    beside the first file, or to OUTPUT_DIR if that is given.

    Args:
        model: folder of a saved model, or output folder of a training run, whose best model is used.
        overrides: KEY VALUE pairs that override the configuration file, such as DATASETS.TEST "('VG_test',)".
        config_file: YAML configuration; by default config.yaml of the training run.
        report: also write the predictions, and a report as one HTML page.
        predictions: files of saved predictions to score instead of a model; several are compared.
        data: with --predictions: folder of the dataset, instead of --config-file.
        box_scale: with --predictions: unit of the boxes of triplets: 1 (0..1), 1000 (0..1000) or pixels;
            auto: found from the coordinates.
        adjust: with --predictions: strength tau of logit adjustment by the predicate frequencies in training.
        frequency_bias: with --predictions: strength alpha of a bias by the predicate frequencies for the two
            classes in training.
        convention: scene-graph-benchmark: compare boxes and average over images as that evaluator does, for
            comparison with published results; the same as TEST.CONVENTION.
        num_gpus: number of GPUs of this machine; 0 for the CPU; by default one GPU if there is any.
        dist_url: port that the processes of several GPUs use.
    """
    from speaq.checkpoints.saved_models import find_model
    from speaq.config import load_config
    from speaq.tools.report.run import evaluate_with_report
    from speaq.training import launch

    if convention is not None:
        overrides = (*overrides, "TEST.CONVENTION", convention)
    if predictions is not None:
        files, after = _split(predictions)
        pairs = [*after, *([] if model is None else [str(model)]), *overrides]
        options: dict[str, Any] = {"adjustment": adjust, "frequency_bias": frequency_bias}
        _rescore(files, pairs, config_file, data, report=report, box_scale=box_scale, **options)
        return
    if data is not None or box_scale != "auto" or adjust is not None or frequency_bias is not None:
        raise SpeaqError("--data, --box-scale, --adjust and --frequency-bias belong to --predictions FILE")
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


def _split(items: list[str]) -> tuple[list[Path], list[str]]:
    """The files at the start of the values of --predictions, and the KEY VALUE pairs behind them."""
    from speaq.config.schema import key_defaults

    sections = {key.partition(".")[0] for key in key_defaults()}
    keys = (i for i, item in enumerate(items) if re.split("[.=]", item)[0] in sections)
    count = next((i for i in keys if not Path(items[i]).is_file()), len(items))
    if not count:
        raise SpeaqError("--predictions: expected one or more files of saved predictions, found none")
    return [Path(item) for item in items[:count]], items[count:]


def _rescore(
    files: list[Path],
    pairs: list[str],
    config_file: Path | None,
    data: Path | None,
    *,
    report: bool,
    **options: Any,
) -> None:
    """Score files of predictions on the dataset of a configuration or in a folder."""
    from speaq.config import load_config
    from speaq.tools.data_check.sources import find_sources
    from speaq.tools.report.rescore import rescore

    if data is None:
        config = load_config(_config_file(config_file, files[0].parent.parent), pairs)
    else:
        section = find_sources([str(data)], None, {})[0].section
        fields = (
            "parquet",
            "images",
            "image_data",
            "mapping_dictionary",
            "vg_attribute_h5",
            "filter_non_overlap",
        )
        named = ["DATASETS.TRAIN", "('VG_train',)", "DATASETS.TEST", "('VG_test',)"]
        for field in fields:
            named += [f"DATASETS.VISUAL_GENOME.{field.upper()}", str(getattr(section, field))]
        config = load_config(config_file, [*named, *pairs])
    given = any(item.partition("=")[0] == "OUTPUT_DIR" for item in pairs)
    folder = Path(config.output_dir) if given else None
    rescore(config, files, folder=folder, report=report, **options)


def _config_file(given: Path | None, folder: Path) -> Path:
    """The given configuration file, or that of the training run in a folder."""
    file = given or folder / "config.yaml"
    if not file.is_file():
        raise SpeaqError(
            f"{file}: no such file; give the configuration of the data to evaluate on with --config-file"
        )
    return file
