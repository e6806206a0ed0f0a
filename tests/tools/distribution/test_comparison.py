"""Statistics of distributions agree with scipy and with counts by hand."""

import csv
import json
import math
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from counted_datasets import comparison_of, write_dataset
from golden_dataset import TINY
from speaq.config import load_config
from speaq.config.data import GenomeSection
from speaq.errors import SpeaqError
from speaq.tools.distribution.comparison import (
    classes_to_cover,
    entropy,
    gini,
    jensen_shannon,
    total_variation,
)
from speaq.tools.distribution.files import compare_sets, save_counts, save_statistics, sets_of

GOLDEN = GenomeSection(mapping_dictionary=str(TINY / "dicts.json"), vg_attribute_h5=str(TINY / "VG.h5"))
COUNTS = st.lists(st.integers(0, 10**6), min_size=3, max_size=30).filter(any).map(np.array)


@given(COUNTS, COUNTS)
def test_entropy_and_divergences_agree_with_scipy(x, y):
    size = min(len(x), len(y))
    assert entropy(x) == pytest.approx(scipy_entropy(x, base=2), abs=1e-12)
    x, y = x[:size], y[:size]
    if x.any() and y.any():
        assert jensen_shannon(x, y) == pytest.approx(jensenshannon(x, y, base=2) ** 2, abs=1e-9)
        assert 0 <= total_variation(x, y) <= 1 + 1e-12


@given(COUNTS)
def test_gini_is_half_the_relative_mean_difference(x):
    differences = np.abs(x[:, None] - x[None]).mean()
    assert gini(x) == pytest.approx(differences / (2 * x.mean()), abs=1e-12)


def test_measures_of_extreme_distributions():
    equal, single = np.array([5, 5, 5, 5]), np.array([0, 0, 0, 9])
    assert (entropy(equal), gini(equal)) == (2, 0)
    assert (entropy(single), gini(single)) == (0, 0.75)
    assert (jensen_shannon(equal, 3 * equal), total_variation(equal, 3 * equal)) == (0, 0)
    other = np.array([7, 0, 0, 0])
    assert jensen_shannon(single, other) == pytest.approx(1)
    assert total_variation(single, other) == 1
    assert total_variation(equal, np.array([10, 5, 5, 0])) == pytest.approx(0.25)


@pytest.mark.parametrize(("percent", "expected"), [(50, 1), (60, 1), (61, 2), (90, 2), (91, 3), (100, 3)])
def test_classes_to_cover(percent, expected):
    assert classes_to_cover(np.array([0, 3, 6, 1]), percent) == expected


def test_statistics_agree_with_values_computed_by_hand():
    statistics = comparison_of(x={"a": 1, "b": 6, "c": 0, "d": 2, "e": 1}).statistics("x")
    assert (statistics["images"], statistics["total"]) == (7, 10)
    assert (statistics["classes"], statistics["occurring"], statistics["coverage"]) == (5, 4, 0.8)
    expected = -(0.6 * math.log2(0.6) + 0.2 * math.log2(0.2) + 0.2 * math.log2(0.1))
    assert statistics["entropy_bits"] == pytest.approx(expected)
    assert statistics["effective_classes"] == pytest.approx(2**expected)
    assert statistics["imbalance"] == 6
    assert statistics["classes_for_percent"] == {50: 1, 80: 2, 90: 3, 95: 4}
    assert statistics["group_shares"] == pytest.approx({"head": 0.6, "body": 0.3, "tail": 0.1})  # b, d a, e c


def test_statistics_without_relations_are_undefined():
    statistics = comparison_of(x={"a": 0, "b": 0}).statistics("x")
    assert (statistics["total"], statistics["occurring"], statistics["coverage"]) == (0, 0, 0)
    for value in (statistics["entropy_bits"], statistics["gini"], statistics["imbalance"]):
        assert math.isnan(value)
    assert all(math.isnan(share) for share in statistics["group_shares"].values())
    assert set(statistics["classes_for_percent"].values()) == {0}


def test_datasets_are_compared_by_class_name():
    both = comparison_of(
        real={"on": 60, "under": 5, "has": 30, "in": 5, "says": 0},
        synthetic={"left of": 10, "has": 20, "on": 20, "in": 0, "unused": 0},
    )
    assert both.counts.index.tolist() == ["on", "has", "under", "in", "says", "left of", "unused"]
    assert both.counts.fillna(0).to_numpy().T.tolist() == [[60, 30, 5, 5, 0, 0, 0], [20, 20, 0, 0, 0, 10, 0]]
    assert both.counts.notna().to_numpy().T.tolist() == [[1, 1, 1, 1, 1, 0, 0], [1, 1, 0, 1, 0, 1, 1]]
    assert both.group_sizes == {"head": 1, "body": 2, "tail": 2}
    assert both.missing("real") == (["left of"], ["says"])
    assert both.missing("synthetic") == (["under"], ["in", "unused"])  # "says" occurs nowhere
    by_first = {group: values.tolist() for group, values in both.shares_by_first.iterrows()}
    assert by_first["head"] == [0.6, 0.4]
    assert by_first["body"] == [0.35, 0.4]
    assert by_first["tail"] == [0.05, 0.0]
    assert by_first["none"] == [0.0, 0.2]
    (divergence,) = both.divergences()
    assert divergence["sets"] == ("real", "synthetic")
    assert divergence["total_variation"] == pytest.approx((0.2 + 0.1 + 0.05 + 0.05 + 0.2) / 2)
    assert divergence["only_in"] == {"real": 0.1, "synthetic": 0.2}
    expected = jensenshannon([60, 30, 5, 5, 0, 0], [20, 20, 0, 0, 0, 10], base=2) ** 2
    assert divergence["jensen_shannon_bits"] == pytest.approx(expected)


def test_divergences_are_computed_for_every_pair_of_datasets():
    sets = {name: {"on": n, "in": 4} for name, n in (("a", 4), ("b", 12), ("c", 0))}
    found = comparison_of(**sets).divergences()
    assert [divergence["sets"] for divergence in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [divergence["total_variation"] for divergence in found] == [0.25, 0.5, 0.75]
    assert comparison_of(a=sets["a"]).divergences() == []


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
    mixed = GenomeSection(
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
    comparison = comparison_of(real={"on": 3, 'with, "x"': 1, "사람": 0}, none={"on": 0, "\ud800": 0})
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
    assert [row["predicate"] for row in rows] == ["on", 'with, "x"', "사람", "\\ud800"]
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
