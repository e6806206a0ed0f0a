from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.errors import SpeaqError
from speaq.inference.postprocess import PostProcessor
from speaq.structures import RawOutput, Vocabulary

GOLDEN = Path(__file__).parents[1] / "golden"


def make_output(*, images=1, entities=12, multiplier=2, objects=3, predicates=4, seed=0, layers=1):
    """Random logits and boxes on a 1/8 grid, so that equal, touching and flat boxes all occur."""
    generator = torch.Generator().manual_seed(seed)

    def logits(queries, classes):
        return 3 * torch.randn(layers, images, queries, classes + 1, generator=generator)

    def boxes(queries):
        centre = torch.randint(1, 8, (layers, images, queries, 2), generator=generator)
        sides = torch.randint(0, 7, (layers, images, queries, 2), generator=generator)
        return torch.cat((centre, sides), dim=-1) / 8

    queries = multiplier * entities
    return RawOutput(
        subject_logits=logits(entities, objects),
        object_logits=logits(entities, objects),
        subject_boxes=boxes(entities),
        object_boxes=boxes(entities),
        predicate_logits=logits(queries, predicates),
        predicate_boxes=boxes(queries),
    )


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return intersection / union if intersection > 0 else 0.0


def oracle(output, size, image=0, num_rel=1, threshold=0.5, pnms=False, drop_self=False):
    """What the published algorithm computes, one box at a time, on all m copies of every entity."""
    queries = output.predicate_logits.shape[2]
    m = queries // output.subject_logits.shape[2]
    height, width = size
    pool = []  # (score, label, box) of the P subjects, then of the P objects
    for logits, boxes in (
        (output.subject_logits, output.subject_boxes),
        (output.object_logits, output.object_boxes),
    ):
        probs = logits[-1, image].softmax(-1).numpy()
        for query in range(queries):
            x, y, w, h = boxes[-1, image, query // m].tolist()
            box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            label = int(probs[query // m, :-1].argmax())
            pool.append((probs[query // m, label], label, box))
    probs = output.predicate_logits[-1, image].softmax(-1).numpy()
    relations = []  # (score, query, subject in the pool, object in the pool, predicate)
    for query in range(queries):
        for rank, predicate in enumerate(np.argsort(-probs[query, :-1])[:num_rel].tolist()):
            score = pool[query][0] * pool[query + queries][0] * probs[query, predicate]
            relations.append((score, query * num_rel + rank, query, query + queries, predicate))
    relations.sort(key=lambda relation: -relation[0])
    by_score = sorted(range(len(pool)), key=lambda i: -pool[i][0])
    if pnms:
        stay = []
        for new in relations:
            labels = (pool[new[2]][1], pool[new[3]][1], new[4])
            if all(
                labels != (pool[old[2]][1], pool[old[3]][1], old[4])
                or iou(pool[new[2]][2], pool[old[2]][2]) * iou(pool[new[3]][2], pool[old[3]][2]) <= 0.7
                for old in stay
            ):
                stay.append(new)
        relations = stay
        used = {i for relation in relations for i in relation[2:4]}
        first_copy = {i: i - i % m if iou(pool[i][2], pool[i][2]) else i for i in used}
        kept = [i for i in by_score if i in set(first_copy.values())]
        owner = {i: kept.index(first) for i, first in first_copy.items()}
    else:
        kept = []
        for i in by_score:
            if all(pool[i][1] != pool[j][1] or iou(pool[i][2], pool[j][2]) <= threshold for j in kept):
                kept.append(i)
        owner = {}
        for i in by_score:
            same = [j for j in kept if pool[j][1] == pool[i][1]]
            owner[i] = kept.index(i if i in kept else max(same, key=lambda j: iou(pool[i][2], pool[j][2])))
    rows, seen = [], set()
    for score, query, subject, object_, predicate in relations:
        pair = owner[subject], owner[object_]
        if (*pair, predicate) in seen or (drop_self and pair[0] == pair[1]):
            continue
        seen.add((*pair, predicate))
        rows.append((score, query, *pair, predicate))
    return [pool[i] for i in kept], rows


def assert_agrees(graph, expected):
    entities, rows = expected
    assert graph.labels.tolist() == [label for _, label, _ in entities]
    np.testing.assert_allclose(graph.scores, [score for score, _, _ in entities], rtol=1e-6)
    boxes = np.array([box for _, _, box in entities]).reshape(-1, 4)
    np.testing.assert_allclose(graph.boxes, boxes, atol=1e-4)
    assert graph.queries.tolist() == [row[1] for row in rows]
    assert graph.pairs.tolist() == [[row[2], row[3]] for row in rows]
    assert graph.predicates.tolist() == [row[4] for row in rows]
    np.testing.assert_allclose(graph.triplet_scores, [row[0] for row in rows], rtol=1e-6)


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("multiplier", [1, 2])
def test_postprocessor_reproduces_the_golden_graphs(case, multiplier):
    golden = np.load(GOLDEN / "postprocess.npz")

    def tensor(name, step=1):
        return torch.from_numpy(golden[f"case{case}.in.{name}"])[::step][None, None]

    # The stored entities are already repeated; with m = 2 feed every second one.
    output = RawOutput(
        subject_logits=tensor("relation_subject_logits", multiplier),
        object_logits=tensor("relation_object_logits", multiplier),
        subject_boxes=tensor("relation_subject_boxes", multiplier),
        object_boxes=tensor("relation_object_boxes", multiplier),
        predicate_logits=tensor("relation_logits"),
        predicate_boxes=tensor("relation_boxes"),
    )
    process = PostProcessor(num_rel=int(golden[f"case{case}.num_rel"]))
    (graph,) = process(output, torch.from_numpy(golden[f"case{case}.image_size"])[None])

    for ours, theirs in {
        "boxes": "boxes",
        "labels": "labels",
        "scores": "scores",
        "pairs": "pairs",
        "predicate_probs": "rel_probs",
        "predicates": "rel_labels",
        "queries": "query",
    }.items():
        found, expected = getattr(graph, ours), golden[f"case{case}.{theirs}"]
        if expected.dtype.kind == "f":  # the last bit of a softmax differs from processor to processor
            np.testing.assert_allclose(found, expected, rtol=5e-6, atol=1e-9, err_msg=ours)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=ours)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    entities=st.integers(1, 12),
    multiplier=st.integers(1, 3),
    objects=st.integers(1, 4),
    predicates=st.integers(1, 4),
    num_rel=st.integers(1, 3),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    pnms=st.booleans(),
    drop_self=st.booleans(),
)
def test_postprocessor_agrees_with_a_plain_implementation(
    seed, entities, multiplier, objects, predicates, num_rel, threshold, pnms, drop_self
):
    num_rel = min(num_rel, predicates)
    output = make_output(
        images=2,
        entities=entities,
        multiplier=multiplier,
        objects=objects,
        predicates=predicates,
        seed=seed,
        layers=2,
    )
    process = PostProcessor(
        num_rel=num_rel, nms_threshold=threshold, pnms=pnms, drop_self_relations=drop_self
    )
    sizes = [(48, 64), (80, 32)]
    for image, graph in enumerate(process(output, sizes)):
        assert_agrees(graph, oracle(output, sizes[image], image, num_rel, threshold, pnms, drop_self))


def test_postprocessor_treats_images_of_a_batch_independently():
    output = make_output(images=3)
    process = PostProcessor()
    together = process(output, [(10, 20), (30, 40), (50, 60)])
    alone = process(make_output(images=3), [(50, 60)] * 3)[2]
    np.testing.assert_array_equal(together[2].boxes, alone.boxes)
    np.testing.assert_array_equal(together[2].queries, alone.queries)
    assert [graph.image_size for graph in together] == [(10, 20), (30, 40), (50, 60)]


def test_postprocessor_uses_the_last_layer():
    output = make_output(layers=2)
    last = RawOutput(
        **{
            name: getattr(output, name)[1:]
            for name in RawOutput.__slots__
            if getattr(output, name) is not None
        }
    )
    a, b = PostProcessor()(output, [(8, 8)]), PostProcessor()(last, [(8, 8)])
    np.testing.assert_array_equal(a[0].predicate_probs, b[0].predicate_probs)


def test_no_object_lowers_the_score_but_is_never_the_label():
    output = make_output(objects=2, predicates=2)
    for logits in (output.subject_logits, output.object_logits, output.predicate_logits):
        logits[..., -1] = 20.0
    (graph,) = PostProcessor()(output, [(8, 8)])
    assert len(graph) > 0
    assert graph.labels.max() <= 1
    assert graph.predicates.max() <= 1
    assert graph.scores.max() < 1e-3
    assert graph.predicate_scores.max() < 1e-3


def test_relations_keep_their_own_scores_and_are_sorted_by_them():
    (graph,) = PostProcessor()(make_output(entities=40, objects=1, predicates=6), [(8, 8)])
    assert (np.diff(graph.triplet_scores) <= 0).all()
    assert (graph.pair_scores <= graph.scores[graph.pairs] + 1e-7).all()
    assert (graph.pair_scores < graph.scores[graph.pairs]).any()


def test_clip_boxes_keeps_boxes_inside_the_image():
    output = make_output(entities=40)
    (free,) = PostProcessor()(output, [(48, 64)])
    (clipped,) = PostProcessor(clip_boxes=True)(output, [(48, 64)])
    assert free.boxes.min() < 0
    assert clipped.boxes.min() == 0
    assert clipped.boxes[:, 2].max() == 64
    assert clipped.boxes[:, 3].max() == 48


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_postprocessor_accepts_any_float_type(dtype):
    output = make_output()
    for name in RawOutput.__slots__:
        if getattr(output, name) is not None:
            setattr(output, name, getattr(output, name).to(dtype))
    (graph,) = PostProcessor()(output, [(48, 64)])
    assert graph.boxes.dtype == graph.predicate_probs.dtype == np.float32
    assert len(graph) > 0


def test_postprocessor_accepts_nan():
    output = make_output()
    output.subject_logits[:, :, 0] = torch.nan
    output.object_boxes[:, :, 1] = torch.nan
    output.predicate_logits[:, :, 2] = torch.nan
    (graph,) = PostProcessor()(output, [(48, 64)])
    assert len(graph.boxes) > 0


def test_postprocessor_passes_its_vocabulary_to_the_graph():
    vocabulary = Vocabulary(("cup", "table"), ("on",))
    output = make_output(objects=2, predicates=1)
    (graph,) = PostProcessor(vocabulary=vocabulary)(output, [(8, 8)])
    assert {triplet.predicate for triplet in graph.triplets} == {"on"}


def test_postprocessor_rejects_impossible_options():
    with pytest.raises(SpeaqError, match=r"TEST.NUM_REL is 5, expected 1 to 4"):
        PostProcessor(num_rel=5)(make_output(predicates=4), [(8, 8)])
    output = make_output(entities=4)
    output.predicate_logits = output.predicate_logits[:, :, :7]
    with pytest.raises(ValueError, match="7 predicate queries are not a multiple of 4"):
        PostProcessor()(output, [(8, 8)])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_postprocessor_on_a_gpu_agrees_and_synchronizes_once():
    output = make_output(images=4, entities=50, objects=20)
    moved = RawOutput(
        **{
            name: getattr(output, name).cuda()
            for name in RawOutput.__slots__
            if getattr(output, name) is not None
        }
    )
    sizes = [(48, 64)] * 4
    PostProcessor()(moved, sizes)
    with torch.profiler.profile() as profile:
        graphs = PostProcessor()(moved, sizes)
    copies = [event for event in profile.events() if "Memcpy DtoH" in event.name]
    assert len(copies) == 1
    for graph, expected in zip(graphs, PostProcessor()(output, sizes), strict=True):
        np.testing.assert_array_equal(graph.queries, expected.queries)
        np.testing.assert_array_equal(graph.pairs, expected.pairs)
        np.testing.assert_allclose(graph.boxes, expected.boxes, atol=1e-4)
