"""Reading small files of VRD, GQA, CLEVR, HICO-DET and Label Studio, and converting them there and back."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from speaq.errors import SpeaqError
from speaq.tools.convert import AnnotatedSet, convert_dataset, format_of


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def image(path: Path, width=100, height=50) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def read(source: Path, name: str, **options) -> AnnotatedSet:
    assert format_of(source).name == name
    there = convert_dataset(source, source.parent / "there", **options)
    back = convert_dataset(source.parent / "there", source.parent / "back", target_format="jsonl").data
    data = there.data
    assert np.abs(back.boxes - data.boxes).max() < 1e-3
    assert (back.ids, back.vocabulary) == (data.ids, data.vocabulary)
    assert (back.relations == data.relations).all()
    assert (back.splits == data.splits).all()
    return data


def test_read_vrd(tmp_path):
    man, hat = (
        {"category": category, "bbox": box} for category, box in ((1, [5, 35, 10, 30]), (0, [0, 9, 20, 40]))
    )
    source = tmp_path / "vrd"
    write(source / "objects.json", ["hat", "man"])
    write(source / "predicates.json", ["on", "wear"])
    relations = [
        {"subject": man, "predicate": 1, "object": hat},
        {"subject": hat, "predicate": 0, "object": man},
    ]
    write(source / "annotations_train.json", {"1_b.jpg": relations, "gone.jpg": relations})
    write(source / "annotations_test.json", {"2_b.jpg": relations[:1]})
    with pytest.raises(SpeaqError, match="VRD has no sizes of images: name the folder"):
        convert_dataset(source, tmp_path / "out")
    image(tmp_path / "images/sg_train_images/1_b.jpg")
    image(tmp_path / "images/sg_test_images/2_b.jpg")
    data = read(source, "vrd", images=tmp_path / "images")
    assert (data.ids, data.splits.tolist()) == (["2_b", "1_b"], [2, 0])
    assert data.files == ["sg_test_images/2_b.jpg", "sg_train_images/1_b.jpg"]
    assert data.boxes.tolist() == [[10, 5, 30, 35], [20, 0, 40, 9]] * 2
    assert data.labels.tolist() == [1, 0, 1, 0]
    assert data.relations.tolist() == [[0, 1, 1], [2, 3, 1], [3, 2, 0]]
    assert data.changes == {"images without a file left out": 1}


def test_read_gqa(tmp_path):
    def thing(name, box, relations=()):
        return {
            "name": name,
            **dict(zip("xywh", box, strict=True)),
            "relations": list(relations),
            "attributes": [],
        }

    graph = {
        "width": 100,
        "height": 50,
        "objects": {
            "11": thing("man", (10, 5, 20, 30), [{"name": "to the left of", "object": "12"}]),
            "12": thing("hat", (60, 5, 20, 30), [{"name": "near", "object": "11"}]),
        },
    }
    source = tmp_path / "gqa"
    write(source / "train_sceneGraphs.json", {"7": graph})
    write(source / "val_sceneGraphs.json", {"8": graph})
    data = read(source, "gqa")
    assert (data.ids, data.splits.tolist()) == (["7", "8"], [0, 1])
    assert data.vocabulary.predicates == ("near", "to the left of")
    assert data.boxes[:2].tolist() == [[10, 5, 30, 35], [60, 5, 80, 35]]
    assert data.relations.tolist() == [[0, 1, 1], [1, 0, 0], [2, 3, 1], [3, 2, 0]]
    graph["objects"]["11"]["relations"][0]["object"] = "99"
    with pytest.raises(SpeaqError, match=r"train_sceneGraphs.json: image '7': .* found '99'"):
        convert_dataset(write(source / "train_sceneGraphs.json", {"7": graph}), tmp_path / "out")


def test_read_clevr(tmp_path):
    thing = {
        "color": "red",
        "material": "metal",
        "shape": "cube",
        "size": "large",
        "pixel_coords": [100, 150, 10.5],
    }
    scene = {
        "image_filename": "CLEVR_val_000003.png",
        "objects": [thing, {**thing, "color": "blue", "size": "small", "pixel_coords": [300, 150, 10.5]}],
        "relationships": {"left": [[], [0]], "right": [[1], []]},
    }
    write(tmp_path / "scenes/CLEVR_val_scenes.json", {"info": {}, "scenes": [scene]})
    data = read(tmp_path / "scenes", "clevr")
    assert (data.ids, data.splits.tolist()) == (["CLEVR_val_000003"], [1])
    assert data.vocabulary.objects == ("blue metal cube", "red metal cube")
    assert data.boxes.tolist() == [[65, 115, 135, 185], [282.5, 132.5, 317.5, 167.5]]
    assert data.relations.tolist() == [[0, 1, 0], [1, 0, 1]]  # the first is left of the second


def test_read_hoi(tmp_path):
    source = tmp_path / "hico"
    entry = {
        "file_name": "HICO_test2015_1.jpg",
        "annotations": [
            {"bbox": [1, 2, 30, 40], "category_id": 1},
            {"bbox": [20, 2, 60, 40], "category_id": "4"},
        ],
        "hoi_annotation": [
            {"subject_id": 0, "object_id": 1, "category_id": 7, "hoi_category_id": 3},
            {"subject_id": 0, "object_id": -1, "category_id": 7, "hoi_category_id": 3},
        ],
    }
    write(source / "test_hico.json", [entry])
    image(tmp_path / "images/HICO_test2015_1.jpg")
    with pytest.raises(SpeaqError, match=r"objects.txt: cannot read .* write 'number name' on each line"):
        convert_dataset(source, tmp_path / "out", images=tmp_path / "images")
    write(source / "objects.txt", f"id name\n\u00b2 two\n{'1' * 5000} many\n1 person\n4 motorcycle\n")
    write(source / "verbs.txt", "\ufeff7 ride\n8 hold on to\n")
    data = read(source, "hoi", images=tmp_path / "images")
    assert data.vocabulary.objects == ("person", "motorcycle")
    assert data.vocabulary.predicates == ("ride", "hold on to")
    assert (data.splits.tolist(), data.relations.tolist()) == ([2], [[0, 1, 0]])
    assert data.changes == {"interactions without object left out": 1}
    entry["annotations"][1]["category_id"] = ""
    write(source / "test_hico.json", [entry])
    with pytest.raises(SpeaqError, match=r"annotations\[1\].category_id: expected a valid integer"):
        convert_dataset(source, tmp_path / "out", images=tmp_path / "images")


def label_studio_task(**relation):
    def box(name, label, x):
        value = {"x": x, "y": 10, "width": 20, "height": 40, "rotation": 0, "rectanglelabels": [label]}
        size = {"original_width": 100, "original_height": 50}
        return {"id": name, "type": "rectanglelabels", **size, "value": value}

    results = [box("a", "cup", 5), box("b", "table", 50)]
    results.append({"type": "relation", "from_id": "a", "to_id": "b", **relation})
    return {
        "id": 3,
        "data": {"image": "/data/upload/4/0a1b2c3d-my-photo.jpg"},
        "annotations": [{"result": results}],
    }


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ({"direction": "right", "labels": ["on", "near"]}, [[0, 1, 1], [0, 1, 0]]),
        ({"direction": "left", "labels": ["near"]}, [[1, 0, 0]]),
        ({"direction": "bi", "labels": ["near"]}, [[0, 1, 0], [1, 0, 0]]),
    ],
)
def test_read_label_studio(tmp_path, relation, expected):
    empty = {"id": 4, "data": {"image": "x.jpg"}, "annotations": []}
    source = write(tmp_path / "export/tasks.json", [label_studio_task(**relation), empty])
    data = read(source, "label-studio")
    assert (data.ids, data.files) == (["my-photo"], ["my-photo.jpg"])
    assert data.vocabulary.objects == ("cup", "table")
    assert data.boxes.tolist() == [[5, 5, 25, 25], [50, 5, 70, 25]]
    assert data.relations.tolist() == expected
    assert data.changes == {"tasks without a box left out": 1}


def test_label_studio_relation_to_an_unknown_box_is_refused(tmp_path):
    source = write(tmp_path / "tasks.json", [label_studio_task(to_id="z", labels=["on"])])
    with pytest.raises(SpeaqError, match=r"tasks.json: \[0\]: .* two boxes in a relation, found 'a' and 'z'"):
        convert_dataset(source, tmp_path / "out")


def test_read_layouts(tmp_path):
    layout = {"image": "a/1.jpg", "width": 100, "height": 50, "caption": "a cup on a table", "split": "val"}
    layout |= {
        "phrases": ["cup", "table"],
        "boxes": [[0.1, 0.2, 0.3, 0.4], [0, 0.5, 1, 1]],
        "relations": [[0, "on", 1]],
    }
    source = write(tmp_path / "gligen/layouts.json", [layout])
    data = read(source, "layout")
    assert (data.ids, data.splits.tolist()) == (["a/1"], [1])
    assert np.abs(data.boxes - [[10, 10, 30, 20], [0, 25, 100, 50]]).max() < 1e-9
    assert data.relations.tolist() == [[0, 1, 0]]
    out = convert_dataset(source, tmp_path / "layouts", target_format="layout").files[0]
    assert json.loads(out.read_text())[0]["caption"] == "cup on table"
    layout["boxes"] = layout["boxes"][:1]
    with pytest.raises(
        SpeaqError, match=r"layouts.json: \[0\]: expected a box for each phrase, found 2 .* 1 boxes"
    ):
        convert_dataset(write(source, [layout]), tmp_path / "out")


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="a/1.jpg" width="100" height="50" subset="Train">
<box label="cup" xtl="10.0" ytl="10.0" xbr="30.0" ybr="20.0" occluded="0">
<attribute name="id">1</attribute><attribute name="relations">on  top of 2; near 2</attribute></box>
<box label="table" xtl="0" ytl="25" xbr="100" ybr="50"><attribute name="id">2</attribute></box>
</image></annotations>
"""


def test_read_cvat(tmp_path):
    source = write(tmp_path / "cvat/annotations.xml", CVAT)
    data = read(source, "cvat")
    assert (data.ids, data.splits.tolist()) == (["a/1"], [0])
    assert data.vocabulary.predicates == ("near", "on top of")
    assert data.boxes.tolist() == [[10, 10, 30, 20], [0, 25, 100, 50]]
    assert data.relations.tolist() == [[0, 1, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("near 2", "near 7"),
            "image 'a/1.jpg': expected relations such as .* ids of boxes .1, 2., found 'near 7'",
        ),
        (('xtl="10.0"', 'xtl="left"'), "image 'a/1.jpg': .* could not convert string to float: 'left'"),
        (('width="100"', ""), "image 'a/1.jpg': expected an image with name, width .* found 'width'"),
        (("</annotations>", ""), "annotations.xml: cannot read this XML file"),
    ],
)
def test_invalid_cvat_files_are_refused(tmp_path, change, message):
    source = write(tmp_path / "cvat/annotations.xml", CVAT.replace(*change))
    with pytest.raises(SpeaqError, match=message):
        convert_dataset(source, tmp_path / "out")


MAN, HORSE = [100, 100, 500, 900], [50, 300, 900, 1000]
TRIPLETS = [
    {
        "subject": "Man",
        "subject_box": MAN,
        "predicate": ["riding", "on top-of"],
        "object": "horse",
        "object_box": HORSE,
    },
    {"subject": "horse", "subject_box": HORSE, "predicate": "near", "object": "man", "object_box": MAN},
    {"subject": "man", "subject_box": MAN, "predicate": "near", "object": "man", "object_box": MAN},
]


def test_read_triplets(tmp_path):
    image(tmp_path / "images/1.png")
    image(tmp_path / "images/2.png")
    scored = [{**TRIPLETS[0], "score": [1, 0.5]}, *TRIPLETS[1:]]
    records = [
        {"image_id": 1, "source": "qwen-vl", "triplets": scored},
        {"image_id": 2, "triplets": TRIPLETS},
    ]
    records += [{"image_id": 3, "triplets": TRIPLETS}]
    source = write(tmp_path / "set/train.jsonl", "\n".join(map(json.dumps, records)))
    data = read(source, "triplets", images=tmp_path / "images")
    assert (data.ids, data.files) == ([1, 2], ["1.png", "2.png"])
    assert data.vocabulary.objects == ("Man", "horse")
    assert data.vocabulary.predicates == ("near", "on top-of", "riding")
    assert np.allclose(data.boxes, [[10, 5, 50, 45], [5, 15, 90, 50]] * 2)
    assert data.labels.tolist() == [0, 1] * 2
    assert data.relations.tolist() == [[0, 1, 2], [0, 1, 1], [1, 0, 0], [2, 3, 2], [2, 3, 1], [3, 2, 0]]
    assert data.confidences.tolist() == [1, 0.5, 1, 1, 1, 1]
    assert data.sources.tolist() == ["qwen-vl"] * 3 + [""] * 3
    assert data.changes == {
        "relations between a box and itself left out": 2,
        "boxes in 0..1000; --box-scale sets another unit": 4,
        "images without a file left out": 1,
    }


@pytest.mark.parametrize(("unit", "size"), [("1", (1, 1)), ("pixels", (100, 50))])
def test_units_of_triplets(tmp_path, unit, size):
    image(tmp_path / "images/a.jpg")
    box = (np.array([0.1, 0.2, 0.5, 0.6]) * np.tile(size, 2)).tolist()
    triplet = {**TRIPLETS[0], "subject_box": box, "object_box": box}
    source = write(tmp_path / "set/one.json", [{"image_id": "a.jpg", "triplets": [triplet]}])
    for box_scale in ("auto", unit):
        out = tmp_path / box_scale
        data = convert_dataset(source, out, images=tmp_path / "images", box_scale=box_scale).data
        assert data.ids == ["a"]
        assert np.allclose(data.boxes[0], [10, 10, 50, 30])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"triplets": []}, r"set.json: \[0\]: image_id"),
        ({"image_id": 1, "triplets": [{"subject": "man"}]}, r"set.json: \[0\]: triplets\[0\].subject_box"),
        ({"image_id": 1, "triplets": TRIPLETS, "source": 3}, "source: expected text, found 3"),
    ],
)
def test_invalid_triplets_are_refused(tmp_path, record, message):
    image(tmp_path / "images/1.jpg")
    source = write(tmp_path / "set/set.json", [record])
    with pytest.raises(SpeaqError, match=message):
        convert_dataset(source, tmp_path / "out", images=tmp_path / "images")


def test_box_scale_is_for_triplets(tmp_path):
    source = write(tmp_path / "a.jsonl", '{"image": "a.jpg", "width": 9, "height": 9, "objects": []}')
    with pytest.raises(SpeaqError, match="--box-scale is for triplets; boxes of jsonl have a fixed unit"):
        convert_dataset(source, tmp_path / "out", box_scale="1")
