"""Groupwise query specialization (SpeaQ, CVPR 2024, section 3.2): the partition of predicates and queries.

Shape letters: see `speaq.structures`; G is the number of groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from speaq.errors import SpeaqError


@dataclass(frozen=True, slots=True)
class QueryGroups:
    """A partition of predicates and of queries.

    Attributes:
        group_of_predicate: R group indices; group 0 holds the most frequent predicates.
        predicates_per_group: G sizes.
        queries_per_group: G numbers of entity queries, in contiguous blocks.
        multiplier: m, predicate queries per entity query.
    """

    group_of_predicate: tuple[int, ...]
    predicates_per_group: tuple[int, ...]
    queries_per_group: tuple[int, ...]
    multiplier: int

    @property
    def group_of_query(self) -> list[int]:
        """P group indices of the predicate queries."""
        return [group for group, n in enumerate(self.queries_per_group) for _ in range(n * self.multiplier)]


def group_queries(
    *, counts: Sequence[int], num_groups: int, num_queries: int, multiplier: int
) -> QueryGroups:
    """Partition the predicates by frequency into groups, and divide the queries among the groups.

    Predicates are taken in order of falling frequency (ties by index). A group takes predicates while its
    sum stays below half of what is left; the last group takes the rest. Every group gets a share of the
    queries in proportion to its frequency, and at least one.

    Args:
        counts: R occurrences in the training data.
        num_groups: G.
        num_queries: Q.
        multiplier: m.

    Raises:
        SpeaqError: there are fewer predicates or fewer queries than groups.
    """
    for what, number in (("predicates", len(counts)), ("entity queries", num_queries)):
        if number < num_groups:
            raise SpeaqError(
                f"MODEL.DETR.NUM_GROUPS is {num_groups}, but there are only {number} {what}; "
                f"choose at most {number} groups"
            )
    groups = _split_predicates(counts, num_groups)
    group_of_predicate = [0] * len(counts)
    for group, members in enumerate(groups):
        for predicate in members:
            group_of_predicate[predicate] = group
    totals = [sum(counts[predicate] for predicate in members) for members in groups]
    return QueryGroups(
        group_of_predicate=tuple(group_of_predicate),
        predicates_per_group=tuple(len(members) for members in groups),
        queries_per_group=tuple(_share_queries(totals, num_queries)),
        multiplier=multiplier,
    )


def _split_predicates(counts: Sequence[int], num_groups: int) -> list[list[int]]:
    order = sorted(range(len(counts)), key=lambda predicate: (-counts[predicate], predicate))
    groups: list[list[int]] = []
    for later in range(num_groups - 1, 0, -1):
        half = sum(counts[predicate] for predicate in order) // 2
        size, total = 0, 0
        while size < len(order) - later and (size == 0 or total + counts[order[size]] < half):
            total += counts[order[size]]
            size += 1
        groups.append(order[:size])
        order = order[size:]
    return [*groups, order]


def _share_queries(totals: Sequence[int], num_queries: int) -> list[int]:
    if not any(totals):
        totals = [1] * len(totals)
    shares = [num_queries * total // sum(totals) for total in totals]
    remainder = num_queries - sum(shares)
    for group in range(len(shares) - remainder, len(shares)):
        shares[group] += 1
    while 0 in shares:
        shares[shares.index(max(shares))] -= 1
        shares[shares.index(0)] += 1
    return shares
