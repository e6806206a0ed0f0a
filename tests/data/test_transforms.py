import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from speaq.config.data import Crop, Input
from speaq.data.transforms import (
    Scene,
    TrainTransform,
    crop,
    draw_edge,
    draw_region,
    drop_empty_boxes,
    flip,
    keep_boxes,
    mirrored_predicates,
    resize,
    resize_shortest_edge,
    resize_to_tensor,
)
from speaq.structures import Vocabulary

PREDICATES = ("left of", "on", "right of")
VOCABULARY = Vocabulary(("thing",), PREDICATES)


def scene_of(width=60, height=40, boxes=((10, 10, 30, 25), (0, 0, 60, 40))) -> Scene:
    """A black image with the first box painted white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = (int(side) for side in boxes[0])
    pixels[y1:y2, x1:x2] = 255
    return Scene(
        Image.fromarray(pixels),
        np.array(boxes, dtype=np.float32),
        np.zeros(len(boxes), np.int64),
        np.array([(0, 1, 0), (1, 0, 1)], np.int64),
    )


def white_area(image: Image.Image) -> tuple[int, int, int, int]:
    """The bounding box of the bright pixels."""
    box = image.convert("L").point([0] * 128 + [255] * 128).getbbox()
    assert box is not None
    return box


def test_resize_to_tensor_is_the_antialiased_bilinear_but_for_rounding():
    noise = Image.effect_noise((60, 40), 80).convert("RGB")
    scene = Scene(noise, np.array([[10, 10, 30, 20]], np.float32), np.zeros(1), np.empty((0, 4), int))
    exact = torch.from_numpy(np.array(noise, float)).permute(2, 0, 1)[None]
    for edge in (22, 32, 40, 60):
        found, pillow = resize_to_tensor(scene, edge, 80), resize(scene, edge, 80)
        assert found.size == pillow.size
        assert found.image.dtype == torch.uint8 and found.image.is_contiguous()
        np.testing.assert_allclose(found.boxes, pillow.boxes)
        size = found.image.shape[1:]
        values = F.interpolate(exact, size, mode="bilinear", antialias=True)[0]
        assert (found.image - values).abs().max() <= 1 + 1e-6
        difference = found.image.int() - torch.from_numpy(np.array(pillow.image, int)).permute(2, 0, 1)
        assert difference.abs().max() <= 2  # where their roundings are opposite
        assert (difference.abs() <= 1).float().mean() > 0.999
        assert torch.equal(found.image, resize_to_tensor(scene, edge, 80).image)


@pytest.mark.parametrize(
    ("height", "width", "edge", "cap", "expected"),
    [
        (600, 800, 800, 1333, (800, 1067)),
        (800, 600, 800, 1333, (1067, 800)),
        (500, 375, 600, 1000, (800, 600)),
        (375, 500, 480, 1000, (480, 640)),
        (300, 1200, 600, 1000, (250, 1000)),
        (333, 500, 600, 1000, (600, 901)),
        (500, 500, 512, None, (512, 512)),
        (1, 1000, 100, 50, (1, 50)),
        (300, 301, 150, None, (150, 151)),
    ],
)
def test_resize_shortest_edge(height, width, edge, cap, expected):
    assert resize_shortest_edge(height, width, edge, cap) == expected


def test_resize_moves_boxes_with_the_pixels():
    resized = resize(scene_of(boxes=((10, 10, 30, 20), (-3, 0, 60, 0))), 80, 90)
    assert resized.image.size == (90, 60)
    np.testing.assert_allclose(resized.boxes, [[15, 15, 45, 30], [-4.5, 0, 90, 0]])
    assert white_area(resized.image) == (15, 15, 45, 30)
    np.testing.assert_array_equal(resized.relations, scene_of().relations)
    uneven = resize(scene_of(), 80, 100)
    assert uneven.image.size == (100, 67)
    np.testing.assert_allclose(uneven.boxes, scene_of().boxes * ([100 / 60, 67 / 40] * 2), rtol=1e-6)


def test_resize_is_the_antialiased_bilinear_of_pillow():
    noise = Image.effect_noise((60, 40), 80).convert("RGB")
    resized = resize(Scene(noise, np.empty((0, 4)), np.empty(0), np.empty((0, 3), int)), 22)
    np.testing.assert_array_equal(resized.image, noise.resize((33, 22), Image.Resampling.BILINEAR))


def test_flip():
    mirrored = mirrored_predicates(PREDICATES)
    scene = scene_of()
    flipped = flip(scene, mirrored)
    assert flipped.boxes[0].tolist() == [30, 10, 50, 25]
    assert white_area(flipped.image) == (30, 10, 50, 25)
    assert flipped.relations.tolist() == [[0, 1, 2], [1, 0, 1]]
    again = flip(flipped, mirrored)
    np.testing.assert_array_equal(again.boxes, scene.boxes)
    np.testing.assert_array_equal(again.relations, scene.relations)
    np.testing.assert_array_equal(again.image, scene.image)


def test_mirrored_predicates():
    names = (
        "to the left of", "on", "to the right of", "on the left side of", "on the right side of",
        "leftover from", "turning right", "left_of", "right_of", "left and right of", "right and left of",
        "bright",
    )  # fmt: skip
    assert mirrored_predicates(names).tolist() == [2, 1, 0, 4, 3, 5, 6, 8, 7, 10, 9, 11]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Left of", "Right of"),
        ("TO THE LEFT OF", "TO THE RIGHT OF"),
        ("LEFT_OF", "right-of"),
        ("leftOf", "rightOf"),
        ("on left side  of", "On_Right_Side_Of"),
    ],
)
def test_mirrored_predicates_are_found_however_they_are_spelled(left, right):
    assert mirrored_predicates(("on", left, right, "Leftover from")).tolist() == [0, 2, 1, 3]


def test_mirrored_predicates_of_several_spellings_keep_their_spelling():
    assert mirrored_predicates(("left of", "left_of", "right_of", "right of")).tolist() == [3, 2, 1, 0]


def test_crop_moves_boxes_with_the_pixels():
    cropped = crop(scene_of(), (5, 8, 55, 38))
    assert cropped.image.size == (50, 30)
    assert cropped.boxes.tolist() == [[5, 2, 25, 17], [-5, -8, 55, 32]]
    assert white_area(cropped.image) == (5, 2, 25, 17)


def regions(kind, size, height, width, draws=300):
    """Heights and widths (draws, 2) of drawn regions; every one must lie inside the image."""
    rng = np.random.default_rng(0)
    settings = Crop(type=kind, size=size)
    drawn = np.array([draw_region(settings, height, width, rng) for _ in range(draws)])
    assert (drawn[:, :2] >= 0).all()
    assert (drawn[:, 2:] <= (width, height)).all()
    return drawn, np.column_stack((drawn[:, 3] - drawn[:, 1], drawn[:, 2] - drawn[:, 0]))


def test_draw_region_relative():
    drawn, sizes = regions("relative", (0.5, 0.25), 41, 80)
    assert np.unique(sizes, axis=0).tolist() == [[21, 20]]  # 20.5 is rounded up
    assert set(drawn[:, 1]) == set(range(41 - 21 + 1))


def test_draw_region_relative_range():
    _, sizes = regions("relative_range", (0.5, 0.9), 100, 100)
    assert (sizes.min(0).tolist(), sizes.max(0).tolist()) == ([50, 90], [100, 100])


def test_draw_region_absolute():
    _, sizes = regions("absolute", (30, 500), 100, 200)
    assert np.unique(sizes, axis=0).tolist() == [[30, 200]]


def test_draw_region_absolute_range():
    _, sizes = regions("absolute_range", (38, 60), 50, 200, draws=2000)
    assert set(sizes[:, 0]) == set(range(38, 51))
    assert set(sizes[:, 1]) == set(range(38, 61))


def test_draw_region_absolute_range_of_a_small_image():
    drawn, _ = regions("absolute_range", (384, 600), 20, 30)
    assert np.unique(drawn, axis=0).tolist() == [[0, 0, 30, 20]]


def test_draw_edge():
    rng = np.random.default_rng(0)
    choices = {draw_edge(Input(min_size_train=(20, 30)), rng) for _ in range(50)}
    assert choices == {20, 30}
    settings = Input(min_size_train=(20, 23), min_size_train_sampling="range")
    assert {draw_edge(settings, rng) for _ in range(200)} == {20, 21, 22, 23}


def test_drop_empty_boxes_drops_their_relations():
    image = Image.new("RGB", (100, 50))
    boxes = np.array([[-5, 10, 20, 60], [100, 0, 120, 10], [10, 10, 10 + 5e-6, 40], [30, 5, 40, 8.0]])
    relations = np.array([[0, 3, 1], [1, 0, 0], [3, 2, 2], [3, 0, 0], [3, 3, 1]])
    scene = drop_empty_boxes(Scene(image, boxes, np.array([5, 6, 7, 8]), relations))
    assert scene.boxes.tolist() == [[0, 10, 20, 50], [30, 5, 40, 8]]
    assert scene.labels.tolist() == [5, 8]
    assert scene.relations.tolist() == [[0, 1, 1], [1, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("kept", [0, 1])
def test_keep_boxes_may_leave_no_box(kept):
    scene = keep_boxes(scene_of(), np.array([bool(kept), False]))
    assert (scene.boxes.shape, scene.labels.shape, scene.relations.shape) == ((kept, 4), (kept,), (0, 3))
    assert drop_empty_boxes(scene).relations.shape == (0, 3)
    assert flip(scene, mirrored_predicates(PREDICATES)).relations.shape == (0, 3)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(30, 90),
    height=st.integers(30, 90),
    kind=st.sampled_from([None, ("relative_range", (0.3, 0.6)), ("absolute_range", (384, 600))]),
)
def test_train_transform_keeps_boxes_on_their_pixels(seed, width, height, kind):
    """Wherever flip, crop and resize take the white box, its annotation goes along."""
    rng = np.random.default_rng(seed)
    x, y = int(rng.integers(0, width - 16)), int(rng.integers(0, height - 16))
    scene = scene_of(width, height, ((x, y, x + 15, y + 15), (0, 0, width, height)))
    cropping = Crop() if kind is None else Crop(enabled=True, type=kind[0], size=kind[1])
    settings = Input(min_size_train=(48, 64), max_size_train=100, crop=cropping)
    result = TrainTransform(settings, VOCABULARY)(scene, rng)
    new_width, new_height = result.size
    assert max(result.size) <= 100
    assert (result.boxes >= 0).all()
    assert (result.boxes <= (new_width, new_height, new_width, new_height)).all()
    if len(result.boxes) == 2:
        sides = result.boxes[0, 2:] - result.boxes[0, :2]
        if sides.min() > 3:
            np.testing.assert_allclose(
                white_area(Image.fromarray(result.image.permute(1, 2, 0).numpy())), result.boxes[0], atol=1.5
            )
        assert result.relations[1].tolist() == [1, 0, 1]
    else:
        assert len(result.relations) == 0


def test_train_transform_flips_and_crops_half_of_the_images():
    cropping = Crop(enabled=True, type="relative", size=(0.7, 1.0))
    transform = TrainTransform(Input(min_size_train=(40,), crop=cropping), VOCABULARY)
    rng = np.random.default_rng(0)
    results = [transform(scene_of(), rng) for _ in range(200)]
    flipped = np.array([result.relations[0, 2] == 2 for result in results])
    cropped = np.array([result.size == (86, 40) for result in results])
    assert all(result.size == (60, 40) for result, cut in zip(results, cropped, strict=True) if not cut)
    assert 80 < flipped.sum() < 120
    assert 80 < cropped.sum() < 120
    assert 30 < (flipped & cropped).sum() < 70


def test_train_transform_without_flip():
    transform = TrainTransform(Input(min_size_train=(40,), random_flip="none"), VOCABULARY)
    rng = np.random.default_rng(0)
    assert all(transform(scene_of(), rng).relations[0, 2] == 0 for _ in range(20))
