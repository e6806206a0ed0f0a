"""Generated datasets: files, annotations and options."""

import json
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from speaq.errors import SpeaqError
from speaq.tools.scenes import generate_dataset, generate_scene
from speaq.tools.scenes.dataset import scaled_boxes

SMALL = {"num_images": 9, "num_val": 3, "num_test": 4, "seed": 11}


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return generate_dataset(tmp_path_factory.mktemp("generated") / "vg", **SMALL)


def _arrays(files) -> dict[str, np.ndarray]:
    with h5py.File(files.attribute_h5) as file:
        return {name: file[name][:] for name in file}


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _read_boxes(boxes: np.ndarray, long_side: int, pixels: int) -> np.ndarray:
    """Boxes to xyxy in pixels, as the format is read: x1 = trunc(cx - w / 2), x2 = x1 + w."""
    low = np.trunc(boxes[:, :2] - boxes[:, 2:] / 2)
    return np.concatenate((low, low + boxes[:, 2:]), axis=1) / long_side * pixels


def test_generate_dataset_uses_the_established_file_names(photo, tmp_path):
    assert (photo.images.name, photo.attribute_h5.name) == ("VG_100K", "VG-SGG-with-attri.h5")
    assert (photo.image_data.name, photo.mapping_dictionary.name) == (
        "image_data.json",
        "VG-SGG-dicts-with-attri.json",
    )
    flat = generate_dataset(tmp_path / "flat", **SMALL, style="flat")
    assert {path.name for path in flat.folder.iterdir()} == {
        "synthetic_images",
        "synthetic-SGG-with-attri.h5",
        "synthetic_image_data.json",
        "synthetic-SGG-dicts-with-attri.json",
        "generator.json",
    }
    assert flat.mapping_dictionary.read_bytes() == photo.mapping_dictionary.read_bytes()
    entries = json.loads(flat.image_data.read_text())
    assert entries[5] == {"width": 128, "height": 128, "url": "scene_000005.jpg", "image_id": "scene_000005"}
    assert len(list(flat.images.glob("scene_*.jpg"))) == 16


def test_annotations_are_in_the_published_format(photo):
    arrays = _arrays(photo)
    images, boxes, relations = 16, len(arrays["labels"]), len(arrays["predicates"])
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {
        "split": (images,),
        "img_to_first_box": (images,),
        "img_to_last_box": (images,),
        "img_to_first_rel": (images,),
        "img_to_last_rel": (images,),
        "labels": (boxes, 1),
        "attributes": (boxes, 10),
        "boxes_1024": (boxes, 4),
        "boxes_512": (boxes, 4),
        "relationships": (relations, 2),
        "predicates": (relations, 1),
    }
    assert all(array.dtype.kind == "i" for array in arrays.values())
    assert arrays["split"].tolist() == [1] * 3 + [2] * 4 + [0] * 9
    for what, number in (("box", boxes), ("rel", relations)):
        first, last = arrays[f"img_to_first_{what}"], arrays[f"img_to_last_{what}"]
        assert first[0] == 0 and last[-1] == number - 1
        assert (first[1:] == last[:-1] + 1).all() and (last >= first).all()
    assert arrays["labels"].min() >= 1 and arrays["labels"].max() <= 10
    assert arrays["predicates"].min() >= 1 and arrays["predicates"].max() <= 9
    assert (arrays["attributes"][:, :1] == arrays["labels"]).all() and not arrays["attributes"][:, 1:].any()
    for image in range(images):
        rows = slice(arrays["img_to_first_rel"][image], arrays["img_to_last_rel"][image] + 1)
        pairs = arrays["relationships"][rows]
        assert pairs.min() >= arrays["img_to_first_box"][image]
        assert pairs.max() <= arrays["img_to_last_box"][image]


def test_annotations_and_images_agree_with_generate_scene(photo):
    arrays = _arrays(photo)
    entries = json.loads(photo.image_data.read_text())
    boxes = _read_boxes(arrays["boxes_1024"], 1024, 128)
    np.testing.assert_array_equal(_read_boxes(arrays["boxes_512"], 512, 128), boxes)
    for index, entry in enumerate(entries):
        scene = generate_scene(seed=11, index=index)
        rows = slice(arrays["img_to_first_box"][index], arrays["img_to_last_box"][index] + 1)
        np.testing.assert_array_equal(boxes[rows], scene.boxes)
        np.testing.assert_array_equal(arrays["labels"][rows, 0] - 1, scene.labels)
        rels = slice(arrays["img_to_first_rel"][index], arrays["img_to_last_rel"][index] + 1)
        np.testing.assert_array_equal(arrays["relationships"][rels] - rows.start, scene.relations[:, :2])
        np.testing.assert_array_equal(arrays["predicates"][rels, 0] - 1, scene.relations[:, 2])
        with Image.open(photo.images / f"{entry['image_id']}.jpg") as image:
            assert image.size == (entry["width"], entry["height"])
            difference = np.abs(np.asarray(image, dtype=float) - np.asarray(scene.image, dtype=float))
        assert difference.mean() < 4


def test_image_list_and_dictionary_have_the_published_format(photo):
    entries = json.loads(photo.image_data.read_text())
    assert [entry["image_id"] for entry in entries] == list(range(10_001, 10_017))
    assert set(entries[0]) == {"image_id", "width", "height", "url", "coco_id", "flickr_id"}
    mapping = json.loads(photo.mapping_dictionary.read_text())
    for what, number in (("label", 10), ("predicate", 9), ("attribute", 10)):
        forward, inverse = mapping[f"{what}_to_idx"], mapping[f"idx_to_{what}"]
        assert sorted(forward.values()) == list(range(1, number + 1))
        assert inverse == {str(index): name for name, index in forward.items()}
    assert mapping["predicate_to_idx"]["left of"] == 2 and mapping["predicate_to_idx"]["right of"] == 3


def test_result_does_not_depend_on_the_number_of_workers(photo, tmp_path):
    progress = []
    options = SMALL | {"num_images": 60}
    alone = generate_dataset(tmp_path / "alone", **options)
    spread = generate_dataset(
        tmp_path / "two", **options, workers=2, progress=lambda *at: progress.append(at)
    )
    assert _contents(alone.folder) == _contents(spread.folder)
    assert progress == [(50, 67), (67, 67)]
    more, few = _contents(alone.images), _contents(photo.images)
    assert all(more[name] == content for name, content in few.items()), (
        "more images leave the first as they are"
    )


def test_repeated_call_completes_missing_files_only(tmp_path):
    files = generate_dataset(tmp_path / "set", **SMALL, style="flat")
    before = _contents(files.folder)
    times = {path: path.stat().st_mtime_ns for path in files.folder.rglob("*")}
    calls = []
    generate_dataset(files.folder, **SMALL, style="flat", progress=lambda *at: calls.append(at))
    assert calls == []
    assert times == {path: path.stat().st_mtime_ns for path in files.folder.rglob("*")}

    (files.images / "scene_000003.jpg").unlink()
    generate_dataset(files.folder, **SMALL, style="flat")
    assert _contents(files.folder) == before
    record = files.folder / "generator.json"
    record.write_text(record.read_text().replace("true", "false"))
    files.attribute_h5.unlink()
    generate_dataset(files.folder, **SMALL, style="flat")
    assert _contents(files.folder) == before


def test_generate_dataset_refuses_folders_with_other_files(photo, tmp_path):
    with pytest.raises(SpeaqError, match=r"another generated dataset \(seed 11 instead of 12\)"):
        generate_dataset(photo.folder, **SMALL | {"seed": 12})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SpeaqError, match="holds other files"):
        generate_dataset(tmp_path, **SMALL)
    with pytest.raises(SpeaqError, match="expected a folder"):
        generate_dataset(tmp_path / "notes.txt", **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "notes.txt").rename(tmp_path / "generator.json")
    with pytest.raises(SpeaqError, match="cannot read this record"):
        generate_dataset(tmp_path, **SMALL)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"num_images": 0}, "num_images: expected at least 1, found 0"),
        ({"workers": 0}, "workers: expected at least 1, found 0"),
        ({"image_ids": "uuid"}, "image_ids: expected 'int' or 'string', found 'uuid'"),
        ({"num_classes": 3}, "num_classes: expected 8 to 20, found 3"),
    ],
)
def test_generate_dataset_refuses_invalid_options(option, message, tmp_path):
    with pytest.raises(SpeaqError, match=message):
        generate_dataset(tmp_path / "set", **SMALL | option)
    assert not (tmp_path / "set").exists()


def test_generate_dataset_with_non_square_images(tmp_path):
    files = generate_dataset(
        tmp_path / "set", num_images=3, num_val=0, num_test=0, image_size=(150, 100), image_ids="string"
    )
    entries = json.loads(files.image_data.read_text())
    assert [(entry["width"], entry["height"]) for entry in entries] == [(150, 100)] * 3
    arrays = _arrays(files)
    boxes = _read_boxes(arrays["boxes_1024"], 1024, 150)
    expected = np.concatenate(
        [generate_scene(seed=0, index=i, image_size=(150, 100)).boxes for i in range(3)]
    )
    assert np.abs(boxes - expected).max() <= 0.08
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 150 and boxes[:, 3].max() <= 100


def test_scaled_boxes_are_read_back_to_within_one_unit():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 334, size=(500, 2, 2)), axis=1).reshape(-1, 4)
    corners[:, 2:] += 1
    scaled = scaled_boxes(corners, (500, 335), 1024)
    read = _read_boxes(scaled, 1024, 500)
    assert np.abs(read - corners).max() <= 1.0 * 500 / 1024
    assert read[:, 3].max() <= 335


def test_predicate_frequencies_have_a_long_tail():
    counts = Counter()
    for index in range(400):
        counts.update(generate_scene(seed=2, index=index, style="flat").relations[:, 2].tolist())
    shares = np.array([counts[predicate] for predicate in range(9)]) / counts.total()
    assert shares.argmax() == 0 and 0.27 < shares[0] < 0.36
    assert 0.01 < shares.min() < 0.04
    assert np.sort(shares)[-3:].sum() > 0.65
    assert shares[1] > shares[2] > shares[3:].max()
