"""Groups of predicates and their shares of the queries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_criterion import COUNTS
from speaq.errors import SpeaqError
from speaq.matching.groups import group_queries


def test_visual_genome_has_the_published_groups():
    groups = group_queries(counts=COUNTS, num_groups=4, num_queries=300, multiplier=2)
    assert groups.predicates_per_group == (2, 2, 3, 43)
    assert sum(groups.queries_per_group) == 300
    assert len(groups.group_of_query) == 600
    assert groups.group_of_query == sorted(groups.group_of_query)


def test_equal_shares_when_nothing_was_counted():
    groups = group_queries(counts=[0] * 6, num_groups=3, num_queries=9, multiplier=1)
    assert groups.queries_per_group == (3, 3, 3)


@pytest.mark.parametrize(("predicates", "queries"), [(2, 10), (10, 2)])
def test_too_few_for_so_many_groups_is_an_error(predicates, queries):
    with pytest.raises(SpeaqError, match="NUM_GROUPS is 3, but there are only 2"):
        group_queries(counts=[5] * predicates, num_groups=3, num_queries=queries, multiplier=1)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_every_predicate_and_every_query_has_one_group(data):
    counts = data.draw(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
    num_groups = data.draw(st.integers(1, len(counts)))
    num_queries = data.draw(st.integers(num_groups, 60))
    groups = group_queries(counts=counts, num_groups=num_groups, num_queries=num_queries, multiplier=3)
    assert len(groups.group_of_predicate) == len(counts)
    assert set(groups.group_of_predicate) == set(range(num_groups))
    assert sum(groups.predicates_per_group) == len(counts)
    assert min(groups.queries_per_group) >= 1
    assert sum(groups.queries_per_group) == num_queries
    # Every group is at most as frequent, predicate by predicate, as the groups before it.
    order = sorted(range(len(counts)), key=lambda p: (-counts[p], p))
    assert [groups.group_of_predicate[p] for p in order] == sorted(groups.group_of_predicate)
