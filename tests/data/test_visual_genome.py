import json
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from golden_dataset import EXPECTED, FILTERS, TINY, open_dataset
from speaq.data.selection import boxes_overlap
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("setting", FILTERS)
def test_golden_splits(tiny, setting, split):
    dataset, expected = tiny(split, **FILTERS[setting]), EXPECTED[setting][split]
    assert len(dataset) == expected["n"]
    assert dataset.image_ids == expected["image_ids"]
    assert len(dataset.boxes) == expected["n_boxes"]
    assert len(dataset.relations) == expected["n_rel"]
    first = dataset.annotation(0)
    assert first.boxes.tolist() == expected["first"]["boxes"]
    assert first.labels.tolist() == expected["first"]["labels"]
    assert first.relations.tolist() == expected["first"]["relations"]
    assert (first.width, first.height) == (expected["first"]["width"], expected["first"]["height"])
    assert first.path == TINY / "images" / f"{dataset.image_ids[0]}.jpg"


def test_types_of_an_annotation(tiny):
    annotation = tiny(source="synthetic", loss_weight=0.5).annotation(3)
    assert (annotation.boxes.dtype, annotation.labels.dtype, annotation.relations.dtype) == (
        np.dtype("float32"),
        np.dtype("int64"),
        np.dtype("int64"),
    )
    assert type(annotation.image_id) is int
    assert (annotation.source, annotation.loss_weight) == ("synthetic", 0.5)


def test_vocabulary_is_in_index_order(files):
    dataset = files.open()
    assert dataset.vocabulary.objects == ("dog", "cat", "tree")
    assert dataset.vocabulary.predicates == ("left of", "right of", "on")


def test_integer_boxes_are_truncated_towards_zero(files):
    files.image("11.jpg")
    files.image("12.jpg")
    dataset = files.open()
    # 200 - 101 / 2 = 149.5 -> 149; 1 - 5 / 2 = -1.5 -> -1; the width stays. Pixels = frame / 16.
    assert dataset.annotation(0).boxes[0].tolist() == [149 / 16, 150 / 16, 250 / 16, 250 / 16]
    assert dataset.annotation(1).boxes[0].tolist() == [-1 / 16, 70 / 16, 4 / 16, 130 / 16]


def test_unsigned_boxes_may_reach_below_zero(files):
    files.image("12.jpg")
    files.arrays["boxes_1024"] = files.arrays["boxes_1024"].astype(np.uint16)
    assert files.open().annotation(1).boxes[0, 0] == -1 / 16


def test_float_boxes_are_not_rounded(files):
    files.image("11.jpg")
    files.arrays["boxes_1024"] = files.arrays["boxes_1024"].astype(np.float32)
    assert files.open().annotation(0).boxes[0].tolist() == [149.5 / 16, 150 / 16, 250.5 / 16, 250 / 16]


def test_box_scale_512(files):
    files.image("11.jpg")
    files.arrays["boxes_512"] = files.arrays["boxes_1024"].copy()
    assert files.open(box_scale=512).annotation(0).boxes[1].tolist() == [170 / 8, 170 / 8, 270 / 8, 270 / 8]


def test_json_files_may_begin_with_a_byte_order_mark(files):
    expected = files.open()
    for name in ("image_data.json", "dicts.json"):
        path = files.folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = open_dataset(files.folder)
    assert found.vocabulary == expected.vocabulary
    assert found.sizes.tolist() == expected.sizes.tolist()


def test_confidences_of_relations_are_read(files):
    files.image("11.jpg")
    assert files.open().annotation(0).relation_weights is None
    files.arrays["relation_confidences"] = np.array([0.25, 0.5, 1, 0, 0.75])
    assert files.open().annotation(0).relation_weights.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.5] * 4, r'different numbers of rows. Found .*"relation_confidences": 4, "relationships": 5'),
        ([0.5, 1.5, 0, 0, 0], r"not a number in 0..1. Found relation_confidences\[1\]: \[1.5\]"),
        ([0.5, np.nan, 0, 0, 0], r"not a number in 0..1. Found relation_confidences\[1\]: ..nan"),
        ([b"a"] * 5, "wrong type. Found relation_confidences: .S1"),
    ],
)
def test_invalid_confidences_are_refused(files, values, found):
    files.arrays["relation_confidences"] = np.array(values)
    with pytest.raises(SpeaqError, match=found):
        files.open()


@pytest.mark.parametrize(
    "texts", [["human", "", "qwen-vl", "", "눈"], np.array([b"human", b"b", b"", b"b", b"b"])]
)
def test_sources_of_relations_weight_the_loss_in_training(files, texts):
    files.image("11.jpg")
    files.arrays["relation_sources"] = texts
    assert files.open().confidences is None
    other = files.open(relation_source_weights=["human=0.5"])
    assert other.annotation(0).relation_weights.tolist() == [0.5, 1]
    files.arrays["relation_confidences"] = np.array([0.25, 0.5, 1, 0, 0.75], dtype=np.float32)
    weighted = files.open(relation_source_weights=["human=3"])
    assert weighted.annotation(0).relation_weights.tolist() == [0.75, 0.5]
    assert weighted.confidences.dtype == np.float32
    same = files.open(relation_source_weights=["human=1"])
    assert (same.confidences == files.open().confidences).all()
    with pytest.raises(SpeaqError, match=r"weight for 'qwen'; expected a source of .* \(.*human"):
        files.open(relation_source_weights=["qwen=1"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["human"] * 4, "different numbers of rows. Found relation_sources: .*4"),
        ([1, 2, 3, 4, 5], "wrong type. Found relation_sources: int64"),
        ([b"\xff"] * 5, "cannot be read. Found relation_sources: 'utf-8' codec"),
    ],
)
def test_invalid_sources_are_refused(files, values, message):
    files.arrays["relation_sources"] = values
    with pytest.raises(SpeaqError, match=message):
        files.open()


def test_clip_boxes(files):
    files.image("12.jpg")
    assert files.open(clipped=True).annotation(1).boxes[0].tolist() == [0, 70 / 16, 4 / 16, 130 / 16]


def test_validation_split_of_the_file_takes_precedence(files):
    files.arrays["split"] = np.array([0, 1, 0, 2])
    assert files.open("val", number_of_validation_images=1).image_ids == [12]
    assert files.open("train", number_of_validation_images=1).image_ids == [11]


def test_images_without_boxes_are_left_out(files):
    files.arrays["img_to_first_box"][0] = files.arrays["img_to_last_box"][0] = -1
    files.arrays["img_to_first_rel"][0] = files.arrays["img_to_last_rel"][0] = -1
    assert files.open(filter_empty_relations=False).image_ids == [12, 13]


def test_non_overlap_concerns_training_only(files):
    dataset = files.open("train", filter_non_overlap=True, filter_empty_relations=False)
    assert dataset.image_ids == [11, 12]
    assert dataset.relations.tolist() == [[0, 1, 0], [1, 0, 2], [1, 2, 1]]
    assert files.open("test", filter_non_overlap=True).relations.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("name", ["scene_000000.jpg", "scene_000000.png", "scene_000000.jpeg"])
def test_string_ids_and_file_suffixes(files, name):
    for i, entry in enumerate(files.entries):
        entry["image_id"] = f"scene_{i:06d}"
    path = files.image(name)
    image, annotation = files.open().read(0)
    assert (annotation.image_id, annotation.path, image.size, image.mode) == (
        "scene_000000",
        path,
        (64, 32),
        "RGB",
    )


def test_unannotated_images_of_the_published_list_are_skipped(files):
    for position, image_id in ((0, 1592), (2, 4616), (5, 1722), (7, 4617)):
        files.entries.insert(position, {"image_id": image_id, "width": 1, "height": 1})
    assert files.open(filter_empty_relations=False).image_ids == [11, 12, 13]


def test_unannotated_ids_with_rows_are_kept(files):
    files.entries[0]["image_id"] = 1592
    assert files.open().image_ids == [1592, 12]


def test_corrupted_images_without_a_row(files):
    files.entries.insert(1, {"image_id": 77, "width": 1, "height": 1})
    assert files.open(corrupted_images=["77.jpg"]).image_ids == [11, 12]


def test_corrupted_images_with_a_row(files):
    assert files.open(corrupted_images=(11, 9999)).image_ids == [12]


def test_truncated_images_are_read_with_one_warning(files, caplog):
    files.image("11.jpg", 64, 32)
    files.image("12.jpg", 64, 32)
    for name in ("11.jpg", "12.jpg"):
        path = files.folder / "images" / name
        path.write_bytes(path.read_bytes()[:-30])
    dataset = files.open()
    with caplog.at_level(logging.WARNING):
        images = [dataset.read(row)[0] for row in (0, 1, 0)]
    assert [image.size for image in images] == [(64, 32)] * 3
    assert len(caplog.messages) == 1
    assert "11.jpg is truncated or damaged: the missing pixels are grey" in caplog.messages[0]
    assert dataset.problems.sum(dim=1).tolist() == [0, 0, 2] and dataset.problems.is_shared()
    path.write_bytes(b"\xff\xd8")
    with pytest.raises(SpeaqError, match=r"12\.jpg: the image cannot be read"):
        dataset.read(1)


def test_file_size_takes_precedence_over_the_image_list(files, caplog):
    files.image("11.jpg", 128, 256)
    files.image("12.jpg", 32, 16)
    dataset = files.open()
    with caplog.at_level(logging.WARNING):
        first, second = dataset.annotation(0), dataset.read(1)[1]
        dataset.annotation(0)
    assert (first.width, first.height) == (128, 256)
    assert first.boxes[1].tolist() == [170 / 4, 170 / 4, 270 / 4, 270 / 4]
    assert (second.width, second.height) == (32, 16)
    assert second.boxes[1, 2] == 530 / 32
    assert len(caplog.messages) == 1
    assert "11.jpg has 128 x 256 pixels, but the image list says 64 x 32" in caplog.messages[0]


@pytest.mark.parametrize(
    ("orientation", "stored", "turned", "undecided"),
    [
        (1, (64, 32), False, False),
        (6, (64, 32), False, False),
        (6, (32, 64), True, False),
        (3, (64, 32), False, True),
        (6, (50, 50), False, True),
        (6, (90, 70), False, True),
    ],
)
def test_the_listed_size_decides_whether_the_exif_orientation_is_applied(
    files, caplog, orientation, stored, turned, undecided
):
    pixels = np.zeros((stored[1], stored[0], 3), np.uint8)
    pixels[: stored[1] // 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    for number in (11, 12):
        Image.fromarray(pixels).save(files.image(f"{number}.jpg"), exif=exif, quality=95)
    dataset = files.open()
    with caplog.at_level(logging.WARNING):
        image, annotation = dataset.read(0)
        header = dataset.annotation(0)
        dataset.read(1)
    assert image.size == (annotation.width, annotation.height) == (header.width, header.height)
    assert image.size == (stored[::-1] if turned else stored)
    expected = Image.fromarray(pixels)
    expected = expected.transpose(Image.Transpose.ROTATE_270) if turned else expected
    np.testing.assert_allclose(np.asarray(image), np.asarray(expected), atol=30)
    messages = [message for message in caplog.messages if "EXIF orientation" in message]
    assert len(messages) == undecided
    assert all("11.jpg has an EXIF orientation" in message for message in messages)


def test_max_pixels_limits_the_size_of_images(files):
    files.image("11.jpg")
    assert files.open(max_pixels=64 * 32).read(0)[0].size == (64, 32)
    dataset = files.open(max_pixels=64 * 32 - 2)
    for read in (dataset.read, dataset.annotation):
        with pytest.raises(SpeaqError, match=r"11\.jpg: .* too large .* with INPUT\.MAX_PIXELS"):
            read(0)


def test_missing_image_file_is_an_error(files):
    dataset = files.open()
    with pytest.raises(SpeaqError, match=r"12\.jpg: there is no such image"):
        dataset.annotation(1)


def _change(key: str, value: Any):
    def change(files):
        files.arrays[key] = value(files.arrays[key])

    return change


def _with(array: np.ndarray, position: Any, value: float) -> np.ndarray:
    array = array.astype(np.float64) if value != value or value in (-np.inf, np.inf) else array.copy()
    array[position] = value
    return array


BROKEN = {
    "missing key": (lambda f: f.arrays.pop("labels"), r"VG\.h5: An array is missing. Found labels: only box"),
    "shape": (
        _change("boxes_1024", lambda a: a[:, :3]),
        r"wrong shape. Found boxes_1024: \[8, 3\], expected 4 column",
    ),
    "type": (_change("labels", lambda a: a.astype(float)), r"wrong type. Found labels: float64"),
    "label 0": (
        _change("labels", lambda a: _with(a, 2, 0)),
        r"A label is not in the dictionary. Found labels\[2\]: 0. .*numbers start at 1",
    ),
    "label too large": (_change("labels", lambda a: _with(a, 1, 4)), r"Found labels\[1\]: 4"),
    "predicate": (_change("predicates", lambda a: _with(a, 4, 4)), r"A predicate .*Found predicates\[4\]: 4"),
    "few labels": (
        _change("labels", lambda a: a[:-1]),
        r'different numbers of rows. Found labels: {"labels": 7, "boxes_1024": 8}',
    ),
    "few predicates": (
        _change("predicates", lambda a: a[:-1]),
        r'Found predicates: {"predicates": 4, "relationships": 5}',
    ),
    "few rows": (
        _change("img_to_first_rel", lambda a: a[:-1]),
        r'Found img_to_first_rel: {"img_to_first_rel": 3, "split": 4}',
    ),
    "last box": (
        _change("img_to_last_box", lambda a: _with(a, 3, 8)),
        r"ends after the last of the 8 rows. Found img_to_first/last_box\[3\]: \[6, 8\]",
    ),
    "last relation": (
        _change("img_to_last_rel", lambda a: _with(a, 1, 1)),
        r"first row of relations comes after its last. Found img_to_first/last_rel\[1\]: \[2, 1\]",
    ),
    "pair": (
        _change("relationships", lambda a: _with(a, (2, 1), 5)),
        r"refers to a box of another image. Found relationships\[2\]: \[2, 5\]",
    ),
    "negative pair": (
        _change("relationships", lambda a: _with(a, (0, 0), -1)),
        r"refers to a box that does not exist. Found relationships\[0\]: \[-1, 1\]",
    ),
    "nan": (
        _change("boxes_1024", lambda a: _with(a, (1, 0), np.nan)),
        r'NaN or infinity. Found boxes_1024\[1\]: \["nan"',
    ),
    "negative side": (
        _change("boxes_1024", lambda a: _with(a, (1, 2), -4)),
        r"negative width or height. Found boxes_1024\[1\]: \[220, 220, -4, 100\]",
    ),
    "counts": (
        lambda f: f.entries.pop(),
        r'image_data\.json: .*different numbers of images.*{"image list": 3, "annotations": 4}',
    ),
    "not a list": (
        lambda f: setattr(f, "entries", {"a": 1}),
        r"image_data\.json: .*cannot be read as a JSON list of images. Found image_data\.json: {'a': 1}",
    ),
    "empty list": (lambda f: setattr(f, "entries", []), r"image_data\.json: .*Found [a-z_]+\.json: \[\]"),
    "no object": (lambda f: f.entries.__setitem__(1, 7), r"is not an object. Found entry 1: 7"),
    "no width": (lambda f: f.entries[2].pop("width"), r'image 13, entry 2: {"width": null, "height": 32}'),
    "no id": (lambda f: f.entries[2].pop("image_id"), r"no 'image_id'. Found entry 2: width, height"),
    "zero width": (
        lambda f: f.entries[2].update(width=0),
        r'not a positive integer of 32 bits. Found image 13, entry 2: {"width": 0',
    ),
    "float width": (lambda f: f.entries[2].update(width=2.5), r'image 13, entry 2: {"width": 2.5'),
    "text width": (lambda f: f.entries[2].update(width="64"), r'image 13, entry 2: {"width": "64"'),
    "mixed ids": (
        lambda f: f.entries[0].update(image_id="x"),
        r"Some ids are integers and some are strings.* Found image x, entry 0: x",
    ),
    "no names": (
        lambda f: f.names.pop("label_to_idx"),
        r"dicts\.json: The dictionary has no 'label_to_idx' that maps names to numbers",
    ),
    "names": (
        lambda f: setattr(f, "names", [1]),
        r"dicts\.json: .*cannot be read as a JSON object. Found [a-z_]+\.json: \[1\]",
    ),
    "index 0": (
        lambda f: f.names["predicate_to_idx"].update(on=0),
        r"numbers of 'predicate_to_idx' are not 1 to 3. Found predicate_to_idx, number 3: no name",
    ),
    "twice": (
        lambda f: f.names["label_to_idx"].update(dog=2),
        r"Names of 'label_to_idx' share a number. Found label_to_idx, number 2: \[\"cat\", \"dog\"\]",
    ),
    "inverse": (
        lambda f: f.names.update(idx_to_label={"1": "cat", "2": "dog", "3": "tree"}),
        r"'idx_to_label' is not the inverse",
    ),
    "overlapping relations": (
        _change("img_to_last_rel", lambda a: _with(a, 0, 2)),
        r"refers to a box of another image. Found relationships\[2\]",
    ),
    "empty split": (_change("split", lambda a: a * 0 + 2), r"no image is left for the split 'train'"),
}


@pytest.mark.parametrize("are_mapped", [False, True])
@pytest.mark.parametrize("case", BROKEN)
def test_errors_name_the_broken_file(request, files, case, are_mapped):
    if are_mapped:
        request.getfixturevalue("mapped")
    change, message = BROKEN[case]
    change(files)
    if are_mapped and case in ("shape", "not a list", "empty list", "mixed ids"):
        message = message.partition("Found")[0]  # of the first block
    with pytest.raises(SpeaqError, match=message):
        files.open()


def test_all_training_images_taken_for_validation(files):
    with pytest.raises(SpeaqError, match="NUMBER_OF_VALIDATION_IMAGES"):
        files.open(number_of_validation_images=2)


@pytest.mark.parametrize("name", ["image_data.json", "dicts.json", "VG.h5"])
def test_errors_name_missing_and_unreadable_files(files, name):
    files.write()
    (files.folder / name).write_bytes(b"\xff[")
    with pytest.raises(
        SpeaqError, match=rf"{name}: The .* cannot be read.*Found {name}: .*(decode|signature)"
    ):
        open_dataset(files.folder)
    (files.folder / name).unlink()
    with pytest.raises(SpeaqError, match=rf"{name}: The .* cannot be read.*[Nn]o such file"):
        open_dataset(files.folder)
    with pytest.raises(SpeaqError, match="nowhere: there is no such folder of images"):
        open_dataset(files.folder, images=files.folder / "nowhere")


def test_unknown_split_is_an_error(files):
    with pytest.raises(SpeaqError, match="one of train, val, test; found 'all'"):
        files.open("all")


def test_boxes_overlap_is_a_shared_area():
    box = np.array([0.0, 0.0, 2.0, 2.0])
    others = np.array(
        [[1, 1, 3, 3], [2, 0, 4, 2], [0.5, 0.5, 0.5, 1], [3, 3, 4, 4], [0, 0, 2, 2]], dtype=float
    )
    assert boxes_overlap(box, others).tolist() == [True, False, False, False, True]


def _reference_split(files, split, filter_empty, filter_non_overlap, num_validation):
    """The rules of the splits, image by image."""
    arrays = files.arrays
    corners = []
    for cx, cy, w, h in arrays["boxes_1024"].tolist():
        x, y = int(cx - w / 2), int(cy - h / 2)
        corners.append((x, y, x + w, y + h))
    valid = []
    for i in range(len(arrays["split"])):
        boxes = range(arrays["img_to_first_box"][i], arrays["img_to_last_box"][i] + 1)
        first, last = arrays["img_to_first_rel"][i], arrays["img_to_last_rel"][i]
        relations = (
            [
                (*map(int, arrays["relationships"][t]), int(arrays["predicates"][t, 0]) - 1)
                for t in range(first, last + 1)
            ]
            if first >= 0
            else []
        )
        if arrays["img_to_first_box"][i] >= 0 and (relations or not filter_empty):
            valid.append((i, list(boxes), relations))
    train = [u for u in valid if arrays["split"][u[0]] == 0]
    chosen = {
        "train": train[num_validation:],
        "val": train[:num_validation],
        "test": [u for u in valid if arrays["split"][u[0]] == 2],
    }[split]
    records = []
    for i, boxes, relations in chosen:
        if split == "train" and filter_non_overlap:
            relations = [
                (s, o, p)
                for s, o, p in relations
                if min(corners[s][2], corners[o][2]) > max(corners[s][0], corners[o][0])
                and min(corners[s][3], corners[o][3]) > max(corners[s][1], corners[o][1])
            ]
            if not relations:
                continue
        records.append(
            (
                files.entries[i]["image_id"],
                [corners[b] for b in boxes],
                [(s - boxes[0], o - boxes[0], p) for s, o, p in relations],
            )
        )
    return records


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    split=st.sampled_from(["train", "val", "test"]),
    filter_empty=st.booleans(),
    filter_non_overlap=st.booleans(),
    num_validation=st.integers(0, 4),
)
def test_splits_match_a_reference(files, seed, split, filter_empty, filter_non_overlap, num_validation):
    rng = np.random.default_rng(seed)
    num_boxes, num_images = rng.integers(0, 5, 12), 12
    num_relations = rng.integers(0, 4, num_images) * (num_boxes > 0)
    first_box, first_relation = np.cumsum(num_boxes) - num_boxes, np.cumsum(num_relations) - num_relations
    files.entries = [{"image_id": 100 + i, "width": 1024, "height": 900} for i in range(num_images)]
    files.arrays = {
        "split": rng.choice([0, 0, 2], num_images),
        "img_to_first_box": np.where(num_boxes > 0, first_box, -1),
        "img_to_last_box": np.where(num_boxes > 0, first_box + num_boxes - 1, -1),
        "img_to_first_rel": np.where(num_relations > 0, first_relation, -1),
        "img_to_last_rel": np.where(num_relations > 0, first_relation + num_relations - 1, -1),
        "labels": rng.integers(1, 4, (num_boxes.sum(), 1)),
        "boxes_1024": rng.integers(0, 60, (num_boxes.sum(), 4)),
        "relationships": np.concatenate(
            [np.empty((0, 2), int)]
            + [
                first_box[i] + rng.integers(0, max(num_boxes[i], 1), (num_relations[i], 2))
                for i in range(num_images)
            ]
        ),
        "predicates": rng.integers(1, 4, (num_relations.sum(), 1)),
    }
    expected = _reference_split(files, split, filter_empty, filter_non_overlap, num_validation)
    options = {
        "filter_empty_relations": filter_empty,
        "filter_non_overlap": filter_non_overlap,
        "number_of_validation_images": num_validation,
    }
    if not expected:
        with pytest.raises(SpeaqError, match="no image is left"):
            files.open(split, **options)
        return
    dataset = files.open(split, **options)
    boxes = np.split(dataset.boxes, dataset.box_offsets[1:-1])
    relations = np.split(dataset.relations, dataset.relation_offsets[1:-1])
    found = [
        (image_id, [tuple(box) for box in b.tolist()], [tuple(row) for row in r.tolist()])
        for image_id, b, r in zip(dataset.image_ids, boxes, relations, strict=True)
    ]
    assert found == expected


@pytest.mark.parametrize("name", ["../outside", "/etc/image", "a/../../b"])
def test_ids_outside_the_folder_are_refused(files, name):
    for i, entry in enumerate(files.entries):
        entry["image_id"] = f"{name}{i}"
    with pytest.raises(
        SpeaqError, match=r"image_data\.json: An 'image_id' is not the name of a file in .* Found entry 0"
    ):
        files.open()


def test_ids_may_contain_subfolders(files):
    for i, entry in enumerate(files.entries):
        entry["image_id"] = f"below/{i}"
    path = files.folder / "images" / "below" / "0.jpg"
    path.parent.mkdir(parents=True)
    files.image("below/0.jpg")
    assert files.open().read(0)[1].path == path


def test_ids_longer_than_a_file_name_are_missing_images(files):
    for i, entry in enumerate(files.entries):
        entry["image_id"] = "x" * 300 + str(i)
    with pytest.raises(SpeaqError, match="there is no such image"):
        files.open().read(0)


def test_too_large_numbers_are_refused(files):
    files.entries[1]["image_id"] = 10**30
    with pytest.raises(
        SpeaqError, match=r"integer \(of 64 bits\) .* Found entry 1: 1000000000000000000000000000000"
    ):
        files.open()
    files.entries[1].update(image_id=12, width=3 * 10**9)
    with pytest.raises(
        SpeaqError, match=r"positive integer of 32 bits. Found image 12, entry 1: .*3000000000"
    ):
        files.open()


def test_a_name_given_twice_is_an_error(files):
    files.write()
    text = json.dumps(files.names).replace('"cat": 2', '"cat": 3, "cat": 2')
    path = files.folder / "twice.json"
    path.write_text(text)
    with pytest.raises(
        SpeaqError,
        match=r"twice\.json: An object in twice\.json has a name more than once. Found twice\.json: cat",
    ):
        read_vocabulary(path)
