"""Predict scene graphs with an ONNX file, in onnxruntime or OpenVINO, without torch.

Shape letters: see `speaq.structures`.
"""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from speaq.errors import SpeaqError
from speaq.export.description import Description
from speaq.images import ImageSource, is_one_image
from speaq.inference.given_boxes import check_given_boxes
from speaq.inference.graph_builder import GraphBuilder, Reduced
from speaq.inference.pipeline import OnUnreadable, Precision, predict_images
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

_HINTS = {"float32": "f32", "bfloat16": "bf16"}  # of OpenVINO


class FilePredictor(ABC):
    """Predicts scene graphs with an ONNX file that ``speaq export`` wrote.

    Args:
        path: the file.
        properties: its metadata.

    Attributes:
        description: the metadata of the file: class names, image sizes, NMS threshold.
        postprocess: builds the graphs from the outputs; its attributes may be changed.

    Raises:
        SpeaqError: ``speaq export`` did not write the file.
    """

    dtypes: ClassVar[Sequence[Precision]] = ("float32",)
    """In which the network can be computed."""

    def __init__(self, path: Path, properties: Mapping[str, str]):
        self.path = path
        try:
            self.description = Description.from_properties(properties)
        except (KeyError, ValueError) as error:
            raise SpeaqError(f"{path}: not written by this version of speaq export ({error})") from error
        if self.description.num_rel is None:
            raise SpeaqError(
                f"{path}: was exported with --no-postprocess and has the raw outputs of the network; export "
                "the model with --postprocess to predict scene graphs"
            )
        self.postprocess = GraphBuilder(
            nms_threshold=self.description.nms_threshold, vocabulary=self.description.vocabulary
        )

    @property
    def vocabulary(self) -> Vocabulary:
        """The class names, as of `speaq.pretrained.Speaq`."""
        return self.description.vocabulary

    @property
    @abstractmethod
    def output_names(self) -> list[str]:
        """Names of the outputs of the network."""

    @abstractmethod
    def run(self, images: np.ndarray, dtype: Precision = "float32") -> dict[str, np.ndarray]:
        """The outputs of the network by name, for images (B, 3, H, W) RGB in 0..255, without padding."""

    @abstractmethod
    def is_on(self, device: Any) -> bool:
        """Whether the network is computed on this device, such as "cpu"."""

    def predict(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        boxes: Any = None,
        labels: Any = None,
        score: float = 0.0,
        top: int | None = None,
        batch_size: int = 1,
        postprocess: None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        device: Any = None,
        dtype: Precision = "float32",
    ) -> SceneGraph | list[SceneGraph]:
        """Predict the scene graph of an image, or those of several images in their order.

        The arguments are those of `speaq.pretrained.Speaq.predict`; the sizes are by default those of the
        file. ``postprocess`` and another device cannot be chosen here, nor bfloat16 in onnxruntime.
        The graphs of an 8-bit file depend slightly on the batch size.

        Raises:
            SpeaqError: an image cannot be read, or an argument cannot be used with an ONNX file.
        """
        options = {
            "boxes": boxes,
            "labels": labels,
            "batch_size": batch_size,
            "min_size": min_size,
            "max_size": max_size,
        }
        options |= {"postprocess": postprocess, "device": device, "dtype": dtype}
        graphs = [graph for _, graph in self.predict_each(images, **options)]
        if score > 0 or top is not None:
            graphs = [graph.filter(score=score, top=top) for graph in graphs]
        return graphs[0] if is_one_image(images) else graphs

    def predict_each(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        boxes: Any = None,
        labels: Any = None,
        batch_size: int = 1,
        postprocess: None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        device: Any = None,
        dtype: Precision = "float32",
        on_unreadable: OnUnreadable | None = None,
    ) -> Iterator[tuple[ImageSource, SceneGraph]]:
        """Like `predict`, but as an iterator over any number of images, which are read when needed.

        ``on_unreadable`` is called with an image that cannot be read and the error; without it the error is
        raised.

        Yields:
            Each image as it was given (those of a folder as paths) and its graph, in order.
        """
        self._check_options(postprocess, device, dtype)
        if boxes is not None and "object_probs" not in self.output_names:
            raise SpeaqError(
                f"{self.path}: was exported by an earlier version, without the class probabilities that "
                "given boxes need; export the model again"
            )
        return predict_images(
            lambda pixels, *rest: self.postprocess.build(Reduced(**self.run(pixels, dtype)), *rest),
            images,
            given=check_given_boxes(images, boxes, labels, self.description.vocabulary),
            min_size=self.description.min_size if min_size is None else min_size,
            max_size=self.description.max_size if max_size is None else max_size,
            batch_size=batch_size,
            on_unreadable=on_unreadable,
        )

    def _check_options(self, postprocess: Any, device: Any, dtype: str) -> None:
        """Refuse what `speaq.pretrained.Speaq.predict` has and a file cannot do."""
        name = type(self).__name__
        if postprocess is not None:
            raise SpeaqError(
                f"{self.path}: an ONNX file takes no postprocess; change the attributes of "
                f"{name}.postprocess instead"
            )
        if device is not None and not self.is_on(device):
            advice = "; choose it with OnnxPredictor(path, providers=...)" if name == "OnnxPredictor" else ""
            raise SpeaqError(f"{self.path}: the device of an ONNX file cannot be set to {device}{advice}")
        if dtype not in self.dtypes:
            raise SpeaqError(
                f"{self.path}: an ONNX file is computed in {' or '.join(self.dtypes)}, found dtype {dtype}"
            )


class OnnxPredictor(FilePredictor):
    """Predicts scene graphs in onnxruntime with an ONNX file that ``speaq export`` wrote.

    It imports NumPy, Pillow and onnxruntime only; JSON files also need pydantic, and ``SceneGraph.draw``
    needs Matplotlib and SciPy. torch is a dependency of the package, so an installation without it takes two
    commands::

        pip install --no-deps speaq
        pip install numpy pillow pydantic onnxruntime matplotlib scipy

    Args:
        path: the file.
        providers: execution providers of onnxruntime by preference, such as "CUDAExecutionProvider".
        threads: number of threads of onnxruntime; 0 for the number of cores.

    Attributes:
        description: the metadata of the file: class names, image sizes, NMS threshold.
        postprocess: builds the graphs from the outputs; its attributes may be changed.

    Raises:
        SpeaqError: onnxruntime is not installed, or ``speaq export`` did not write the file.

    Examples:
        >>> predictor = OnnxPredictor("model.onnx")  # doctest: +SKIP
        >>> predictor.predict("photo.jpg").triplets[:3]  # doctest: +SKIP
    """

    def __init__(
        self, path: str | Path, *, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0
    ):
        self.session = open_session(Path(path), providers=providers, threads=threads)
        super().__init__(Path(path), self.session.get_modelmeta().custom_metadata_map)
        self._pixels = np.uint8 if "uint8" in self.session.get_inputs()[0].type else np.float32

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs of the network."""
        return [output.name for output in self.session.get_outputs()]

    def run(self, images: np.ndarray, dtype: Precision = "float32") -> dict[str, np.ndarray]:
        """The outputs of the network by name, for images (B, 3, H, W) RGB in 0..255, without padding."""
        names = self.output_names
        pixels = np.ascontiguousarray(images, self._pixels)
        return dict(zip(names, self.session.run(names, {"images": pixels}), strict=True))

    def is_on(self, device: Any) -> bool:
        """Whether the network is computed on this device: "cpu", where that is the only provider."""
        return str(device) == "cpu" and self.session.get_providers() == ["CPUExecutionProvider"]


class OpenVinoPredictor(FilePredictor):
    """Predicts scene graphs in OpenVINO, on the CPU, with an ONNX file that ``speaq export`` wrote.

    It needs the packages that `OnnxPredictor` needs, with openvino instead of onnxruntime. The network is
    compiled at its first use in float32 and at its first use in bfloat16, which takes seconds.

    Args:
        path: the file.
        threads: number of threads of OpenVINO; 0 for the number of cores.

    Attributes:
        description: the metadata of the file: class names, image sizes, NMS threshold.
        postprocess: builds the graphs from the outputs; its attributes may be changed.

    Raises:
        SpeaqError: OpenVINO is not installed, or ``speaq export`` did not write the file.

    Examples:
        >>> predictor = OpenVinoPredictor("model.onnx")  # doctest: +SKIP
        >>> predictor.predict("photo.jpg", dtype="bfloat16").triplets[:3]  # doctest: +SKIP
    """

    dtypes = ("float32", "bfloat16")

    def __init__(self, path: str | Path, *, threads: int = 0):
        core = require("openvino").Core()
        path = _existing(Path(path))
        try:
            self._network = core.read_model(path)
        except RuntimeError as error:
            reason = str(error).strip().rpartition("\n")[2]
            raise SpeaqError(f"{path}: OpenVINO cannot use this file ({reason})") from error
        known = self._network.has_rt_info(["framework"])
        metadata = self._network.get_rt_info(["framework"]).astype(dict) if known else {}
        super().__init__(path, {key: str(value.value) for key, value in metadata.items()})
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        self._compile = cache(
            lambda dtype: core.compile_model(
                self._network, "CPU", options | {"INFERENCE_PRECISION_HINT": _HINTS[dtype]}
            )
        )

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs of the network."""
        return [output.any_name for output in self._network.outputs]

    def run(self, images: np.ndarray, dtype: Precision = "float32") -> dict[str, np.ndarray]:
        """The outputs of the network by name, for images (B, 3, H, W) RGB in 0..255, without padding."""
        network = self._compile(dtype)
        pixels = np.ascontiguousarray(images, network.inputs[0].element_type.to_dtype())
        return {output.any_name: array for output, array in network({"images": pixels}).items()}

    def is_on(self, device: Any) -> bool:
        """Whether the network is computed on this device: only "cpu"."""
        return str(device) == "cpu"


def require(name: str) -> Any:
    """Import a module of the extra "onnx" or "openvino".

    From 1.29 on, onnxruntime writes an identifier to the home folder and reports its use to Microsoft unless
    ORT_DISABLE_TELEMETRY is set before it is imported, and so it is set to 1 if it has no value yet. OpenVINO
    reports its import with openvino_telemetry, and so that is made missing, which it allows.

    Raises:
        SpeaqError: it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if name == "openvino":
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return import_module(name)
    except ImportError as error:
        extra = "openvino" if name == "openvino" else "onnx"
        raise SpeaqError(
            f'{name.partition(".")[0]} is not installed: pip install "speaq[{extra}]"'
        ) from error


def _existing(path: Path) -> Path:
    """The path of an ONNX file, which must exist."""
    if not path.is_file():
        raise SpeaqError(f"{path}: no such ONNX file; write one with speaq export")
    return path


def open_session(
    path: Path, *, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0
) -> Any:
    """Open an ONNX file with onnxruntime.

    Raises:
        SpeaqError: onnxruntime is not installed, or cannot read the file.
    """
    runtime = require("onnxruntime")
    if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
        runtime.disable_telemetry_events()  # Windows does not read the variable
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    errors = runtime.capi.onnxruntime_pybind11_state
    try:
        return runtime.InferenceSession(_existing(path), options, providers=list(providers))
    except (
        errors.Fail,
        errors.InvalidProtobuf,
        errors.InvalidGraph,
        errors.NotImplemented,
        ValueError,
    ) as error:
        raise SpeaqError(f"{path}: onnxruntime cannot use this file ({error})") from error
