"""Cross-entropy over all queries, where a query that answers for nothing should say "nothing".

L: layers, B: images, q: queries, c: classes with "nothing" last, K: matched queries over layers and images.
"""

import torch
from torch import Tensor

from speaq.matching.matcher import Assignment


def classification_sums(
    logits: Tensor, classes: Tensor, assignment: Assignment, weights: Tensor, multiplier: int
) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy of every image, and the sum of the class weights it is to be divided by.

    Unmatched queries only need the log-sum-exp and one logit, and repeated queries are counted instead of
    being copied.

    Args:
        logits: (L, B, q, c).
        classes: (K,) the class that each matched query should give.
        assignment: of K matched queries, which count q * multiplier per image.
        weights: (c,) class weights.
        multiplier: how many matchable queries share one row of ``logits`` (m for entities, 1 for predicates).

    Returns:
        Sums (L, B) and normalisers (L, B).
    """
    layers, batch, queries, _ = logits.shape
    log_sum = logits.logsumexp(-1)
    where = (assignment.layer, assignment.image, assignment.query // multiplier)
    matched = torch.zeros(layers, batch, queries, device=logits.device, dtype=logits.dtype)
    matched = matched.index_put(where, matched.new_ones(()), accumulate=True)
    nothing = weights[-1] * (multiplier - matched)
    sums = (nothing * (log_sum - logits[..., -1])).sum(-1)
    own = weights[classes]
    entropy = own * (log_sum[where] - logits[(*where, classes)])
    image = where[:2]
    return (
        sums.index_put(image, entropy, accumulate=True),
        nothing.sum(-1).index_put(image, own, accumulate=True),
    )


def predicate_weights(
    counts: Tensor, *, threshold: float, power: float, no_relation: float, maximum: float
) -> tuple[Tensor, Tensor]:
    """Class weights that lift rare predicates: w_p = max(sqrt(t / (f_p + 1e-5)), 1) ** power.

    Args:
        counts: (R,) occurrences in the training data.
        threshold: t, OVERSAMPLE_PARAM: the share above which a predicate is not lifted.
        power: UNDERSAMPLE_PARAM.
        no_relation: weight of "no relation".
        maximum: a predicate that (almost) never occurs is lifted no further.

    Returns:
        Weights (R + 1,) and which of them (R,) were limited to ``maximum``.
    """
    share = counts.double() / counts.sum().clamp(min=1)
    lifted = (threshold / (share + 1e-5)).sqrt().clamp(min=1) ** power
    weights = torch.cat((lifted.clamp(max=maximum), lifted.new_tensor([no_relation])))
    return weights.float(), lifted > maximum
