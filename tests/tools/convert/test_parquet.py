"""Hugging Face data sets in Parquet: columns, images, names of classes, and the hub."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_command import run_data_command
from golden_dataset import TINY
from speaq.errors import SpeaqError
from speaq.tools.convert import convert_dataset, format_of


def test_a_message_names_the_extra_where_pyarrow_is_missing(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "train.parquet").touch()
    code, _, err = run_data_command(capsys, "convert", tmp_path, tmp_path / "out")
    assert (code, err) == (2, 'speaq: Parquet needs the package pyarrow: pip install "speaq[parquet]"\n')


def picture(kind: str, color: str = "red") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (100, 50), color).save(content, kind)
    return content.getvalue()


def save(path: Path, rows: list[dict], features: object = None) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = pa.Table.from_pylist(rows)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=2)
    return path


def row(image_id: int, **changes) -> dict:
    first = 100 * image_id
    objects = [
        {"id": first, "category_id": 1, "bbox": [10.0, 5.0, 20.0, 30.0], "iscrowd": 0},
        {"id": first + 1, "category_id": 0, "bbox": [0.0, 0.0, 100.0, 50.0], "iscrowd": 1},
        {"id": first + 2, "category_id": 0, "bbox": [60.0, 5.0, 20.0, 30.0], "iscrowd": 0},
    ]
    relations = [
        {"id": 1, "subject_id": first + 2, "object_id": first, "predicate_id": 1},
        {"id": 2, "subject_id": first + 2, "object_id": first + 1, "predicate_id": 1},
    ]
    content = {"image_id": image_id, "width": 100, "height": 50, "file_name": f"photo{image_id}.jpg"}
    return {**content, "objects": objects, "relations": relations, **changes}


def label(*names: str) -> dict:
    return {"names": list(names), "_type": "ClassLabel"}


LIST = {
    "objects": {"feature": {"category_id": label("hat", "man")}, "_type": "List"},
    "relations": {"feature": {"predicate_id": label("on", "near")}, "_type": "List"},
}
OLD_LIST = {key: [part["feature"]] for key, part in LIST.items()}
COCO_NAMES = {
    "categories": [{"id": 1, "name": "man"}, {"id": 0, "name": "hat"}],
    "rel_categories": [{"id": 0, "name": "on"}, {"id": 1, "name": "near"}],
}
CARD = """---
dataset_info:
  features:
  - name: objects
    list:
    - name: category_id
      dtype:
        class_label: {names: {'0': hat, '1': man}}
  - name: relations
    sequence:
    - name: predicate_id
      dtype:
        class_label: {names: {'0': "on", '1': near}}
---
"""


@pytest.mark.parametrize("names", ["schema", "old schema", "categories.json", "README.md"])
def test_names_are_those_of_the_schema_the_json_file_or_the_card(tmp_path, names):
    features = {"schema": LIST, "old schema": OLD_LIST}.get(names)
    files = {"categories.json": json.dumps(COCO_NAMES), "README.md": CARD}
    source = tmp_path / "set"
    save(source / "data/train-00000-of-00002.parquet", [row(1), row(2)], features)
    save(source / "data/train-00001-of-00002.parquet", [row(3)], features)
    save(source / "data/validation-00000-of-00001.parquet", [row(4)], features)
    if names in files:
        (source / names).write_text(files[names])
    assert format_of(source).name == "parquet"
    data = convert_dataset(source, tmp_path / "out").data
    assert (data.ids, data.splits.tolist()) == ([1, 2, 3, 4], [0, 0, 0, 1])
    assert [sorted(names) for names in (data.vocabulary.objects, data.vocabulary.predicates)] == [
        ["hat", "man"],
        ["near", "on"],
    ]
    assert [data.vocabulary.objects[k] for k in data.labels[:2]] == ["man", "hat"]
    assert data.vocabulary.predicates[data.relations[0, 2]] == "near"
    assert data.boxes[:2].tolist() == [[10, 5, 30, 35], [60, 5, 80, 35]]
    assert data.relations[:, :2].tolist() == [[1, 0], [3, 2], [5, 4], [7, 6]]
    assert data.changes == {"crowd regions left out": 4}
    assert data.files[0] == "photo1.jpg"
    assert not (tmp_path / "out/images").exists()


def test_images_are_written_and_the_set_can_be_checked(capsys, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/four.png").write_bytes(picture("PNG", "blue"))
    cells = [{"bytes": picture("JPEG"), "path": "a.jpg"}, {"bytes": picture("GIF", "green"), "path": None}]
    cells += [{"bytes": None, "path": "four.png"}]
    rows = [row(number, image=cell) for number, cell in enumerate(cells, start=1)]
    save(tmp_path / "set/train.parquet", rows, LIST)
    save(tmp_path / "set/test.parquet", [row(9, image=cells[0])], LIST)
    out = tmp_path / "out"
    code, text, _ = run_data_command(capsys, "convert", tmp_path / "set", out, "--splits", "train")
    assert (code, "are not named" in text, "have no file" in text) == (0, False, False)
    assert sorted(path.name for path in (out / "images").iterdir()) == ["1.jpg", "2.png", "3.png"]
    assert (out / "images/1.jpg").read_bytes() == cells[0]["bytes"]
    assert Image.open(out / "images/2.png").size == (100, 50)
    code, text, _ = run_data_command(capsys, "check", out, "--open-images")
    assert (code, "0 errors, 0 warnings" in text) == (0, True)
    photos = tmp_path / "photos"
    photos.mkdir()
    result = convert_dataset(tmp_path / "set", tmp_path / "other", images=photos)
    assert (result.images, result.num_missing) == (photos, 4)
    assert not (tmp_path / "other/images").exists()


def test_other_columns(tmp_path):
    """Lists of members, names of classes, positions instead of ids, no size, other names of columns."""
    objects = {"bbox": [[10.0, 5.0, 20.0, 30.0], [60.0, 5.0, 20.0, 30.0]], "category": ["man", "hat"]}
    relations = {"subject": [1], "object": [0], "predicate": ["on"], "confidence": [0.5], "source": ["vlm"]}
    rows = [{"image_id": "a", "image": picture("PNG"), "objects": objects, "relations": relations}]
    rows += [{**rows[0], "image_id": "b", "relations": None}]
    data = convert_dataset(save(tmp_path / "set.parquet", rows), tmp_path / "out").data
    assert (data.files, data.sizes.tolist()) == (["a.png", "b.png"], [[50, 100]] * 2)
    assert data.vocabulary.objects == ("hat", "man")
    assert data.relations.tolist() == [[1, 0, 0]]
    assert (data.confidences.tolist(), data.sources.tolist()) == ([0.5], ["vlm"])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("/etc/passwd", r'row 0: image: expected bytes or the name of a file beside .*found "/etc/passwd"'),
        ({"bytes": None, "path": "../a.jpg"}, "row 0: image: expected bytes or the name of a file beside"),
        (3, "row 0: image: expected bytes or the name of a file beside"),
        ("EPS", "EPS files are not read"),
    ],
)
def test_images_elsewhere_and_programs_are_refused(tmp_path, image, message):
    if image == "EPS":
        image = picture("EPS", "red")
    Image.new("RGB", (100, 50)).save(tmp_path / "a.jpg")
    file = save(tmp_path / "set" / "train.parquet", [row(1, image=image)], LIST)
    with pytest.raises(SpeaqError, match=message):
        convert_dataset(file.parent, tmp_path / "out")


@pytest.mark.parametrize("names", [[["a"], ["b"]], [1, 2], "ab", {"x": "a"}, ["\ud800", "b"]])
def test_names_of_classes_that_are_not_texts_are_ignored(tmp_path, names):
    file = save(tmp_path / "set" / "train.parquet", [row(1)], {"objects": {"category_id": {"names": names}}})
    with pytest.raises(SpeaqError, match="objects: expected names of classes, found numbers"):
        convert_dataset(file.parent, tmp_path / "out")


def test_round_trip_keeps_images_confidences_and_sources(tmp_path):
    pytest.importorskip("pyarrow")
    convert_dataset(TINY, tmp_path / "lines", target_format="jsonl")
    lines = [json.loads(line) for line in (tmp_path / "lines/annotations.jsonl").read_text().splitlines()]
    lines[1] |= {
        key: [value] * len(lines[1]["relations"]) for key, value in (("confidences", 0.25), ("sources", "눈"))
    }
    (tmp_path / "lines/annotations.jsonl").write_text("\n".join(map(json.dumps, lines)))
    options = {"images": TINY / "images", "target_format": "parquet"}
    there = convert_dataset(tmp_path / "lines", tmp_path / "there", **options)
    assert [path.name for path in there.files] == ["train.parquet", "test.parquet"]
    back = convert_dataset(tmp_path / "there", tmp_path / "back")
    rows = [there.data.ids.index(image_id) for image_id in back.data.ids]
    assert (there.data.splits[rows] == back.data.splits).all()
    assert there.data.vocabulary == back.data.vocabulary
    assert sorted(back.data.sources.tolist()) == sorted(there.data.sources.tolist())
    assert np.sum(back.data.confidences) == np.sum(there.data.confidences)
    assert sorted(map(tuple, back.data.boxes.round(2))) == sorted(map(tuple, there.data.boxes.round(2)))
    for name in back.data.files:
        assert (tmp_path / "back/images" / name).read_bytes() == (TINY / "images" / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objects": None}, r"row 1: relations\[0\].subject: expected the id of one of the 0 objects"),
        ({"width": None}, "row 1: width: expected a valid integer; found null"),
        (
            {"objects": [{"id": 1, "category_id": 0, "bbox": [1.0]}]},
            r"row 1: objects\[0\].bbox: .*; found \[1.0\]",
        ),
        (
            {"relations": [{"subject_id": 3, "object_id": 200}]},
            r"row 1: relations\[0\].predicate.*: .*found null",
        ),
        (
            {"relations": [{"subject_id": 3, "object_id": 200, "predicate_id": 1}]},
            r"row 1: relations\[0\].subject: expected the id of .* 3 objects of the row, found 3",
        ),
        (
            {"objects": [{"id": 1, "category_id": 7, "bbox": [1.0, 1, 2, 2]}], "relations": []},
            "row 1: box 0: expected the object class to be one of 0, 1; found 7",
        ),
        ({"image": b"none"}, "row 1: image: expected an image, found 4 bytes that cannot be read as one"),
    ],
)
def test_invalid_rows_are_refused(capsys, tmp_path, changes, message):
    source = save(tmp_path / "train.parquet", [row(1, image=picture("PNG")), row(2, **changes)], LIST)
    with pytest.raises(SpeaqError, match=rf"train.parquet: {message}"):
        convert_dataset(source, tmp_path / "out")
    assert run_data_command(capsys, "convert", source, tmp_path / "out")[0] == 2


def test_invalid_files_are_refused(tmp_path):
    pytest.importorskip("pyarrow")
    source = tmp_path / "train.parquet"
    source.write_text("no")
    with pytest.raises(SpeaqError, match=r"train.parquet: cannot read this file as Parquet"):
        convert_dataset(source, tmp_path / "out")
    save(source, [{"image_id": 1, "label": 3}])
    with pytest.raises(
        SpeaqError, match="expected the columns image_id, objects, relations; found image_id, label"
    ):
        convert_dataset(source, tmp_path / "out")
    save(source, [row(1)])
    with pytest.raises(
        SpeaqError, match="objects: expected names of classes, found numbers; add names as ClassLabel"
    ):
        convert_dataset(source, tmp_path / "out")
    save(tmp_path / "part.parquet", [row(1)], LIST)
    with pytest.raises(SpeaqError, match=r"part.parquet: expected train, val or test in the name"):
        convert_dataset(tmp_path, tmp_path / "out")


def test_a_data_set_of_the_hub_is_downloaded(monkeypatch, tmp_path):
    folder = save(tmp_path / "snapshot/data/train.parquet", [row(1)], LIST).parent.parent

    def download(repo_id: str, files: list[str], *, repo_type: str) -> Path:
        assert (repo_id, repo_type) == ("someone/some-set", "dataset")
        assert "*.parquet" in files
        return folder

    monkeypatch.setattr("speaq.tools.convert.convert.download", download)
    assert convert_dataset("someone/some-set", tmp_path / "out").data.ids == [1]
    with pytest.raises(SpeaqError, match="there is no such file or folder"):
        convert_dataset(folder / "some-set", tmp_path / "out")
