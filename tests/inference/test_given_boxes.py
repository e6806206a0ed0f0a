"""Scene graphs for given boxes: the rule, its properties, and mistakes in the boxes."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scene_graphs import small_graph
from speaq.boxes import cxcywh_to_xyxy, iou_and_giou, xyxy_to_cxcywh
from speaq.errors import SpeaqError
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.inference.boxes_file import BoxesFile
from speaq.inference.given_boxes import MAX_BOXES, GivenBoxes, check_given_boxes
from speaq.inference.postprocess import PostProcessor
from speaq.structures import Annotation, RawOutput, Vocabulary

SIZE = 80, 160  # height, width
NAMES = Vocabulary(("cup", "table", "cat"), ("on", "under", "near", "in"))


def make_output(seed, *, entities=5, multiplier=2, objects=3, predicates=4):
    generator = torch.Generator().manual_seed(seed)

    def logits(queries, classes):
        return 3 * torch.randn(1, 1, queries, classes + 1, generator=generator)

    def boxes(queries):
        return torch.rand(1, 1, queries, 4, generator=generator)

    return RawOutput(
        subject_logits=logits(entities, objects),
        object_logits=logits(entities, objects),
        subject_boxes=boxes(entities),
        object_boxes=boxes(entities),
        predicate_logits=logits(multiplier * entities, predicates),
        predicate_boxes=boxes(multiplier * entities),
    )


def make_given(seed, count, *, unknown=()):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 100, (count, 2, 2)).astype(np.float32)
    labels = rng.integers(0, 3, count)
    labels[list(unknown)] = -1
    return GivenBoxes(np.hstack((corners.min(axis=1), corners.max(axis=1) + 1)), labels)


def brute_force(output, boxes, num_rel):
    """Labels and scores of the boxes, and the best (score, query, probability) of every triple."""
    scale = torch.tensor([SIZE[1], SIZE[0]] * 2)

    def match(side, query, box, label):
        predicted = cxcywh_to_xyxy((output.subject_boxes, output.object_boxes)[side][0, 0, query]) * scale
        probs = (output.subject_logits, output.object_logits)[side][0, 0, query].softmax(-1)
        similarity = (1 + iou_and_giou(predicted.unbind(), torch.tensor(box).unbind())[1]) / 2
        return float(similarity**4 * probs[label])

    entities, queries = output.subject_logits.shape[2], output.predicate_logits.shape[2]
    labels, scores = [], []
    for box, label in zip(boxes.boxes, boxes.labels.tolist(), strict=True):
        best = [
            max(match(side, query, box, c) for side in (0, 1) for query in range(entities)) for c in range(3)
        ]
        labels.append(label if label >= 0 else int(np.argmax(best)))
        scores.append(1.0 if label >= 0 else max(best))
    probs = output.predicate_logits[0, 0].softmax(-1).numpy()
    found = {}
    for query, i, j in product(range(queries), range(len(labels)), range(len(labels))):
        if i == j:
            continue
        entity = query // (queries // entities)
        pair = match(0, entity, boxes.boxes[i], labels[i]) * match(1, entity, boxes.boxes[j], labels[j])
        for rank, predicate in enumerate(np.argsort(-probs[query, :-1])[:num_rel].tolist()):
            candidate = (pair * probs[query, predicate], query * num_rel + rank, pair * probs[query, :-1])
            triple = i, j, predicate
            if triple not in found or candidate[0] > found[triple][0]:
                found[triple] = candidate
    return labels, scores, found


@pytest.mark.parametrize("num_rel", [1, 2])
@pytest.mark.parametrize("unknown", [(), (0, 1, 2, 3), (2,)])
def test_relations_are_those_of_the_best_queries(unknown, num_rel):
    output, boxes = make_output(3), make_given(4, 4, unknown=unknown)
    graph = PostProcessor(num_rel=num_rel, vocabulary=NAMES)(output, [SIZE], [boxes])[0]
    labels, scores, expected = brute_force(output, boxes, num_rel)
    assert graph.labels.tolist() == labels
    np.testing.assert_allclose(graph.scores, scores, rtol=1e-5)
    limit = output.predicate_logits.shape[2] * num_rel
    assert len(graph) == min(limit, len(expected)) < 4 * 3 * 4
    best = sorted(
        (-score * scores[i] * scores[j], i, j, predicate)
        for (i, j, predicate), (score, *_) in expected.items()
    )[: len(graph)]
    np.testing.assert_allclose(graph.triplet_scores, [-row[0] for row in best], rtol=1e-4)
    found = list(zip(*graph.pairs.T.tolist(), graph.predicates.tolist(), strict=True))
    assert set(found) == {row[1:] for row in best}
    for row, triple in enumerate(found):
        _, query, probs = expected[triple]
        assert graph.queries[row] == query
        np.testing.assert_allclose(graph.predicate_probs[row, :-1], probs, rtol=1e-4)
        assert graph.predicate_probs[row].sum() == pytest.approx(1, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 6), classes=st.booleans())
def test_entities_are_the_given_boxes(seed, count, classes):
    boxes = make_given(seed, count, unknown=() if classes else range(count))
    output = make_output(seed)
    graph = PostProcessor(clip_boxes=True, pnms=True)(output, [SIZE], [boxes])[0]
    np.testing.assert_array_equal(graph.boxes, boxes.boxes)
    if classes:
        np.testing.assert_array_equal(graph.labels, boxes.labels)
        assert (graph.scores == 1).all()
    assert (graph.labels >= 0).all()
    assert (graph.pairs[:, 0] != graph.pairs[:, 1]).all()
    assert (np.diff(graph.triplet_scores) <= 1e-6).all()
    assert len(np.unique(np.column_stack((graph.pairs, graph.predicates)), axis=0)) == len(graph)
    order = np.random.default_rng(seed).permutation(count)  # the order of the boxes does not matter
    other = PostProcessor()(output, [SIZE], [GivenBoxes(boxes.boxes[order], boxes.labels[order])])[0]
    np.testing.assert_allclose(other.triplet_scores, graph.triplet_scores, rtol=1e-5)


def perfect(annotation, *, num_objects=3, num_predicates=4):
    """The output of a network that knows the relations of an image."""
    subjects, objects, predicates = torch.from_numpy(annotation.relations).unbind(dim=1)
    scale = torch.tensor([annotation.width, annotation.height] * 2)
    boxes = xyxy_to_cxcywh(torch.from_numpy(annotation.boxes)) / scale
    labels = torch.from_numpy(annotation.labels)

    def logits(classes, count):
        return 20 * torch.nn.functional.one_hot(classes, count + 1).float()[None, None]

    return RawOutput(
        subject_logits=logits(labels[subjects], num_objects),
        object_logits=logits(labels[objects], num_objects),
        subject_boxes=boxes[subjects][None, None],
        object_boxes=boxes[objects][None, None],
        predicate_logits=logits(predicates, num_predicates),
        predicate_boxes=boxes[subjects][None, None],
    )


@pytest.mark.parametrize("mode", ["predcls", "sgcls"])
def test_a_perfect_network_has_recall_one(mode):
    metrics = SceneGraphMetrics(num_predicates=4, mode=mode)
    for seed in range(4):
        rng, boxes = np.random.default_rng(seed), make_given(seed, 5)
        pairs = np.array([(i, j) for i in range(5) for j in range(5) if i != j])
        chosen = pairs[rng.choice(len(pairs), 8, replace=False)]
        chosen = np.vstack((chosen, [(i, (i + 1) % 5) for i in range(5)]))  # each box has a relation
        relations = np.column_stack((chosen, rng.integers(0, 4, len(chosen))))
        annotation = Annotation(
            image_id=seed, path=Path("a.jpg"), height=SIZE[0], width=SIZE[1], boxes=boxes.boxes,
            labels=boxes.labels, relations=relations,
        )  # fmt: skip
        truth = GivenBoxes.of_annotation(annotation, classes=mode == "predcls")
        graph = PostProcessor()(perfect(annotation), [SIZE], [truth])[0]
        np.testing.assert_array_equal(graph.labels, annotation.labels)
        metrics.update([graph], [annotation])
    nothing = Annotation(
        image_id="none", path=Path("b.jpg"), height=SIZE[0], width=SIZE[1],
        boxes=np.zeros((0, 4), np.float32), labels=np.zeros(0, np.int64),
        relations=np.zeros((0, 3), np.int64),
    )  # fmt: skip
    empty = GivenBoxes.of_annotation(nothing, classes=mode == "predcls")
    graph = PostProcessor()(make_output(0), [SIZE], [empty])[0]
    assert (len(graph), len(graph.boxes)) == (0, 0)
    metrics.update([graph], [nothing])
    results = metrics.compute()
    assert results["R@20"] == results["ng-R@20"] == results["mR@20"] == 1
    assert (results["mode"], results["images"], results["images_with_relations"]) == (mode, 5, 4)


def test_boxes_and_labels_are_read_for_each_image():
    box = [[1, 2, 3, 4], [0, 0, 5, 5]]
    assert check_given_boxes("a.jpg", None, None, NAMES) is None
    (found,) = check_given_boxes("a.jpg", box, ["cat", None], NAMES) or ()
    assert found.boxes.tolist() == box
    assert found.labels.tolist() == [2, -1]
    first, second = check_given_boxes(["a.jpg", "b.jpg"], [torch.tensor(box), []], None, NAMES) or ()
    assert first.labels.tolist() == [-1, -1]
    assert second.boxes.shape == (0, 4)
    (found,) = check_given_boxes([b""], [np.array(box)], [np.array([1, 0])], NAMES) or ()
    assert found.labels.tolist() == [1, 0]


BOX = [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("boxes", "labels", "message"),
    [
        (None, ["cup"], "give the boxes, too"),
        ([1, 2, 3, 4], None, r"a.jpg: boxes: expected an array \(N, 4\), found the shape \(4,\)"),
        ([[1, 2, 3], [4]], None, r"a.jpg: boxes: expected an array \(N, 4\) of numbers"),
        (["ab"], None, r"boxes: expected an array \(N, 4\) of numbers"),
        (
            [[1, 2, 3, 4], [5, 1, 3, 4]],
            None,
            r"boxes\[1\]: expected .* x1 < x2 and y1 < y2, found \[5.0, 1.0",
        ),
        ([[1, 2, np.nan, 4]], None, r"boxes\[0\]: expected x1, y1, x2, y2"),
        (np.tile(BOX, (MAX_BOXES + 1, 1)), None, "expected at most 1000, found 1001"),
        (BOX, [], "labels: expected one per box, 1, found 0"),
        (BOX, "cup", "labels: expected a list with one class per box, found 'cup'"),
        (BOX, ["tabel"], r"labels\[0\]: expected one of the 3 object classes .* 'table'; found 'tabel'"),
        (BOX, ["zzz"], r"such as 'cup', 'table', 'cat'; found 'zzz'"),
        (BOX, [3], r"labels\[0\]: expected the name of a class or 0 to 2, found 3"),
        (BOX, [True], "found True"),
    ],
)
def test_wrong_boxes_and_labels_are_refused(boxes, labels, message):
    with pytest.raises(SpeaqError, match=message):
        check_given_boxes("a.jpg", boxes, labels, NAMES)


def test_entries_must_be_those_of_the_images():
    with pytest.raises(SpeaqError, match="labels: expected one entry per image, 1 as in boxes, found 2"):
        check_given_boxes(["a.jpg"], [BOX], [[0], [0]], NAMES)
    with pytest.raises(SpeaqError, match="boxes: expected a list with an entry per image, found 3"):
        check_given_boxes(["a.jpg"], 3, None, NAMES)
    with pytest.raises(SpeaqError, match=r"b.jpg: labels\[0\]"):
        check_given_boxes([Path("a.jpg"), Path("b.jpg")], [BOX, BOX], [[0], [9]], NAMES)


def test_mistakes_in_lines_of_boxes_are_named_by_their_line(tmp_path):
    file, graph = tmp_path / "graphs.jsonl", {**json.loads(small_graph().to_json()), "image": "a.jpg"}
    file.write_text("\n" + json.dumps({**graph, "image": "b\u2028.jpg"}, ensure_ascii=False) + "\n")
    assert len(BoxesFile(file).of(Path("b\u2028.jpg")).boxes) == len(small_graph().boxes)
    for second, message in (
        ({**graph, "width": "x"}, "line 2: not a scene graph written by to_json: width: expected an integer"),
        (graph, "line 2: expected each image once, found 'a.jpg' again"),
        ([], "line 2: expected {"),
    ):
        file.write_text(json.dumps(graph) + "\n" + json.dumps(second))
        with pytest.raises(SpeaqError) as error:
            BoxesFile(file)
        assert f"graphs.jsonl, {message}" in str(error.value)
