"""Counts of annotation files, and the written tables."""

import csv
import json
import math
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from counted_datasets import comparison_of, write_dataset
from golden_dataset import TINY
from speaq.config import load_config
from speaq.config.data import DatasetSection
from speaq.errors import SpeaqError
from speaq.tools.distribution.comparison import (
    gini,
)
from speaq.tools.distribution.files import compare_sets, save_counts, save_statistics, sets_of

GOLDEN = DatasetSection(mapping_dictionary=str(TINY / "dicts.json"), vg_attribute_h5=str(TINY / "VG.h5"))


@pytest.mark.parametrize(("split", "numbers"), [("train", [0]), ("test", [2]), ("all", [0, 1, 2])])
def test_counts_of_a_file_agree_with_a_loop(split, numbers):
    """Counted here image by image."""
    names = json.loads((TINY / "dicts.json").read_text())
    counters: dict[str, Counter] = {"predicates": Counter(), "objects": Counter(), "triplets": Counter()}
    with h5py.File(TINY / "VG.h5") as file:
        arrays = {key: file[key][()].squeeze() for key in file}
    labels = [names["idx_to_label"][str(number)] for number in arrays["labels"]]
    for image, number in enumerate(arrays["split"]):
        if number not in numbers:
            continue
        for row in range(arrays["img_to_first_box"][image], arrays["img_to_last_box"][image] + 1):
            counters["objects"][labels[row]] += 1
        if arrays["img_to_first_rel"][image] < 0:
            continue
        for row in range(arrays["img_to_first_rel"][image], arrays["img_to_last_rel"][image] + 1):
            subject, object_ = arrays["relationships"][row]
            predicate = names["idx_to_predicate"][str(arrays["predicates"][row])]
            counters["predicates"][predicate] += 1
            counters["triplets"][f"{labels[subject]} - {predicate} - {labels[object_]}"] += 1
    for comparison in compare_sets({"real": GOLDEN}, ["predicates", "objects", "triplets"], split=split):
        assert {name: n for name, n in comparison.counts["real"].items() if n} == counters[comparison.what]
        assert comparison.num_images["real"] == np.isin(arrays["split"], numbers).sum()
    assert comparison.num_possible["real"] == 150 * 150 * 50


def test_dataset_without_relations_is_counted(tmp_path):
    sets = {
        "real": write_dataset(tmp_path / "a", {"on": 3}),
        "empty": write_dataset(tmp_path / "b", {"on": 0}),
    }
    for comparison in compare_sets(sets, ["predicates", "triplets"]):
        assert comparison.statistics("empty")["total"] == 0
        (divergence,) = comparison.divergences()
        assert math.isnan(divergence["total_variation"])
        assert divergence["only_in"]["real"] == 1
        assert math.isnan(divergence["only_in"]["empty"])


def test_annotations_and_dictionary_of_different_datasets_are_refused(tmp_path):
    section = write_dataset(tmp_path / "a", {"on": 3, "in": 1})
    other = write_dataset(tmp_path / "b", {"on": 3})
    mixed = DatasetSection(
        mapping_dictionary=other.mapping_dictionary, vg_attribute_h5=section.vg_attribute_h5
    )
    with pytest.raises(
        SpeaqError, match=r"a/VG.h5: A predicate is not in the dictionary. Found predicates\[3\]: 2"
    ):
        compare_sets({"real": mixed}, ["predicates"])


def test_split_without_images_is_refused(tmp_path):
    section = write_dataset(tmp_path, {"on": 12}, split=2)
    with pytest.raises(SpeaqError, match=r"expected images of split 0 \(train\); found 3 of split 2"):
        compare_sets({"real": section}, ["predicates"])
    assert compare_sets({"real": section}, ["predicates"], split="test")[0].counts["real"].tolist() == [12]


MIXED = ["DATASETS.MULTI_DATASET.ENABLED", "True"]
SOURCE = "DATASETS.MULTI_DATASET.SOURCES.drawn"
DRAWN = [f"{SOURCE}.SAMPLING_RATIO", "0.1", f"{SOURCE}.MAPPING_DICTIONARY", "drawn"]
DRAWN += [f"{SOURCE}.VG_ATTRIBUTE_H5", "drawn"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["DATASETS.TYPE", "VISUAL GENOME"], {"real": "vg"}),
        (["DATASETS.TYPE", "SYNTHETIC GENOME"], {"synthetic": "alone"}),
        (["DATASETS.TYPE", "MULTI_DATASET", *MIXED], {"real": "vg", "synthetic": "mixed"}),
        (
            ["DATASETS.TYPE", "MULTI_DATASET", *MIXED, *DRAWN],
            {"real": "vg", "synthetic": "mixed", "drawn": "drawn"},
        ),
        (["DATASETS.TRAIN", "('SYNTHETIC_train',)"], {"synthetic": "alone"}),
        (["DATASETS.TRAIN", "('MULTI_train',)", *MIXED], {"real": "vg", "synthetic": "mixed"}),
    ],
)
def test_datasets_are_read_from_a_configuration(settings, expected):
    keys = {"VISUAL_GENOME": "vg", "SYNTHETIC_GENOME": "alone", "VISUAL_GENOME_SYNTHETIC": "mixed"}
    for section, word in keys.items():
        for key in ("MAPPING_DICTIONARY", "VG_ATTRIBUTE_H5"):
            settings = [*settings, f"DATASETS.{section}.{key}", word]
    sets = sets_of(load_config(overrides=settings))
    assert {name: section.vg_attribute_h5 for name, section in sets.items()} == expected


def test_incomplete_configuration_is_refused():
    with pytest.raises(SpeaqError, match=r"DATASETS.TRAIN names 0 data sets"):
        sets_of(load_config())
    settings = ["DATASETS.TYPE", "MULTI_DATASET", *MIXED]
    for key in ("MAPPING_DICTIONARY", "VG_ATTRIBUTE_H5"):
        settings += [f"DATASETS.VISUAL_GENOME.{key}", "x"]
    with pytest.raises(SpeaqError, match=r"DATASETS.VISUAL_GENOME_SYNTHETIC.MAPPING_DICTIONARY is not set"):
        sets_of(load_config(overrides=settings))


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_written_tables_have_the_statistics(tmp_path):
    comparison = comparison_of(real={"on": 3, 'with, "x"': 1, "사람": 0}, none={"on": 0, "a\tb": 0})
    save_statistics(comparison, tmp_path / "predicate_statistics.json")
    save_counts(comparison, tmp_path / "predicate_counts.csv")
    content = json.loads((tmp_path / "predicate_statistics.json").read_text(encoding="utf-8"))
    assert content["counted"] == "relations of train images (split 0)"
    assert content["sets"]["real"]["gini"] == pytest.approx(gini(np.array([3, 1, 0])))
    assert content["sets"]["real"]["classes_for_percent"] == {"50": 1, "80": 2, "90": 2, "95": 2}
    assert content["sets"]["real"]["never_occur"] == ["사람"]
    assert content["sets"]["none"]["entropy_bits"] is None
    assert content["sets"]["none"]["not_in_vocabulary"] == ['with, "x"']
    assert content["divergences"][0]["sets"] == ["real", "none"]
    assert content["divergences"][0]["jensen_shannon_bits"] is None
    rows = read_table(tmp_path / "predicate_counts.csv")
    assert [row["predicate"] for row in rows] == ["on", 'with, "x"', "사람", "a\tb"]
    assert [row["group in real"] for row in rows] == ["head", "body", "tail", "none"]
    assert [row["real count"] for row in rows] == ["3", "1", "0", ""]
    assert [row["real share"] for row in rows] == ["0.75", "0.25", "0.0", ""]
    assert [row["none count"] for row in rows] == ["0", "", "", "0"]
    assert {row["none share"] for row in rows} == {""}


def test_counting_as_many_relations_as_visual_genome(tmp_path):
    section = write_dataset(
        tmp_path, {f"p{i}": 8000 for i in range(50)}, objects=[f"o{i}" for i in range(150)]
    )
    comparison = compare_sets({"real": section}, ["predicates"])[0]
    assert comparison.counts["real"].tolist() == [8000] * 50
    assert comparison.shares["real"].tolist() == [0.02] * 50
