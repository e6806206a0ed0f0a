"""Cross-entropy over all queries; unmatched ones have the target "no object" or "no relation"."""

import torch
from torch import Tensor

from speaq.matching.matcher import Assignment


def cross_entropy(
    log_probabilities: Tensor,
    target_classes: Tensor,
    assignment: Assignment,
    class_weights: Tensor,
    relation_weights: Tensor,
    multiplier: int,
) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy summed over the queries of every image, and the sum of their class weights.

    The m repetitions of an entity query are counted instead of copied.

    Args:
        log_probabilities: (L, B, q, c), the last class being "no object" or "no relation".
        target_classes: (K,) target of each matched query.
        assignment: K matched queries, out of q * multiplier per image.
        class_weights: (c,).
        relation_weights: (K,) weight of each matched query's loss; the normalizer does not depend on it.
        multiplier: predicate queries per row of ``log_probabilities``: m for entities (q = Q), 1 for
            predicates (q = P).

    Returns:
        Cross-entropy (L, B) and its normalizer (L, B), the sum of the class weights.
    """
    index = (assignment.layer, assignment.image, assignment.query // multiplier)
    num_matched = log_probabilities.new_zeros(log_probabilities.shape[:3])
    num_matched = num_matched.index_put(index, num_matched.new_ones(()), accumulate=True)
    unmatched_weight = class_weights[-1] * (multiplier - num_matched)
    unmatched_loss = -(unmatched_weight * log_probabilities[..., -1]).sum(-1)
    matched_weight = class_weights[target_classes]
    matched_loss = -(relation_weights * matched_weight) * log_probabilities[(*index, target_classes)]
    return (
        unmatched_loss.index_put(index[:2], matched_loss, accumulate=True),
        unmatched_weight.sum(-1).index_put(index[:2], matched_weight, accumulate=True),
    )


def predicate_weights(
    counts: Tensor, *, threshold: float, power: float, no_relation: float, maximum: float
) -> tuple[Tensor, Tensor]:
    """Class weights that increase for rare predicates: w_p = max(sqrt(t / (f_p + 1e-5)), 1) ** power.

    Args:
        counts: (R,) occurrences in the training data.
        threshold: t, the relative frequency above which the weight is 1 (MODEL.DETR.OVERSAMPLE_PARAM).
        power: exponent (UNDERSAMPLE_PARAM).
        no_relation: weight of "no relation" (REWEIGHT_REL_EOS_COEF).
        maximum: upper limit, for predicates that (almost) never occur (MAX_RELATION_WEIGHT).

    Returns:
        Weights (R + 1,), and which of them (R,) were limited to ``maximum``.
    """
    frequency = counts.double() / counts.sum().clamp(min=1)
    weight = (threshold / (frequency + 1e-5)).sqrt().clamp(min=1) ** power
    weights = torch.cat((weight.clamp(max=maximum), weight.new_tensor([no_relation])))
    return weights.float(), weight > maximum
