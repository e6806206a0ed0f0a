"""Options of convert_dataset (classes, splits, images), and invalid files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from speaq.errors import SpeaqError
from speaq.tools.convert import convert_dataset


def line(number, names, relations, **more):
    things = [{"name": name, "box": [place, 0, place + 5, 9]} for place, name in enumerate(names)]
    image = f"photos/p{number}.JPG"
    content = {"image": image, "id": number, "width": 64, "height": 32, "objects": things}
    return {**content, "relations": relations, **more}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """20 images: dog 20, cat 10, kitty 10, tree 1; on 20, near 10, by 3."""
    lines = []
    for number in range(20):
        names = ["dog", "cat" if number < 10 else "kitty", *(["tree"] if number == 4 else [])]
        relations = [[0, "on", 1], *([[1, "near", 0]] if number % 2 else [])]
        relations += [[1, "by", 0]] if number < 3 else []
        lines.append(json.dumps(line(number, names, relations)))
    path = tmp_path / "set/all.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(lines))
    return path


def test_num_objects_and_num_predicates_keep_the_most_frequent_classes(source, tmp_path):
    data = convert_dataset(source, tmp_path / "out", num_objects=2, num_predicates=2).data
    assert data.vocabulary.objects == ("cat", "dog")
    assert data.vocabulary.predicates == ("near", "on")
    # Predicates are counted among what the object classes leave: on 10, near 5, by 3.
    assert np.bincount(data.relations[:, 2]).tolist() == [5, 10]
    assert data.changes == {
        "boxes of other classes left out": 11,
        "relations of boxes of other classes left out": 15,
        "relations of other predicates left out": 3,
    }


def test_min_counts_keep_frequent_classes(source, tmp_path):
    data = convert_dataset(source, tmp_path / "out", min_object_count=2, min_predicate_count=4).data
    assert data.vocabulary.objects == ("cat", "dog", "kitty")
    assert data.vocabulary.predicates == ("near", "on")
    with pytest.raises(SpeaqError, match="no predicate is left: the most frequent one occurs 20 times"):
        convert_dataset(source, tmp_path / "none", min_predicate_count=21)
    assert not (tmp_path / "none").exists()


def test_aliases_without_effect_are_warned_of(source, tmp_path, caplog):
    aliases = tmp_path / "aliases.txt"
    aliases.write_text("{}\n")
    convert_dataset(source, tmp_path / "out", object_aliases=aliases)
    assert "aliases.txt: replaces none of the object classes of the source (" in caplog.text


def test_aliases_merge_class_names(source, tmp_path):
    aliases = tmp_path / "aliases.txt"
    aliases.write_text("cat, kitty, kitten\nnear,by\n")
    data = convert_dataset(
        source, tmp_path / "out", num_objects=2, object_aliases=aliases, predicate_aliases=aliases
    ).data
    assert data.vocabulary.objects == ("cat", "dog")
    assert data.vocabulary.predicates == ("near", "on")
    assert np.bincount(data.labels).tolist() == [20, 20]
    assert np.bincount(data.relations[:, 2]).tolist() == [13, 20]
    assert data.changes == {
        "object classes merged into others": 1,
        "predicates merged into others": 1,
        "boxes of other classes left out": 1,
    }


def test_mapping_sets_the_vocabulary(source, tmp_path):
    mapping = tmp_path / "names.json"
    names = {"label_to_idx": {"dog": 2, "bus": 1, "cat": 3}, "predicate_to_idx": {"on": 2, "in": 1}}
    mapping.write_text(json.dumps(names))
    data = convert_dataset(source, tmp_path / "out", mapping=mapping).data
    assert data.vocabulary.objects == ("bus", "dog", "cat")
    assert data.vocabulary.predicates == ("in", "on")
    assert np.bincount(data.labels).tolist() == [0, 20, 10]
    assert np.bincount(data.relations[:, 2]).tolist() == [0, 10]


def test_val_share_and_test_share_draw_splits(source, tmp_path):
    options = {"val_share": 0.2, "test_share": 0.3}
    data = convert_dataset(source, tmp_path / "out", **options).data
    assert np.bincount(data.splits).tolist() == [10, 4, 6]
    assert convert_dataset(source, tmp_path / "out", **options).data.splits.tolist() == data.splits.tolist()
    other = convert_dataset(source, tmp_path / "out", **options, seed=1).data
    assert other.splits.tolist() != data.splits.tolist()

    kept = convert_dataset(tmp_path / "out", tmp_path / "kept", splits=("val", "test")).data
    assert np.bincount(kept.splits).tolist() == [0, 4, 6]
    assert kept.ids == [number for number, split in enumerate(other.splits) if split]
    assert kept.changes == {}
    with pytest.raises(SpeaqError, match="--val-share: the source has its own val images"):
        convert_dataset(tmp_path / "out", tmp_path / "again", val_share=0.5)
    with pytest.raises(SpeaqError, match=r"no image is of the splits val; found 20 train, 0 val, 0 test"):
        convert_dataset(source, tmp_path / "again", splits=("val",))
    with pytest.raises(SpeaqError, match="together below 1"):
        convert_dataset(source, tmp_path / "again", val_share=0.5, test_share=0.5)


def test_link_makes_links_named_by_image_id(source, tmp_path):
    folder = tmp_path / "pictures"
    (folder / "photos").mkdir(parents=True)
    for number in range(19):
        Image.new("RGB", (64, 32)).save(folder / f"photos/p{number}.JPG", format="JPEG")
    plain = convert_dataset(source, tmp_path / "out", images=folder)
    assert (plain.num_missing, plain.num_other_names, plain.images) == (1, 20, folder)
    linked = convert_dataset(source, tmp_path / "out", images=folder, link=True)
    links = tmp_path / "out/images"
    assert (linked.images, linked.num_other_names, linked.num_missing) == (links, 0, 1)
    assert sorted(path.name for path in links.iterdir()) == sorted(f"{number}.jpg" for number in range(19))
    assert (links / "7.jpg").resolve() == (folder / "photos/p7.JPG").resolve()
    convert_dataset(source, tmp_path / "out", images=folder, link=True)  # links may be there already
    again = convert_dataset(tmp_path / "out", tmp_path / "again", target_format="coco")
    assert (again.images, again.num_missing) == (links, 1)
    images = json.loads((tmp_path / "again/train.json").read_text())["images"]
    assert images[3] == {"id": 3, "file_name": "3.jpg", "width": 64, "height": 32}
    with pytest.raises(SpeaqError, match="name it with --images"):
        convert_dataset(source, tmp_path / "more", link=True)


def test_convert_dataset_refuses_invalid_folders(source, tmp_path):
    with pytest.raises(SpeaqError, match="the source itself is in this folder"):
        convert_dataset(source, source.parent, target_format="jsonl")
    with pytest.raises(SpeaqError, match="found a file"):
        convert_dataset(source.parent, source)
    with pytest.raises(SpeaqError, match="there is no such file or folder"):
        convert_dataset(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(SpeaqError, match="there is no such folder of images"):
        convert_dataset(source, tmp_path / "out", images=tmp_path / "gone")
    with pytest.raises(
        SpeaqError, match="the format seems to be none of the known ones; name it with --from"
    ):
        convert_dataset(tmp_path, tmp_path / "out")
    with pytest.raises(SpeaqError, match="can only be read; expected one of vg, coco, jsonl"):
        convert_dataset(source, tmp_path / "out", target_format="vg-raw")


MAN = {"name": "man", "box": [0, 0, 5, 5]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": None}, r"all.jsonl: line 2: width: expected a valid integer; found null"),
        ({"width": 0}, "expected the width and height of image 1 in pixels, found 0 and 32"),
        ({"split": "dev"}, "line 2: split: expected 'train', 'val' or 'test'; found \"dev\""),
        ({"objects": [{"name": "man"}]}, r"line 2: objects\[0\].box: this key is missing; found name"),
        (
            {"objects": [{**MAN, "box": [1, 2, 3]}]},
            r"line 2: objects\[0\].box: .* at least 4 items .*; found \[1, 2, 3\]",
        ),
        (
            {"objects": [{**MAN, "box": [1, 2, 3, float("nan")]}]},
            r"line 2: objects\[0\].box\[3\]: expected a finite number; found NaN",
        ),
        ({"objects": [{**MAN, "name": 3}]}, r"line 2: objects\[0\].name: expected a valid string; found 3"),
        (
            {"relations": [[0, "on", 2]]},
            r"line 2: relation 0: expected .* the image's 2 boxes, .* found 0 and 2",
        ),
        ({"relations": [[-1, "on", 0]]}, "found -1 and 0"),
        ({"id": 0}, "the image id 0 comes twice"),
        ({"id": "one"}, "expected integers for all image ids, or strings for all; found int and str"),
        ({"id": 2**70}, "is too large a number"),
        ({"format": "speaq-dataset", "version": 2}, "line 2: version: expected 1; found 2"),
    ],
)
def test_invalid_json_lines_are_refused(tmp_path, changes, message):
    names = ["dog", "cat"]
    lines = [line(0, names, [[0, "on", 1]]), {**line(1, names, [[0, "on", 1]]), **changes}]
    source = tmp_path / "all.jsonl"
    source.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(SpeaqError, match=message):
        convert_dataset(source, tmp_path / "out")


def coco_files() -> dict:
    return {
        "train": {
            "images": [{"id": 7, "file_name": "7.jpg", "width": 100, "height": 50}],
            "annotations": [
                {"id": number, "image_id": 7, "category_id": number, "bbox": [1, 1, 9, 9]}
                for number in (1, 2)
            ],
            "categories": [{"id": 1, "name": "man"}, {"id": 2, "name": "hat"}],
        },
        "rel": {"train": {"7": [[0, 1, 1]]}, "rel_categories": ["__background__", "on"]},
    }


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("train", "images"), None, r"train.json: images: expected a valid array; found null"),
        (
            ("train", "categories"),
            "gone",
            r"train.json: categories: this key is missing; found images, annotations",
        ),
        (
            ("train", "images", 0, "width"),
            "gone",
            r"images\[0\].width: this key is missing; found id, file_name, height",
        ),
        (("train", "images", 0, "file_name"), 3, r"images\[0\].file_name: expected a valid string; found 3"),
        (
            ("train", "annotations", 1, "bbox"),
            [1, 2],
            r"annotations\[1\].bbox: .* at least 4 items .*; found \[1, 2",
        ),
        (
            ("train", "annotations", 1, "image_id"),
            9,
            r"annotations\[1\].image_id: expected .* \(7\), found 9",
        ),
        (
            ("train", "annotations", 1, "category_id"),
            5,
            "train.json: image 7: box 1: expected the object class to be one of 1, 2; found 5",
        ),
        (("train", "categories", 1, "name"), "man", "object class 1 and 2 are both 'man'"),
        (("rel", "train"), "gone", "rel.json: expected the key 'train', since there is train.json"),
        (("rel", "train", "8"), [], "rel.json: train: expected ids of images of .*train.json, found '8'"),
        (
            ("rel", "train", "7"),
            [[0, 2, 1]],
            "rel.json: train.7: relation 0: expected .* the image's 2 boxes, .* found 0 and 2",
        ),
        (("rel", "train", "7"), [[0, 1]], r"train.7\[0\]\[2\]: this key is missing; found \[0, 1\]"),
        (
            ("rel", "train", "7"),
            [[0, 1, 3]],
            "rel.json: train.7: relation 0: expected the predicate to be one of 1; found 3",
        ),
        (("rel", "train", "7"), None, r"train.7: expected a valid array; found null"),
        (
            ("train", "images", 0, "id"),
            [7],
            r"images\[0\].id: expected a valid integer or a valid string; found \[7\]",
        ),
        (("rel", "rel_categories"), {}, "rel_categories: expected a valid array; found {}"),
    ],
)
def test_invalid_coco_files_are_refused(tmp_path, place, value, message):
    files = coco_files()
    *way, last = place
    target = files
    for key in way:
        target = target[key]
    if value == "gone":
        del target[last]
    else:
        target[last] = value
    (tmp_path / "set").mkdir()
    for name, content in files.items():
        (tmp_path / "set" / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(SpeaqError, match=message):
        convert_dataset(tmp_path / "set", tmp_path / "out")


def test_relation_between_two_images_is_refused(tmp_path):
    content = coco_files()["train"]
    content["images"].append({"id": 8, "file_name": "8.jpg", "width": 100, "height": 50})
    content["annotations"][1]["image_id"] = 8
    relation = {"subject_id": 1, "object_id": 2, "predicate_id": 0, "image_id": 7}
    content |= {"rel_annotations": [relation], "rel_categories": ["on"]}
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SpeaqError, match=r"rel_annotations\[0\]: .* found boxes of the images 7 and 8"):
        convert_dataset(path, tmp_path / "out")


def test_truncated_json_is_refused(tmp_path):
    path = tmp_path / "train.json"
    path.write_text('{"rel_annotations": [')
    with pytest.raises(SpeaqError, match=r"train.json: Invalid JSON: EOF while parsing"):
        convert_dataset(path, tmp_path / "out")


def test_relations_of_the_background_class_are_left_out(tmp_path):
    files = coco_files()
    files["rel"]["train"]["7"] = [[0, 1, 1], [1, 0, 0]]
    (tmp_path / "set").mkdir()
    for name, content in files.items():
        (tmp_path / "set" / f"{name}.json").write_text(json.dumps(content))
    data = convert_dataset(tmp_path / "set", tmp_path / "out").data
    assert data.vocabulary.predicates == ("on",)
    assert data.relations.tolist() == [[0, 1, 0]]
    assert data.changes == {"relations of the background class left out": 1}


def test_files_may_begin_with_a_byte_order_mark(tmp_path):
    lines = [line(number, ["cup", "mug"], [[0, "on", 1]]) for number in range(2)]
    source = tmp_path / "all.jsonl"
    source.write_text("\ufeff" + "\n".join(map(json.dumps, lines)), encoding="utf-8")
    aliases = tmp_path / "aliases.txt"
    aliases.write_text("\ufeffcup, mug\n", encoding="utf-8")
    data = convert_dataset(source, tmp_path / "out", object_aliases=aliases).data
    assert data.vocabulary.objects == ("cup",)


def psg(relations, **changes):
    annotation = {"bbox": [0, 0, 9, 9], "bbox_mode": 0, "category_id": 0}
    image = {"file_name": "a.jpg", "image_id": "a", "width": 9, "height": 9, "relations": relations}
    content = {"data": [{**image, "annotations": [annotation]}]}
    return {**content, "thing_classes": ["man"], "predicate_classes": ["on"], **changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (psg([[0, 1, 0]]), r"data\[0\]: relation 0: .* the image's 1 boxes, .* found 0 and 1"),
        (
            psg([[0, 0, 1]]),
            r"data\[0\]: relation 0: expected the predicate to be one of 0; found 1",
        ),
        (psg(None), r"data\[0\].relations: expected a valid array; found null"),
        (psg([], thing_classes={}), "thing_classes: expected a valid array; found {}"),
        (psg([], thing_classes=["man", "man"]), "0 and 1 are both 'man'"),
        (psg([]), "no relation is left; nothing was written"),
    ],
)
def test_invalid_psg_files_are_refused(tmp_path, content, message):
    path = tmp_path / "psg.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SpeaqError, match=message):
        convert_dataset(path, tmp_path / "out")


HEADING = "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ImageID,LabelName1\n", "train-vrd.csv: expected a column 'XMin1', found ImageID, LabelName1"),
        (f"{HEADING}\naa,/m/1\n", "line 2: expected 12 values, found"),
        (
            f"{HEADING}\naa,/m/1,/m/9,0,1,0,1,0,1,0,1,on\n",
            "line 2: .*'/m/9' is not in the class descriptions",
        ),
        (f"{HEADING}\naa,/m/1,/m/1,0,1,0,1,0,x,0,1,on\n", "image aa, /m/1: expected four numbers in 0..1"),
        (f"{HEADING}\nbb,/m/1,/m/1,0,1,0,1,0,1,0,1,on\n", "such as bb.jpg; found none"),
    ],
)
def test_invalid_open_images_files_are_refused(tmp_path, text, message):
    source = tmp_path / "set"
    source.mkdir()
    (source / "train-vrd.csv").write_text(text)
    (source / "class-descriptions.csv").write_text("/m/1,Man\n/m/2,Hat\n")
    with pytest.raises(SpeaqError, match="name the folder of images with --images"):
        convert_dataset(source, tmp_path / "out")
    Image.new("RGB", (9, 9)).save(tmp_path / "aa.jpg")
    with pytest.raises(SpeaqError, match=message):
        convert_dataset(source, tmp_path / "out", images=tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "objects",
            [{"image_id": 9, "objects": []}],
            r"objects.json: \[0\].image_id: expected the id of an image of .* found 9",
        ),
        (
            "objects",
            [{"image_id": 1, "objects": [{"x": 1}]}],
            r"objects.json: \[0\].objects\[0\].object_id: this key is missing; found x",
        ),
        (
            "relationships",
            [{"image_id": 1, "relationships": [{}]}],
            r"relationships.json: \[0\].relationships\[0\].predicate: this key is missing",
        ),
        ("relationships", {}, "relationships.json: expected a valid array; found {}"),
    ],
)
def test_invalid_raw_visual_genome_files_are_refused(tmp_path, name, content, message):
    source = tmp_path / "raw"
    source.mkdir()
    thing = {"object_id": 1, "x": 0, "y": 0, "w": 5, "h": 5, "names": ["man"]}
    files = {
        "image_data": [{"image_id": 1, "width": 9, "height": 9}],
        "objects": [{"image_id": 1, "objects": [thing]}],
        "relationships": [{"image_id": 1, "relationships": []}],
    }
    for key, value in {**files, name: content}.items():
        (source / f"{key}.json").write_text(json.dumps(value))
    with pytest.raises(SpeaqError, match=message):
        convert_dataset(source, tmp_path / "out")
