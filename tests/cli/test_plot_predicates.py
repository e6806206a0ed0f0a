"""`speaq plot predicates` and visualize_predicate_distribution.py: arguments and files."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from counted_datasets import write_dataset
from speaq.cli import app, run

ROOT = Path(__file__).parents[2]
CHARTS = {
    "top_predicates_comparison.png",
    "predicate_distribution_comparison.png",
    "cumulative_predicate_distribution.png",
    "predicate_statistics_summary.png",
}
TABLES = {"predicate_statistics.json", "predicate_counts.csv"}


@pytest.fixture
def paths(tmp_path) -> dict[str, str]:
    real = write_dataset(tmp_path / "real", {"on": 60, "has": 30, "in": 10})
    synthetic = write_dataset(tmp_path / "synthetic", {"in": 30, "left of": 10, "on": 0})
    return {
        "--real-mapping": real.mapping_dictionary,
        "--real-h5": real.vg_attribute_h5,
        "--synthetic-mapping": synthetic.mapping_dictionary,
        "--synthetic-h5": synthetic.vg_attribute_h5,
    }


def plot(*arguments: object) -> None:
    run(app, ["plot", "predicates", *map(str, arguments)])


def options(paths: dict[str, str], *prefixes: str) -> list[str]:
    return [word for pair in paths.items() if pair[0].startswith(prefixes) for word in pair]


def totals(folder: Path) -> dict[str, int]:
    content = json.loads((folder / "predicate_statistics.json").read_text(encoding="utf-8"))
    return {name: statistics["total"] for name, statistics in content["sets"].items()}


def failing(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        plot(*arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return captured.err


def test_plot_two_datasets_by_files(capsys, tmp_path, paths):
    plot(*options(paths, "--real", "--synthetic"), "--output-dir", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == CHARTS | TABLES
    assert totals(tmp_path / "out") == {"real": 100, "synthetic": 40}
    printed = capsys.readouterr().out
    assert "relations of train images (split 0)" in printed
    assert "Not in the vocabulary of synthetic (1): has" in printed
    assert "Never occur in synthetic (1): on" in printed
    assert "100.00 / 25.00" not in printed
    assert "90.00 / 25.00" in printed  # only in one of them


@pytest.mark.parametrize(("name", "total"), [("real", 100), ("synthetic", 40)])
def test_plot_one_dataset_by_files(tmp_path, paths, name, total):
    plot(*options(paths, f"--{name}"), "--output-dir", tmp_path / "out")
    assert totals(tmp_path / "out") == {name: total}
    assert {path.name for path in (tmp_path / "out").iterdir()} == CHARTS | TABLES


ALONE = ["DATASETS.MULTI_DATASET.ENABLED", "False"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], {"real": 100, "synthetic": 40}),
        (["DATASETS.TYPE", "SYNTHETIC GENOME", *ALONE], {"synthetic": 100}),
        (
            ["DATASETS.TYPE", "VISUAL GENOME", *ALONE, "MODEL.DETR.ONE2MANY_PREDICATE_WEIGHT", "-0.5"],
            {"real": 100},
        ),
    ],
)
def test_plot_datasets_of_a_configuration(tmp_path, paths, overrides, expected):
    config = f"""
DATASETS:
  TYPE: "MULTI_DATASET"
  MULTI_DATASET:
    ENABLED: True
  VISUAL_GENOME:
    MAPPING_DICTIONARY: {paths["--real-mapping"]}
    VG_ATTRIBUTE_H5: {paths["--real-h5"]}
  SYNTHETIC_GENOME:
    MAPPING_DICTIONARY: {paths["--real-mapping"]}
    SYNTHETIC_ATTRIBUTE_H5: {paths["--real-h5"]}
  VISUAL_GENOME_SYNTHETIC:
    MAPPING_DICTIONARY: {paths["--synthetic-mapping"]}
    VG_ATTRIBUTE_H5: {paths["--synthetic-h5"]}
"""
    (tmp_path / "mix.yaml").write_text(config, encoding="utf-8")
    plot("--config-file", tmp_path / "mix.yaml", "--output-dir", tmp_path / "out", *overrides)
    assert totals(tmp_path / "out") == expected


def test_what_and_format_options_set_the_file_names(tmp_path, paths):
    words = ["--what", "objects,triplets", "--format", "svg", "--output-dir", tmp_path / "out"]
    plot(*options(paths, "--real"), *words)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("top_objects_comparison.svg", "object_distribution_comparison.svg"),
        *("cumulative_object_distribution.svg", "object_statistics_summary.svg"),
        *("top_triplets_comparison.svg", "triplet_distribution_comparison.svg"),
        *("cumulative_triplet_distribution.svg", "triplet_statistics_summary.svg"),
        *("object_statistics.json", "object_counts.csv", "triplet_statistics.json", "triplet_counts.csv"),
    }


def test_plot_predicates_refuses_invalid_arguments(capsys, tmp_path, paths):
    real = options(paths, "--real")
    assert "found no data set" in failing(capsys)
    assert "both a configuration and files" in failing(capsys, "--config-file", "x.yaml", *real)
    assert "--real-mapping also needs --real-h5" in failing(capsys, *real[:2])
    assert "found 'attributes'" in failing(capsys, *real, "--what", "attributes")
    assert "none.yaml: no such configuration file" in failing(capsys, "--config-file", "none.yaml")
    assert (
        "no.h5: The annotations cannot be read as an HDF5 file. Found no.h5: there is no such file. Check"
        in failing(capsys, *real[:2], "--real-h5", "no.h5")
    )
    assert "no.json: The mapping dictionary cannot be read as a JSON object" in failing(
        capsys, "--real-mapping", "no.json", *real[2:]
    )
    assert "Use the dictionary that belongs to the annotations" in failing(
        capsys,
        "--real-mapping",
        write_dataset(tmp_path / "small", {"on": 1}).mapping_dictionary,
        *real[2:],
        "--output-dir",
        tmp_path / "out",
    )
    assert "found 20 of split 0" in failing(capsys, *real, "--split", "test")
    assert not (tmp_path / "out").exists()


def test_visualize_predicate_distribution_is_the_same_command(capsys, monkeypatch, tmp_path, paths):
    script = str(ROOT / "visualize_predicate_distribution.py")
    arguments = [*options(paths, "--real", "--synthetic"), "--output-dir", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(script, run_name="__main__")
    assert capsys.readouterr().err == ""
    assert {path.name for path in (tmp_path / "out").iterdir()} == CHARTS | TABLES
