"""Generates datasets of drawn scenes in Visual Genome format.

In the order in which data flows: ``kinds`` (object classes and predicates, read from ``kinds.yaml``),
``layout`` (plans a scene), ``render`` (draws it, with ``sprites`` and ``backdrop``), ``relations`` (finds the
relations), ``scene`` (one image with its annotation), ``dataset`` (many, on disk).
"""

from speaq.tools.scenes.dataset import GeneratedDataset, generate_dataset
from speaq.tools.scenes.scene import Scene, class_names, generate_scene

__all__ = ["GeneratedDataset", "Scene", "class_names", "generate_dataset", "generate_scene"]
