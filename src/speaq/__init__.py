"""Scene graph generation with SpeaQ: objects with boxes, and <subject, predicate, object> relations.

Names are imported when they are first used, so that ``import speaq`` is immediate.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speaq import export, metrics, plot
    from speaq.config import Config, load_config
    from speaq.errors import SpeaqError
    from speaq.model.config import ModelConfig
    from speaq.pretrained import Speaq
    from speaq.scene_graph import SceneGraph
    from speaq.structures import Vocabulary

    __version__: str

_MODULE_OF = {
    "Config": "speaq.config",
    "ModelConfig": "speaq.model.config",
    "SceneGraph": "speaq.scene_graph",
    "Speaq": "speaq.pretrained",
    "SpeaqError": "speaq.errors",
    "Vocabulary": "speaq.structures",
    "load_config": "speaq.config",
}

__all__ = [
    "Config",
    "ModelConfig",
    "SceneGraph",
    "Speaq",
    "SpeaqError",
    "Vocabulary",
    "__version__",
    "export",
    "load_config",
    "metrics",
    "plot",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    if name in ("export", "metrics", "plot"):
        return import_module(f"{__name__}.{name}")
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
