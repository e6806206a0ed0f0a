import json

import numpy as np
import pytest

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.evaluation.build import build_metrics
from speaq.evaluation.long_tail import long_tail_groups, read_long_tail, split_by_counts, split_by_rank
from speaq.structures import Vocabulary

VOCABULARY = Vocabulary(("a",), ("on", "in", "near"))


@pytest.mark.parametrize(("predicates", "sizes"), [(50, (5, 16, 29)), (10, (1, 3, 6)), (3, (0, 1, 2))])
def test_published_sizes_are_by_rank_and_in_proportion(predicates, sizes):
    counts = np.random.default_rng(0).permutation(predicates) * 10
    split, groups = split_by_rank(counts)
    assert (split, tuple(len(group) for group in groups.values())) == ("published", sizes)
    assert (np.diff(counts[np.concatenate(list(groups.values()))]) < 0).all()


def test_counts_at_the_threshold_belong_to_the_more_frequent_group():
    split, groups = split_by_counts(np.array([499, 10000, 500, 9999, 0]), head=10000, body=500)
    assert split == "counts 10000, 500"
    assert {name: group.tolist() for name, group in groups.items()} == {
        "head": [1],
        "body": [3, 2],
        "tail": [0, 4],
    }


def test_file_of_names(tmp_path):
    file = tmp_path / "groups.json"
    file.write_text(json.dumps({"head": ["near"], "body": [], "tail": ["on", "in"]}))
    split, groups = read_long_tail(file, VOCABULARY.predicates)
    assert split == "file groups.json"
    assert [group.tolist() for group in groups.values()] == [[2], [], [0, 1]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "found no valid JSON"),
        ('{"head": []}', "found the keys 'head'"),
        ('{"head": ["on"], "body": "in", "tail": []}', "body: expected a list of names, found 'in'"),
        ('{"head": ["under"], "body": [], "tail": []}', "head: expected predicates .* found 'under'"),
        ('{"head": ["on"], "body": ["on"], "tail": []}', "'on' is in head and in body"),
        ('{"head": ["on"], "body": ["in"], "tail": []}', "1 are missing, such as 'near'"),
    ],
)
def test_file_with_mistakes(tmp_path, content, message):
    file = tmp_path / "groups.json"
    file.write_text(content)
    with pytest.raises(SpeaqError, match=rf"groups.json: .*{message}"):
        read_long_tail(file, VOCABULARY.predicates)


def test_the_key_chooses_the_split(tmp_path):
    file = tmp_path / "groups.json"
    file.write_text(json.dumps({"head": ["near"], "body": [], "tail": ["on", "in"]}))
    splits = {
        "thirds": (),
        "published": ("TEST.LONG_TAIL.SPLIT", "published"),
        "counts 50, 20": ("TEST.LONG_TAIL.SPLIT", "counts", "TEST.LONG_TAIL.COUNTS", "(50, 20)"),
        "file groups.json": ("TEST.LONG_TAIL.SPLIT", "file", "TEST.LONG_TAIL.FILE", str(file)),
    }
    for name, overrides in splits.items():
        config = load_config(None, overrides)
        metrics = build_metrics(config, VOCABULARY, [90, 5, 20], None)[0]
        metrics.update([], [])
        assert metrics.compute()["long_tail"]["split"] == name
    metrics = build_metrics(load_config(None, splits["published"]), VOCABULARY, None, None)[0]
    metrics.update([], [])
    assert "long_tail" not in metrics.compute()
    with pytest.raises(SpeaqError, match=r"TEST\.LONG_TAIL\.FILE"):
        load_config(None, ("TEST.LONG_TAIL.SPLIT", "file"))


@pytest.mark.parametrize(
    ("predicates", "sizes"),
    [(50, (16, 17, 17)), (9, (3, 3, 3)), (3, (1, 1, 1)), (2, (0, 1, 1)), (1, (0, 0, 1))],
)
def test_long_tail_groups_are_thirds_by_rank(predicates, sizes):
    counts = np.random.default_rng(0).permutation(predicates) * 10
    groups = long_tail_groups(counts)
    assert tuple(len(group) for group in groups.values()) == sizes
    ranked = np.concatenate(list(groups.values()))
    assert (np.diff(counts[ranked]) < 0).all() and sorted(ranked) == list(range(predicates))


def test_long_tail_ties_go_by_index():
    groups = long_tail_groups(np.array([5, 7, 5, 7, 5, 5]))
    assert {name: group.tolist() for name, group in groups.items()} == {
        "head": [1, 3],
        "body": [0, 2],
        "tail": [4, 5],
    }
