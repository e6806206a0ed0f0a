"""Generated scenes: sizes, boxes, relations and styles."""

import hashlib

import numpy as np
import pytest

from speaq.errors import SpeaqError
from speaq.tools.scenes import class_names, generate_scene
from speaq.tools.scenes.kinds import KINDS, PREDICATES, SUBJECT_ORDER

BY_NAME = {kind.name: kind for kind in KINDS}


def _digest(scene) -> str:
    parts = (scene.image.tobytes(), scene.boxes.tobytes(), scene.labels.tobytes(), scene.relations.tobytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_generate_scene_depends_on_seed_and_index_only():
    first = _digest(generate_scene(seed=3, index=7))
    generate_scene(seed=3, index=8)
    assert _digest(generate_scene(seed=3, index=7)) == first
    others = {"seed": 4}, {"index": 8}, {"style": "flat"}
    assert (
        len({first, *(_digest(generate_scene(**{"seed": 3, "index": 7, **other})) for other in others)}) == 4
    )


@pytest.mark.parametrize("size", [(128, 128), (160, 96), (90, 150), (320, 320)])
@pytest.mark.parametrize("style", ["photo", "flat"])
def test_generate_scene_has_valid_sizes_boxes_and_relations(size, style):
    for index in range(6):
        scene = generate_scene(seed=1, index=index, image_size=size, style=style)
        assert scene.image.size == size and scene.image.mode == "RGB"
        assert 3 <= len(scene.boxes) == len(scene.labels) == len(set(scene.labels.tolist())) <= 5
        assert 2 <= len(scene.relations) <= 6
        assert (scene.boxes[:, :2] >= 0).all() and (scene.boxes[:, 2:] <= size).all()
        assert (scene.boxes[:, 2:] - scene.boxes[:, :2] >= 0.1 * min(size)).all()
        subjects, objects, predicates = scene.relations.T
        assert (subjects != objects).all() and predicates.max() < 9 and scene.labels.max() < 10
        pairs = {frozenset(pair) for pair in scene.relations[:, :2].tolist()}
        assert len(pairs) == len(scene.relations), "one predicate per pair"


def _relations_by_simple_rules(names: list[str], boxes: np.ndarray) -> set[tuple[int, str, int]]:
    """Relations by rules without margins and without the table of spots."""
    relations = set()
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if SUBJECT_ORDER.index(a) > SUBJECT_ORDER.index(b):
                continue
            (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = boxes[i], boxes[j]
            gap_x, gap_y = max(ax1 - bx2, bx1 - ax2), max(ay1 - by2, by1 - ay2)
            if i == j:
                continue
            if max(gap_x, gap_y) > 0.02:
                shared = min(ax2, bx2) - max(ax1, bx1)
                if gap_x > 0.02 and gap_x < 0.22 and abs(ay2 - by2) < 0.12:
                    relations.add((i, "left of" if ax1 < bx1 else "right of", j))
                elif 0 < gap_y < 0.22 and shared > 0.35 * min(ax2 - ax1, bx2 - bx1):
                    relations.add((i, "above", j) if ay1 < by1 else (j, "above", i))
                continue
            down = (ay2 - by1) / (by2 - by1)  # where the subject ends, from the object's top to its bottom
            if a == "person" and b in ("ball", "kite", "cup"):
                relations.add((i, "holding", j))
            elif b in ("table", "house", "horse") and down < 0.3:
                relations.add((i, "behind" if a == "tree" else "on", j))
            elif b == "table":
                relations.add((i, "under", j))
            elif b == "basket" or (b == "tree" and down < 0.6):
                relations.add((i, "in", j))
            else:
                relations.add((i, "in front of" if ay2 > by2 else "behind", j))
    return relations


def test_relations_follow_from_the_boxes_and_are_complete():
    names, predicates = class_names(10, 9)
    seen = set()
    for index in range(150):
        scene = generate_scene(seed=5, index=index, style="flat")
        found = {(s, predicates[p], o) for s, o, p in scene.relations.tolist()}
        assert found == _relations_by_simple_rules(
            [names[label] for label in scene.labels], scene.boxes / 128
        ), index
        seen |= {predicate for _, predicate, _ in found}
    assert seen == set(predicates)


def test_generate_scene_with_other_numbers_of_classes():
    for classes, predicates in ((8, 3), (8, 9), (14, 10), (20, 12)):
        scene = generate_scene(seed=0, index=0, num_classes=classes, num_predicates=predicates, style="flat")
        assert scene.labels.max() < classes and scene.relations[:, 2].max() < predicates
    assert class_names(8, 3)[0] == class_names(20, 12)[0][:8]
    assert {kind.name for kind in KINDS} == set(SUBJECT_ORDER)
    assert {spot.predicate for kind in KINDS for spot in kind.spots} <= set(PREDICATES)
    assert all(guest in BY_NAME for kind in KINDS for spot in kind.spots for guest in spot.guests)
    assert len({kind.attribute for kind in KINDS}) == len(KINDS)


def test_flat_style_has_flat_colours_and_photo_has_texture():
    def flatness(style):
        shares = []
        for index in range(5):
            pixels = np.asarray(generate_scene(seed=0, index=index, style=style).image, dtype=int)
            shares.append((np.abs(np.diff(pixels, axis=1)).max(axis=-1) == 0).mean())
        return np.mean(shares)

    assert flatness("flat") > 0.7
    assert flatness("photo") < 0.1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"image_size": (32, 128)}, "image_size: expected one number .* found \\(32, 128\\)"),
        ({"num_classes": 21}, "num_classes: expected 8 to 20, found 21"),
        ({"num_predicates": 10}, "'riding'. Ask for more classes, or for at most 9 predicates"),
        ({"num_predicates": 2}, "num_predicates: expected 3 to 12, found 2"),
        ({"style": "oil"}, "style: expected one of photo, flat, found 'oil'"),
        ({"seed": -1}, "seed: expected 0 or more, found -1"),
    ],
)
def test_generate_scene_refuses_invalid_options(option, message):
    with pytest.raises(SpeaqError, match=message):
        generate_scene(**{"seed": 0, "index": 0, **option})
