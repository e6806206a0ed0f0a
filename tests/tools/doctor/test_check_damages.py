"""Every kind of damage is found, alone and with the others, and mended."""

import dataclasses
import json

import pytest

from damaged_set import found, open_strictly
from damages import DAMAGES, EXPECTED, OPENING
from speaq.errors import SpeaqError
from speaq.tools.doctor import check_dataset, write_repaired
from speaq.tools.scenes import generate_dataset


def test_nothing_is_wrong_with_the_golden_set(damaged):
    check = damaged.check(open_images=True)
    assert found(check) == {}
    assert {finding.code: finding.count for finding in check.findings} == {
        "image-without-relations": 1,
        "object-unused": 8,
        "relation-duplicate": 2,
        "zero-shot": 108,
    }
    assert (check.counts["train"].num_images, check.counts["test"].num_images) == (84, 36)


@pytest.mark.parametrize("style", ["photo", "flat"])
def test_nothing_is_wrong_with_a_generated_set(tmp_path, style):
    from speaq.tools.doctor import source_of_paths

    generate_dataset(tmp_path / "set", num_images=12, num_val=3, num_test=3, image_size=(80, 64), style=style)
    check = check_dataset(source_of_paths(tmp_path / "set", {}), limit=3, open_images=True)
    assert found(check) == {}
    assert check.counts["val"].num_images == 3


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_alone(damaged, name):
    DAMAGES[name](damaged)
    check = damaged.check(open_images=name in OPENING)
    assert found(check) == EXPECTED[name]
    json.dumps([dataclasses.asdict(finding) for finding in check.findings], allow_nan=False)


@pytest.mark.parametrize("name", DAMAGES)
def test_training_refuses_only_what_the_doctor_calls_an_error(damaged, name):
    DAMAGES[name](damaged)
    errors = [one.code for one in damaged.check().findings if one.severity == "error"]
    try:
        for split in ("train", "test"):
            open_strictly(damaged.source, split)
    except SpeaqError:
        assert errors


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_mended(damaged, tmp_path, name):
    DAMAGES[name](damaged)
    check = damaged.check(open_images=name in OPENING, open_unsized=True)
    repaired = write_repaired(check, tmp_path / "repaired")
    after = check_dataset(repaired, limit=3, open_images=name in OPENING)
    assert "error" not in {finding.severity for finding in after.findings}
    for split, rows in (("train", 84), ("test", 36)):
        dataset = open_strictly(repaired, split)
        assert rows - 6 <= len(dataset) <= rows
        annotations = [dataset.annotation(i) for i in range(len(dataset))]
        assert sum(len(annotation.boxes) for annotation in annotations) == after.counts[split].num_boxes
