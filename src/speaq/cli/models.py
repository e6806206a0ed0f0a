"""The models of commands that predict."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from speaq.errors import SpeaqError
from speaq.files import expand

if TYPE_CHECKING:
    from speaq.data.build import TrainingStatistics
    from speaq.export.predictor import FilePredictor
    from speaq.inference.pipeline import Predictor
    from speaq.pretrained import Speaq
    from speaq.scene_graph import SceneGraph
    from speaq.structures import Vocabulary

Precision = Literal["float32", "bfloat16"]
Engine = Literal["torch", "onnx", "openvino"]


def default_engine(model: str) -> Engine:
    """The engine for an ONNX file or another model."""
    return "onnx" if _is_onnx(model) else "torch"


def load_predictor(
    model: str, engine: Engine | None, device: str, dtype: Precision, threads: int = 0
) -> "Speaq | FilePredictor":
    """The model in a folder, on the hub or in an ONNX file, computed by this or the default engine.

    ``threads`` are those of onnxruntime or OpenVINO; 0 for the number of cores.
    """
    engine = engine or default_engine(model)
    if engine == "torch":
        from speaq.devices import find_device
        from speaq.pretrained import Speaq

        if _is_onnx(model):
            raise SpeaqError(
                f"{model}: an ONNX file cannot be computed with --engine torch; give the folder of the "
                "model, or --engine onnx or openvino"
            )
        return Speaq.from_pretrained(model, device=find_device(device))
    from speaq.export.predictor import OnnxPredictor, OpenVinoPredictor

    kind = OnnxPredictor if engine == "onnx" else OpenVinoPredictor
    if device != "cpu" or dtype not in kind.dtypes:
        raise SpeaqError(
            f"{model}: an ONNX file is computed on the cpu in {' or '.join(kind.dtypes)}, found "
            f"--device {device} --dtype {dtype}"
        )
    if _is_onnx(model):
        return kind(expand(model), threads=threads)
    from speaq.console import PlainConsole
    from speaq.export.files import exported_file

    with PlainConsole(stderr=True).status("exporting, if not done before (minutes for a large model)"):
        file = exported_file(model)
    return kind(file, threads=threads)


def load_adjusted(
    model: str,
    engine: Engine,
    device: str,
    dtype: Precision,
    *,
    adjust: float | None,
    frequency_bias: float | None,
    config_file: Path | None,
    threads: int = 0,
) -> "Predictor":
    """`load_predictor` with the logit adjustment or the frequency bias that was asked for, if any."""
    network = load_predictor(model, engine, device, dtype, threads)
    if adjust is None and frequency_bias is None:
        return network

    from speaq.evaluation.adjustment import choose_change
    from speaq.export.predictor import FilePredictor

    is_file = isinstance(network, FilePredictor)
    about = network.description if is_file else network.config
    counts, statistics = about.predicate_counts or None, None
    if config_file is not None or frequency_bias is not None or counts is None:
        statistics = _load_statistics(model, about.vocabulary, config_file)
        counts = statistics.predicate_counts
    change = choose_change(
        model,
        adjustment=adjust,
        frequency_bias=frequency_bias,
        predicate_counts=counts,
        statistics=statistics,
        num_rel=(network.description.num_rel or 1) if is_file else 1,
    )
    return network if change is None else _Changed(network, lambda graph: change.apply(graph, change.value))


def _is_onnx(model: str) -> bool:
    return Path(model).suffix.lower() == ".onnx"


class _Changed:
    """Predicts as ``network`` does, with a change of every graph."""

    def __init__(self, network: "Predictor", change: Callable[["SceneGraph"], "SceneGraph"]):
        self.network = network
        self.change = change

    def predict_each(self, images: Any, **options: Any) -> "Iterator[tuple[Any, SceneGraph]]":
        for image, graph in self.network.predict_each(images, **options):
            yield image, self.change(graph)


def _load_statistics(model: str, vocabulary: "Vocabulary", config_file: Path | None) -> "TrainingStatistics":
    """The statistics of the training data in a configuration, by default that of the training.

    Raises:
        SpeaqError: there is no configuration, or its data cannot be read or has other classes.
    """
    from speaq.config import load_config
    from speaq.data.build import load_statistics

    if config_file is None:
        folder = Path(expand(model)).resolve()  # RUN, RUN/best, RUN/model.onnx, RUN/checkpoints/iter_0000400
        files = [each / "config.yaml" for each in (folder, *folder.parents[:2])]
        config_file = next((file for file in files if file.is_file()), None)
    if config_file is None:
        raise SpeaqError(
            f"{model}: the numbers of training relations are not known; give the configuration of the "
            "training data with --config-file"
        )
    statistics = load_statistics(load_config(config_file))
    if statistics is None:
        raise SpeaqError(f"{config_file}: names no training data; set DATASETS.TRAIN")
    differences = vocabulary.differences(statistics.vocabulary)
    if differences:
        raise SpeaqError(
            f"{config_file}: expected training data with the classes of {model}, found differences: "
            f"{'; '.join(differences)}"
        )
    return statistics
