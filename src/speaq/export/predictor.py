"""Scene graphs from an ONNX file, with NumPy, Pillow and onnxruntime alone: no torch.

B: images, H, W: their size as the network sees them.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from speaq.data.transforms import resize_shortest_edge
from speaq.errors import SpeaqError
from speaq.export.description import Description
from speaq.images import ImageSource, is_one_image, iterate_sources, read_image
from speaq.inference.graph_builder import GraphBuilder
from speaq.scene_graph import SceneGraph


class OnnxPredictor:
    """A model in an ONNX file of ``speaq export``, at work.

    Args:
        path: the file.
        providers: of onnxruntime, the preferred one first, such as "CUDAExecutionProvider".
        threads: of onnxruntime; 0 for as many as there are cores.

    Attributes:
        description: what the file says of itself: class names, sizes and so on.
        postprocess: how the outputs become graphs; its attributes may be changed.

    Raises:
        SpeaqError: onnxruntime is not installed, or this is not a file of ``speaq export``.

    Example:
        >>> predictor = OnnxPredictor("model.onnx")  # doctest: +SKIP
        >>> predictor.predict("photo.jpg").triplets[:3]  # doctest: +SKIP
    """

    def __init__(
        self, path: str | Path, *, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0
    ):
        self.path = Path(path)
        self.session = open_session(self.path, providers=providers, threads=threads)
        properties = self.session.get_modelmeta().custom_metadata_map
        try:
            self.description = Description.from_properties(properties)
        except (KeyError, ValueError) as error:
            raise SpeaqError(f"{path}: not written by this version of speaq export ({error})") from error
        if self.description.num_rel is None:
            raise SpeaqError(
                f"{path}: was exported with --no-postprocess, so its outputs are the network's own; "
                "export it with --postprocess to make scene graphs of it"
            )
        self.postprocess = GraphBuilder(
            nms_threshold=self.description.nms_threshold, vocabulary=self.description.vocabulary
        )
        self._pixels = np.uint8 if "uint8" in self.session.get_inputs()[0].type else np.float32

    def predict(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        min_size: int | None = None,
        max_size: int | None = None,
    ) -> SceneGraph | list[SceneGraph]:
        """The scene graph of an image, or those of several images in their order.

        Args:
            images: whatever ``Speaq.predict`` takes.
            min_size: the shortest edge becomes so many pixels; by default the model's.
            max_size: the longest edge becomes at most so many pixels; by default the model's.

        Returns:
            One graph for one image, a list for a folder or several images.

        Raises:
            SpeaqError: an image cannot be read.
        """
        graphs = [graph for _, graph in self.predict_each(images, min_size=min_size, max_size=max_size)]
        return graphs[0] if is_one_image(images) else graphs

    def predict_each(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        min_size: int | None = None,
        max_size: int | None = None,
    ) -> Iterator[tuple[ImageSource, SceneGraph]]:
        """Like ``predict``, but one by one, however many images there are.

        Yields:
            Each image as it was given (those of a folder as paths) and its graph, in order.
        """
        shortest = self.description.min_size if min_size is None else min_size
        longest = self.description.max_size if max_size is None else max_size
        for source in iterate_sources(images):
            picture = read_image(source)
            height, width = resize_shortest_edge(picture.height, picture.width, shortest, longest)
            resized = picture.resize((width, height), Image.Resampling.BILINEAR)
            outputs = self.run(np.asarray(resized).transpose(2, 0, 1)[None])
            graph = self.postprocess.build(
                *(
                    outputs[name][0]
                    for name in ("scores", "labels", "boxes", "predicate_probs", "predicates")
                ),
                image_size=(picture.height, picture.width),
            )
            graph.image = Path(source) if isinstance(source, str | Path) else picture
            yield source, graph

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of the network by name, for images (B, 3, H, W) of one size, RGB in 0..255."""
        names = [output.name for output in self.session.get_outputs()]
        pixels = np.ascontiguousarray(images, self._pixels)
        return dict(zip(names, self.session.run(names, {"images": pixels}), strict=True))


def require(name: str) -> Any:
    """A module of the extra "onnx".

    Raises:
        SpeaqError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise SpeaqError(f"{name.partition('.')[0]} is not installed: pip install speaq[onnx]") from error


def open_session(
    path: Path, *, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0
) -> Any:
    """An onnxruntime session of a file.

    Raises:
        SpeaqError: onnxruntime is not installed, or cannot read the file.
    """
    runtime = require("onnxruntime")
    if not path.is_file():
        raise SpeaqError(f"{path}: there is no such ONNX file; write one with speaq export")
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
