"""The matching cost against plain loops in float64, multi-assignment, groups, and edge cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from golden_criterion import matcher, matches, output, targets
from speaq.errors import SpeaqError
from speaq.matching.cost import LogProbabilities, Relations, pair_cost
from speaq.matching.groups import group_queries
from speaq.matching.matcher import quality

DYNAMIC = {"one2many_scheme": "dynamic", "one2many_k": 4, "match_independent": True}


def plain_cost(predictions, target, relation, layer, image, query):
    """The cost of one query for one relation, as the equations say."""
    entity = query // predictions.query_multiplier
    s, o, p = target.relations[relation].tolist()
    total = -predictions.predicate_logits[layer, image, query].softmax(-1)[p]
    target_boxes = [target.boxes[s], target.boxes[o], target.relation_boxes[relation]]
    boxes = [
        predictions.subject_boxes[layer, image, entity],
        predictions.object_boxes[layer, image, entity],
        predictions.predicate_boxes[layer, image, query],
    ]
    total -= predictions.subject_logits[layer, image, entity].softmax(-1)[target.labels[s]]
    total -= predictions.object_logits[layer, image, entity].softmax(-1)[target.labels[o]]
    for a, b in zip(boxes, target_boxes, strict=True):
        total += 5 * (a - b).abs().sum() - 2 * plain_giou(a.tolist(), b.tolist())
    return float(total)


def plain_giou(a, b):
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    a1, a2 = (ax - aw / 2, ay - ah / 2), (ax + aw / 2, ay + ah / 2)
    b1, b2 = (bx - bw / 2, by - bh / 2), (bx + bw / 2, by + bh / 2)
    sides = [max(0.0, min(a2[i], b2[i]) - max(a1[i], b1[i])) for i in range(2)]
    hull = [max(a2[i], b2[i]) - min(a1[i], b1[i]) for i in range(2)]
    intersection = sides[0] * sides[1]
    union = aw * ah + bw * bh - intersection
    return intersection / union - (hull[0] * hull[1] - union) / (hull[0] * hull[1])


def test_pair_cost_equals_the_equations():
    predictions, items = output(2, torch.float64), targets(torch.float64)
    relations = Relations.from_targets(items)
    cost = pair_cost(
        predictions,
        LogProbabilities.from_output(predictions),
        relations,
        class_weight=1.0,
        l1_weight=5.0,
        giou_weight=2.0,
    ).cost
    assert cost.shape == (3, 34, 80)
    first = 0
    for image, target in enumerate(items):
        for relation in range(0, len(target.relations), 3):
            for query in (0, 1, 40, 79):
                expected = plain_cost(predictions, target, relation, 1, image, query)
                assert cost[1, first + relation, query].item() == pytest.approx(expected, rel=1e-9)
        first += len(target.relations)


@pytest.mark.parametrize("scheme", ["min", "max", "gm", "am"])
def test_quality_combines_ious_and_probability(scheme):
    s, o, p = torch.tensor([[[0.2, 0.9]]]), torch.tensor([[[0.8, 0.4]]]), torch.tensor([[[0.5, 0.1]]])
    f = {"min": min, "max": max, "gm": lambda a, b: (a * b) ** 0.5, "am": lambda a, b: (a + b) / 2}[scheme]
    result = quality(s, o, p, scheme=scheme, predicate_weight=-0.5, in_group=torch.tensor([[True, False]]))
    assert result[0, 0].tolist() == pytest.approx([f(0.2, 0.8) - 0.25, -0.05])


def test_matcher_minimizes_the_summed_cost_of_all_layers():
    predictions, items = output(1), targets()
    relations = Relations.from_targets(items)
    assignment = matcher()(predictions, relations)
    cost = pair_cost(
        predictions,
        LogProbabilities.from_output(predictions),
        relations,
        class_weight=1.0,
        l1_weight=5.0,
        giou_weight=2.0,
    ).cost
    for layer in range(3):
        found_queries, found_relations = matches(assignment, layer)[0]
        queries, columns = linear_sum_assignment(cost[:, :5].sum(0).numpy().T)
        assert found_queries.tolist() == queries.tolist()
        assert found_relations.tolist() == columns.tolist()


def test_matcher_keeps_relations_in_their_group_while_it_has_queries():
    predictions, items = output(2), targets()
    counts = [100, 50, 25, *([1] * 47)]
    groups = group_queries(counts=counts, num_groups=3, num_queries=40, multiplier=2)
    match = matcher(match_independent=True, groups=groups)
    relations = Relations.from_targets(items)
    assignment = match(predictions, relations)
    of_predicate, of_query = np.array(groups.group_of_predicate), np.array(groups.group_of_query)
    target_group = of_predicate[relations.predicates[assignment.relation].numpy()]
    query_group = of_query[assignment.query.numpy()]
    for layer in range(3):
        for image in range(5):
            here = ((assignment.layer == layer) & (assignment.image == image)).numpy()
            for group in range(3):
                asked = (target_group[here] == group).sum()
                room = (of_query == group).sum()
                inside = (query_group[here][target_group[here] == group] == group).sum()
                assert inside == min(asked, room)


def test_matcher_drops_copies_beyond_the_number_of_queries():
    predictions, items = output(1), targets()
    assignment = matcher(one2many_k=50)(predictions, Relations.from_targets(items))
    for queries, _ in matches(assignment, 0):
        assert len(queries) in (0, 40)
        assert len(set(queries.tolist())) == len(queries)


def test_dynamic_num_copies_are_between_one_and_k():
    predictions, items = output(2), targets()
    match = matcher(**DYNAMIC, quality_scheme="max", predicate_weight=-0.5)
    copies = match(predictions, Relations.from_targets(items)).num_copies
    assert copies.min() >= 1
    assert copies.max() <= 4


def test_matcher_refuses_dynamic_scheme_without_match_independent():
    with pytest.raises(SpeaqError, match="MATCH_INDEPENDENT"):
        matcher(one2many_scheme="dynamic")


def test_matcher_matches_an_image_with_non_finite_costs():
    predictions, items = output(2), targets()
    predictions.subject_boxes[:, 1] = float("nan")
    assignment = matcher(**DYNAMIC)(predictions, Relations.from_targets(items))
    assert (assignment.num_copies >= 1).all()
    assert (assignment.image == 1).any()


def test_matcher_accepts_a_batch_without_relations():
    items = [replace(t, relations=t.relations[:0], relation_boxes=t.relation_boxes[:0]) for t in targets()]
    assignment = matcher(**DYNAMIC)(output(2), Relations.from_targets(items))
    assert len(assignment.query) == 0
    assert assignment.num_copies.shape == (3, 0)
