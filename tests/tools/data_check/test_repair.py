"""write_repaired: valid entries stay as they are, invalid ones are removed with what refers to them."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image

from damaged_dataset import error_counts, open_strictly
from dataset_damages import DAMAGES
from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.tools.data_check.check import check_dataset
from speaq.tools.data_check.repair import list_changes, write_repaired, write_settings
from speaq.tools.data_check.sources import sources_of_config


def repaired(damaged, tmp_path, **options):
    check = damaged.check(open_unsized=True, **options)
    return check, write_repaired(check, tmp_path / "repaired")


def annotations(source):
    datasets = [open_strictly(source, split) for split in ("train", "test")]
    return {one.image_id: one for dataset in datasets for one in map(dataset.annotation, range(len(dataset)))}


def assert_same(one, other):
    assert one.boxes.tolist() == other.boxes.tolist()
    assert one.labels.tolist() == other.labels.tolist()
    assert one.relations.tolist() == other.relations.tolist()
    assert one.path.resolve() == other.path.resolve()


def test_write_repaired_leaves_a_correct_dataset_unchanged(damaged, tmp_path):
    check, copy = repaired(damaged, tmp_path)
    assert list_changes(check) == {}
    with h5py.File(damaged.source.annotations) as before, h5py.File(copy.annotations) as after:
        assert before.keys() == after.keys()
        for key in before:
            assert np.asarray(before[key]).tolist() == np.asarray(after[key]).tolist()
    for name in ("image_data.json", "dicts.json"):
        assert json.loads((tmp_path / "repaired" / name).read_text()) == json.loads(
            (damaged.folder / name).read_text()
        )


def test_removed_boxes_take_their_relations_and_the_rest_is_renumbered(damaged, tmp_path):
    damaged.write()
    before = annotations(damaged.source)
    damaged.arrays["labels"][2] = 0  # the third of the four boxes of image 1, which has (3,2), (0,2), (0,2)
    damaged.arrays["relationships"][3] = 5, 700  # the first of image 2
    check, copy = repaired(damaged, tmp_path)
    assert list_changes(check) == {
        "boxes left out: class not in the dictionary": 1,
        "relations left out: box missing or of another image": 1,
        "relations left out: box left out": 3,
    }
    after = annotations(copy)
    assert after.keys() == before.keys()
    for image_id in before.keys() - {1, 2}:
        assert_same(before[image_id], after[image_id])
    assert after[1].boxes.tolist() == before[1].boxes[[0, 1, 3]].tolist()
    assert after[1].relations.tolist() == []
    assert after[2].relations.tolist() == before[2].relations[1:].tolist()


def test_invalid_images_are_removed(damaged, tmp_path):
    damaged.write()
    before = annotations(damaged.source)
    damaged.gone.add("7.jpg")
    (damaged.folder / "images/7.jpg").unlink()
    DAMAGES["id_in_two_splits"](damaged)  # row 110, of the test images, gets the id 21
    DAMAGES["unknown_split"](damaged)  # rows 4 and 100
    check, copy = repaired(damaged, tmp_path)
    assert list_changes(check) == {
        "images left out: file missing": 1,
        "images left out: duplicate id": 1,
        "images left out: unknown split": 2,
    }
    after = annotations(copy)
    assert before.keys() - after.keys() == {5, 7, 101, 111}
    for image_id in after.keys() - {21}:
        assert_same(before[image_id], after[image_id])
    assert after[21].labels.tolist() == before[111].labels.tolist()  # the test image stays


def test_confidences_and_sources_stay_with_their_relations(damaged, tmp_path):
    DAMAGES["box_not_there"](damaged)
    relations = damaged.arrays["relationships"]
    damaged.arrays["relation_confidences"] = np.linspace(0, 1, len(relations), dtype=np.float32)
    damaged.arrays["relation_sources"] = [f"source {row}" for row in range(len(relations))]
    check, copy = repaired(damaged, tmp_path)
    assert not any("array 'relation_" in change for change in list_changes(check))
    with h5py.File(copy.annotations) as file:
        kept = np.isin(damaged.arrays["relation_confidences"], file["relation_confidences"][()])
        assert (damaged.arrays["predicates"][kept] == file["predicates"][()]).all()
        sources = file["relation_sources"].asstr()[()].tolist()
        assert sources == [f"source {row}" for row in np.flatnonzero(kept)]
    assert 0 < (~kept).sum() < 20


def test_invalid_confidences_are_errors_and_left_out(damaged, tmp_path):
    count = len(damaged.arrays["relationships"])
    damaged.arrays["relation_confidences"] = np.linspace(0, 1, count + 3)[:count] * 2
    too_large = int((damaged.arrays["relation_confidences"] > 1).sum())
    check, copy = repaired(damaged, tmp_path)
    assert error_counts(check) == {"relation-confidence": too_large}
    assert error_counts(check_dataset(copy, limit=3)) == {}
    damaged.arrays["relation_confidences"] = np.ones(count - 1)
    damaged.arrays["relation_sources"] = [1] * count
    check, copy = repaired(damaged, tmp_path / "second")
    assert error_counts(check) == {"array-length": 1, "array-type": 1}
    with h5py.File(copy.annotations) as file:
        assert not {"relation_confidences", "relation_sources"} & set(file)


def test_boxes_are_clipped_to_whole_units(damaged, tmp_path):
    DAMAGES["outside_image"](damaged)
    check, copy = repaired(damaged, tmp_path)
    assert list_changes(check) == {
        "boxes clipped to their images": 2,
        "boxes of the other frame recomputed": 2,
    }
    after = annotations(copy)
    # Image 1 has 240 x 320 pixels: a frame of 768 x 1024. x1 = 740 - 50, x2 = 790 -> 768.
    assert after[1].boxes[2].tolist() == [690 * 0.3125, 462 * 0.3125, 240, 562 * 0.3125]
    assert after[2].boxes[0].tolist() == [0, 0, 100 * 0.3125, 100 * 0.3125]


def test_float_boxes_are_clipped_exactly(damaged, tmp_path):
    DAMAGES["outside_image"](damaged)
    for key in ("boxes_1024", "boxes_512"):
        damaged.arrays[key] = damaged.arrays[key].astype(np.float64)
    damaged.arrays["boxes_1024"][4] = 40.5, 40, 120, 120
    _, copy = repaired(damaged, tmp_path)
    assert annotations(copy)[2].boxes[0].tolist() == [0, 0, 100.5 * 0.3125, 100 * 0.3125]
    assert error_counts(check_dataset(copy, limit=3)) == {}


def test_boxes_are_clipped_where_box_scale_is_512(damaged, tmp_path):
    damaged.box_scale = 512
    DAMAGES["outside_image"](damaged)
    check, copy = repaired(damaged, tmp_path)
    assert error_counts(check) == {"box-outside-image": 2}
    assert annotations(copy)[1].boxes[2].tolist() == [345 * 0.625, 231 * 0.625, 240, 281 * 0.625]
    assert error_counts(check_dataset(copy, limit=3)) == {}
    del damaged.arrays["boxes_1024"]
    assert error_counts(damaged.check()) == {"box-outside-image": 2}


def test_classes_counted_from_0_are_renumbered(damaged, tmp_path):
    """Numbers from 0, in the dictionary and in the annotations."""
    damaged.write()
    before = annotations(damaged.source)
    for kind in ("label", "predicate"):
        table = damaged.names[f"{kind}_to_idx"]
        damaged.names[f"{kind}_to_idx"] = {name: number - 1 for name, number in table.items()}
        damaged.names[f"idx_to_{kind}"] = {str(number - 1): name for name, number in table.items()}
        damaged.arrays[f"{kind}s"] -= 1
    check, copy = repaired(damaged, tmp_path)
    assert error_counts(check) == {"dictionary-gap": 2}
    assert list_changes(check)["object numbers changed"] == 150
    after = annotations(copy)
    for image_id, one in before.items():
        assert_same(one, after[image_id])


def test_invalid_image_sizes_are_read_from_the_files(damaged, tmp_path):
    DAMAGES["size_not_positive"](damaged)
    check, copy = repaired(damaged, tmp_path)
    assert list_changes(check) == {"sizes replaced by those of the files": 5}
    after = json.loads(copy.image_data.read_text())
    for entry in after[40:45]:
        with Image.open(damaged.folder / f"images/{entry['image_id']}.jpg") as image:
            assert image.size == (entry["width"], entry["height"])


def test_write_repaired_refuses_existing_files_and_folders_of_the_dataset(damaged, tmp_path):
    check, copy = repaired(damaged, tmp_path)
    before = copy.image_data.read_bytes()
    with pytest.raises(
        SpeaqError, match=r"already has annotations\.h5, image_data\.json, dicts\.json, which"
    ):
        write_repaired(check, tmp_path / "repaired")
    assert copy.image_data.read_bytes() == before
    for part in ("images", "images/..", "sub", "images/a/b", "../set/sub"):
        with pytest.raises(SpeaqError, match=r"belongs to the data set"):
            write_repaired(check, damaged.folder / part)
    (tmp_path / "link").symlink_to(damaged.folder)
    with pytest.raises(SpeaqError, match="belongs to the data set"):
        write_repaired(check, tmp_path / "link" / "sub")
    assert not (damaged.folder / "sub").exists()


def test_write_settings_names_the_repaired_files(damaged, tmp_path):
    _, copy = repaired(damaged, tmp_path)
    write_settings(tmp_path / "dataset.yaml", [copy])
    assert sources_of_config(load_config(tmp_path / "dataset.yaml")) == [copy]


def test_dataset_without_valid_images_cannot_be_repaired(damaged):
    damaged.arrays["split"][:] = 3
    check = damaged.check()
    assert check.valid is None
    assert check.obstacles == ("no image with a valid box is left",)
