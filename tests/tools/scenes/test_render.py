"""Boxes of rendered scenes."""

from dataclasses import replace

import numpy as np

from speaq.tools.scenes.kinds import KINDS, PREDICATES
from speaq.tools.scenes.layout import SceneObject, plan_scene
from speaq.tools.scenes.render import render


def _invisible(one: SceneObject) -> SceneObject:
    sprite = replace(one.sprite, layers=((),))
    return replace(one, kind=replace(one.kind, sprites={one.pose: sprite}))


def test_boxes_are_tight_around_visible_pixels():
    """An object's box surrounds the pixels that change when the object is left out."""
    rng = np.random.default_rng(0)
    for _ in range(8):
        objects = plan_scene(rng, KINDS[:10], PREDICATES[:9], 1.0, 1.0)
        image, boxes, _ = render(np.random.default_rng(1), objects, (128, 128), photo=False)
        for i in range(len(objects)):
            rest = [_invisible(one) if j == i else one for j, one in enumerate(objects)]
            with np.errstate(invalid="ignore"):
                without, _, _ = render(np.random.default_rng(1), rest, (128, 128), photo=False)
            changed = np.abs(np.asarray(image, dtype=int) - np.asarray(without, dtype=int)).max(axis=-1) > 0
            rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
            around = np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
            # Pixels that are covered by less than half change too but need not be in the box.
            assert np.abs(around - boxes[i]).max() <= 2, objects[i].kind.name


def test_boxes_of_occluded_objects_cover_the_visible_part():
    rng = np.random.default_rng(2)
    for _ in range(200):
        objects = plan_scene(rng, KINDS[:10], PREDICATES[:9], 1.0, 1.0)
        occluded = [i for i, one in enumerate(objects) if one.occluded]
        if not occluded:
            continue
        _, boxes, share = render(rng, objects, (128, 128), photo=False)
        whole = objects[occluded[0]].box * 128
        box = boxes[occluded[0]]
        if share[occluded[0]] < 0.7:
            assert (box[2:] - box[:2]).prod() < (whole[2:] - whole[:2]).prod()
            return
    raise AssertionError("no occluded object in 200 scenes")
