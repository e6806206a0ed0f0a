"""Generates one image with its annotation from a seed and an index.

N: objects of a scene, M: relations.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from speaq.errors import SpeaqError
from speaq.tools.scenes.kinds import KINDS, PREDICATES
from speaq.tools.scenes.layout import offers, plan_scene
from speaq.tools.scenes.relations import SIDEWAYS, UnclearError, find_relations
from speaq.tools.scenes.render import render

STYLES = ("photo", "flat")
_NUM_RELATIONS = (2, 6)  # minimum and maximum number in a scene
_MIN_CLASSES = 8  # fewer do not offer every usual predicate
_MIN_PREDICATES = 3
_SIDES = (64, 2048)  # pixels; objects in smaller images could not be recognised
_MIN_VISIBLE = 0.45  # share of each object
_MAX_VISIBLE = 0.82  # share of an object that must be partly hidden
_MIN_SIDE = 0.1  # of each side of a box, in units of the image's shorter side


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An image with its annotation.

    Attributes:
        image: RGB.
        boxes: (N, 4) int64, xyxy in pixels, around the visible part of each object.
        labels: (N,) int64, from 0.
        relations: (M, 3) int64, rows (subject box, object box, predicate from 0).
    """

    image: Image.Image
    boxes: np.ndarray
    labels: np.ndarray
    relations: np.ndarray


def class_names(num_classes: int, num_predicates: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The object classes and predicates of a vocabulary of this size, in index order from 0."""
    return tuple(kind.name for kind in KINDS[:num_classes]), PREDICATES[:num_predicates]


def check_options(
    *, seed: int, image_size: tuple[int, ...], num_classes: int, num_predicates: int, style: str
) -> None:
    """Check the options of `generate_scene`, raising a SpeaqError if one is out of range."""
    if len(image_size) != 2 or not all(_SIDES[0] <= side <= _SIDES[1] for side in image_size):
        raise SpeaqError(
            f"image_size: expected one number or (width, height) of {_SIDES[0]} to {_SIDES[1]} pixels, "
            f"found {image_size}."
        )
    for option, number, low, high in (
        ("num_classes", num_classes, _MIN_CLASSES, len(KINDS)),
        ("num_predicates", num_predicates, _MIN_PREDICATES, len(PREDICATES)),
    ):
        if not low <= number <= high:
            raise SpeaqError(f"{option}: expected {low} to {high}, found {number}.")
    names, predicates = class_names(num_classes, num_predicates)
    for predicate in predicates:
        hosts = (kind for kind in KINDS[:num_classes] if offers(kind, predicate, set(names)))
        if predicate not in SIDEWAYS and not any(hosts):
            raise SpeaqError(
                f"num_predicates: no two of the {num_classes} classes can have the predicate '{predicate}'. "
                f"Ask for more classes, or for at most {PREDICATES.index(predicate)} predicates."
            )
    if style not in STYLES:
        raise SpeaqError(f"style: expected one of {', '.join(STYLES)}, found {style!r}.")
    if seed < 0:
        raise SpeaqError(f"seed: expected 0 or more, found {seed}.")


def generate_scene(
    *,
    seed: int,
    index: int,
    image_size: tuple[int, int] = (128, 128),
    num_classes: int = 10,
    num_predicates: int = 9,
    style: str = "photo",
) -> Scene:
    """Draw image number ``index`` of the series with this seed; the same arguments give the same result.

    The classes and predicates are those of `class_names`, ``image_size`` is (width, height) in pixels.

    Raises:
        SpeaqError: an option is out of range.
    """
    check_options(
        seed=seed, image_size=image_size, num_classes=num_classes, num_predicates=num_predicates, style=style
    )
    _, predicates = class_names(num_classes, num_predicates)
    width, height = image_size
    unit = min(image_size)
    rng = np.random.default_rng((seed, STYLES.index(style), index))
    while True:
        objects = plan_scene(rng, KINDS[:num_classes], predicates, width / unit, height / unit)
        image, boxes, visible = render(rng, objects, image_size, photo=style == "photo")
        occluded = visible[[one.occluded for one in objects]]
        if visible.min() < _MIN_VISIBLE or occluded.max(initial=0) > _MAX_VISIBLE:
            continue
        if (boxes[:, 2:] - boxes[:, :2]).min() < _MIN_SIDE * unit:
            continue
        try:
            found = find_relations([one.kind for one in objects], boxes / unit)
        except UnclearError:
            continue
        relations = [(s, o, predicates.index(name)) for s, name, o in found if name in predicates]
        if _NUM_RELATIONS[0] <= len(relations) <= _NUM_RELATIONS[1]:
            labels = np.array([KINDS.index(one.kind) for one in objects])
            return Scene(image=image, boxes=boxes, labels=labels, relations=np.array(relations))
