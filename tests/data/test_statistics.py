import numpy as np
import pytest

from golden_dataset import EXPECTED, FILTERS
from speaq.data.statistics import background_pairs, check_predicate_counts, count_dataset, mixed_counts
from speaq.errors import SpeaqError


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("setting", FILTERS)
def test_count_dataset_gives_the_golden_counts(tiny, setting, split):
    dataset = tiny(split, **FILTERS[setting])
    statistics = count_dataset(dataset)
    expected = EXPECTED[setting][split]
    assert statistics.num_images == expected["n"]
    assert statistics.object_counts.sum() == expected["n_boxes"]
    assert statistics.predicate_counts.tolist() == expected["fg_rel_count"][:-1]
    assert len(statistics.triplets) == expected["fg_matrix_nonzero"]
    assert background_pairs(dataset).sum() == expected["bg_pairs"]


def test_count_dataset_agrees_with_a_plain_loop(tiny):
    dataset = tiny()
    annotations = [dataset.annotation(i) for i in range(len(dataset))]
    objects = np.zeros(150, int)
    cooccurrence = np.zeros((150, 150, 50), int)
    background = np.zeros((150, 150), int)
    for annotation in annotations:
        labels = annotation.labels
        for label in labels:
            objects[label] += 1
        for s, o, p in annotation.relations:
            cooccurrence[labels[s], labels[o], p] += 1
        pairs = [(a, b) for a in range(len(labels)) for b in range(len(labels)) if a != b]
        corners = annotation.boxes
        overlapping = [
            (a, b)
            for a, b in pairs
            if (np.minimum(corners[a, 2:], corners[b, 2:]) > np.maximum(corners[a, :2], corners[b, :2])).all()
        ]
        for a, b in overlapping or pairs:
            background[labels[a], labels[b]] += 1
    statistics = count_dataset(dataset)
    np.testing.assert_array_equal(statistics.object_counts, objects)
    np.testing.assert_array_equal(statistics.triplet_counts, cooccurrence[cooccurrence > 0])
    np.testing.assert_array_equal(background_pairs(dataset), background)
    np.testing.assert_array_equal(statistics.triplets, np.argwhere(cooccurrence))
    np.testing.assert_array_equal(statistics.predicate_counts, cooccurrence.sum((0, 1)))


def test_count_dataset_without_relations(files):
    files.arrays["img_to_first_rel"][:] = files.arrays["img_to_last_rel"][:] = -1
    statistics = count_dataset(files.open(filter_empty_relations=False))
    assert statistics.triplets.shape == (0, 3)
    assert statistics.predicate_counts.tolist() == [0, 0, 0]
    assert statistics.triplet_counts.shape == (0,)


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ([], "there are no predicates"),
        ([3, -1, 2], "predicate 1 occurs -1 times"),
        ([3.0, 2.0, np.nan], "predicate 2 occurs nan times"),
        ([np.inf, 2.0], "predicate 0 occurs inf times"),
        ([0, 0], "none of the 2 predicates occurs"),
    ],
)
def test_check_predicate_counts_names_the_problem(counts, problem):
    with pytest.raises(SpeaqError, match=f"^the predicate statistics of synthetic cannot be used: {problem}"):
        check_predicate_counts(np.array(counts), "synthetic")


def test_check_predicate_counts_accepts_zeros():
    check_predicate_counts(np.array([0, 2]), "real")


def test_mixed_counts_count_the_least_used_data_set_once():
    counts = [np.array([100, 10, 0, 0]), np.array([10, 30, 1, 0])]
    assert mixed_counts(counts, [1.0, 1.0]).tolist() == [110, 40, 1, 0]
    assert mixed_counts(counts, [0.5, 2.0]).tolist() == [140, 130, 4, 0]
    assert mixed_counts(counts, [3.0, 1.5]).tolist() == [210, 50, 1, 0]
    assert mixed_counts(counts[:1], [0.2]).tolist() == [100, 10, 0, 0]
    assert mixed_counts(counts, [1.0, 0.0]).tolist() == [100, 10, 1, 0]
    assert mixed_counts(counts, [1.0, 1.5]).tolist() == [115, 55, 1.5, 0]
    extreme = mixed_counts(counts, [1e-30, 1e30])
    assert (extreme > 0).tolist() == [True, True, True, False]
    assert extreme.sum() > 0
