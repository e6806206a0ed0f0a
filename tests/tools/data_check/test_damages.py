"""Every kind of damage is found by check_dataset and repaired by write_repaired."""

import dataclasses
import json

import pytest
from PIL import Image

from damaged_dataset import error_counts, open_strictly
from dataset_damages import DAMAGES, EXPECTED, OPENING
from speaq.errors import SpeaqError
from speaq.tools.data_check.check import check_dataset
from speaq.tools.data_check.repair import write_repaired
from speaq.tools.data_check.sources import find_sources
from speaq.tools.scenes import generate_dataset


def test_check_dataset_finds_no_errors_in_the_golden_dataset(damaged):
    check = damaged.check(open_images=True)
    assert error_counts(check) == {}
    assert {finding.code: finding.count for finding in check.findings} == {
        "image-without-relations": 1,
        "object-unused": 8,
        "relation-duplicate": 2,
        "zero-shot": 108,
    }
    assert (check.counts["train"].num_images, check.counts["test"].num_images) == (84, 36)


def test_check_dataset_refuses_images_with_more_than_max_pixels(damaged):
    damaged.write()
    source = dataclasses.replace(damaged.source, max_pixels=100)
    check = check_dataset(source, limit=3, open_images=True)
    assert error_counts(check)["image-unreadable"] == len(damaged.entries)


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("annotated", ["stored", "upright"])
def test_sizes_of_images_with_an_orientation_are_those_of_the_loader(damaged, orientation, annotated):
    damaged.write()
    entry = damaged.entries[0]
    size = entry["width"], entry["height"]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = size[::-1] if annotated == "upright" and orientation == 6 else size
    path = damaged.folder / f"images/{entry['image_id']}.jpg"
    path.unlink()
    Image.new("RGB", stored).save(path, exif=exif)
    check = check_dataset(damaged.source, limit=3, open_images=True)
    findings = {finding.code for finding in check.findings}
    assert "image-size-differs" not in findings
    dataset = open_strictly(damaged.source, "train")
    assert size[0] != size[1]
    assert dataset.read(dataset.image_ids.index(entry["image_id"]))[0].size == size


@pytest.mark.parametrize("style", ["photo", "flat"])
def test_check_dataset_finds_no_errors_in_a_generated_dataset(tmp_path, style):
    generate_dataset(tmp_path / "set", num_images=12, num_val=3, num_test=3, image_size=(80, 64), style=style)
    check = check_dataset(find_sources([str(tmp_path / "set")], None, {})[0], limit=3, open_images=True)
    assert error_counts(check) == {}
    assert check.counts["val"].num_images == 3


@pytest.mark.parametrize("name", DAMAGES)
def test_check_dataset_finds_exactly_the_expected_damage(damaged, name):
    DAMAGES[name](damaged)
    check = damaged.check(open_images=name in OPENING)
    assert error_counts(check) == EXPECTED[name]
    json.dumps([dataclasses.asdict(finding) for finding in check.findings], allow_nan=False)


@pytest.mark.parametrize("name", DAMAGES)
def test_visual_genome_refuses_only_damage_reported_as_error(damaged, name):
    DAMAGES[name](damaged)
    errors = [one.code for one in damaged.check().findings if one.severity == "error"]
    try:
        for split in ("train", "test"):
            open_strictly(damaged.source, split)
    except SpeaqError:
        assert errors


@pytest.mark.parametrize("name", DAMAGES)
def test_write_repaired_removes_the_errors_of_each_damage(damaged, tmp_path, name):
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
