import numpy as np
import pytest
import torch

from speaq.errors import SpeaqError
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.zero_shot import (
    TripletSet,
    load_zero_shot_triplets,
    zero_shot_recalls,
    zero_shot_relations,
)

BOXES = np.array([[0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 100, 300]], np.float32)


def test_membership():
    rng = np.random.default_rng(0)
    known, asked = rng.integers(6, size=(60, 3)), rng.integers(6, size=(400, 3))
    expected = [tuple(row) in {tuple(row) for row in known} for row in asked]
    assert TripletSet(known).contains(asked).tolist() == expected
    assert any(expected) and not all(expected)


def test_membership_keeps_large_classes_apart():
    triplets = TripletSet(np.array([[0, 1, 2_000_000], [1_999_999, 0, 0]]))
    assert triplets.contains(np.array([[0, 1, 2_000_000], [0, 2, 0], [1_999_999, 0, 0]])).tolist() == [
        True,
        False,
        True,
    ]


def test_an_empty_set_contains_nothing():
    assert TripletSet(np.empty((0, 3), np.int64)).contains(np.zeros((2, 3), np.int64)).tolist() == [
        False,
        False,
    ]


def test_published_lists_count_from_one(tmp_path):
    path = tmp_path / "zeroshot_triplet.pytorch"
    torch.save(torch.tensor([[1, 150, 50], [20, 1, 1]]), path)
    assert load_zero_shot_triplets(path, 150, 50).tolist() == [[0, 149, 49], [19, 0, 0]]


def test_older_files_are_read(tmp_path):
    path = tmp_path / "old.pytorch"
    torch.save(torch.tensor([[1, 2, 3]]), path, _use_new_zipfile_serialization=False)
    assert load_zero_shot_triplets(path, 3, 3).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(4, 2), r"expected a tensor \(Z, 3\), found one of shape \(4, 2\)"),
        ([1, 2, 3], "found a list"),
        (torch.tensor([[0, 1, 1]]), r"every subject class in 1\.\.150, found 0"),
        (torch.tensor([[1, 151, 1]]), r"every object class in 1\.\.150, found 151"),
        (torch.tensor([[1, 1, 51]]), r"every predicate class in 1\.\.50, found 51"),
    ],
)
def test_unsuitable_content_is_named(tmp_path, content, message):
    path = tmp_path / "triplets.pytorch"
    torch.save(content, path)
    with pytest.raises(SpeaqError, match=message) as error:
        load_zero_shot_triplets(path, 150, 50)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a tensor", b"PK\x03\x04 broken archive"])
def test_unreadable_files_are_named(tmp_path, content):
    path = tmp_path / "triplets.pytorch"
    path.write_bytes(content)
    with pytest.raises(SpeaqError, match="expected tensors saved by"):
        load_zero_shot_triplets(path, 150, 50)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpeaqError, match=r"nowhere\.pytorch: no such file"):
        load_zero_shot_triplets(tmp_path / "nowhere.pytorch", 150, 50)


def test_complement_contains_all_other_triplets():
    asked = np.array([[0, 1, 2], [1, 0, 2]])
    assert TripletSet(asked[:1], complement=True).contains(asked).tolist() == [False, True]
    assert TripletSet(asked[:0], complement=True).contains(asked).tolist() == [True, True]


def test_zero_shot_relations_are_looked_up_by_class(make):
    truth = make.annotation(BOXES, [5, 6, 5], [[0, 1, 2], [2, 1, 2], [1, 0, 2]])
    assert zero_shot_relations(truth, TripletSet(np.array([[5, 6, 2]]))).tolist() == [True, True, False]
    assert zero_shot_relations(truth, None).tolist() == [False] * 3


def test_zero_shot_recalls_are_those_of_images_with_zero_shot_relations(make):
    """One of two zero-shot relations of the first image is hit; the second image has none."""
    first = make.annotation(BOXES, [0, 1, 2], [[0, 1, 1], [1, 2, 1], [2, 0, 0]], image_id=1)
    second = make.annotation(BOXES, [0, 1, 2], [[2, 0, 0]], image_id=2)
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 1], [2, 0, 0]])
    metrics = SceneGraphMetrics(num_predicates=3, zero_shot_triplets=np.array([[0, 1, 1], [1, 2, 1]]))
    recalls = zero_shot_recalls(metrics.analyze([(graph, first), (graph, second)]))
    np.testing.assert_array_equal(recalls[0], [[0.5, np.nan]] * 3)
    metrics.update([graph, graph], [first, second])
    assert metrics.compute()["zR@20"] == 0.5
    assert metrics.compute()["images_with_zero_shot"] == 1
