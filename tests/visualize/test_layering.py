from itertools import combinations

import numpy as np

from speaq.visualize.layering import assign_columns


def test_assign_columns_reduces_crossings():
    pairs = [[0, 5], [1, 4], [2, 3], [0, 6], [1, 6], [2, 6]]
    columns = assign_columns(np.array(pairs), np.arange(7.0), depth=2)
    rank = {element: place for column in columns.members for place, element in enumerate(column)}
    crossings = 0
    for (a, b), (c, d) in combinations(columns.links, 2):
        same = any({a, c} <= set(column) for column in columns.members)
        crossings += same and (rank[a] - rank[c]) * (rank[b] - rank[d]) < 0
    assert crossings <= 2  # a node that three others share cannot be reached without any


def test_assign_columns_limits_the_depth():
    chain = np.stack((np.arange(9), np.arange(1, 10)), axis=1)
    long, short = (assign_columns(chain, np.arange(10.0), depth=depth) for depth in (9, 3))
    assert not long.flipped.any()
    assert len(long.members) == 19
    assert short.flipped.any()
    assert len(short.members) <= 9
