"""A data set that one can make anywhere: little scenes of known things, drawn, in Visual Genome format.

The modules, in the order in which data flows: ``kind`` and ``kinds`` (what there is and where it can be),
``layout`` (a plan of a scene), ``render`` (its picture, with ``pen``, ``creatures``, ``things``,
``landmarks`` and ``backdrop``), ``relations`` (what is true of the picture), ``scene`` (one picture with its
annotation), ``dataset`` (many, on disk).
"""

from speaq.tools.scenes.dataset import GeneratedDataset, generate_dataset
from speaq.tools.scenes.scene import Scene, class_names, generate_scene

__all__ = ["GeneratedDataset", "Scene", "class_names", "generate_dataset", "generate_scene"]
