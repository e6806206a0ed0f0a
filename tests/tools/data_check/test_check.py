"""check_dataset with files that cannot be read."""

import numpy as np
import pytest

from damaged_dataset import error_counts
from golden_dataset import TINY


def remove(files, key):
    del files.arrays[key]


def cut(files, key):
    files.arrays[key] = files.arrays[key][:-1]


def transpose(files, key):
    files.arrays[key] = files.arrays[key].T


def as_text(files, key):
    files.arrays[key] = files.arrays[key].astype("S3")


ARRAYS = [
    "split",
    "labels",
    "boxes_1024",
    "relationships",
    "predicates",
    "img_to_first_box",
    "img_to_last_rel",
]


@pytest.mark.parametrize("key", ARRAYS)
@pytest.mark.parametrize(
    ("damage", "code"), [(remove, "array-missing"), (cut, "array-length"), (as_text, "array-type")]
)
def test_unusable_array_is_reported_and_ends_the_check(damaged, key, damage, code):
    damage(damaged, key)
    check = damaged.check()
    assert error_counts(check).pop(code) >= 1
    assert check.obstacles
    assert check.valid is None
    assert check.counts == {}
    assert error_counts(check).keys() <= {code, "image-list-length", "array-length"}


@pytest.mark.parametrize("key", ["labels", "relationships"])
def test_transposed_array_is_reported(damaged, key):
    transpose(damaged, key)
    assert error_counts(damaged.check()) == {"array-shape": 1}


def test_several_missing_arrays_are_one_finding_with_examples(damaged):
    for key in ("labels", "predicates", "split"):
        remove(damaged, key)
    check = damaged.check()
    assert error_counts(check) == {"array-missing": 3}
    assert [case.place for case in check.findings[0].examples] == ["split", "labels", "predicates"]


@pytest.mark.parametrize("content", [b"", b"no HDF5", None])
def test_unreadable_hdf5_file_is_reported(damaged, content):
    damaged.entries[3]["width"] = -1
    if content is None:  # a download broken off
        content = (TINY / "VG.h5").read_bytes()[:20_000]
    damaged.texts["VG.h5"] = content
    check = damaged.check()
    assert error_counts(check) == {"h5-unreadable": 1, "image-size": 1}
    assert check.obstacles[0] == "the HDF5 file cannot be read"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"images": []}', "\ud800"])
def test_unreadable_image_list_is_reported_and_labels_are_still_checked(damaged, text):
    damaged.texts["image_data.json"] = text.encode("utf-8", "surrogatepass")
    damaged.arrays["labels"][7] = 0
    assert error_counts(damaged.check()) == {"image-list-unreadable": 1, "label-unknown": 1}


@pytest.mark.parametrize("text", ["", "[", "[]", "null"])
def test_unreadable_dictionary_is_reported_and_labels_are_still_checked(damaged, text):
    damaged.texts["dicts.json"] = text.encode()
    damaged.arrays["labels"][[7, 9], 0] = 0, 151  # what is too large cannot be known
    check = damaged.check()
    assert error_counts(check) == {"dictionary-unreadable": 1, "label-unknown": 1}
    assert check.obstacles == ("the dictionary has no objects", "the dictionary has no predicates")


def test_dictionary_without_object_tables_is_reported(damaged):
    del damaged.names["label_to_idx"], damaged.names["idx_to_label"]
    check = damaged.check()
    assert error_counts(check) == {"dictionary-key-missing": 1}
    assert check.obstacles == ("the dictionary has no objects",)


def test_image_list_of_another_length_is_reported(damaged):
    del damaged.entries[50]
    check = damaged.check()
    assert error_counts(check) == {"image-list-length": 1}
    assert check.findings[0].examples[0].found == {"image list": 119, "annotations": 120}
    assert check.obstacles == ("the image list does not match the annotations",)


def test_four_images_without_annotations_are_a_note(damaged):
    for place, image_id in ((3, 1592), (50, 1722), (51, 4616), (123, 4617)):
        damaged.entries.insert(place, {"image_id": image_id, "width": 100, "height": 100})
    check = damaged.check()
    assert error_counts(check) == {}
    assert {finding.code: finding.count for finding in check.findings}["image-list-unannotated"] == 4
    assert check.listed is not None
    assert check.listed.ids == list(range(1, 121))


def test_corrupted_images_are_not_reported_as_missing(damaged):
    damaged.gone |= {"7.jpg", "9.jpg"}
    assert error_counts(damaged.check()) == {"image-missing": 2}
    damaged.corrupted = ("7", "9")
    check = damaged.check()
    assert error_counts(check) == {}
    assert check.counts["train"].num_images == 82


def test_findings_have_images_places_and_values(damaged):
    damaged.arrays["labels"][[3, 5], 0] = 0, 200
    (finding,) = (one for one in damaged.check().findings if one.severity == "error")
    assert [(case.image, case.place, case.found) for case in finding.examples] == [
        (1, "labels[3]", 0),
        (2, "labels[5]", 200),
    ]
    assert finding.images == (1, 2)


def test_limit_applies_to_examples_and_not_to_images(damaged):
    damaged.arrays["labels"][:] = 0
    (finding,) = (one for one in damaged.check(limit=2).findings if one.code == "label-unknown")
    assert (finding.count, len(finding.examples), len(finding.images)) == (634, 2, 120)


def test_image_ids_may_contain_subfolders(damaged):
    damaged.entries[4]["image_id"] = "a/b/5"
    for row, entry in enumerate(damaged.entries):
        entry["image_id"] = str(entry["image_id"]) if row != 4 else "a/b/5"
    assert error_counts(damaged.check()) == {"image-missing": 1}
    (damaged.folder / "images/a/b").mkdir(parents=True)
    (damaged.folder / "images/a/b/5.png").write_bytes(b"")
    assert error_counts(damaged.check()) == {}


def test_split_with_fractions_or_nan_is_reported(damaged):
    damaged.arrays["split"] = damaged.arrays["split"].astype(np.float32)
    damaged.arrays["split"][[3, 4, 5]] = 0.5, np.nan, np.inf
    assert error_counts(damaged.check()) == {"array-type": 1, "split-unknown": 3}


def test_findings_name_no_image_where_its_rows_are_unknown(damaged):
    remove(damaged, "img_to_last_box")
    damaged.arrays["labels"][3] = 0
    (finding,) = (one for one in damaged.check().findings if one.code == "label-unknown")
    assert [(case.image, case.place) for case in finding.examples] == [(None, "labels[3]")]
    assert finding.images == ()
