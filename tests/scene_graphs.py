"""A small scene graph with three entities and three relations."""

from pathlib import Path

from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

VOCABULARY = Vocabulary(("cup", "table", "person"), ("on", "near"))


def small_graph(**changes):
    values = {
        "boxes": [[0, 0, 10, 10], [5, 5, 40, 20], [1, 2, 3, 4]],
        "labels": [0, 1, 2],
        "scores": [0.9, 0.8, 0.7],
        "pairs": [[0, 1], [2, 1], [0, 2]],
        "predicates": [0, 1, 1],
        "predicate_probs": [[0.5, 0.3, 0.2], [0.1, 0.4, 0.5], [0.2, 0.3, 0.5]],
        "image_size": (30, 50),
        "vocabulary": VOCABULARY,
        "image": Path("photos/kitchen.jpg"),
    }
    return SceneGraph(**values | changes)
