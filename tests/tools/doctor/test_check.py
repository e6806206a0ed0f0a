"""check_dataset with files that cannot be read, and the sources that are checked."""

import json

import numpy as np
import pytest

from damaged_dataset import error_counts
from golden_dataset import TINY
from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.tools.doctor.sources import Source, source_of_paths, sources_of_config


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
    assert check.obstacles == ("image list and annotations do not belong together",)


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


def test_sources_of_config_reads_and_validates_paths(damaged, tmp_path):
    damaged.write()
    section = damaged.source.section.model_dump(by_alias=True, mode="json")
    paths = {key: section[key] for key in ("IMAGES", "IMAGE_DATA", "MAPPING_DICTIONARY", "VG_ATTRIBUTE_H5")}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"DATASETS": {"VISUAL_GENOME": paths, "VISUAL_GENOME_SYNTHETIC": paths}}))
    sources = sources_of_config(load_config(file))
    assert [source.name for source in sources] == ["VISUAL_GENOME", "VISUAL_GENOME_SYNTHETIC"]
    with pytest.raises(SpeaqError, match=r"there is no such file \(DATASETS.VISUAL_GENOME.IMAGE_DATA\)"):
        sources_of_config(load_config(file, ["DATASETS.VISUAL_GENOME.IMAGE_DATA", "gone.json"]))
    with pytest.raises(SpeaqError, match=r"SYNTHETIC_GENOME.IMAGES is not set"):
        sources_of_config(load_config(file, ["DATASETS.SYNTHETIC_GENOME.IMAGE_DATA", "gone.json"]))
    with pytest.raises(SpeaqError, match="names no data set"):
        sources_of_config(load_config())


def test_source_of_paths_finds_the_files_of_a_folder(damaged, tmp_path):
    damaged.write()
    source = source_of_paths(damaged.folder, {})
    assert isinstance(source, Source)
    assert (source.annotations.name, source.dictionary.name) == ("VG.h5", "dicts.json")
    (damaged.folder / "other.h5").write_bytes(b"")
    with pytest.raises(SpeaqError, match=r"found VG.h5, other.h5; give --h5"):
        source_of_paths(damaged.folder, {})
    named = source_of_paths(damaged.folder, {"vg_attribute_h5": damaged.folder / "VG.h5"})
    assert named == source
    with pytest.raises(SpeaqError, match="also --images"):
        source_of_paths(None, {})
    with pytest.raises(SpeaqError, match="no such folder"):
        source_of_paths(tmp_path / "none", {})


def test_split_with_fractions_or_nan_is_reported(damaged):
    damaged.arrays["split"] = damaged.arrays["split"].astype(np.float32)
    damaged.arrays["split"][[3, 4, 5]] = 0.5, np.nan, np.inf
    assert error_counts(damaged.check()) == {"array-type": 1, "split-unknown": 3}
