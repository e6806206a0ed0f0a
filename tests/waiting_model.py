"""A model that waits in the middle of a shard, for tests of clusters."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph


@dataclass
class WaitingModel:
    """Makes the file ``started-NODE`` and waits for the file ``go``, except for images named "free-..."."""

    model: Speaq
    folder: Path

    @classmethod
    def load(cls, source: Path, folder: Path) -> "WaitingModel":
        return cls(Speaq.from_pretrained(source), folder)

    def predict_each(self, images: Iterable[Any], **options: Any) -> Iterator[tuple[Any, SceneGraph]]:
        import ray

        for image, graph in self.model.predict_each(images, **options):
            yield image, graph
            if not image.name.startswith("free"):
                (self.folder / f"started-{ray.get_runtime_context().get_node_id()}").touch()
                while not (self.folder / "go").exists():
                    time.sleep(0.02)
