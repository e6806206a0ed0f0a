"""`speaq data check` and `speaq data stats`: output, files and exit codes."""

import csv
import json

import numpy as np
import pytest

from damaged_dataset import DamagedDataset
from data_command import run_data_command
from dataset_damages import DAMAGES
from golden_dataset import TINY


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def files(tmp_path):
    return DamagedDataset(tmp_path / "set")


def test_check_of_a_correct_dataset(capsys):
    code, out, _ = run_data_command(capsys, "check", TINY)
    assert code == 0
    assert out.splitlines()[-1] == "0 errors, 0 warnings, 5 notes"
    assert "the first 5,000 (NUMBER_OF_VALIDATION_IMAGES) of the 84 training images are used." in out
    assert out.splitlines()[2].split() == ["train", "84", "84", "0", "0", "446", "346"]


def test_check_of_a_damaged_dataset_writes_json(capsys, files, tmp_path):
    DAMAGES["unknown_label"](files)
    files.write()
    code, out, _ = run_data_command(
        capsys, "check", files.folder, "--json", tmp_path / "found.json", "--limit", "1"
    )
    assert code == 1
    assert "error  label-unknown  3\n    A label is not in the dictionary.\n" in out
    assert "image 1, labels[3]: 0" in out
    assert "and 2 more" in out
    content = json.loads((tmp_path / "found.json").read_text())
    assert (content["errors"], content["warnings"]) == (1, 0)
    (first, *_) = content["sets"][0]["findings"]
    assert (first["code"], first["count"], first["images"]) == ("label-unknown", 3, [1, 7, 56])
    assert first["examples"] == [{"image": 1, "place": "labels[3]", "found": 0}]
    assert content["sets"][0]["splits"]["test"]["images"] == 36
    assert sum(content["sets"][0]["splits"]["train"]["predicates"].values()) == 339


def test_strict_makes_warnings_fail(capsys, files):
    DAMAGES["outside_image"](files)
    files.write()
    assert run_data_command(capsys, "check", files.folder)[0] == 0
    assert run_data_command(capsys, "check", files.folder, "--strict")[0] == 1


def test_fix_writes_a_repaired_copy(capsys, files, tmp_path):
    for name in ("unknown_label", "file_missing", "similar_names"):
        DAMAGES[name](files)
    files.write()
    before = {path.name: path.read_bytes() for path in files.folder.iterdir() if path.is_file()}
    fixed = tmp_path / "fixed"
    code, out, _ = run_data_command(capsys, "check", files.folder, "--fix", fixed)
    assert code == 0
    assert "117 of 120 images" in out
    assert "3  images left out: file missing" in out
    assert "not repaired: warning dictionary-similar-names, 1" in out
    assert "The repaired data set has 0 errors, 1 warning," in out
    assert {path.name: path.read_bytes() for path in files.folder.iterdir() if path.is_file()} == before
    assert sorted(path.name for path in fixed.iterdir()) == [
        "annotations.h5",
        "dataset.yaml",
        "dicts.json",
        "image_data.json",
    ]
    assert run_data_command(capsys, "check", "--config-file", fixed / "dataset.yaml")[0] == 0
    assert run_data_command(capsys, "check", fixed, "--images", files.folder / "images")[0] == 0


def test_fix_writes_no_files_for_an_invalid_dataset(capsys, files, tmp_path):
    del files.arrays["labels"]
    files.write()
    code, out, _ = run_data_command(capsys, "check", files.folder, "--fix", tmp_path / "fixed")
    assert code == 1
    assert "VISUAL_GENOME cannot be repaired: of the annotations, labels cannot be used." in out
    assert out.splitlines()[-1] == "No files were written."
    assert "The repaired" not in out
    assert not (tmp_path / "fixed").exists()


def test_fix_does_not_repair_systematic_errors(capsys, files, tmp_path):
    boxes = files.arrays["boxes_1024"]
    half = boxes[:, 2:] // 2
    files.arrays["boxes_1024"] = np.hstack((boxes[:, :2] - half, boxes[:, :2] + half))
    files.write()
    code, out, _ = run_data_command(capsys, "check", files.folder, "--fix", tmp_path / "fixed")
    assert code == 1
    assert "VISUAL_GENOME cannot be repaired: 'boxes_1024' looks like (x1, y1, x2, y2), not (cx" in out
    assert out.splitlines()[-1] == "No files were written."
    assert not (tmp_path / "fixed").exists()


def test_check_compares_the_datasets_of_a_mix(capsys, files, tmp_path):
    files.names["predicate_to_idx"]["quite above"] = 51
    files.names["idx_to_predicate"]["51"] = "quite above"
    files.arrays["split"][100] = 0  # a test image of the other set
    files.write()
    keys = ("IMAGES", "IMAGE_DATA", "MAPPING_DICTIONARY", "VG_ATTRIBUTE_H5")
    sections = {}
    for name, folder in (("VISUAL_GENOME", TINY), ("VISUAL_GENOME_SYNTHETIC", files.folder)):
        paths = (folder / part for part in ("images", "image_data.json", "dicts.json", "VG.h5"))
        sections[name] = dict(zip(keys, map(str, paths), strict=True))
    file = tmp_path / "mix.yaml"
    file.write_text(json.dumps({"DATASETS": sections}))
    code, out, _ = run_data_command(capsys, "check", "--config-file", file, "--fix", tmp_path / "fixed")
    assert code == 1
    assert "error  vocabulary-extra  1\n" in out
    assert "warning  mix-leak-same-id  1\n    VISUAL_GENOME_SYNTHETIC trains on ids of valid" in out
    assert "not repaired: error vocabulary-extra, 1" in out
    assert (tmp_path / "fixed/visual_genome_synthetic/annotations.h5").exists()
    real = [f"DATASETS.VISUAL_GENOME_SYNTHETIC.{key}" for key in keys]
    pairs = [
        text for key, name in zip(real, keys, strict=True) for text in (key, sections["VISUAL_GENOME"][name])
    ]
    code, out, _ = run_data_command(capsys, "check", "--config-file", file, *pairs)
    assert "vocabulary" not in out


def test_check_and_stats_print_special_characters_of_names(capsys, files):
    numbers, names = files.names["predicate_to_idx"], files.names["idx_to_predicate"]
    numbers["[red]on$_<b>위에"] = numbers.pop(names["1"])
    names["1"] = "[red]on$_<b>위에"
    files.write()
    assert "[red]on$_<b>위에 62" in run_data_command(capsys, "check", files.folder)[1]
    assert "[red]on$_<b>위에" in run_data_command(capsys, "stats", files.folder)[1]


def test_check_and_stats_count_the_sources_of_relations(capsys, tmp_path, files):
    number = len(files.arrays["predicates"])
    files.arrays["relation_sources"] = ["human"] * 300 + [""] * (number - 300)
    files.write()
    report = tmp_path / "report.json"
    _, out, _ = run_data_command(capsys, "check", files.folder, "--json", report)
    assert "2 sources, in train: human 300, (not known) 46" in out
    splits = json.loads(report.read_text())["sets"][0]["splits"]
    assert splits["train"]["sources"] == {"": 46, "human": 300}
    assert splits["test"]["sources"] == {"": 108}
    run_data_command(capsys, "stats", files.folder, "--csv", tmp_path)
    rows = list(csv.reader((tmp_path / "sources.csv").open()))
    assert rows == [
        ["source", "train", "test", "train %"],
        ["human", "300", "0", "86.71"],
        ["(not known)", "46", "108", "13.29"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none: there is no such folder"),
        ([], "name the data set"),
        (["a", "b"], "expected one folder, found a b"),
        ([TINY, "--h5", "none.h5"], "none.h5: there is no such file"),
        (["--config-file", "none.yaml"], "none.yaml: no such configuration file"),
        (["--config-file", "none.yaml", "--h5", "x.h5"], "--config-file names the data sets"),
        ([TINY, "--limit", "-1"], "--limit"),
    ],
)
def test_check_and_stats_refuse_invalid_arguments(capsys, arguments, message):
    for name in ("check", "stats"):
        if "--limit" in arguments:
            arguments = [*arguments[:-2], "--top" if name == "stats" else "--limit", "-1"]
            message = arguments[-2]
        code, out, err = run_data_command(capsys, name, *arguments)
        assert code == 2
        assert message in err + out


def test_fix_refuses_the_folder_of_the_dataset(capsys, files):
    files.write()
    code, _, err = run_data_command(capsys, "check", files.folder, "--fix", files.folder)
    assert code == 2
    assert "belongs to the data set; give --fix a folder outside of it" in err


def test_fix_refuses_to_overwrite_files(capsys, files, tmp_path):
    files.write()
    other = DamagedDataset(tmp_path / "other")
    other.write()
    before = (other.folder / "image_data.json").read_bytes()
    code, out, err = run_data_command(capsys, "check", files.folder, "--fix", other.folder)
    assert (code, out) == (2, "")  # before anything is checked
    assert "already has image_data.json, dicts.json, which --fix would overwrite" in err
    assert (other.folder / "image_data.json").read_bytes() == before
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/dataset.yaml").write_text("")
    assert run_data_command(capsys, "check", files.folder, "--fix", tmp_path / "settings")[0] == 2
    (tmp_path / "empty").mkdir()
    assert run_data_command(capsys, "check", files.folder, "--fix", tmp_path / "empty")[0] == 0
    assert run_data_command(capsys, "check", files.folder, "--fix", tmp_path / "empty")[0] == 2
    code, _, err = run_data_command(capsys, "check", files.folder, "--fix", other.folder / "dicts.json")
    assert code == 2
    assert "this is a file" in err


def test_stats_prints_and_writes_tables(capsys, tmp_path):
    code, out, _ = run_data_command(capsys, "stats", TINY, "--csv", tmp_path / "tables", "--top", "3")
    assert code == 0
    assert "and 47 more" in out
    tables = {path.stem: list(csv.reader(path.open())) for path in (tmp_path / "tables").iterdir()}
    assert tables.keys() == {"splits", "per_image", "predicates", "objects", "triplets"}
    assert tables["splits"][1:] == [
        ["train", "84", "0", "0", "446", "346", tables["splits"][1][-1]],
        ["test", "36", "0", "1", "188", "108", "108"],
    ]
    heading, *rows = tables["predicates"]
    assert heading == ["predicate", "train", "test", "train %", "group"]
    assert rows[0] == ["above", "62", rows[0][2], "17.92", "head"]
    assert [row[4] for row in rows] == ["head"] * 16 + ["body"] * 17 + ["tail"] * 17
    assert sum(int(row[1]) for row in rows) == 346
    assert sum(int(row[1]) for row in tables["objects"][1:]) == 446
    assert sum(int(row[1]) for row in tables["triplets"][1:]) == 346


def test_stats_reports_the_error_of_a_damaged_dataset(capsys, files):
    DAMAGES["unknown_label"](files)
    files.write()
    code, _, err = run_data_command(capsys, "stats", files.folder)
    assert code == 2
    assert "A label is not in the dictionary. Found labels[3]: 0." in err
