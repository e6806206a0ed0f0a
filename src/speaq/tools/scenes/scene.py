"""Generates one image with its annotation from a seed and an index.

N: things of a scene, M: relations.
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
RELATIONS = (2, 6)  # minimum and maximum number in a scene
MIN_CLASSES = 8  # fewer do not offer every usual predicate
MIN_PREDICATES = 3
SIDES = (64, 2048)  # pixels; things in smaller images could not be recognised
_LEAST_SEEN = 0.45  # of each thing
_MOST_SEEN = 0.82  # of a thing that should be partly hidden
_LEAST_SIZE = 0.1  # of each side of a box, in units of the image's shorter side


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An image with its annotation.

    Attributes:
        image: RGB.
        boxes: (N, 4) int64, xyxy in pixels, around the visible part of each thing.
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
    """Check the options of `generate_scene`.

    Raises:
        SpeaqError: an option is out of range.
    """
    if len(image_size) != 2 or not all(SIDES[0] <= side <= SIDES[1] for side in image_size):
        raise SpeaqError(
            f"image_size: expected one number or (width, height) of {SIDES[0]} to {SIDES[1]} pixels, "
            f"found {image_size}."
        )
    for what, number, low, high in (
        ("num_classes", num_classes, MIN_CLASSES, len(KINDS)),
        ("num_predicates", num_predicates, MIN_PREDICATES, len(PREDICATES)),
    ):
        if not low <= number <= high:
            raise SpeaqError(f"{what}: expected {low} to {high}, found {number}.")
    kinds, names = KINDS[:num_classes], {kind.name for kind in KINDS[:num_classes]}
    for predicate in PREDICATES[:num_predicates]:
        if predicate not in SIDEWAYS and not any(offers(kind, predicate, names) for kind in kinds):
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
    """Draw image number ``index`` of the series with this seed.

    The same arguments always give the same image and annotation.

    Args:
        seed: seed of the series.
        index: index of the image in the series.
        image_size: width and height in pixels.
        num_classes: object classes that may occur (`class_names`).
        num_predicates: predicates that are annotated.
        style: "photo" or "flat".

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
        things = plan_scene(rng, KINDS[:num_classes], predicates, width / unit, height / unit)
        image, boxes, share = render(rng, things, image_size, photo=style == "photo")
        sides = boxes[:, 2:] - boxes[:, :2]
        if share.min() < _LEAST_SEEN or sides.min() < _LEAST_SIZE * unit:
            continue
        if any(thing.peeks and seen > _MOST_SEEN for thing, seen in zip(things, share, strict=True)):
            continue
        try:
            found = find_relations([thing.kind for thing in things], boxes / unit)
        except UnclearError:
            continue
        relations = [(s, o, predicates.index(name)) for s, name, o in found if name in predicates]
        if RELATIONS[0] <= len(relations) <= RELATIONS[1]:
            return Scene(
                image=image,
                boxes=boxes,
                labels=np.array([KINDS.index(thing.kind) for thing in things]),
                relations=np.array(relations),
            )
