"""Files that claim more than they contain, never end, or name files elsewhere."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from rich.table import Table
from rich.text import Text

from golden_dataset import TINY
from malformed_inputs import LINES
from speaq.cli.convert_data import convert
from speaq.config import load_config
from speaq.console import PlainConsole
from speaq.data.findings import Findings
from speaq.data.image_folders import ImageFolders
from speaq.data.vg_annotations import read_annotations
from speaq.data.vg_arrays import read_arrays
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError
from speaq.files import is_inside, regular
from speaq.images import read_image
from speaq.model.config import ModelConfig
from speaq.pretrained import Speaq
from speaq.tools.convert import convert_dataset
from speaq.tools.training_log.reading import read_history
from tiny_model import tiny_config

DEEP = "[" * 200_000 + "]" * 200_000


@pytest.fixture
def annotations(tmp_path) -> Path:
    return Path(shutil.copy(TINY / "VG.h5", tmp_path))


def replace_array(file: Path, name: str, **options) -> None:
    with h5py.File(file, "a") as content:
        del content[name]
        content.create_dataset(name, **options)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_arrays_that_claim_more_than_the_file_has_are_not_read(annotations, compression):
    shape = (10**11, 2)
    replace_array(
        annotations, "relationships", shape=shape, dtype="i4", chunks=(64, 2), compression=compression
    )
    findings = Findings(limit=3)
    arrays = read_arrays(annotations, 1024, findings)
    assert arrays is not None and "relationships" not in arrays.values
    with pytest.raises(SpeaqError, match=r"claims 800,000,000,000 bytes, but the file has 0"):
        read_annotations(annotations, box_scale=1024, vocabulary=read_vocabulary(TINY / "dicts.json"))


def test_arrays_in_other_files_are_not_read(annotations, tmp_path):
    (tmp_path / "values").write_bytes(bytes(800))
    replace_array(annotations, "relationships", shape=(100, 2), dtype="i4", external=str(tmp_path / "values"))
    with pytest.raises(SpeaqError, match="its values are in other files"):
        read_annotations(annotations, box_scale=1024, vocabulary=read_vocabulary(TINY / "dicts.json"))


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "labels"), h5py.SoftLink("/boxes_512")])
@pytest.mark.parametrize("name", ["relationships", "relation_confidences"])
def test_links_of_hdf5_files_are_not_followed(annotations, tmp_path, link, name):
    os.mkfifo(tmp_path / "other.h5")
    with h5py.File(annotations, "a") as content:
        if name in content:
            del content[name]
        content[name] = link
    with pytest.raises(SpeaqError, match=f"Found {name}: it is a link, which may lead to another file"):
        read_annotations(annotations, box_scale=1024, vocabulary=read_vocabulary(TINY / "dicts.json"))


def test_long_texts_of_hdf5_files_are_not_repeated(annotations):
    with h5py.File(annotations, "a") as content:
        content["relation_sources"] = ["x"] * (len(content["predicates"]) - 1) + ["x" * 10**6]
    with pytest.raises(SpeaqError, match="a text of 1,000,000 characters is too long for an array of"):
        read_annotations(annotations, box_scale=1024, vocabulary=read_vocabulary(TINY / "dicts.json"))


def surrogate_in(file: Path, old: str) -> None:
    file.write_text(file.read_text().replace(f'"{old}"', '"\\ud800"', 1))


@pytest.mark.parametrize(
    ("file", "old", "message"),
    [
        ("dicts.json", "has", "predicate_to_idx: expected text that UTF-8 can encode, found '.ud800'"),
        ("image_data.json", "a.jpg", r"\[0\].file_name: expected text that UTF-8"),
    ],
)
def test_names_that_utf8_cannot_encode_are_refused(tmp_path, file, old, message):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, LINES)))
    convert_dataset(tmp_path / "a.jsonl", tmp_path / "set")
    surrogate_in(tmp_path / "set" / file, old)
    with pytest.raises(SpeaqError, match=f"{file}.*{message}"):
        convert_dataset(tmp_path / "set", tmp_path / "out", target_format="jsonl")


def test_models_and_json_lines_with_names_that_utf8_cannot_encode_are_refused(model, tmp_path):
    config = Path(shutil.copy(model / "config.json", tmp_path))
    surrogate_in(config, ModelConfig.from_json(config).objects[1])
    with pytest.raises(SpeaqError, match=r"config.json: not valid JSON \(objects\[1\]: expected text that"):
        ModelConfig.from_json(config)
    (tmp_path / "a.jsonl").write_text(json.dumps(LINES[0]).replace('"has"', '"\\ud800"'))
    with pytest.raises(SpeaqError, match=r"a.jsonl: line 1: Invalid JSON: .* at line 1 column"):
        convert_dataset(tmp_path / "a.jsonl", tmp_path / "out")


def test_compressed_arrays_are_read(annotations):
    with h5py.File(annotations) as content:
        values = content["relationships"][()]
    replace_array(annotations, "relationships", data=values, compression="gzip")
    arrays = read_arrays(annotations, 1024, Findings(limit=3))
    assert arrays is not None
    np.testing.assert_array_equal(arrays.values["relationships"], values)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Speaq(tiny_config()).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_dim": 10**9}, "config.json: not a model that can be built"),
        ({"num_queries": 10**7}, "it has far more than the .* parameters in model.safetensors"),
        ({"encoder_layers": 10**9}, "it has far more than the .* parameters in model.safetensors"),
        (
            {"backbone": {"depths": [10**9] * 4}},
            "it has far more than the .* parameters in model.safetensors",
        ),
        ({"backbone": {"hidden_sizes": "x"}}, "config.json: "),
        ({"backbone": {"model_type": "timm_backbone"}}, "config.json: not a model that can be built"),
    ],
)
def test_models_that_are_larger_than_their_weights_are_not_built(model, tmp_path, changes, message):
    shutil.copytree(model, tmp_path, dirs_exist_ok=True)
    values = json.loads((tmp_path / "config.json").read_text())
    values |= {**changes, "backbone": {**values["backbone"], **changes.get("backbone", {})}}
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(SpeaqError, match=message):
        Speaq.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "content", [DEEP, '{"model_type": "speaq", "backbone": ' + "[" * 900 + "]" * 900 + "}"]
)
def test_deeply_nested_configurations_are_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(SpeaqError, match=r"config.json: (not valid JSON \(nested too deeply|.*recursion)"):
        ModelConfig.from_json(tmp_path / "config.json")


def test_regular_refuses_devices_pipes_and_large_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "file").write_bytes(bytes(11))
    (tmp_path / "link").symlink_to("file")
    for name in ("pipe", "zero"):
        with pytest.raises(OSError, match="expected a regular file, found a device or a pipe"):
            regular(tmp_path / name)
    with pytest.raises(OSError, match="expected at most 10 bytes, found 11"):
        regular(tmp_path / "link", 10)
    assert regular(tmp_path / "link", 11) == tmp_path / "link"


def test_configurations_are_regular_files(tmp_path):
    (tmp_path / "run.yaml").write_text("_BASE_: /dev/zero\n")
    with pytest.raises(
        SpeaqError, match=r"/dev/zero: .*expected a regular file.*it is the _BASE_ of .*run.yaml"
    ):
        load_config(tmp_path / "run.yaml")
    (tmp_path / "run.yaml").write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(SpeaqError, match="expected at most 4,194,304 bytes"):
        load_config(tmp_path / "run.yaml")


def test_configurations_do_not_expand_aliases_of_aliases(tmp_path):
    rows = ["SOLVER:", "  STEPS: &a [" + ",".join("1" * 50) + "]"]
    rows += [f"  K{b}: &{b} [{','.join([f'*{a}'] * 50)}]" for a, b in zip("abc", "bcd", strict=True)]
    (tmp_path / "run.yaml").write_text("\n".join(rows))
    with pytest.raises(SpeaqError, match="line 5: more than 1,000,000 values in this file"):
        load_config(tmp_path / "run.yaml")


def test_images_are_regular_files_within_the_limit_of_pixels(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(SpeaqError, match=r"a\.png: there is no such image file"):
        read_image(tmp_path / "a.png")
    Image.new("1", (3000, 3000)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)
    with pytest.raises(SpeaqError, match=r"bomb\.png: the image cannot be read: it is too large"):
        read_image(tmp_path / "bomb.png")


def test_logs_with_numbers_of_any_size_are_read(tmp_path):
    rows = ['{"iteration": 19, "total_loss": 2.5}', '{"iteration": 1' + "0" * 400 + ', "total_loss": 1}']
    rows += [
        '{"iteration": 39, "total_loss": 1' + "0" * 400 + "}",
        '{"iteration": 59, "total_loss": ' + DEEP + "}",
    ]
    (tmp_path / "metrics.json").write_text("\n".join(rows))
    assert read_history(tmp_path).columns["total_loss"].to_dict() == {19: 2.5}


def test_xml_entities_are_not_expanded_without_limit(tmp_path):
    entities = "".join(f"<!ENTITY {b} '{f'&{a};' * 20}'>" for a, b in zip("abcdefg", "bcdefgh", strict=True))
    text = f"<!DOCTYPE l [<!ENTITY a '{'x' * 20}'>{entities}]><annotations><image name='&h;'/></annotations>"
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(SpeaqError, match=r"a\.xml: cannot read this XML file \(limit on input amplification"):
        convert_dataset(tmp_path / "a.xml", tmp_path / "out", source_format="cvat")
    (tmp_path / "secret").write_text("secret")
    entity = f"<!DOCTYPE l [<!ENTITY a SYSTEM 'file://{tmp_path}/secret'>]>"
    (tmp_path / "a.xml").write_text(f"{entity}<annotations><image name='a'>&a;</image></annotations>")
    with pytest.raises(SpeaqError, match="undefined entity"):
        convert_dataset(tmp_path / "a.xml", tmp_path / "out", source_format="cvat")


@pytest.mark.parametrize("name", ["a.jpg", "b/c.jpg", "..a/b..", "a:b", "\x1b[31m", "é"])
def test_is_inside_accepts_names_of_files(name):
    assert is_inside(name)


OUTSIDE = [
    "/etc/passwd",
    "../../secret.jpg",
    "a/../../b",
    "..",
    "",
    "a\0b.jpg",
    "\ud800.jpg",
    "C:\\a",
    "..\\a",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("key", ["image", "id"])
@pytest.mark.parametrize("target", ["jsonl", "coco"])
def test_files_outside_the_folder_of_images_are_refused(tmp_path, name, key, target):
    assert not is_inside(name)
    if (key, name) == ("image", ""):
        pytest.skip("the layout itself refuses it")
    (tmp_path / "images").mkdir()
    line = {**LINES[0], key: name}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    options = {"images": tmp_path / "images", "link": True, "target_format": target}
    with pytest.raises(
        SpeaqError, match=r"expected the name of a file within|image ids that can be names|Invalid JSON"
    ):
        convert_dataset(tmp_path / "a.jsonl", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../../secret.jpg"])
@pytest.mark.parametrize("source", ["coco", "sgg-benchmark", "psg", "layout", "vg"])
def test_every_format_refuses_files_outside_the_folder(tmp_path, source, name):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, LINES)))
    convert_dataset(tmp_path / "a.jsonl", tmp_path / "set", target_format=source)
    for file in (tmp_path / "set").glob("*.json"):
        file.write_text(file.read_text().replace('"a.jpg"', json.dumps(name)))
    with pytest.raises(SpeaqError, match=f"expected the name of a file within .* found '{name}'"):
        convert_dataset(tmp_path / "set", tmp_path / "out", source_format=source)


def test_links_in_the_folder_of_images_are_followed_and_names_outside_are_not(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.jpg")
    (tmp_path / "images" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    folders = ImageFolders(tmp_path / "images")
    assert folders.find("a") == tmp_path / "images" / "a.jpg"
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "a\0.jpg"):
        assert folders.find("missing", name) is None


def test_names_are_printed_as_they_are(capsys):
    console = PlainConsole(width=60)
    table = Table("[bold]class", title="\x1b[31mred")
    table.add_row("[red]cup[/red] :smile:", style="bold")
    table.add_row(Text("\x1b]0;title\x07"))
    console.print(table, "[/] \x9b31m")
    shown = capsys.readouterr().out
    assert not any(character in shown for character in "\x1b\x07\x9b")
    for text in ("[bold]class", "[red]cup[/red] :smile:", "\\x1b[31mred", "\\x1b]0;title", "[/] \\x9b31m"):
        assert text in shown


def test_convert_escapes_what_it_prints(tmp_path, capsys):
    objects = [{**LINES[0]["objects"][0], "name": "\x1b[31mman"}, LINES[0]["objects"][1]]
    (tmp_path / "\x1b[31m").mkdir()
    (tmp_path / "a.jsonl").write_text(json.dumps({**LINES[0], "objects": objects}))
    convert(tmp_path / "a.jsonl", tmp_path / "\x1b[31m" / "out")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\\x1b[31m" in shown
