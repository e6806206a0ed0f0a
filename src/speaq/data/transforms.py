"""Augmentation of an image together with its boxes and relations.

Boxes are xyxy in pixels of the current image. Shape letters: see `speaq.structures`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from PIL import Image

from speaq.structures import Annotation, Vocabulary

if TYPE_CHECKING:  # prediction with ONNX files uses this module without torch and the configuration
    from torch import Tensor

    from speaq.config.data import Crop, Input

_CROP_BRANCH_SIZES = (400, 500, 600)  # shortest edges before the crop (DETR, Carion et al., ECCV 2020)
_EMPTY = 1e-5  # pixels: boxes with a side of at most this length are dropped

ImageT = TypeVar("ImageT", "Image.Image", "Tensor")


@dataclass(frozen=True, slots=True)
class Scene(Generic[ImageT]):
    """An image and its annotations.

    Attributes:
        image: RGB; a Pillow image, or a tensor (3, H, W) uint8.
        boxes: (N, 4), xyxy.
        labels: (N,) object class.
        relations: (M, 4), rows (subject, object, predicate, row of the relation in the annotation).
    """

    image: ImageT
    boxes: np.ndarray
    labels: np.ndarray
    relations: np.ndarray

    @classmethod
    def of(cls, image: ImageT, annotation: Annotation) -> "Scene[ImageT]":
        """An original image with its annotation."""
        rows = np.arange(len(annotation.relations))
        relations = np.column_stack((annotation.relations, rows))
        return cls(image, annotation.boxes, annotation.labels, relations)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image in pixels."""
        if isinstance(self.image, Image.Image):
            return self.image.size
        return self.image.shape[2], self.image.shape[1]


class TrainTransform:
    """Augmentation for training: flip, then with INPUT.CROP half of the time resize and crop, then resize.

    Boxes are clipped to the image, and empty ones are dropped with their relations. A scene may lose all
    relations, or all boxes.

    Args:
        settings: INPUT section of the configuration.
        vocabulary: predicate names, to find those that a flip exchanges.
    """

    def __init__(self, settings: "Input", vocabulary: Vocabulary) -> None:
        self.settings, self.mirrored = settings, mirrored_predicates(vocabulary.predicates)

    def __call__(self, scene: "Scene[Image.Image]", rng: np.random.Generator) -> "Scene[Tensor]":
        """An augmented scene, which depends on the scene and the state of ``rng`` only."""
        settings = self.settings
        if rng.random() < 0.5 and settings.random_flip == "horizontal":
            scene = flip(scene, self.mirrored)
        if settings.crop.enabled and rng.random() < 0.5:
            scene = resize(scene, int(rng.choice(_CROP_BRANCH_SIZES)))
            scene = crop(scene, draw_region(settings.crop, scene.image.height, scene.image.width, rng))
        return drop_empty_boxes(resize_to_tensor(scene, draw_edge(settings, rng), settings.max_size_train))


def draw_edge(settings: "Input", rng: np.random.Generator) -> int:
    """A random length of the shortest edge, as detectron2's ResizeShortestEdge draws it."""
    edges = settings.min_size_train
    if settings.min_size_train_sampling == "range":
        return int(rng.integers(min(edges), max(edges), endpoint=True))
    return int(rng.choice(edges))


def draw_region(
    settings: "Crop", height: int, width: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A random region (left, top, right, bottom) to crop, as detectron2's RandomCrop draws it."""
    first, second = settings.size
    match settings.type:
        case "relative":
            sizes = _pixels(height * first), _pixels(width * second)
        case "relative_range":
            low = np.array(settings.size)
            shares = low + rng.random(2) * (1 - low)
            sizes = _pixels(height * shares[0]), _pixels(width * shares[1])
        case "absolute":
            sizes = min(int(first), height), min(int(second), width)
        case "absolute_range":
            bounds = [(min(side, int(first)), min(side, int(second))) for side in (height, width)]
            sizes = [int(rng.integers(low, high, endpoint=True)) for low, high in bounds]
    top = int(rng.integers(height - sizes[0], endpoint=True))
    left = int(rng.integers(width - sizes[1], endpoint=True))
    return left, top, left + sizes[1], top + sizes[0]


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


def resize_image(image: Image.Image, edge: int, max_size: int | None = None) -> Image.Image:
    """Resize an image (bilinear, antialiased), see `resize_shortest_edge`."""
    height, width = resize_shortest_edge(image.height, image.width, edge, max_size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def resize(scene: Scene[Image.Image], edge: int, max_size: int | None = None) -> Scene[Image.Image]:
    """Resize a scene, see `resize_image`."""
    image = resize_image(scene.image, edge, max_size)
    ratios = image.width / scene.image.width, image.height / scene.image.height
    return replace(scene, image=image, boxes=scene.boxes * (ratios * 2))


def resize_to_tensor(scene: "Scene[Image.Image]", edge: int, max_size: int | None = None) -> "Scene[Tensor]":
    """As `resize`, but with PyTorch, several times as fast and rounded differently.

    Both values of a pixel are within 1 of the exact one.
    """
    import torch

    height, width = resize_shortest_edge(scene.image.height, scene.image.width, edge, max_size)
    pixels = torch.from_numpy(np.array(scene.image)).permute(2, 0, 1)[None]
    pixels = torch.nn.functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    ratios = width / scene.image.width, height / scene.image.height
    return Scene(pixels[0].contiguous(), scene.boxes * (ratios * 2), scene.labels, scene.relations)


def crop(scene: Scene[Image.Image], region: tuple[int, int, int, int]) -> Scene[Image.Image]:
    """Crop a scene to ``region`` (left, top, right, bottom); boxes may extend beyond it."""
    return replace(scene, image=scene.image.crop(region), boxes=scene.boxes - (region[:2] * 2))


def flip(scene: Scene[Image.Image], mirrored: np.ndarray) -> Scene[Image.Image]:
    """Flip a scene horizontally, with the predicates ``mirrored`` (R,) of `mirrored_predicates`."""
    boxes, relations = scene.boxes.copy(), scene.relations.copy()
    boxes[:, [0, 2]] = scene.image.width - scene.boxes[:, [2, 0]]
    relations[:, 2] = mirrored[relations[:, 2]]
    image = scene.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return replace(scene, image=image, boxes=boxes, relations=relations)


def mirrored_predicates(predicates: Sequence[str]) -> np.ndarray:
    """The predicate (R,) that each predicate becomes by a horizontal flip.

    A name with "left" or "right" becomes the name with the two exchanged, if there is one. Upper and lower
    case, spaces, underscores and hyphens make no difference; of several such names it is the one that is
    spelled alike, or else the first. All other predicates stay.
    """
    names = list(predicates)
    letters = [_letters(name) for name in names]

    def mirror(index: int) -> int:
        swapped = _swap_sides(letters[index])
        alike = [other for other in range(len(names)) if letters[other] == swapped != letters[index]]
        return min(alike, key=lambda other: names[other] != _swap_sides(names[index]), default=index)

    return np.array([mirror(index) for index in range(len(names))], dtype=np.int64)


def _letters(name: str) -> str:
    """The name in lower case without spaces, underscores and hyphens."""
    return re.sub(r"[\s_-]", "", name.casefold())


def _swap_sides(name: str) -> str:
    return re.sub("left|right", lambda found: "right" if found[0] == "left" else "left", name)


def drop_empty_boxes(scene: Scene[ImageT]) -> Scene[ImageT]:
    """Clip the boxes of a scene to the image, and drop those that are empty."""
    boxes = scene.boxes.clip(0, scene.size * 2)
    kept = np.min(boxes[:, 2:] - boxes[:, :2], axis=1) > _EMPTY
    return keep_boxes(replace(scene, boxes=boxes), kept)


def keep_boxes(scene: Scene[ImageT], kept: np.ndarray) -> Scene[ImageT]:
    """The scene with the boxes where ``kept`` (N,) is true, and the relations between them."""
    new_index = np.cumsum(kept) - 1
    relations = scene.relations[kept[scene.relations[:, :2]].all(axis=1)]
    relations = np.column_stack((new_index[relations[:, :2]], relations[:, 2:]))
    return replace(scene, boxes=scene.boxes[kept], labels=scene.labels[kept], relations=relations)


def _pixels(length: float) -> int:
    """The length in whole pixels, half rounded up, at least one."""
    return max(int(length + 0.5), 1)
