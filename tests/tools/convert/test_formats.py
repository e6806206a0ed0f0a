"""Reading small files in each supported format."""

import csv
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


def read(source: Path, name: str, **options) -> AnnotatedSet:
    assert format_of(source).name == name
    return convert_dataset(source, source.parent / "converted", **options).data


def coco(ids, annotations, **more):
    """A COCO file of images of 100 x 50 and of (id, image, category, box)."""
    return {
        "images": [{"id": n, "file_name": f"{n:04}.jpg", "width": 100, "height": 50} for n in ids],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0}
            for number, image, category, box in annotations
        ],
        "categories": [{"id": 1, "name": "man"}, {"id": 2, "name": "hat"}],
        **more,
    }


TRAIN = coco(
    [7, 9],
    [
        (1, 9, 2, [1, 2, 3, 4]),
        (2, 7, 1, [10, 5, 20, 30.5]),
        (3, 9, 1, [0, 0, 50, 50]),
        (4, 7, 2, [12, 5, 0, 30]),
        (5, 7, 2, [12, 5, 4, 4]),
    ],
)
TEST = coco([8], [(1, 8, 1, [0, 0, 10, 10]), (2, 8, 2, [5, 5, 10, 10])])


@pytest.mark.parametrize(("names", "first"), [(["__background__", "on", "has"], 1), (["on", "has"], 0)])
def test_read_coco_with_relation_file(tmp_path, names, first):
    source = tmp_path / "set"
    write(source / "train.json", TRAIN)
    write(source / "test.json", TEST)
    on, has = first, first + 1
    relations = {
        "train": {"7": [[2, 0, on], [0, 1, has]], "9": [[1, 0, has]]},
        "val": {},
        "test": {"8": [[0, 1, has]]},
        "rel_categories": names,
    }
    write(source / "rel.json", relations)
    data = read(source, "coco")
    assert (data.ids, data.files) == ([7, 9, 8], ["0007.jpg", "0009.jpg", "0008.jpg"])
    assert data.splits.tolist() == [0, 0, 2]
    assert data.vocabulary.objects == ("man", "hat")
    assert data.vocabulary.predicates == ("on", "has")
    assert data.box_images.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.boxes.tolist() == [
        [10, 5, 30, 35.5],
        [12, 5, 16, 9],
        [1, 2, 4, 6],
        [0, 0, 50, 50],
        [0, 0, 10, 10],
        [5, 5, 15, 15],
    ]
    assert data.labels.tolist() == [0, 1, 1, 0, 0, 1]
    assert data.relations.tolist() == [[1, 0, 0], [3, 2, 1], [4, 5, 1]]
    assert data.changes == {"boxes without area left out": 1, "relations of boxes without area left out": 1}


def test_read_coco_with_predicates_from_1_without_background(tmp_path):
    source = tmp_path / "set"
    write(source / "test.json", TEST)
    write(source / "rel.json", {"test": {"8": [[0, 1, 1], [1, 0, 2]]}, "rel_categories": ["on", "has"]})
    assert read(source, "coco").relations.tolist() == [[0, 1, 0], [1, 0, 1]]


def test_read_coco_with_categories_from_0_and_crowds(tmp_path):
    content = coco([8], [(1, 8, 0, [0, 0, 9, 9]), (2, 8, 0, [0, 0, 10, 10]), (3, 8, 1, [5, 5, 10, 10])])
    content["categories"] = [{"id": 0, "name": "man"}, {"id": 1, "name": "hat"}]
    content["annotations"][0]["iscrowd"] = 1
    write(tmp_path / "set/val.json", content)
    write(tmp_path / "set/rel.json", {"val": {"8": [[0, 1, 0]]}, "rel_categories": ["on"]})
    data = read(tmp_path / "set", "coco")
    assert data.splits.tolist() == [1]
    assert (data.labels.tolist(), data.relations.tolist()) == ([0, 1], [[0, 1, 0]])
    assert data.changes == {"crowd regions left out": 1}


@pytest.mark.parametrize("names", [["on", "has"], [{"id": 0, "name": "on"}, {"id": 1, "name": "has"}]])
def test_read_sgg_benchmark(tmp_path, names):
    relation = {"id": 0, "subject_id": 3, "predicate_id": 1, "object_id": 1, "image_id": 9}
    write(tmp_path / "set/a_train.json", {**TRAIN, "rel_annotations": [relation], "rel_categories": names})
    relation = {"id": 0, "subject_id": 1, "predicate_id": 0, "object_id": 2, "image_id": 8}
    write(tmp_path / "set/a_test.json", {**TEST, "rel_annotations": [relation], "rel_categories": names})
    data = read(tmp_path / "set", "sgg-benchmark")
    assert data.ids == [8, 7, 9]
    assert data.splits.tolist() == [2, 0, 0]
    assert data.relations.tolist() == [[0, 1, 0], [5, 4, 1]]
    assert data.vocabulary.predicates == ("on", "has")
    alone = convert_dataset(tmp_path / "set/a_train.json", tmp_path / "alone").data
    assert (alone.ids, alone.splits.tolist()) == ([7, 9], [0, 0])


def test_image_ids_repeated_in_several_files_are_made_unique(tmp_path):
    more = {"rel_categories": ["on"]}
    relation = {"subject_id": 1, "predicate_id": 0, "object_id": 2, "image_id": 8}
    other = json.loads(json.dumps(TEST))
    other["images"][0]["file_name"] = "more/x.y.png"
    write(tmp_path / "set/train.json", {**TEST, **more, "rel_annotations": [relation]})
    write(tmp_path / "set/val.json", {**other, **more, "rel_annotations": [relation]})
    data = read(tmp_path / "set", "sgg-benchmark")
    assert data.ids == ["0008", "more/x.y"]
    assert data.changes == {"images named after their files, since ids come in several files": 2}


def test_read_psg(tmp_path):
    def image(number, boxes, relations):
        return {
            "file_name": f"train2017/{number:012}.jpg",
            "image_id": str(number),
            "height": 40,
            "width": 60,
            "annotations": [
                {"bbox": box, "bbox_mode": mode, "category_id": category} for box, mode, category in boxes
            ],
            "segments_info": [{"id": n, "category_id": c, "isthing": 1} for n, (*_, c) in enumerate(boxes)],
            "relations": relations,
        }

    content = {
        "data": [
            image(5, [([1, 2, 11, 12], 0, 0), ([1, 2, 11, 12], 1, 2)], [[0, 1, 1]]),
            image(6, [([0, 0, 60, 40], 0, 2), ([70, 0, 80, 9], 0, 1)], [[0, 0, 0], [1, 0, 0]]),
        ],
        "thing_classes": ["person", "cat"],
        "stuff_classes": ["grass"],
        "predicate_classes": ["over", "on"],
        "test_image_ids": ["6"],
    }
    data = read(write(tmp_path / "psg.json", content), "psg")
    assert data.ids == ["5", "6"]
    assert data.splits.tolist() == [0, 2]
    assert data.boxes.tolist() == [[1, 2, 11, 12], [1, 2, 12, 14], [0, 0, 60, 40]]
    assert data.labels.tolist() == [0, 2, 2]
    assert data.relations.tolist() == [[0, 1, 1], [2, 2, 0]]
    assert data.changes == {
        "boxes wholly outside their image left out": 1,
        "relations of boxes wholly outside their image left out": 1,
    }


def open_images(folder: Path) -> Path:
    """Two images of 200 x 100, one without a file, in two splits."""
    images = folder / "images"
    images.mkdir(parents=True)
    for name in ("aa", "bb"):
        Image.new("RGB", (200, 100)).save(images / f"{name}.jpg")
    heading = (
        "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel"
    )
    man, hat, wooden = "/m/man", "/m/hat", "/m/wooden"
    lines = {
        "oidv6-train-annotations-vrd": [
            ("aa", man, hat, 0, 0.5, 0, 1, 0.1, 0.2, 0.25, 0.5, "wears"),
            ("aa", hat, man, 0.1, 0.2, 0.25, 0.5, 0, 0.5, 0, 1, "on"),
            ("aa", hat, wooden, 0.1, 0.2, 0.25, 0.5, 0.1, 0.2, 0.25, 0.5, "is"),
            ("gone", man, hat, 0, 0.5, 0, 1, 0.1, 0.2, 0.25, 0.5, "wears"),
        ],
        "validation-annotations-vrd": [("bb", man, man, 0, 1, 0, 1, 0.5, 1, 0, 1, "on")],
    }
    for name, rows in lines.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([heading.split(","), *rows])
    write(folder / "oidv6-class-descriptions.csv", "LabelName,DisplayName\n/m/x,X\n/m/man,Man\n/m/hat,Hat\n")
    return folder


def test_read_open_images(tmp_path):
    data = read(open_images(tmp_path / "oi"), "openimages")
    assert (data.ids, data.splits.tolist()) == (["aa", "bb"], [0, 1])
    assert data.sizes.tolist() == [[100, 200], [100, 200]]
    assert data.vocabulary.objects == ("Man", "Hat")
    assert data.vocabulary.predicates == ("on", "wears")
    assert np.abs(data.boxes[:2] - [[0, 0, 100, 100], [20, 25, 40, 50]]).max() < 1e-9
    assert data.box_images.tolist() == [0, 0, 1, 1]
    assert data.relations.tolist() == [[0, 1, 1], [1, 0, 0], [2, 3, 0]]
    assert data.changes == {"images without a file left out": 1, "attributes (relation 'is') left out": 1}
    for file in (tmp_path / "oi").glob("*vrd*"):
        write(file, file.read_text().partition("\n")[0])
    with pytest.raises(SpeaqError, match=r"expected relations between two boxes in .*, found none"):
        convert_dataset(tmp_path / "oi", tmp_path / "out", images=tmp_path / "oi" / "images")


def visual_genome(folder: Path) -> Path:
    """Images 3 and 4; names in capitals, merged objects, an object that is not there."""

    def thing(number, name, box, **more):
        return {"object_id": number, **dict(zip("xywh", box, strict=True)), "names": [name], **more}

    def relation(predicate, subject, other):
        return {"predicate": predicate, "subject": {"object_id": subject}, "object": {"object_id": other}}

    address = "https://cs.stanford.edu/people/rak248/VG_100K_2/3.jpg"
    write(
        folder / "image_data.json",
        [
            {"image_id": 3, "width": 100, "height": 80, "url": address},
            {"image_id": 4, "width": 50, "height": 80},
        ],
    )
    write(
        folder / "objects.json",
        [
            {
                "image_id": 4,
                "objects": [thing(1, "Man ", (0, 0, 10, 10)), thing(2, "", (0, 0, 10, 10))],
            },
            {
                "image_id": 3,
                "objects": [
                    thing(1, "hat", (5, 5, 10, 10), merged_object_ids=[8]),
                    thing(2, "MAN", (0, 0, 20, 30)),
                    thing(3, "the  guy", (1, 1, 20, 30)),
                ],
            },
        ],
    )
    relations = [
        relation("ON", 8, 2),
        relation("wears", 2, 1),
        relation("On ", 1, 3),
        relation("on", 99, 1),
        relation("", 1, 2),
    ]
    write(
        folder / "relationships.json",
        [{"image_id": 3, "relationships": relations}, {"image_id": 4, "relationships": []}],
    )
    return folder


def test_read_raw_visual_genome(tmp_path):
    data = read(visual_genome(tmp_path / "raw"), "vg-raw")
    assert (data.ids, data.files) == ([3, 4], ["VG_100K_2/3.jpg", "4.jpg"])
    assert data.vocabulary.objects == ("hat", "man", "the guy")
    assert data.vocabulary.predicates == ("on", "wears")
    assert data.boxes.tolist() == [[5, 5, 15, 15], [0, 0, 20, 30], [1, 1, 21, 31], [0, 0, 10, 10]]
    assert data.labels.tolist() == [0, 1, 2, 1]
    assert data.relations.tolist() == [[0, 1, 0], [1, 0, 1], [0, 2, 0]]
    assert data.changes == {
        "objects without a name left out": 1,
        "relations of objects that objects.json has not, or without predicate, left out": 2,
    }


def test_read_raw_visual_genome_of_version_1_0(tmp_path):
    folder = visual_genome(tmp_path / "raw")
    for name in ("objects", "relationships", "image_data"):
        path = folder / f"{name}.json"
        path.write_text(path.read_text().replace('"image_id"', '"id"').replace('"object_id"', '"id"'))
    assert read(folder, "vg-raw").relations.tolist() == [[0, 1, 0], [1, 0, 1], [0, 2, 0]]


def test_read_json_lines_without_header(tmp_path):
    things = [{"name": "b", "box": [0, 0, 5, 5]}, {"name": "a", "box": [1, 1, 4, 4]}]
    line = {"image": "x/1.jpg", "width": 9, "height": 9, "objects": things, "relations": [[0, "on", 1]]}
    write(tmp_path / "set/train.jsonl", json.dumps(line) + "\n" + json.dumps({**line, "image": "2.jpg"}))
    write(tmp_path / "set/val.jsonl", json.dumps({**line, "image": "3.jpg", "id": "three"}))
    data = read(tmp_path / "set", "jsonl")
    assert (data.ids, data.splits.tolist()) == (["x/1", "2", "three"], [0, 0, 1])
    assert data.vocabulary.objects == ("a", "b")
    assert data.labels.tolist() == [1, 0] * 3
