"""The model that users hold: the network, with weights from a folder or the hub and prediction of images."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from speaq.checkpoints.card import model_card
from speaq.checkpoints.saved_models import load_pretrained, push_to_hub, save_pretrained
from speaq.model.speaq import SpeaqModel

if TYPE_CHECKING:
    from speaq.scene_graph import SceneGraph


class Speaq(SpeaqModel):
    """A `SpeaqModel` that can be loaded, saved, shared and used on images.

    Example:
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
            source: a folder with ``config.json`` and ``model.safetensors``, the output folder of a
                training (its best checkpoint, else its newest), or a model id on the hub.
            device: where to put it.
            revision: of a model on the hub.

        Raises:
            SpeaqError: there is no model, or its weights do not fit its configuration.
        """
        return load_pretrained(cls, source, revision=revision).to(device).eval()

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        metrics: Mapping[str, float] | None = None,
        data: str | None = None,
        license: str | None = None,
    ) -> None:
        """Write ``config.json``, ``model.safetensors`` and a model card, ``README.md``.

        Args:
            folder: where to; it is made if need be. A README.md that is there stays, unless there is
                something to say in a new one.
            metrics: for the card: figures by name, as ``results.json`` of an evaluation has them.
            data: for the card: what the model was trained on.
            license: for the card: of the weights, such as "mit".

        Raises:
            SpeaqError: it cannot be written; what was there is as before.
        """
        save_pretrained(self, Path(folder), self._card(Path(folder).resolve().name, metrics, data, license))

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
        """Upload the model to the hub as ``repo_id`` and give its address.

        Args:
            repo_id: owner/name; it is made if need be.
            metrics: as for ``save_pretrained``.
            data: as for ``save_pretrained``.
            license: as for ``save_pretrained``.
            private: whether a new one is only for its owner.
            token: by default that of ``hf auth login``.

        Raises:
            SpeaqError: the hub refuses it, or cannot be reached.
        """
        card = self._card(repo_id, metrics, data, license)
        return push_to_hub(self, repo_id, card, private=private, token=token)

    def _card(
        self, name: str, metrics: Mapping[str, float] | None, data: str | None, license: str | None
    ) -> str | None:
        """The model card, where there is something to say that the model does not know."""
        if not (metrics or data or license):
            return None
        return model_card(self.config, name=name, metrics=metrics, data=data, license=license)

    def predict(self, images: Any, **options: Any) -> "SceneGraph | list[SceneGraph]":
        """Scene graph of an image, or of each of several; see :func:`speaq.inference.predictor.predict`."""
        from speaq.inference.predictor import predict  # needs no torch.nn, only this

        return predict(self, images, **options)
