"""Costs and multi-assignment against plain loops in float64, and what happens at the edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from golden_criterion import output, targets
from speaq.errors import SpeaqError
from speaq.matching.cost import Relations, pair_cost
from speaq.matching.groups import group_queries
from speaq.matching.matcher import Matcher, quality


def plain_cost(predictions, target, relation, layer, image, query):
    """The cost of one query for one relation, as the equations say."""
    entity = query // predictions.query_multiplier
    s, o, p = target.relations[relation].tolist()
    total = -predictions.predicate_logits[layer, image, query].softmax(-1)[p]
    wanted = [target.boxes[s], target.boxes[o], target.relation_boxes[relation]]
    found = [
        predictions.subject_boxes[layer, image, entity],
        predictions.object_boxes[layer, image, entity],
        predictions.predicate_boxes[layer, image, query],
    ]
    total -= predictions.subject_logits[layer, image, entity].softmax(-1)[target.labels[s]]
    total -= predictions.object_logits[layer, image, entity].softmax(-1)[target.labels[o]]
    for a, b in zip(found, wanted, strict=True):
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


def test_costs_are_what_the_equations_say():
    predictions, items = output(2, torch.float64), targets(torch.float64)
    relations = Relations.of(items)
    cost = pair_cost(predictions, relations, class_weight=1.0, l1_weight=5.0, giou_weight=2.0).cost
    assert cost.shape == (3, 34, 80)
    first = 0
    for image, target in enumerate(items):
        for relation in range(0, len(target.relations), 3):
            for query in (0, 1, 40, 79):
                expected = plain_cost(predictions, target, relation, 1, image, query)
                assert cost[1, first + relation, query].item() == pytest.approx(expected, rel=1e-9)
        first += len(target.relations)


@pytest.mark.parametrize("scheme", ["min", "max", "gm", "am"])
def test_quality(scheme):
    s, o, p = torch.tensor([[[0.2, 0.9]]]), torch.tensor([[[0.8, 0.4]]]), torch.tensor([[[0.5, 0.1]]])
    f = {"min": min, "max": max, "gm": lambda a, b: (a * b) ** 0.5, "am": lambda a, b: (a + b) / 2}[scheme]
    result = quality(s, o, p, scheme=scheme, predicate_weight=-0.5, in_group=torch.tensor([[True, False]]))
    assert result[0, 0].tolist() == pytest.approx([f(0.2, 0.8) - 0.25, -0.05])


def test_one_matching_for_all_layers_minimises_the_sum_of_their_costs():
    predictions, items = output(1), targets()
    relations = Relations.of(items)
    assignment = Matcher()(predictions, relations)
    cost = pair_cost(predictions, relations, class_weight=1.0, l1_weight=5.0, giou_weight=2.0).cost
    for layer in range(3):
        matches = assignment.matches(layer, relations.counts)
        queries, columns = linear_sum_assignment(cost[:, :5].sum(0).numpy().T)
        assert matches[0].queries.tolist() == queries.tolist()
        assert matches[0].relations.tolist() == columns.tolist()


def test_relations_stay_in_their_group_while_it_has_queries():
    predictions, items = output(2), targets()
    counts = [100, 50, 25, *([1] * 47)]
    groups = group_queries(counts=counts, num_groups=3, num_queries=40, multiplier=2)
    matcher = Matcher(independent=True, groups=groups)
    relations = Relations.of(items)
    assignment = matcher(predictions, relations)
    of_predicate, of_query = np.array(groups.group_of_predicate), np.array(groups.group_of_query)
    wanted = of_predicate[relations.predicates[assignment.relation].numpy()]
    got = of_query[assignment.query.numpy()]
    for layer in range(3):
        for image in range(5):
            here = ((assignment.layer == layer) & (assignment.image == image)).numpy()
            for group in range(3):
                asked = (wanted[here] == group).sum()
                room = (of_query == group).sum()
                inside = (got[here][wanted[here] == group] == group).sum()
                assert inside == min(asked, room)


def test_more_copies_than_queries_drop_the_excess():
    predictions, items = output(1), targets()
    assignment = Matcher(copies=50)(predictions, Relations.of(items))
    for match in assignment.matches(0, [len(item.relations) for item in items]):
        assert len(match.queries) in (0, 40)
        assert len(set(match.queries.tolist())) == len(match.queries)


def test_dynamic_copies_stay_between_one_and_k():
    predictions, items = output(2), targets()
    matcher = Matcher(copies=4, dynamic=True, independent=True, quality_scheme="max", predicate_weight=-0.5)
    copies = matcher(predictions, Relations.of(items)).copies
    assert copies.min() >= 1
    assert copies.max() <= 4


def test_dynamic_needs_independent_layers():
    with pytest.raises(SpeaqError, match="MATCH_INDEPENDENT"):
        Matcher(dynamic=True)


def test_an_image_with_costs_that_are_no_numbers_is_matched_all_the_same():
    predictions, items = output(2), targets()
    predictions.subject_boxes[:, 1] = float("nan")
    assignment = Matcher(copies=4, dynamic=True, independent=True)(predictions, Relations.of(items))
    assert (assignment.copies >= 1).all()
    assert (assignment.image == 1).any()


def test_a_batch_without_relations():
    items = [replace(t, relations=t.relations[:0], relation_boxes=t.relation_boxes[:0]) for t in targets()]
    assignment = Matcher(copies=4, dynamic=True, independent=True)(output(2), Relations.of(items))
    assert len(assignment.query) == 0
    assert assignment.copies.shape == (3, 0)
