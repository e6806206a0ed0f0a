"""One pass over predictions and ground truth: hits of every relation, predicate confusion, use of queries.

All metrics of relations follow from it: `SceneGraphMetrics` sums its recalls over batches, `bootstrap`
resamples its images, the report shows its tables.

Shape letters: see `speaq.structures`; M relations of all B images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from speaq.evaluation.recall import MISSED, ImageHits, first_hits, harmonic_mean, hits_at
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

PREFIXES = ("", "ng-")
"""Prefixes of recall names, with and without graph constraint, in the order of the first axis of recalls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Hits, confusions and use of queries over B images, from their top ``max(ks)`` predictions.

    A ground-truth relation is *localised* if some prediction, with graph constraint, has both its classes and
    both boxes with an IoU of at least the threshold, whatever predicate it has.

    Attributes:
        ks: depths.
        groups: predicates of head, body and tail; empty where training counts are not known.
        image_ids: B ids.
        sources: (B,) source data set of each image.
        images: (M,) image index of each relation, ascending.
        predicates: (M,) its predicate.
        zero_shot: (M,) bool.
        ranks: (2, M) rank of the first hit, with and without graph constraint; `MISSED` without a hit.
        predicted_predicates: (M,) predicate of the best prediction that localises the relation, R for none.
        num_localized: (R,) predictions of a predicate that localise a relation.
        num_correct: (R,) those of them whose predicate is correct.
        query_uses: (P, R) how often a query yields a relation with a predicate among the top ``max(ks)``.
        query_hits: (P, R) relations that are first hit by a query with this predicate.
    """

    ks: tuple[int, ...]
    groups: Mapping[str, np.ndarray]
    image_ids: list[int | str]
    sources: np.ndarray
    images: np.ndarray
    predicates: np.ndarray
    zero_shot: np.ndarray
    ranks: np.ndarray
    predicted_predicates: np.ndarray
    num_localized: np.ndarray
    num_correct: np.ndarray
    query_uses: np.ndarray
    query_hits: np.ndarray

    @property
    def num_predicates(self) -> int:
        """R."""
        return len(self.num_localized)

    def image_recalls(self, selected: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Recall (2, len(ks), B) of each image over the ``selected`` (M,) relations, NaN if it has none."""
        hits = hits_at(self.ranks[:, selected], self.ks)
        return mean_by_group(hits, self.images[selected], len(self.image_ids))

    def predicate_recalls(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image (G,), predicate (G,) and recall (2, len(ks), G) of each combination that occurs."""
        return self._mean_by_image_and_predicate(hits_at(self.ranks, self.ks))

    def localized_shares(self) -> np.ndarray:
        """Share (R,) of a predicate's relations that are localised, averaged over images as recall is.

        It is an upper bound of recall; NaN where no image has the predicate.
        """
        localized = self.predicted_predicates < self.num_predicates
        _, predicates, shares = self._mean_by_image_and_predicate(localized)
        return mean_by_group(shares, predicates, self.num_predicates)

    def _mean_by_image_and_predicate(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found, groups = np.unique(self.images * self.num_predicates + self.predicates, return_inverse=True)
        return *np.divmod(found, self.num_predicates), mean_by_group(values, groups, len(found))

    @property
    def confusion(self) -> np.ndarray:
        """(R, R + 1) relations by annotated and by predicted predicate; last column: not localised."""
        pairs = np.stack((self.predicates, self.predicted_predicates))
        return count_pairs(pairs, self.num_predicates + 1, min_rows=self.num_predicates)


_ROWS = ("predicates", "zero_shot", "predicted_predicates", "localized", "correct")
_PAIRS = ("ranks", "query_uses", "query_hits")
NO_IMAGE: dict[str, np.ndarray] = {name: np.empty(0, np.int64) for name in _ROWS}
NO_IMAGE |= {name: np.empty((2, 0), np.int64) for name in _PAIRS}
"""Columns of an analysis without images."""


def image_columns(
    graph: SceneGraph, annotation: Annotation, hits: ImageHits, num_rel: int
) -> dict[str, np.ndarray]:
    """What an image contributes to an `Analysis`: arrays of the same name, and predicates to be counted."""
    depth, ranks, true_predicates = len(hits.localized), hits.ranks[0], annotation.relations[:, 2]
    predicates, queries = graph.predicates[:depth], graph.queries[:depth] // num_rel
    best = np.minimum(first_hits(hits.localized), depth)  # depth: not localised
    num_predicates = graph.predicate_probs.shape[1] - 1
    hit = ranks != MISSED
    return {
        "predicates": true_predicates,
        "ranks": hits.ranks,
        "predicted_predicates": np.append(predicates, num_predicates)[best],
        "localized": predicates[hits.localized.any(axis=1)],
        "correct": predicates[hits.correct.any(axis=1)],
        "query_uses": np.stack((queries, predicates)),
        "query_hits": np.stack((queries[ranks[hit]], true_predicates[hit])),
    }


def mean_by_group(values: np.ndarray, groups: np.ndarray, num_groups: int) -> np.ndarray:
    """Means (..., G) of values (..., M), NaN for groups without one, from group numbers (M,) below G."""
    with np.errstate(invalid="ignore"):  # 0 / 0 = NaN
        return sum_by_group(values, groups, num_groups) / np.bincount(groups, minlength=num_groups)


def sum_by_group(values: np.ndarray, groups: np.ndarray, num_groups: int) -> np.ndarray:
    """Sums (..., G) of values (..., M), each group added up in order, from group numbers (M,) below G."""
    rows = values.reshape(math.prod(values.shape[:-1]), len(groups))
    sums = [np.bincount(groups, weights=row, minlength=num_groups) for row in rows]
    return np.reshape(sums, (*values.shape[:-1], num_groups))


def count_pairs(pairs: np.ndarray, num_columns: int, *, min_rows: int = 0) -> np.ndarray:
    """How often each (row, column) of pairs (2, N) occurs; the table has rows up to the largest row found."""
    rows, columns = pairs
    counts = np.bincount(rows * num_columns + columns, minlength=min_rows * num_columns)
    return np.pad(counts, (0, -len(counts) % num_columns)).reshape(-1, num_columns)


def named_recalls(
    ks: Sequence[int],
    groups: Mapping[str, np.ndarray],
    *,
    recall: np.ndarray,
    per_predicate: np.ndarray,
    zero_shot: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Mean recalls and harmonic means from recalls over images, under the names of `SceneGraphMetrics`.

    Args:
        ks: the depths.
        groups: predicates of head, body and tail.
        recall: (2, len(ks), ...) recall with and without graph constraint. Further axes, such as bootstrap
            samples, are kept.
        per_predicate: (2, len(ks), R, ...) recall of every predicate, NaN where it is absent.
        zero_shot: (2, len(ks), ...) recall over zero-shot relations; omitted from the result if None.

    Returns:
        Arrays (...), and for ``per_predicate`` and ``ng-per_predicate`` (R, len(ks), ...).
    """
    results: dict[str, np.ndarray] = {}
    for index, prefix in enumerate(PREFIXES):
        table = per_predicate[index]
        counted = np.nan_to_num(table)
        by_name = {
            "R": recall[index],
            "mR": counted.mean(axis=1),
            "mR-present": _nanmean(table),
            **{f"mR-{group}": _nanmean(counted[:, members]) for group, members in groups.items()},
        }
        if zero_shot is not None:
            by_name["zR"] = zero_shot[index]
        for name, values in by_name.items():
            results |= {f"{prefix}{name}@{k}": value for k, value in zip(ks, values, strict=True)}
        results[f"{prefix}per_predicate"] = table.swapaxes(0, 1)
    results |= {f"F@{k}": np.asarray(harmonic_mean(results[f"R@{k}"], results[f"mR@{k}"])) for k in ks}
    return results


def _nanmean(table: np.ndarray) -> np.ndarray:
    """Means over the second axis, NaN where there is no value (numpy's would warn)."""
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        return np.where(known, table, 0.0).sum(axis=1) / known.sum(axis=1)
