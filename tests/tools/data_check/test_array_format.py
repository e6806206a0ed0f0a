"""check_array_format: the likely format is reported, and the dataset is not repaired."""

import numpy as np
import pytest

from damaged_dataset import error_counts

BOX_KEYS = ("boxes_1024", "boxes_512")


def as_corners(files, key):
    """(x1, y1, x2, y2) as (cx, cy, w, h) should be."""
    boxes = files.arrays[key]
    half = boxes[:, 2:] // 2
    files.arrays[key] = np.hstack((boxes[:, :2] - half, boxes[:, :2] + half))


def from_upper_left(files, key):
    files.arrays[key][:, :2] -= files.arrays[key][:, 2:] // 2


def exchange_axes(files, key):
    files.arrays[key] = files.arrays[key][:, [1, 0, 3, 2]]


def systematic(check):
    """Code, number of rows and explanation of a systematic mistake."""
    (finding,) = (one for one in check.findings if one.code.startswith("systematic-"))
    assert finding.severity == "error"
    assert check.valid is None
    assert check.counts == {}
    (obstacle,) = check.obstacles
    assert obstacle.endswith(f" ({finding.code}); correct the file first")
    return finding.code, finding.count, obstacle


@pytest.mark.parametrize("wrong", BOX_KEYS)
@pytest.mark.parametrize(
    ("change", "looks_like"),
    [
        (as_corners, "(x1, y1, x2, y2)"),
        (from_upper_left, "(x1, y1, w, h)"),
        (exchange_axes, "(cy, cx, h, w), not"),
    ],
)
def test_other_box_format_in_one_array_is_reported(damaged, wrong, change, looks_like):
    change(damaged, wrong)
    code, count, obstacle = systematic(damaged.check())
    assert (code, obstacle.startswith(f"'{wrong}' looks like {looks_like}")) == ("systematic-boxes", True)
    assert count > 600


@pytest.mark.parametrize(
    ("change", "looks_like"), [(as_corners, "(x1, y1, x2, y2)"), (from_upper_left, "(x1, y1, w, h)")]
)
def test_other_box_format_in_both_arrays_is_reported(damaged, change, looks_like):
    for key in BOX_KEYS:
        change(damaged, key)
    code, count, obstacle = systematic(damaged.check())
    assert (code, obstacle.startswith(f"'boxes_1024' looks like {looks_like}")) == ("systematic-boxes", True)
    assert count > 200


def test_exchanged_width_and_height_are_reported(damaged):
    """In the boxes or in the image list: it looks the same, and hits a small part of the boxes."""
    doubt = "'boxes_1024' looks like (cy, cx, h, w), not (cx, cy, w, h) in a frame of 1024, or the image list"
    for key in BOX_KEYS:
        exchange_axes(damaged, key)
    in_boxes = systematic(damaged.check())
    assert in_boxes[2].startswith(doubt)
    for key in BOX_KEYS:
        exchange_axes(damaged, key)
    for entry in damaged.entries:
        entry["width"], entry["height"] = entry["height"], entry["width"]
    in_list = systematic(damaged.check())
    assert in_list[2].startswith(doubt)
    assert 20 <= in_boxes[1] < 634
    assert "systematic-boxes" not in error_counts(
        damaged.check(open_images=True)
    )  # the sizes of the files count


def test_exchanged_or_unequal_box_scales_are_reported(damaged):
    large, small = (damaged.arrays[key].copy() for key in BOX_KEYS)
    for one, other, explanation in (
        (small, large, "'boxes_1024' and 'boxes_512' are exchanged"),
        (small, small, "'boxes_1024' looks like boxes in a frame of 512"),
        (large, large, "'boxes_512' looks like boxes in a frame of 1024"),
        (large, large[::-1], "'boxes_1024' and 'boxes_512' are different boxes"),
    ):
        damaged.arrays["boxes_1024"], damaged.arrays["boxes_512"] = one, other
        code, count, obstacle = systematic(damaged.check())
        assert code == "systematic-boxes"
        assert count > 600
        assert obstacle.startswith(explanation)


def test_wrong_scale_of_a_single_box_array_is_reported(damaged):
    small = damaged.arrays.pop("boxes_512")
    large, damaged.arrays["boxes_1024"] = damaged.arrays["boxes_1024"], small
    assert systematic(damaged.check())[1:] == (
        634,
        "'boxes_1024' ends at half of every image, as boxes in a frame of 512 (systematic-boxes); "
        "correct the file first",
    )
    del damaged.arrays["boxes_1024"]
    damaged.arrays["boxes_512"], damaged.box_scale = large, 512
    assert systematic(damaged.check())[2].startswith("'boxes_512' looks like boxes in a frame of 1024")


def test_class_numbers_from_0_are_reported_where_the_last_class_does_not_occur(damaged):
    labels = damaged.arrays["labels"]
    labels[labels == 150] = 149
    labels[0] = 1
    labels -= 1
    code, count, obstacle = systematic(damaged.check())
    assert (code, count) == ("systematic-labels", len(labels))
    assert obstacle.startswith("'labels' probably starts at 0 (0 to 148), the dictionary at 1")


def test_boxes_in_0_to_1_are_reported(damaged):
    damaged.arrays["boxes_1024"] = damaged.arrays["boxes_1024"].astype(np.float32) / 1024
    del damaged.arrays["boxes_512"]
    code, count, obstacle = systematic(damaged.check())
    assert (code, count) == ("systematic-boxes", len(damaged.arrays["boxes_1024"]))
    assert obstacle.startswith("'boxes_1024' has values in 0..1, not in a frame of 1024")


@pytest.mark.parametrize(
    ("array", "table", "top"), [("labels", "label", 150), ("predicates", "predicate", 50)]
)
def test_class_numbers_from_0_are_reported(damaged, array, table, top):
    damaged.arrays[array][0], damaged.arrays[array][1] = 1, top  # both ends occur
    damaged.arrays[array] -= 1
    rows = len(damaged.arrays[array])
    code, count, obstacle = systematic(damaged.check())
    assert (code, count) == (f"systematic-{array}", rows)
    assert obstacle.startswith(f"'{array}' starts at 0 (0 to {top - 1}), the dictionary at 1")

    damaged.arrays[array] += 1
    assert error_counts(damaged.check()) == {}
    numbers = damaged.names[f"{table}_to_idx"]
    damaged.names[f"{table}_to_idx"] = {name: number - 1 for name, number in numbers.items()}
    damaged.names[f"idx_to_{table}"] = {str(number - 1): name for name, number in numbers.items()}
    code, count, obstacle = systematic(damaged.check())
    assert (code, count) == (f"systematic-{array}", rows)
    assert obstacle.startswith(f"the dictionary starts at 0, '{array}' at 1 (up to {top})")


def test_labels_of_another_dictionary_are_reported(damaged):
    damaged.arrays["labels"] += 100
    assert systematic(damaged.check())[2].startswith("'labels' has 101 to 250, the dictionary 1 to 150")


def first_boxes(files):
    """The first box of the image of each relation."""
    first, last = (files.arrays[f"img_to_{end}_rel"] for end in ("first", "last"))
    count = np.where(first >= 0, last - first + 1, 0)
    return np.repeat(files.arrays["img_to_first_box"], count)[:, None]


@pytest.mark.parametrize(
    ("start", "explanation"),
    [
        (0, "boxes are numbered from 0 in each image, not over the file"),
        (1, "boxes are numbered from 1 in each image, not from 0 over the file"),
    ],
)
def test_box_numbers_counted_per_image_are_reported(damaged, start, explanation):
    damaged.arrays["relationships"] += start - first_boxes(damaged)
    code, count, obstacle = systematic(damaged.check())
    assert (code, obstacle.startswith(explanation)) == ("systematic-relationships", True)
    assert count > 440


def test_box_numbers_from_1_are_reported(damaged):
    damaged.arrays["relationships"] += 1
    assert systematic(damaged.check())[2].startswith("boxes are numbered from 1, not from 0")


def test_box_numbers_of_another_file_are_reported(damaged):
    damaged.arrays["relationships"] = 633 - damaged.arrays["relationships"]
    assert systematic(damaged.check())[2].startswith(
        "most relations refer to missing boxes or boxes of other images"
    )


def test_few_wrong_boxes_are_not_a_systematic_error(damaged):
    for row in range(0, 19):
        damaged.box(row, (2000, 2000, 10, 10))
    check = damaged.check()
    assert error_counts(check) == {"box-off-image": 19}
    assert check.obstacles == ()


def test_missing_test_split_is_a_note(damaged):
    def notes():
        return {one.code: one.what for one in damaged.check().findings if one.code.startswith("split-")}

    assert notes() == {}
    damaged.arrays["split"][:] = 0
    assert notes() == {"split-no-test": "There are no test images."}
