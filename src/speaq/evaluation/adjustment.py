"""Changes of predictions by statistics of the training data.

Logit adjustment (Menon et al., Long-tail learning via logit adjustment, ICLR 2021): tau times the logarithm
of the training frequency of each predicate is subtracted from its logit. Larger values of tau favour rare
predicates, which raises mean recall and lowers recall.

Frequency bias (Zellers et al., Neural Motifs, CVPR 2018): the probability of each predicate is multiplied by
P(predicate | subject class, object class)^alpha, as it was in training. Larger values of alpha favour the
predicates that are usual for the classes of the pair, which helps models that are not yet good at telling
predicates apart.

Both keep the probability of "no relation", and change nothing with 0.

Shape letters: see `speaq.structures`; here M relations of the image, and U distinct triplets.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph

if TYPE_CHECKING:
    from speaq.data.build import TrainingStatistics

_MAX_STRENGTH = 20
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The values of tau or alpha of a curve."""

Change = Callable[[SceneGraph, float], SceneGraph]
"""Changes the predicates of a graph with this strength."""


class StrengthChange(NamedTuple):
    """A change by training statistics: the name of its strength, the strength, and the function."""

    parameter: Literal["tau", "alpha"]
    value: float
    apply: Change


class Curve(NamedTuple):
    """Recalls by the strength of a change.

    Attributes:
        parameter: the name of the strength.
        recalls: recalls by name for each value of it.
    """

    parameter: Literal["tau", "alpha"]
    recalls: Mapping[float, Mapping[str, float]]

    @property
    def title(self) -> str:
        """The name of the change."""
        return "Logit adjustment" if self.parameter == "tau" else "Frequency bias"


class FrequencyBias:
    """P(predicate | subject class, object class) in the training data, smoothed.

    (n(s, p, o) + P(p)) / (n(s, o) + 1), with the numbers n of training relations: the frequency P(p) of the
    predicate counts as one relation, and is all there is for classes that were never related.

    Args:
        triplets: (U, 3), the distinct (subject class, object class, predicate) of the training data.
        triplet_counts: (U,), relations of each.
        predicate_counts: (R,), relations of each predicate, each at least 1.

    Examples:
        >>> bias = FrequencyBias(np.array([[0, 1, 0]]), np.array([3]), np.array([3, 1]))
        >>> bias(np.array([0, 1]), np.array([1, 0])).tolist()
        [[0.9375, 0.0625], [0.75, 0.25]]

    Raises:
        SpeaqError: there are not as many counts as triplets.
    """

    def __init__(self, triplets: np.ndarray, triplet_counts: np.ndarray, predicate_counts: np.ndarray):
        if len(triplets) != len(triplet_counts):
            raise SpeaqError(
                f"triplet_counts: expected a number for each of the {len(triplets)} triplets, found "
                f"{len(triplet_counts)}"
            )
        prior = np.maximum(predicate_counts, 1) / np.maximum(predicate_counts, 1).sum()
        self._stride = triplets[:, :2].max(initial=0) + 1
        self._pairs, rows = np.unique(self._keys(*triplets[:, :2].T), return_inverse=True)
        counts = np.zeros((len(self._pairs) + 1, len(prior)))  # the last row is for pairs that do not occur
        np.add.at(counts, (rows, triplets[:, 2]), triplet_counts)
        self._table = (counts + prior) / (counts.sum(axis=1, keepdims=True) + 1)

    def _keys(self, subjects: np.ndarray, objects: np.ndarray) -> np.ndarray:
        known = (subjects < self._stride) & (objects < self._stride)
        return np.where(known, subjects * self._stride + objects, -1)

    def __call__(self, subjects: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """The probabilities (M, R) for subject classes (M,) and object classes (M,)."""
        keys = self._keys(subjects, objects)
        rows = np.searchsorted(self._pairs, keys)
        found = np.append(self._pairs, -1)[rows] == keys
        return self._table[np.where(found, rows, -1)]

    def apply(self, graph: SceneGraph, alpha: float, *, num_rel: int = 1) -> SceneGraph:
        """The graph with probabilities times P(predicate | subject class, object class)^alpha.

        The arguments and the result are as of `adjust_logits`.
        """
        if alpha == 0:
            return graph
        frequencies = self(*graph.labels[graph.pairs].T)
        return _ranked_again(graph, _reweight(graph.predicate_probs, frequencies**alpha), num_rel)


def adjust_probabilities(probs: np.ndarray, predicate_counts: ArrayLike, tau: float) -> np.ndarray:
    """Probabilities (M, R + 1) after logit adjustment by training counts (R,), each at least 1.

    Examples:
        >>> adjust_probabilities(np.array([[0.5, 0.25, 0.25]]), np.array([20, 10]), 1.0).tolist()
        [[0.375, 0.375, 0.25]]

    Raises:
        SpeaqError: there are not R counts.
    """
    if len(np.ravel(predicate_counts)) != probs.shape[1] - 1:
        raise SpeaqError(
            f"predicate_counts: expected {probs.shape[1] - 1} numbers, found {np.size(predicate_counts)}"
        )
    counts = np.maximum(predicate_counts, 1)
    return _reweight(probs, (counts / counts.sum()) ** -tau)


def adjust_logits(
    graph: SceneGraph, predicate_counts: ArrayLike, tau: float, *, num_rel: int = 1
) -> SceneGraph:
    """The graph with adjusted probabilities, the predicates that are then best, and relations sorted again.

    Of equal relations, the best one is kept.

    Args:
        graph: a scene graph with the probabilities of all predicates.
        predicate_counts: (R,) training relations per predicate.
        tau: strength; 0 returns the graph unchanged, larger values favour rare predicates.
        num_rel: predicates kept per query (TEST.NUM_REL), by which the graph numbers its queries.
    """
    if tau == 0:
        return graph
    return _ranked_again(graph, adjust_probabilities(graph.predicate_probs, predicate_counts, tau), num_rel)


def _reweight(probs: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Probabilities (M, R + 1) of predicates times factors (R,) or (M, R), with "no relation" as before."""
    relations = probs[:, :-1].astype(np.float64)
    changed = relations * factors
    totals = changed.sum(axis=1, keepdims=True)
    changed *= relations.sum(axis=1, keepdims=True) / np.where(totals > 0, totals, 1)
    return np.column_stack((changed, probs[:, -1])).astype(np.float32)


def _ranked_again(graph: SceneGraph, probs: np.ndarray, num_rel: int) -> SceneGraph:
    """The graph with other probabilities (M, R + 1)."""
    ranked = np.argsort(-probs[:, :-1], axis=1, kind="stable")
    predicates = ranked[np.arange(len(graph)), graph.queries % num_rel]
    scores = graph.pair_scores.prod(axis=1) * probs[np.arange(len(graph)), predicates]
    order = np.argsort(-scores, kind="stable")
    triplets = np.column_stack((graph.pairs, predicates))[order]
    order = order[np.sort(np.unique(triplets, axis=0, return_index=True)[1])]
    return replace(
        graph,
        pairs=graph.pairs[order],
        predicates=predicates[order],
        predicate_probs=probs[order],
        queries=graph.queries[order],
        pair_scores=graph.pair_scores[order],
    )


def check_strengths(adjustment: float | None, frequency_bias: float | None) -> None:
    """Check the values of --adjust and --frequency-bias.

    Raises:
        SpeaqError: one is not a number in 0..20, or both are given.
    """
    for option, strength in (("--adjust", adjustment), ("--frequency-bias", frequency_bias)):
        if strength is not None and not 0 <= strength <= _MAX_STRENGTH:
            raise SpeaqError(f"{option}: expected a number in 0..{_MAX_STRENGTH}, found {strength:g}")
    if adjustment is not None and frequency_bias is not None:
        raise SpeaqError("--adjust and --frequency-bias: expected at most one of the two, found both")


def choose_change(
    source: str,
    *,
    adjustment: float | None,
    frequency_bias: float | None,
    predicate_counts: ArrayLike | None,
    statistics: "TrainingStatistics | None",
    num_rel: int = 1,
) -> StrengthChange | None:
    """The change that was asked for, if any.

    Args:
        source: the predictions, for messages.
        adjustment: tau of a logit adjustment.
        frequency_bias: alpha of a frequency bias.
        predicate_counts: (R,) training relations of each predicate, or None if unknown.
        statistics: of the training data, or None if unknown.
        num_rel: as of `adjust_logits`.

    Raises:
        SpeaqError: what the change needs is unknown.
    """
    if adjustment is not None:
        if predicate_counts is None:
            raise SpeaqError(
                f"{source}: --adjust needs the number of training relations of each predicate; set "
                "DATASETS.TRAIN"
            )
        counts = np.asarray(predicate_counts)
        return StrengthChange(
            "tau", adjustment, lambda graph, tau: adjust_logits(graph, counts, tau, num_rel=num_rel)
        )
    if frequency_bias is None:
        return None
    if statistics is None:
        raise SpeaqError(f"{source}: --frequency-bias needs the training data; set DATASETS.TRAIN")
    bias = FrequencyBias(statistics.triplets, statistics.triplet_counts, statistics.predicate_counts)
    return StrengthChange("alpha", frequency_bias, partial(bias.apply, num_rel=num_rel))


def check_adjustable(graphs: Iterable[SceneGraph], source: str) -> None:
    """Check that every relation has the scores of several predicates.

    Raises:
        SpeaqError: a relation has one score.
    """
    single = sum(int((np.count_nonzero(graph.predicate_probs[:, :-1], axis=1) < 2).sum()) for graph in graphs)
    if single:
        raise SpeaqError(
            f"{source}: expected relations with the scores of all predicates, found {single} with the score "
            "of one predicate; --adjust and --frequency-bias need predictions saved by an evaluation, or "
            "predicate_scores"
        )
