"""Kinds of damage to a dataset, each with the findings that are expected of the check.

Every function changes a dataset (see damaged_dataset.py). ``EXPECTED`` has, by the name of the function, the
errors and warnings with their numbers. The golden set has 120 images (the first 84 for training, the others
for test), 634 boxes, 454 relations, 150 object classes and 50 predicates.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from golden_dataset import TINY

DAMAGES: dict[str, Callable[[Any], None]] = {}
EXPECTED: dict[str, dict[str, int]] = {}
OPENING: set[str] = set()  # damages that are found only in opened image files


def damage(
    opening: bool = False, **expected: int
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    def note(plant: Callable[[Any], None]) -> Callable[[Any], None]:
        DAMAGES[plant.__name__] = plant
        EXPECTED[plant.__name__] = {code.replace("_", "-"): count for code, count in expected.items()}
        if opening:
            OPENING.add(plant.__name__)
        return plant

    return note


# Boxes, labels, attributes. Image row 0 (240 x 320 pixels, frame 768 x 1024) has the boxes 0 to 3.


@damage(box_not_finite=2)
def not_finite(files):
    files.arrays["boxes_1024"] = files.arrays["boxes_1024"].astype(np.float32)
    files.arrays["boxes_1024"][5, 0] = np.nan
    files.arrays["boxes_1024"][9, 3] = np.inf
    del files.arrays["boxes_512"]


@damage(box_negative_size=2)
def negative_size(files):
    files.box(6, (300, 300, -8, 40))
    files.box(7, (300, 300, -8, -40))


@damage(box_empty=3)
def empty_box(files):
    for row in (10, 11, 12):
        files.box(row, (200, 200, 0, 60))


@damage(box_off_image=3)
def off_image(files):
    files.box(0, (900, 200, 100, 100))  # to the right: the frame ends at 768
    files.box(1, (300, 1200, 100, 100))
    files.box(3, (-80, 300, 100, 100))


@damage(box_outside_image=2)
def outside_image(files):
    files.box(2, (740, 512, 100, 100))
    files.box(4, (40, 40, 120, 120))


@damage(label_unknown=3)
def unknown_label(files):
    files.arrays["labels"][[3, 30, 300], 0] = 0, -4, 151


@damage(attribute_unknown=2)
def unknown_attribute(files):
    files.arrays["attributes"][7, 1:3] = 11, 12
    files.arrays["attributes"][8, 0] = -1


@damage(array_shape=1)
def shape_of_attributes(files):
    files.arrays["attributes"] = files.arrays["attributes"][:, :, None]


@damage(boxes_disagree=3)
def other_frame(files):
    files.arrays["boxes_512"][[20, 40, 60], 0] += 9


# Relations


@damage(predicate_unknown=2)
def unknown_predicate(files):
    files.arrays["predicates"][[3, 453], 0] = 0, 51


@damage(relation_box_unknown=3)
def box_not_there(files):
    files.arrays["relationships"][[0, 1, 200], 1] = -1, 634, 99_999


@damage(relation_box_of_other_image=2)
def box_of_other_image(files):
    files.arrays["relationships"][2] = 0, 4
    files.arrays["relationships"][453] = 0, 1


@damage(relation_to_itself=2)
def self_relation(files):
    files.arrays["relationships"][[17, 100]] = [[15, 15], [0, 0]]
    first = files.arrays["img_to_first_rel"]
    image = np.flatnonzero((first >= 0) & (first <= 100))[-1]
    files.arrays["relationships"][100] = files.arrays["img_to_first_box"][image]


# Ranges and splits


@damage(box_range_out_of_bounds=1, relation_range_out_of_bounds=2)
def range_too_far(files):
    files.arrays["img_to_last_box"][119] = 634
    files.arrays["img_to_last_rel"][119] = 460
    files.arrays["img_to_first_rel"][118] = 999


@damage(box_range_reversed=1, relation_range_reversed=1)
def range_reversed(files):
    for key, row in (("box", 5), ("rel", 7)):
        first, last = files.arrays[f"img_to_first_{key}"], files.arrays[f"img_to_last_{key}"]
        first[row], last[row] = last[row], first[row]


@damage(box_range_overlap=2, relation_range_overlap=2)
def range_overlap(files):
    files.arrays["img_to_last_box"][10] += 1
    files.arrays["img_to_last_rel"][13] += 1


@damage(split_unknown=2)
def unknown_split(files):
    files.arrays["split"][[4, 100]] = 3, -1


# The image list and the image files


@damage(image_id_duplicate=2)
def id_twice(files):
    files.entries[10]["image_id"] = files.entries[11]["image_id"] = files.entries[8]["image_id"]


@damage(image_id_duplicate=1, leak_same_id=1)
def id_in_two_splits(files):
    files.entries[110]["image_id"] = files.entries[20]["image_id"]


@damage(image_id_missing=1)
def id_missing(files):
    del files.entries[30]["image_id"]


@damage(image_id_type=4)
def id_of_wrong_type(files):
    for row, image_id in zip((31, 32, 33, 34), (2.5, True, None, [3]), strict=True):
        files.entries[row]["image_id"] = image_id


@damage(image_id_path=2)
def id_leads_out(files):
    files.entries[35]["image_id"] = "/etc/passwd"
    files.entries[36]["image_id"] = "../images/37"


@damage(image_id_mixed=2)
def ids_mixed(files):
    for row in (37, 117):
        files.entries[row]["image_id"] = str(files.entries[row]["image_id"])


@damage(image_size=5)
def size_not_positive(files):
    for row, width in zip((40, 41, 42, 43), (0, -240, "240", 240.5), strict=True):
        files.entries[row]["width"] = width
    del files.entries[44]["height"]


@damage(image_entry=2)
def entry_not_an_object(files):
    files.entries[45], files.entries[46] = 45, ["46"]


@damage(image_missing=3)
def file_missing(files):
    files.gone |= {"51.jpg", "52.jpg", "113.jpg"}


@damage(image_unreadable=2, opening=True)
def file_not_an_image(files):
    files.texts |= {"images/55.jpg": b"", "images/56.jpg": b"GIF, or not"}


@damage(image_unreadable=2, opening=True)
def file_damaged_within(files):
    for name in ("57.jpg", "58.jpg"):  # both ends are as they were
        content = bytearray(_content(files, name))
        content[len(content) // 2 : len(content) // 2 + 200] = b"\xff\xd8" * 100
        files.texts[f"images/{name}"] = bytes(content)


@damage(image_size_differs=2, opening=True)
def size_differs(files):
    files.entries[60]["width"] += 1
    files.entries[61]["height"] -= 1


@damage(image_same_content=1, opening=True)
def same_content(files):
    files.texts["images/66.jpg"] = _content(files, "65.jpg")


@damage(leak_same_content=1, opening=True)
def same_content_in_two_splits(files):
    files.texts["images/108.jpg"] = _content(files, "68.jpg")


# The dictionary


@damage(dictionary_gap=1)
def gap_in_numbers(files):
    label = int(np.setdiff1d(np.arange(1, 151), files.arrays["labels"])[0])  # a class that never occurs
    name = files.names["idx_to_label"].pop(str(label))
    files.names["label_to_idx"][name] = 151
    files.names["idx_to_label"]["151"] = name


@damage(dictionary_number_twice=1)
def number_twice(files):
    files.names["predicate_to_idx"]["quite above"] = 1


@damage(dictionary_inverse=2)
def inverse_disagrees(files):
    table = files.names["idx_to_predicate"]
    table["1"], table["2"] = table["2"], table["1"]


@damage(dictionary_key_missing=1)
def key_missing(files):
    del files.names["predicate_to_idx"]


@damage(dictionary_number=2)
def number_as_text(files):
    table = files.names["label_to_idx"]
    table["kite"], table["bench"] = str(table["kite"]), float(table["bench"])


@damage(dictionary_similar_names=1)
def similar_names(files):
    tables = files.names["label_to_idx"], files.names["idx_to_label"]
    tables[0]["Kite "] = tables[0].pop("bowl")
    tables[1][str(tables[0]["Kite "])] = "Kite "


@damage(json_name_twice=1)
def name_twice(files):
    text = json.dumps(files.names)
    files.texts["dicts.json"] = text.replace('{"kite": 69,', '{"kite": 69, "kite": 69,').encode()


# Types of arrays


@damage(array_type=1)
def labels_as_floats(files):
    files.arrays["labels"] = files.arrays["labels"].astype(np.float64)


@damage(relation_range_half_empty=1)
def first_row_missing(files):
    files.arrays["img_to_last_rel"][88] = 4  # the image without relations


@damage(box_unowned=1)
def box_of_no_image(files):
    files.arrays["img_to_last_box"][88] -= 1


@damage(relation_unowned=1)
def relation_of_no_image(files):
    files.arrays["img_to_last_rel"][118] -= 1


def _content(files, name: str) -> bytes:
    return (TINY / "images" / name).read_bytes()
