"""The network with pretrained weights: loading, saving, sharing, and prediction of images."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch

from speaq.checkpoints.card import model_card
from speaq.checkpoints.hub import upload
from speaq.checkpoints.saved_models import load_pretrained, save_pretrained
from speaq.devices import find_device
from speaq.files import expand
from speaq.images import ImageSource, is_one_image
from speaq.model.speaq import SpeaqModel

if TYPE_CHECKING:
    from speaq.inference.predictor import PostProcess, Precision
    from speaq.scene_graph import SceneGraph


class Speaq(SpeaqModel):
    """A `SpeaqModel` that can be loaded, saved, shared and used on images.

    Examples:
        >>> model = Speaq.from_pretrained("output/best")  # doctest: +SKIP
        >>> graph = model.predict("photo.jpg")  # doctest: +SKIP
        >>> print(graph.triplets[0])  # doctest: +SKIP
        cup on table (0.87)
    """

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, device: str | torch.device = "cpu", revision: str | None = None
    ) -> "Speaq":
        """Load a model, in evaluation mode.

        Args:
            source: a folder with ``config.json`` and ``model.safetensors``, the output folder of a training
                run (its best checkpoint, otherwise its newest), or a model id on the hub.
            device: device of the model.
            revision: branch, tag or commit of a model on the hub.

        Raises:
            SpeaqError: there is no model, its weights do not match its configuration, or this machine does
                not have the device.
        """
        place = find_device(device) if isinstance(device, str) else device
        return load_pretrained(cls, expand(str(source)), revision=revision).to(place).eval()

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        metrics: Mapping[str, float] | None = None,
        data: str | None = None,
        license: str | None = None,
    ) -> None:
        """Write ``config.json``, ``model.safetensors`` and a model card, ``README.md``.

        The folder is created if missing. An existing README.md is kept, unless content of the card is given:
        ``metrics`` by name, as in ``results.json`` of an evaluation; ``data``, what the model was trained on;
        and the ``license`` of the weights, such as "mit".

        Raises:
            SpeaqError: the model cannot be written; the folder is unchanged.
        """
        folder = Path(folder).expanduser()
        save_pretrained(self, folder, self._card(folder.resolve().name, metrics, data, license))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        data: str | None = None,
        license: str | None = None,
        private: bool = False,
        token: str | None = None,
    ) -> str:
        """Upload the model to the repository ``repo_id`` (owner/name) on the hub; return its address.

        A missing repository is created, with ``private`` as a private one. The default ``token`` is that of
        ``hf auth login``; the other arguments are those of ``save_pretrained``.

        Raises:
            SpeaqError: the hub refuses the upload, or cannot be reached.
        """
        card = self._card(repo_id, metrics, data, license)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save_pretrained(self, folder, card or model_card(self.config, name=repo_id))
            return upload(folder, repo_id, replace_card=card is not None, private=private, token=token)

    def _card(
        self, name: str, metrics: Mapping[str, float] | None, data: str | None, license: str | None
    ) -> str | None:
        """The model card, or None if nothing is given for it."""
        if not (metrics or data or license):
            return None
        return model_card(self.config, name=name, metrics=metrics, data=data, license=license)

    @overload
    def predict(  # pyright: ignore[reportOverlappingOverload]  # a file is an iterable of lines, too
        self,
        images: ImageSource,
        *,
        boxes: Any = None,
        labels: Any = None,
        score: float = 0.0,
        top: int | None = None,
        batch_size: int = 8,
        postprocess: "PostProcess | None" = None,
        min_size: int | None = None,
        max_size: int | None = None,
        device: torch.device | str | None = None,
        dtype: "Precision" = "float32",
    ) -> "SceneGraph": ...
    @overload
    def predict(
        self,
        images: Iterable[ImageSource],
        *,
        boxes: Any = None,
        labels: Any = None,
        score: float = 0.0,
        top: int | None = None,
        batch_size: int = 8,
        postprocess: "PostProcess | None" = None,
        min_size: int | None = None,
        max_size: int | None = None,
        device: torch.device | str | None = None,
        dtype: "Precision" = "float32",
    ) -> "list[SceneGraph]": ...
    def predict(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        boxes: Any = None,
        labels: Any = None,
        score: float = 0.0,
        top: int | None = None,
        batch_size: int = 8,
        postprocess: "PostProcess | None" = None,
        min_size: int | None = None,
        max_size: int | None = None,
        device: torch.device | str | None = None,
        dtype: "Precision" = "float32",
    ) -> "SceneGraph | list[SceneGraph]":
        """Predict the scene graph of an image, or those of several images in their order.

        Args:
            images: a path, the bytes of a file, an open binary file, a Pillow image, an array (H, W, C) or a
                tensor (C, H, W); a folder, a pattern such as "photos/*.jpg", an array or a tensor of several
                images (B, ...); or an iterable of those.
            boxes: boxes (N, 4) of the entities, xyxy in pixels of the original image; for several images a
                list with an entry per image. The entities of the graph are these boxes, in their order, and
                `speaq.inference.given_boxes` has the rule for the relations. By default the model finds the
                entities.
            labels: classes of the boxes, names or numbers from 0; the model classifies those that are None,
                by default all. For several images a list with an entry per image.
            score: minimum triplet score. With it or ``top``, entities without a relation are removed, too.
            top: maximum number of relations per image, best first.
            batch_size: images per forward pass. Only images of equal resized size share a batch, so the
                result does not depend on it.
            postprocess: turns the output of the network into graphs; by default a `PostProcessor` with the
                NMS threshold of the model.
            min_size: length of the shortest edge in pixels after resizing; by default that of the model.
            max_size: maximum length of the longest edge; by default that of the model.
            device: device to compute on, to which the model is moved; by default its current one.
            dtype: "bfloat16" is faster on a GPU and slightly less accurate.

        Returns:
            One graph for one image; a list for a folder, a pattern, a batch or an iterable. Type checkers
            take every path, array and tensor for one image.

        Raises:
            SpeaqError: an image cannot be read, the device does not exist, or its memory is too small; boxes
                or labels are not as described, or not for as many images.
        """
        from speaq.inference.predictor import predict_each

        pairs = predict_each(
            self,
            images,
            boxes=boxes,
            labels=labels,
            batch_size=batch_size,
            postprocess=postprocess,
            min_size=min_size,
            max_size=max_size,
            device=device,
            dtype=dtype,
        )
        graphs = [graph for _, graph in pairs]
        if score > 0 or top is not None:
            graphs = [graph.filter(score=score, top=top) for graph in graphs]
        return graphs[0] if is_one_image(images) else graphs

    def predict_each(
        self, images: ImageSource | Iterable[ImageSource], **options: Any
    ) -> "Iterator[tuple[Any, SceneGraph]]":
        """Like `predict`, but as an iterator over any number of images, which are read when needed.

        Args:
            images: as of `predict`.
            options: those of `predict` without ``score`` and ``top``; and ``on_unreadable``, a function that
                is called with an image that cannot be read and the error; without it the error is raised.

        Yields:
            Each image as it was given (those of a folder as paths) and its graph, in order.

        Raises:
            SpeaqError: see `predict`.
        """
        from speaq.inference.predictor import predict_each

        return predict_each(self, images, **options)
