"""Augmentation of an image together with its boxes and relations.

N: boxes, M: relations, R: predicate classes. Boxes are xyxy in pixels of the image at hand.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from speaq.structures import Vocabulary

_CROP_BRANCH_SIZES = (400, 500, 600)  # shortest edges before the crop (DETR, Carion et al., ECCV 2020)
_EMPTY = 1e-5  # pixels: a box with a side this short is dropped


@dataclass(frozen=True, slots=True)
class Scene:
    """An image and what is annotated in it.

    Attributes:
        image: RGB.
        boxes: (N, 4), xyxy.
        labels: (N,) object class.
        relations: (M, 3), rows (subject, object, predicate).
    """

    image: Image.Image
    boxes: np.ndarray
    labels: np.ndarray
    relations: np.ndarray


@dataclass(frozen=True, slots=True)
class Resize:
    """Which size to give the shortest edge, as detectron2's ResizeShortestEdge.

    Attributes:
        edges: the sizes to choose from, or for "range" their two bounds (included).
        max_size: cap of the longest edge; None for no cap.
        sampling: "choice" or "range".
    """

    edges: Sequence[int]
    max_size: int | None = None
    sampling: Literal["choice", "range"] = "choice"

    def draw(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        """A new height and width."""
        if self.sampling == "range":
            edge = int(rng.integers(min(self.edges), max(self.edges), endpoint=True))
        else:
            edge = int(rng.choice(self.edges))
        return resize_shortest_edge(height, width, edge, self.max_size)


@dataclass(frozen=True, slots=True)
class Crop:
    """Which region to cut out, as detectron2's RandomCrop.

    Attributes:
        kind: "relative": the shares ``size`` of height and width; "relative_range": shares drawn between
            ``size`` and 1; "absolute": ``size`` pixels, or the whole image where it is smaller;
            "absolute_range": height and width each drawn between size[0] and size[1] pixels.
        size: two numbers.
    """

    kind: Literal["relative", "relative_range", "absolute", "absolute_range"]
    size: tuple[float, float]

    def draw(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """The region to keep: left, top, right, bottom."""
        crop_height, crop_width = self._draw_size(height, width, rng)
        top = int(rng.integers(height - crop_height, endpoint=True))
        left = int(rng.integers(width - crop_width, endpoint=True))
        return left, top, left + crop_width, top + crop_height

    def _draw_size(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        first, second = self.size
        match self.kind:
            case "relative":
                return _pixels(height * first), _pixels(width * second)
            case "relative_range":
                shares = np.array(self.size) + rng.random(2) * (1 - np.array(self.size))
                return _pixels(height * shares[0]), _pixels(width * shares[1])
            case "absolute":
                return min(int(first), height), min(int(second), width)
            case "absolute_range":
                low, high = int(first), int(second)
                draws = (int(rng.integers(min(n, low), min(n, high), endpoint=True)) for n in (height, width))
                return next(draws), next(draws)


class TrainTransform:
    """Augmentation for training: flip, then with ``crop`` and an even chance resize and crop, then resize.

    Boxes are clipped to the image; empty ones go, and their relations with them. So a scene may lose all of
    its relations, or all of its boxes.

    Args:
        vocabulary: in which the predicates that a flip exchanges are looked up.
        resize: the final size.
        crop: what the crop branch cuts out, after the shortest edge was resized to 400, 500 or 600; None for
            no crop branch.
        flip_probability: of mirroring left and right.
    """

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        resize: Resize,
        crop: Crop | None = None,
        flip_probability: float = 0.5,
    ) -> None:
        self.resize, self.crop, self.flip_probability = resize, crop, flip_probability
        self.mirrored = mirrored_predicates(vocabulary.predicates)

    def __call__(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """An augmented scene, a function of the scene and the state of ``rng`` alone."""
        if rng.random() < self.flip_probability:
            scene = flip(scene, self.mirrored)
        if self.crop is not None and rng.random() < 0.5:
            branch = Resize(_CROP_BRANCH_SIZES)
            scene = resize(scene, *branch.draw(scene.image.height, scene.image.width, rng))
            scene = crop(scene, self.crop.draw(scene.image.height, scene.image.width, rng))
        scene = resize(scene, *self.resize.draw(scene.image.height, scene.image.width, rng))
        return drop_empty_boxes(scene)


class TestTransform:
    """Resizing for evaluation; every box and relation stays.

    Args:
        shortest_edge: in pixels.
        max_size: cap of the longest edge.
    """

    __test__ = False  # not a test case, whatever its name

    def __init__(self, *, shortest_edge: int, max_size: int) -> None:
        self.shortest_edge, self.max_size = shortest_edge, max_size

    def __call__(self, scene: Scene) -> Scene:
        """The resized scene."""
        return resize(scene, *self.output_size(scene.image.height, scene.image.width))

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that an image of this size gets."""
        return resize_shortest_edge(height, width, self.shortest_edge, self.max_size)


def resize_shortest_edge(height: int, width: int, edge: int, max_size: int | None = None) -> tuple[int, int]:
    """Height and width with the shortest edge ``edge``, or less where the longest would exceed ``max_size``.

    Rounded half up, as detectron2 does.
    """
    scale = edge / min(height, width)
    new_height, new_width = (edge, scale * width) if height < width else (scale * height, edge)
    if max_size is not None and max(new_height, new_width) > max_size:
        scale = max_size / max(new_height, new_width)
        new_height, new_width = new_height * scale, new_width * scale
    return _pixels(new_height), _pixels(new_width)


def resize(scene: Scene, height: int, width: int) -> Scene:
    """The scene with its image resized (bilinear, antialiased) to ``height`` x ``width`` pixels."""
    old_width, old_height = scene.image.size
    if (old_height, old_width) == (height, width):
        return scene
    ratio_x, ratio_y = width / old_width, height / old_height
    return replace(
        scene,
        image=scene.image.resize((width, height), Image.Resampling.BILINEAR),
        boxes=scene.boxes * (ratio_x, ratio_y, ratio_x, ratio_y),
    )


def crop(scene: Scene, region: tuple[int, int, int, int]) -> Scene:
    """The scene cut to ``region`` (left, top, right, bottom); boxes may reach beyond it."""
    left, top, _, _ = region
    return replace(scene, image=scene.image.crop(region), boxes=scene.boxes - (left, top, left, top))


def flip(scene: Scene, mirrored: np.ndarray) -> Scene:
    """The scene with left and right exchanged, in the image and in the predicates.

    Args:
        scene: any.
        mirrored: (R,) the predicate that each becomes, of `mirrored_predicates`.
    """
    width = scene.image.width
    boxes = scene.boxes.copy()
    boxes[:, [0, 2]] = width - scene.boxes[:, [2, 0]]
    relations = scene.relations.copy()
    relations[:, 2] = mirrored[relations[:, 2]]
    image = scene.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return replace(scene, image=image, boxes=boxes, relations=relations)


def mirrored_predicates(predicates: Sequence[str]) -> np.ndarray:
    """What each predicate (R,) becomes in a mirror: "left of" becomes "right of", where both have a name.

    A name with the word "left" or "right" is paired with the name in which the two words are exchanged; all
    other predicates stay.
    """
    indices = {name: index for index, name in enumerate(predicates)}
    swap = {"left": "right", "right": "left"}
    word = re.compile("(?<![a-z])(left|right)(?![a-z])")
    names = (word.sub(lambda found: swap[found[0]], name) for name in predicates)
    return np.array([indices.get(name, index) for index, name in enumerate(names)], dtype=np.int64)


def drop_empty_boxes(scene: Scene) -> Scene:
    """The scene with its boxes clipped to the image, and without those of which nothing is left."""
    width, height = scene.image.size
    boxes = scene.boxes.clip(0, (width, height, width, height))
    kept = np.min(boxes[:, 2:] - boxes[:, :2], axis=1) > _EMPTY
    return keep_boxes(replace(scene, boxes=boxes), kept)


def keep_boxes(scene: Scene, kept: np.ndarray) -> Scene:
    """The scene with the boxes where ``kept`` (N,) is true, and the relations between two of those."""
    new_index = np.cumsum(kept) - 1
    relations = scene.relations[kept[scene.relations[:, :2]].all(axis=1)]
    relations = np.column_stack((new_index[relations[:, :2]], relations[:, 2]))
    return replace(scene, boxes=scene.boxes[kept], labels=scene.labels[kept], relations=relations)


def _pixels(length: float) -> int:
    """The length in whole pixels, half rounded up, at least one."""
    return max(int(length + 0.5), 1)
