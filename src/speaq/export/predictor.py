"""Predict scene graphs with an ONNX file and onnxruntime, without torch.

Shape letters: see `speaq.structures`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.export.description import Description
from speaq.images import ImageSource, is_one_image
from speaq.inference.given_boxes import check_given_boxes
from speaq.inference.graph_builder import GraphBuilder, Reduced
from speaq.inference.pipeline import OnUnreadable, Precision, predict_images
from speaq.scene_graph import SceneGraph


class OnnxPredictor:
    """Predicts scene graphs with an ONNX file that ``speaq export`` wrote.

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
        self.path = Path(path)
        self.session = open_session(self.path, providers=providers, threads=threads)
        try:
            self.description = Description.from_properties(self.session.get_modelmeta().custom_metadata_map)
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
        self._pixels = np.uint8 if "uint8" in self.session.get_inputs()[0].type else np.float32

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
        file. ``postprocess``, a device other than that of the providers, and bfloat16 cannot be chosen here.
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
        if batch_size < 1:
            raise SpeaqError(f"batch_size {batch_size}: expected at least 1")
        self._check_options(postprocess, device, dtype)
        if boxes is not None and "object_probs" not in [item.name for item in self.session.get_outputs()]:
            raise SpeaqError(
                f"{self.path}: was exported by an earlier version, without the class probabilities that "
                "given boxes need; export the model again"
            )
        return predict_images(
            lambda pixels, *rest: self.postprocess.build(Reduced(**self.run(pixels)), *rest),
            images,
            given=check_given_boxes(images, boxes, labels, self.description.vocabulary),
            min_size=self.description.min_size if min_size is None else min_size,
            max_size=self.description.max_size if max_size is None else max_size,
            batch_size=batch_size,
            on_unreadable=on_unreadable,
        )

    def _check_options(self, postprocess: Any, device: Any, dtype: str) -> None:
        """Refuse what `speaq.pretrained.Speaq.predict` has and an ONNX file cannot do."""
        if postprocess is not None:
            raise SpeaqError(
                f"{self.path}: an ONNX file takes no postprocess; change the attributes of "
                "OnnxPredictor.postprocess instead"
            )
        on_cpu = self.session.get_providers() == ["CPUExecutionProvider"]
        if device is not None and not (on_cpu and str(device) == "cpu"):
            raise SpeaqError(
                f"{self.path}: the device of an ONNX file cannot be set to {device}; choose it with "
                "OnnxPredictor(path, providers=...)"
            )
        if dtype != "float32":
            raise SpeaqError(f"{self.path}: an ONNX file is computed in float32, found dtype {dtype}")

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the network by name, for images (B, 3, H, W) RGB in 0..255, without padding."""
        names = [output.name for output in self.session.get_outputs()]
        pixels = np.ascontiguousarray(images, self._pixels)
        return dict(zip(names, self.session.run(names, {"images": pixels}), strict=True))


def require(name: str) -> Any:
    """Import a module of the extra "onnx".

    From 1.29 on, onnxruntime writes an identifier to the home folder and reports its use to Microsoft unless
    ORT_DISABLE_TELEMETRY is set before it is imported, and so it is set to 1 if it has no value yet.

    Raises:
        SpeaqError: it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return import_module(name)
    except ImportError as error:
        raise SpeaqError(f"{name.partition('.')[0]} is not installed: pip install speaq[onnx]") from error


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
    if not path.is_file():
        raise SpeaqError(f"{path}: no such ONNX file; write one with speaq export")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    errors = runtime.capi.onnxruntime_pybind11_state
    try:
        return runtime.InferenceSession(path, options, providers=list(providers))
    except (
        errors.Fail,
        errors.InvalidProtobuf,
        errors.InvalidGraph,
        errors.NotImplemented,
        ValueError,
    ) as error:
        raise SpeaqError(f"{path}: onnxruntime cannot use this file ({error})") from error
