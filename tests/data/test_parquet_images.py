"""Parquet as a source of training data."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

from data_command import run_data_command
from golden_dataset import TINY
from speaq.config import load_config
from speaq.config.data import DatasetSection
from speaq.data.build import build_mixture, build_statistics, build_training_set
from speaq.data.parquet_images import ParquetImages
from speaq.data.sampling import Draw
from speaq.data.selection import EmptySplitError
from speaq.data.sources import load_sources
from speaq.data.statistics import count_dataset
from speaq.errors import SpeaqError
from speaq.tools.convert import convert_dataset

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
IMAGES = sorted((TINY / "images").iterdir())


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """The golden data set as train.parquet and test.parquet, with its images."""
    folder = tmp_path_factory.mktemp("parquet")
    convert_dataset(TINY, folder, target_format="parquet", images=TINY / "images")
    return folder


def open_set(source: Path | str, split="train", **options) -> ParquetImages:
    settings = {"filter_non_overlap": False, "number_of_validation_images": 0, **options}
    return ParquetImages(DatasetSection(parquet=str(source), **settings), split)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_images_are_those_of_the_converted_set(tiny, converted, split):
    options = {"number_of_validation_images": 10, "filter_non_overlap": True}
    dataset, other = open_set(converted, split, **options), tiny(split, **options)
    assert dataset.image_ids == other.image_ids
    found, expected = count_dataset(dataset), count_dataset(other)
    names, others = dataset.vocabulary, other.vocabulary
    assert found.num_relations == expected.num_relations
    assert {names.predicates[p]: n for p, n in enumerate(found.predicate_counts.tolist()) if n} == {
        others.predicates[p]: n for p, n in enumerate(expected.predicate_counts.tolist()) if n
    }
    for index in (0, len(dataset) - 1, 3):
        (image, annotation), (same, truth) = dataset.read(index), other.read(index)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(same))
        np.testing.assert_allclose(annotation.boxes, truth.boxes, atol=1e-3)
        np.testing.assert_array_equal(annotation.relations[:, :2], truth.relations[:, :2])
        assert annotation.path.parent.name == ("test.parquet" if split == "test" else "train.parquet")


def test_mapped_rows_are_those_in_memory(converted, monkeypatch, mapped):
    expected = open_set(converted, number_of_validation_images=10)
    monkeypatch.setattr(ParquetImages, "in_memory", 16)
    dataset = open_set(converted, number_of_validation_images=10)
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(list(mapped.glob("speaq/annotations/*/content.json"))) == 1
    for each in (dataset, copy):
        assert each.image_ids == expected.image_ids
        for name in ("boxes", "labels", "relations", "relation_offsets", "sizes"):
            np.testing.assert_array_equal(getattr(each, name), getattr(expected, name))
        np.testing.assert_array_equal(np.asarray(each.read(40)[0]), np.asarray(expected.read(40)[0]))


def test_a_mix_of_both_formats_is_trained_on_and_evaluated(converted, config_file):
    web = "DATASETS.MULTI_DATASET.SOURCES.web"
    config = load_config(
        config_file,
        [
            *("DATASETS.TYPE", "MULTI_DATASET", "DATASETS.TRAIN", "('MULTI_train',)"),
            *("DATASETS.MULTI_DATASET.ENABLED", "True"),
            *(f"{web}.PARQUET", str(converted), f"{web}.MAPPING_DICTIONARY", str(TINY / "dicts.json")),
            *(f"{web}.SAMPLING_RATIO", "0.5", f"{web}.NUMBER_OF_VALIDATION_IMAGES", "10"),
            *("DATASETS.MULTI_DATASET.SYNTHETIC_SAMPLING_RATIO", "0"),
            *("DATASETS.MULTI_DATASET.REAL_SAMPLING_RATIO", "0.5"),
        ],
    )
    real, web = load_sources(config, "MULTI_train")
    assert (real.name, web.name, isinstance(web.dataset, ParquetImages)) == ("real", "web", True)
    assert web.dataset.vocabulary == real.dataset.vocabulary
    mixture = build_mixture([real, web], config.solver)
    assert build_statistics([real, web], mixture, of="mix").predicate_counts.any()
    training = build_training_set([real, web], mixture, input_settings=config.input, seed=3)
    first, again = (training.dataset[Draw(step=2, slot=1, image=7, source=1)] for _ in range(2))
    assert first.annotation.source == "web"
    assert (first.image == again.image).all()
    assert [source.name for source in load_sources(config, "MULTI_test")] == ["real", "web"]


def change(converted: Path, folder: Path, **changes) -> Path:
    """A file train.parquet with the first rows of the set, of which row 1 is changed."""
    table = parquet.read_table(converted / "train.parquet").slice(0, 4)
    rows = table.to_pylist()
    for key, value in changes.items():
        rows[1][key] = value(rows[1][key]) if callable(value) else value
    path = folder / "train.parquet"
    parquet.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, row_group_size=3)
    return path


def in_first(key: str, value: object):
    return lambda items: [{**items[0], key: value}, *items[1:]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objects": in_first("category_id", 999)}, "row 1: objects: expected a class among .*found 999"),
        ({"relations": in_first("predicate_id", -1)}, "row 1: relations: expected a predicate .*found -1"),
        (
            {"relations": in_first("object_id", 10**9)},
            "row 1: relations.0..object: expected .*1000000000",
        ),
        (
            {"objects": in_first("bbox", [0.0, 0.0, -1.0, 2.0])},
            "row 1: objects: expected bbox as x, y",
        ),
        ({"objects": in_first("bbox", [0.0])}, r"row 1: objects.0..bbox"),
        ({"width": 0}, "row 1: expected width and height in pixels, found 0"),
    ],
)
def test_invalid_rows_are_named(converted, tmp_path, changes, message):
    with pytest.raises(SpeaqError, match=rf"train\.parquet: {message}"):
        open_set(change(converted, tmp_path, **changes))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"bytes": b"none", "path": None}, r"image of 4 bytes: the image cannot be read \(not an image"),
        ({"bytes": None, "path": None}, "there is no image in this row"),
        ({"bytes": None, "path": "/etc/passwd"}, "image: expected bytes or the name of a file beside"),
    ],
)
def test_images_that_cannot_be_read_are_named(converted, tmp_path, capsys, image, message):
    path = change(converted, tmp_path, image=image)
    dataset = open_set(path)
    index = dataset.image_ids.index(parquet.read_table(path)["image_id"][1].as_py())
    assert dataset.read(0)[0].mode == "RGB"
    for read in (dataset.read, dataset.annotation):
        with pytest.raises(SpeaqError, match=rf"^[^ ]*train\.parquet: row 1: {message}"):
            read(index)
    assert run_data_command(capsys, "check", tmp_path, "--open-images")[0] == (2 if image["path"] else 1)


def test_boxes_without_area_are_warned_of_once(converted, tmp_path, caplog):
    path = change(converted, tmp_path, objects=in_first("bbox", [5.0, 5.0, 0.0, 8.0]))
    with caplog.at_level(logging.WARNING):
        open_set(path)
        open_set(path, "val", number_of_validation_images=1)
    (text,) = caplog.messages
    assert "train.parquet: 1 boxes have no area, first in image" in text


def test_classes_of_names_need_a_dictionary_with_them(tmp_path):
    objects = [
        {"category": "man", "bbox": [1.0, 1.0, 20.0, 20.0]},
        {"category": "hat", "bbox": [5.0, 5.0, 9.0, 9.0]},
    ]
    relations = [{"subject": 1, "object": 0, "predicate": "on", "confidence": 0.5, "source": "vlm"}]
    row = {"image_id": "a", "width": 64, "height": 48, "objects": objects, "relations": relations}
    parquet.write_table(pa.Table.from_pylist([row, {**row, "image_id": "b"}]), tmp_path / "set.parquet")
    with pytest.raises(SpeaqError, match=r"objects: expected names of the classes .* MAPPING_DICTIONARY"):
        open_set(tmp_path)
    dictionary = tmp_path / "dicts.json"
    dictionary.write_text('{"label_to_idx": {"hat": 2, "man": 1}, "predicate_to_idx": {"on": 1}}')
    options = {"mapping_dictionary": str(dictionary)}
    (tmp_path / "photos").mkdir()
    dataset = open_set(
        tmp_path, images=str(tmp_path / "photos"), relation_source_weights=["vlm=0.5"], **options
    )
    assert (dataset.image_ids, dataset.labels.tolist()) == (["a", "b"], [0, 1, 0, 1])
    assert dataset.confidences.tolist() == [0.25, 0.25]
    with pytest.raises(SpeaqError, match="2 of 2 images have no file"):
        dataset.check_images()
    dictionary.write_text('{"label_to_idx": {"man": 1}, "predicate_to_idx": {"on": 1}}')
    with pytest.raises(SpeaqError, match=r"set\.parquet: row 0: objects: expected a class among 'man'"):
        open_set(tmp_path, **options)


def test_files_of_a_url_are_read(converted):
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in ("train.parquet", "test.parquet"):
        system.pipe(f"/golden/data/{name}", (converted / name).read_bytes())
    dataset = open_set("memory://golden", "test")
    expected = open_set(converted, "test")
    assert dataset.image_ids == expected.image_ids
    np.testing.assert_array_equal(np.asarray(dataset.read(5)[0]), np.asarray(expected.read(5)[0]))
    with pytest.raises(SpeaqError, match="memory://nothing: expected a file"):
        open_set("memory://nothing")


def test_splits_and_sources_that_are_not_there(converted, tmp_path):
    with pytest.raises(EmptySplitError, match=r"no file is of the split 'test' \(train\.parquet\)"):
        open_set(converted / "train.parquet", "test")
    with pytest.raises(SpeaqError, match="expected a file"):
        open_set(tmp_path)
    (tmp_path / "train.parquet").write_text("no")
    with pytest.raises(SpeaqError, match=r"train\.parquet: cannot read this file as Parquet"):
        open_set(tmp_path)


def test_the_checks_count_the_rows_and_open_the_images(converted, capsys):
    code, text, _ = run_data_command(capsys, "check", converted, "--open-images")
    assert (code, "array-absent" in text) == (0, False), text
    assert "train     100" in text or "train" in text
    assert run_data_command(capsys, "stats", converted)[0] == 0
    code, _, err = run_data_command(capsys, "check", converted, "--fix", converted.parent / "fixed")
    assert (code, "convert the files first" in err) == (2, True)


@pytest.mark.parametrize("weighted", ["test", "train-1"])
def test_a_split_or_a_file_alone_may_have_confidences_and_sources(tmp_path, capsys, weighted):
    objects = [{"category": "man", "bbox": [1.0, 1.0, 20.0, 20.0]}] * 2
    relation = {"subject": 1, "object": 0, "predicate": "on"}
    for name in ("train-0", "train-1", "test"):
        more = {"confidence": 0.5, "source": "vlm"} if name == weighted else {}
        row = {
            "image_id": name,
            "width": 64,
            "height": 48,
            "objects": objects,
            "relations": [relation | more],
        }
        parquet.write_table(pa.Table.from_pylist([row]), tmp_path / f"{name}.parquet")
    (tmp_path / "dicts.json").write_text('{"label_to_idx": {"man": 1}, "predicate_to_idx": {"on": 1}}')
    section = "DATASETS:\n  VISUAL_GENOME:\n    PARQUET: {0}\n    MAPPING_DICTIONARY: {0}/dicts.json\n"
    (tmp_path / "config.yaml").write_text(section.format(tmp_path))
    code, text, err = run_data_command(capsys, "check", "--config-file", tmp_path / "config.yaml")
    assert (code, "relation_confidences" in text) == (1, False), text + err  # there are no image files
    train = open_set(tmp_path, mapping_dictionary=str(tmp_path / "dicts.json"))
    found = None if train.confidences is None else train.confidences.tolist()
    assert found == (None if weighted == "test" else [1, 0.5])
