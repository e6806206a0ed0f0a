"""The criterion against recorded values; sample weights, sources, edge cases."""

from dataclasses import replace

import pytest
import torch

from golden_criterion import CASES, COUNTS, RECORD, criterion, golden_arrays, matches, output, targets
from speaq.losses.classification import predicate_weights
from speaq.matching.groups import group_queries


@pytest.mark.parametrize("case", CASES)
def test_criterion_terms_equal_golden(case):
    losses = criterion(case)(output(RECORD[case]["multiply_query"]), targets())
    expected = dict(RECORD[case]["losses"])
    assert losses.total.item() == pytest.approx(expected.pop("total_weighted"), rel=1e-4)
    assert set(losses.terms) == set(expected)
    for name, value in expected.items():
        assert losses.terms[name].item() == pytest.approx(value, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("case", CASES)
def test_criterion_matching_equals_golden(case):
    losses = criterion(case)(output(RECORD[case]["multiply_query"]), targets())
    for i, (matched_queries, matched_relations) in enumerate(matches(losses.assignment, 2)):
        relations = golden_arrays()[f"target{i}.image_relations"]
        repeated = golden_arrays()[f"{case}.aug{i}.image_relations"]
        queries, chosen = (
            golden_arrays()[f"{case}.match{i}.query"],
            golden_arrays()[f"{case}.match{i}.target"],
        )
        theirs = sorted((int(q), *repeated[t].tolist()) for q, t in zip(queries, chosen, strict=True))
        pairs = zip(matched_queries, matched_relations, strict=True)
        ours = sorted((int(q), *relations[t].tolist()) for q, t in pairs)
        assert ours == theirs


@pytest.mark.parametrize("case", CASES)
def test_groups_and_predicate_weights_equal_golden(case):
    record = RECORD[case]
    groups = group_queries(
        counts=COUNTS,
        num_groups=len(record["size_of_groups"]),
        num_queries=40,
        multiplier=record["multiply_query"],
    )
    assert list(groups.predicates_per_group) == record["size_of_groups"]
    assert list(groups.queries_per_group) == record["queries_per_group"]
    assert list(groups.group_of_predicate) == record["group_of_predicate"]
    weights, _ = predicate_weights(
        torch.tensor(COUNTS), threshold=0.07, power=1.5, no_relation=0.1, maximum=100.0
    )
    if "noreweight" not in case:
        torch.testing.assert_close(weights, torch.tensor(record["rel_weight"]), rtol=1e-5, atol=0)


def weighted(weights: list[float]):
    items = targets(torch.float64)
    return [replace(target, loss_weight=w) for target, w in zip(items, weights, strict=True)]


def test_criterion_is_linear_in_the_sample_weights():
    loss, predictions = criterion("speaq"), output(2, torch.float64)
    single = [loss(predictions, weighted([float(i == j) for j in range(5)])).total for i in range(5)]
    mixed = loss(predictions, weighted([1.0, 0.5, 0.25, 0.0, 2.0])).total
    expected = single[0] + 0.5 * single[1] + 0.25 * single[2] + 2 * single[4]
    torch.testing.assert_close(mixed, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(loss(predictions, weighted([1.0] * 5)).total, sum(single), rtol=1e-12, atol=0)


def with_relation_weights(weights: list[float]):
    items, first = targets(torch.float64), 0
    for target in items:
        number = len(target.relations)
        target.relation_weights = torch.tensor(weights[first : first + number])
        first += number
    return items


@pytest.mark.parametrize("case", CASES)
def test_criterion_with_relation_weights_of_1_is_the_same(case):
    loss, predictions = criterion(case), output(RECORD[case]["multiply_query"], torch.float64)
    plain = loss(predictions, targets(torch.float64))
    number = sum(len(target.relations) for target in targets())
    weighted_losses = loss(predictions, with_relation_weights([1.0] * number))
    assert weighted_losses.total.item() == plain.total.item()
    assert all(torch.equal(value, weighted_losses.terms[name]) for name, value in plain.terms.items())


def test_criterion_is_linear_in_the_relation_weights():
    loss, predictions = criterion("speaq"), output(2, torch.float64)
    number = sum(len(target.relations) for target in targets())
    none = loss(predictions, with_relation_weights([0.0] * number)).total
    single = [
        loss(predictions, with_relation_weights([float(i == j) for j in range(number)])).total - none
        for i in range(number)
    ]
    weights = torch.linspace(0, 1, number, dtype=torch.float64)
    mixed = loss(predictions, with_relation_weights(weights.tolist())).total
    expected = none + (torch.stack(single) * weights).sum()
    torch.testing.assert_close(mixed, expected, rtol=1e-6, atol=0)
    assert none < mixed < loss(predictions, targets(torch.float64)).total


@pytest.mark.parametrize("weight", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("case", ["baseline", "speaq"])
def test_criterion_with_equal_weights_scales_every_part_of_the_loss(case, weight):
    loss, plain = criterion(case), output(1 if case == "baseline" else 2, torch.float64)
    unweighted = loss(plain, targets(torch.float64))
    predictions = output(1 if case == "baseline" else 2, torch.float64)
    names = ("subject_logits", "object_logits", "predicate_logits")
    for name in names:
        getattr(predictions, name).requires_grad_(True)
    losses = loss(predictions, weighted([weight] * 5))
    torch.testing.assert_close(losses.total, weight * unweighted.total, rtol=1e-12, atol=0)
    for name in unweighted.terms:
        torch.testing.assert_close(losses.terms[name], unweighted.terms[name], rtol=1e-12, atol=0)
    losses.total.backward()
    matched = losses.assignment
    for name in names:
        gradient = getattr(predictions, name).grad
        rows = matched.query if name == "predicate_logits" else matched.query // predictions.query_multiplier
        unmatched = torch.ones(gradient.shape[:3], dtype=torch.bool)
        unmatched[matched.layer, matched.image, rows] = False
        # Every unmatched query is trained towards "no object" or "no relation".
        assert (gradient[..., -1][unmatched] < 0).all()


def test_criterion_gives_no_gradient_to_an_image_of_weight_zero():
    predictions = output(2, torch.float64)
    for name in ("subject_logits", "object_boxes", "predicate_logits", "predicate_boxes"):
        getattr(predictions, name).requires_grad_(True)
    criterion("speaq")(predictions, weighted([1, 0, 1, 0, 1])).total.backward()
    for name in ("subject_logits", "object_boxes", "predicate_logits", "predicate_boxes"):
        gradient = getattr(predictions, name).grad
        assert gradient[:, [1, 3]].abs().max() == 0
        assert gradient[:, [0, 4]].abs().max() > 0


def test_criterion_trains_no_object_where_a_batch_has_no_boxes():
    empty = [
        replace(
            target,
            boxes=target.boxes[:0],
            labels=target.labels[:0],
            relations=target.relations[:0],
            relation_boxes=target.relation_boxes[:0],
        )
        for target in targets()
    ]
    predictions = output(2)
    predictions.subject_logits.requires_grad_(True)
    losses = criterion("speaq")(predictions, empty)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert losses.terms["loss_bbox_subject"] == 0
    assert losses.terms["class_error_subject"] == 100
    gradient = predictions.subject_logits.grad
    assert (gradient[..., -1] < 0).all()


def test_source_terms_equal_the_loss_of_that_source_alone():
    items = targets()
    names = ["real", "synthetic", "real", "synthetic", "real"]
    mixed = [replace(t, source=name, loss_weight=0.5) for t, name in zip(items, names, strict=True)]
    loss = criterion("speaq", source_names=("real", "synthetic"))
    both = loss(output(2), mixed)
    for name, keep in (("real", [0, 2, 4]), ("synthetic", [1, 3])):
        predictions = output(2)
        alone = replace_images(predictions, keep)
        expected = criterion("speaq")(alone, [items[i] for i in keep]).total
        torch.testing.assert_close(both.source_terms[f"total_loss_{name}"], expected, rtol=1e-5, atol=1e-5)
        terms = criterion("speaq")(alone, [items[i] for i in keep]).terms
        for term in ("loss_relation", "loss_bbox_relation", "loss_giou_subject", "loss_ce_object"):
            torch.testing.assert_close(both.source_terms[f"{term}_{name}"], terms[term], rtol=1e-5, atol=1e-5)
    assert both.source_images.tolist() == [3, 2]
    assert not any(name.endswith(("_0_real", "_1_real")) for name in both.source_terms)


def test_source_terms_are_nan_for_a_source_without_images():
    losses = criterion("speaq", source_names=("real", "synthetic"))(output(2), targets())
    assert losses.source_images.tolist() == [5, 0]
    assert losses.source_terms["total_loss_synthetic"].isnan()
    assert losses.source_terms["loss_relation_synthetic"].isnan()
    torch.testing.assert_close(losses.source_terms["total_loss_real"], losses.total)


def test_source_terms_keep_nan_within_its_source():
    items = [replace(t, source="synthetic" if i == 1 else "real") for i, t in enumerate(targets())]
    predictions = output(2)
    predictions.subject_logits[:, 1] = torch.nan
    loss = criterion("baseline", source_names=("real", "synthetic"))
    losses = loss(predictions, items)
    assert losses.value.isnan()
    assert losses.source_terms["total_loss_synthetic"].isnan()
    assert losses.source_terms["total_loss_real"].isfinite()


def replace_images(predictions, keep):
    names = ("subject_logits", "object_logits", "subject_boxes", "object_boxes", "predicate_logits")
    chosen = {name: getattr(predictions, name)[:, keep] for name in (*names, "predicate_boxes")}
    return type(predictions)(**chosen)


def test_predicate_weights_are_limited_to_the_maximum():
    weights, limited = predicate_weights(
        torch.tensor([1000, 10, 0]), threshold=0.07, power=1.5, no_relation=0.1, maximum=100.0
    )
    assert weights[0] == 1
    assert weights[1].item() == pytest.approx((0.07 / (10 / 1010 + 1e-5)) ** 0.75, rel=1e-5)
    assert weights[2] == 100
    assert limited.tolist() == [False, False, True]
    assert weights[3].item() == pytest.approx(0.1)
