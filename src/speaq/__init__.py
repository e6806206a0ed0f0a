"""Scene graph generation with SpeaQ: objects with boxes, and <subject, predicate, object> relations.

Names are imported when they are first used, so that ``import speaq`` is immediate.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speaq.config import Config, load_config
    from speaq.errors import SpeaqError
    from speaq.model.config import ModelConfig
    from speaq.pretrained import Speaq
    from speaq.scene_graph import SceneGraph

_HOMES = {
    "Config": "speaq.config",
    "ModelConfig": "speaq.model.config",
    "SceneGraph": "speaq.scene_graph",
    "Speaq": "speaq.pretrained",
    "SpeaqError": "speaq.errors",
    "load_config": "speaq.config",
}

__all__ = ["Config", "ModelConfig", "SceneGraph", "Speaq", "SpeaqError", "load_config"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
