"""check_mix: what is reported about the two datasets of a mix."""

import dataclasses

import pytest

from damaged_dataset import DamagedDataset
from speaq.tools.data_check.mix import check_mix


@pytest.fixture
def other(tmp_path):
    """The same set in another folder; all of its images are for training, under other ids."""
    files = DamagedDataset(tmp_path / "other")
    for number, entry in enumerate(files.entries):
        entry["image_id"] = f"scene_{number:06d}"
    files.arrays["split"][:] = 0
    return files


def compare(real, synthetic):
    second = synthetic.check()
    second = dataclasses.replace(
        second, source=dataclasses.replace(second.source, name="VISUAL_GENOME_SYNTHETIC")
    )
    findings = check_mix([real.check(), second], limit=3)
    return [(finding.severity, finding.code, finding.count) for finding in findings]


def test_check_mix_finds_nothing_for_equal_datasets(damaged, other):
    assert compare(damaged, other) == []


def test_check_mix_reports_missing_and_extra_classes(damaged, other):
    for table, renamed in (("predicate", "quite above"), ("label", "not a cat")):
        numbers = other.names[f"{table}_to_idx"]
        number = numbers.pop(other.names[f"idx_to_{table}"]["3"])
        numbers[renamed] = number
    of_one_kind = [("error", "vocabulary-missing", 1), ("error", "vocabulary-extra", 1)]
    assert compare(damaged, other) == of_one_kind * 2


def test_check_mix_reports_another_class_order(damaged, other):
    numbers = other.names["predicate_to_idx"]
    first, second = (other.names["idx_to_predicate"][number] for number in ("1", "2"))
    numbers[first], numbers[second] = 2, 1
    assert compare(damaged, other) == [("error", "vocabulary-order", 2)]


def test_check_mix_reports_test_images_in_the_training_split(damaged, other):
    for row in (3, 100, 101, 119):  # 3 is for training in both
        other.entries[row]["image_id"] = str(damaged.entries[row]["image_id"])
    assert compare(damaged, other) == [("warning", "mix-leak-same-id", 3)]
    other.folder = damaged.folder
    second = other.check()
    # The same folder of images: these are the same images.
    first = DamagedDataset(damaged.folder)
    first.write()
    findings = check_mix([first.check(), second], limit=3)
    assert [(finding.severity, finding.count) for finding in findings] == [("error", 3)]
