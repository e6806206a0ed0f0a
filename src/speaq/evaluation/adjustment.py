"""Logit adjustment of saved predictions by the frequency of predicates in training.

Menon et al., Long-tail learning via logit adjustment, ICLR 2021: tau times the logarithm of the training
frequency is subtracted from the logits. The probability of "no relation" is kept. Tau 0 changes nothing;
larger values favour rare predicates, which raises mean recall and lowers recall.

Shape letters: see `speaq.structures`; here M relations of the image.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph

TAUS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The values of tau of a curve."""


def adjust_probabilities(probs: np.ndarray, predicate_counts: np.ndarray, tau: float) -> np.ndarray:
    """Probabilities (M, R + 1) after logit adjustment by training counts (R,), each at least 1.

    Examples:
        >>> adjust_probabilities(np.array([[0.5, 0.25, 0.25]]), np.array([20, 10]), 1.0).tolist()
        [[0.375, 0.375, 0.25]]
    """
    relations = probs[:, :-1].astype(np.float64)
    factors = (np.maximum(predicate_counts, 1) / np.maximum(predicate_counts, 1).sum()) ** -tau
    adjusted = relations * factors
    totals = adjusted.sum(axis=1, keepdims=True)
    adjusted *= relations.sum(axis=1, keepdims=True) / np.where(totals > 0, totals, 1)
    return np.column_stack((adjusted, probs[:, -1])).astype(np.float32)


def adjust(graph: SceneGraph, predicate_counts: np.ndarray, tau: float, *, num_rel: int = 1) -> SceneGraph:
    """The graph with adjusted probabilities, the predicates that are then best, and relations sorted again.

    Of equal relations the best one is kept. ``num_rel`` is the number of predicates kept per query
    (TEST.NUM_REL), by which the graph numbers its queries.
    """
    if tau == 0:
        return graph
    probs = adjust_probabilities(graph.predicate_probs, predicate_counts, tau)
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


def check_adjustable(graphs: Iterable[SceneGraph], source: str) -> None:
    """Check that every relation has the scores of several predicates.

    Raises:
        SpeaqError: a relation has one score.
    """
    single = sum(int((np.count_nonzero(graph.predicate_probs[:, :-1], axis=1) < 2).sum()) for graph in graphs)
    if single:
        raise SpeaqError(
            f"{source}: expected relations with the scores of all predicates, found {single} with the score "
            "of one predicate; --adjust needs predictions saved by an evaluation, or predicate_scores"
        )
