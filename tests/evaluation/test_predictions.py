import json
import multiprocessing
import os

import h5py
import numpy as np
import pytest
import torch

from speaq.errors import SpeaqError
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.ground_truth import PredictedImages, score
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.prediction_writer import PredictionWriter, merge_predictions
from speaq.evaluation.predictions import Predictions
from speaq.structures import Vocabulary

VOCABULARY = Vocabulary(
    tuple(f"object {i}" for i in range(150)), ("on", "옆에", *(f"p{i}" for i in range(48)))
)
ARRAYS = ("boxes", "labels", "scores", "pairs", "predicates", "predicate_probs", "queries", "pair_scores")


def save(path, graphs, annotations, **options):
    with PredictionWriter(path, vocabulary=VOCABULARY, dataset="VG_test", **options) as writer:
        for graph, annotation in zip(graphs, annotations, strict=True):
            writer.add(graph, image_id=annotation.image_id, source=annotation.source)
    return path


def metrics(golden):
    return [
        SceneGraphMetrics(num_predicates=50, zero_shot_triplets=golden.zero_shot),
        DetectionAP(num_objects=150),
    ]


def direct(golden):
    found = metrics(golden)
    for metric in found:
        metric.update(golden.graphs[:64], golden.annotations[:64])
        metric.update(golden.graphs[64:], golden.annotations[64:])
    return found[0].compute() | found[1].compute()


def assert_equal(a, b):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        assert getattr(a, name).dtype == getattr(b, name).dtype
    assert a.image_size == b.image_size


def test_predictions_round_trip(golden, tmp_path):
    counts = np.arange(50)
    path = save(tmp_path / "new" / "a.h5", golden.graphs, golden.annotations, predicate_counts=counts)
    with Predictions(path) as predictions:
        assert len(predictions) == 80
        assert predictions.image_ids == list(range(80))
        assert predictions.sources == ["real"] * 80
        assert (predictions.dataset, predictions.vocabulary) == ("VG_test", VOCABULARY)
        assert predictions.predicate_counts.tolist() == counts.tolist()
        for ours, true in zip(predictions, golden.graphs, strict=True):
            assert_equal(ours, true)
        assert_equal(predictions[-1], golden.graphs[79])
        assert predictions[0].vocabulary == VOCABULARY
        with pytest.raises(IndexError):
            predictions[80]


def test_score_equals_the_direct_metrics(golden, tmp_path):
    predictions = Predictions(save(tmp_path / "a.h5", golden.graphs, golden.annotations))
    results, expected = (
        score(PredictedImages(predictions, golden.annotations[::-1]), metrics(golden)),
        direct(golden),
    )
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(results[name], value, rtol=0, atol=0, equal_nan=True)
        else:
            assert results[name] == value, name


def test_best_relations_suffice_with_graph_constraint(golden, tmp_path):
    """Only recalls without graph constraint may change; here by less than one relation in a hundred."""
    path = save(tmp_path / "a.h5", golden.graphs, golden.annotations, max_relations=100)
    predictions = Predictions(path)
    assert max(len(graph) for graph in predictions) == 100
    images = PredictedImages(predictions, golden.annotations)
    results, expected = score(images, metrics(golden)), direct(golden)
    for name, value in expected.items():
        if isinstance(value, float):
            assert results[name] == pytest.approx(value, abs=0.01 if name.startswith("ng-") else 0, rel=0)
    kept, whole = predictions[0], golden.graphs[0]
    np.testing.assert_array_equal(kept.predicate_probs, whole.predicate_probs[:100])
    np.testing.assert_array_equal(kept.boxes, whole.boxes)


def test_empty_graphs_and_mixed_image_ids(make, tmp_path):
    names = Vocabulary(("a",), ("b", "c", "d"))
    annotations = [make.annotation([], [], [], image_id=name) for name in (7, "7", "scene_000001")]
    with PredictionWriter(tmp_path / "a.h5", vocabulary=names, dataset="MULTI_test") as writer:
        for annotation in annotations:
            writer.add(make.graph([], [], []), image_id=annotation.image_id, source="real")
    predictions = Predictions(tmp_path / "a.h5")
    assert predictions.image_ids == [7, "7", "scene_000001"]
    assert predictions[1].predicate_probs.shape == (0, 4)
    assert [a.image_id for _, a in PredictedImages(predictions, annotations[::-1])] == [
        7,
        "7",
        "scene_000001",
    ]
    with PredictionWriter(tmp_path / "none.h5", vocabulary=names, dataset="VG_test"):
        pass
    assert len(Predictions(tmp_path / "none.h5")) == 0


def test_merge_predictions_of_several_ranks(golden, tmp_path):
    parts = [
        save(tmp_path / f"part{rank}.h5", golden.graphs[rank::3], golden.annotations[rank::3])
        for rank in range(3)
    ]
    merge_predictions(parts, tmp_path / "all.h5", image_ids=range(80))
    merged = Predictions(tmp_path / "all.h5")
    assert merged.image_ids == list(range(80))
    for ours, true in zip(merged, golden.graphs, strict=True):
        assert_equal(ours, true)
    merge_predictions(parts, tmp_path / "all.h5")  # replaces it
    assert Predictions(tmp_path / "all.h5").image_ids == [
        *range(0, 80, 3),
        *range(1, 80, 3),
        *range(2, 80, 3),
    ]
    with pytest.raises(SpeaqError, match=r"part0.h5: image 0 is also in .*part0.h5"):
        merge_predictions([parts[0], parts[0]], tmp_path / "twice.h5")
    with pytest.raises(
        SpeaqError, match=r"less.h5, merged .* 2 parts, lacks 26 of the 80 images, such as 11"
    ):
        merge_predictions(parts[:2], tmp_path / "less.h5", image_ids=range(80))
    other = tmp_path / "other.h5"
    with PredictionWriter(other, vocabulary=VOCABULARY, dataset="VG_val"):
        pass
    with pytest.raises(SpeaqError, match=r"other.h5: expected predictions for VG_test .* found VG_val"):
        merge_predictions([*parts, other], tmp_path / "mixed.h5")
    assert not (tmp_path / "twice.h5").exists() and not (tmp_path / "less.h5").exists()


def test_score_rejects_other_images(golden, tmp_path):
    predictions = Predictions(save(tmp_path / "a.h5", golden.graphs[:9], golden.annotations[:9]))
    with pytest.raises(SpeaqError, match=r"a.h5 lacks 71 of the 80 images, such as 10"):
        PredictedImages(predictions, golden.annotations)
    with pytest.raises(SpeaqError, match=r"a.h5 has 4 images that the data set lacks, such as 5"):
        PredictedImages(predictions, golden.annotations[:5])


def test_writer_leaves_no_file_after_an_error(golden, tmp_path):
    save(tmp_path / "a.h5", golden.graphs[:1], golden.annotations[:1])
    with (
        pytest.raises(KeyError),
        PredictionWriter(tmp_path / "a.h5", vocabulary=VOCABULARY, dataset="VG_test") as writer,
    ):
        writer.add(golden.graphs[0], image_id=0, source="real")
        raise KeyError("something")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    assert len(Predictions(tmp_path / "a.h5")) == 1
    with (
        pytest.raises(SpeaqError, match=r"expected graphs with 2 predicates, found one with 50 for image 0"),
        PredictionWriter(tmp_path / "b.h5", vocabulary=Vocabulary(("a",), ("b", "c")), dataset="X") as writer,
    ):
        writer.add(golden.graphs[0], image_id=0, source="real")
    blocked = tmp_path / "a.h5" / "c.h5"
    with pytest.raises(SpeaqError, match="cannot write this file"):
        save(blocked, [], [])


@pytest.mark.parametrize("damage", ["missing", "text", "other", "half", "version", "rows", "ids"])
def test_files_in_another_format_are_rejected(golden, tmp_path, damage):
    path = tmp_path / "a.h5"
    if damage == "text":
        path.write_text("hello")
    elif damage == "other":
        h5py.File(path, "w").close()
    elif damage != "missing":
        save(path, golden.graphs[:3], golden.annotations[:3])
    if damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage in ("version", "rows", "ids"):
        with h5py.File(path, "r+") as file:
            if damage == "version":
                file.attrs["version"] = 9
            elif damage == "rows":
                file["boxes"].resize(5, axis=0)
            else:
                file["image_ids"][0] = "{"
    expected = "no such file" if damage == "missing" else "found a damaged file or another format"
    with pytest.raises(SpeaqError, match=f"a.h5: .*{expected}"):
        Predictions(path)


def test_damaged_blocks_are_detected_on_read(golden, tmp_path):
    path = save(tmp_path / "a.h5", golden.graphs[:3], golden.annotations[:3])
    content = bytearray(path.read_bytes())
    place = content.find(golden.graphs[1].boxes[0].tobytes())
    assert place > 0
    content[place] ^= 255
    path.write_bytes(content)
    with pytest.raises(SpeaqError, match=r"a.h5: .*damaged"):
        Predictions(path)[1]
    path = save(tmp_path / "b.h5", golden.graphs[:3], golden.annotations[:3])
    with h5py.File(path, "r+") as file:
        file["pairs"][0] = 100000
    with pytest.raises(SpeaqError, match=r"b.h5: .*pairs must index"):
        Predictions(path)[0]


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("queries", 0, -1, r"queries must be in 0..999999, found -1"),
        ("queries", 0, 2**31 - 1, r"queries must be in 0..999999, found 2147483647"),
        ("labels", 3, 9999, r"labels must be in 0..149, found 9999"),
        ("predicates", 3, 50, r"predicates must be in 0..49, found 50"),
        ("predicates", 3, -1, r"predicates must be in 0..49, found -1"),
        ("scores", 0, np.nan, r"scores must be in 0..1, found nan"),
        ("scores", 0, 7, r"scores must be in 0..1, found 7.0"),
        ("pair_scores", (2, 1), -0.5, r"pair_scores must be in 0..1, found -0.5"),
        ("predicate_probs", (2, 9), np.nan, r"predicate_probs must be in 0..1, found nan"),
        ("boxes", (2, 3), np.nan, r"boxes must be finite, found nan"),
        ("boxes", (2, 3), np.inf, r"boxes must be finite, found inf"),
        ("pairs", (2, 1), -1, r"scene graph: pairs must index its \d+ entities, but they range from -1"),
    ],
)
@pytest.mark.parametrize("image", [0, 2])
def test_values_out_of_range_are_rejected(golden, tmp_path, image, name, row, value, message):
    path = save(tmp_path / "a.h5", golden.graphs[:3], golden.annotations[:3])
    entity = name in ("labels", "scores", "boxes")
    start = sum(len(g.boxes) if entity else len(g) for g in golden.graphs[:image])
    row, *column = np.atleast_1d(row)
    with h5py.File(path, "r+") as file:
        file[name][(start + row, *column)] = value
    message = rf"a.h5: image {image}: {message}"
    with Predictions(path) as predictions:
        with pytest.raises(SpeaqError, match=message):
            list(predictions)
        with pytest.raises(SpeaqError, match=message):
            predictions[image]
        assert_equal(predictions[1], golden.graphs[1])
    if name not in ("pairs", "predicates"):  # parts are copied as they are
        merge_predictions([path], tmp_path / "b.h5")
        with pytest.raises(SpeaqError, match=message.replace("a.h5", "b.h5")):
            list(Predictions(tmp_path / "b.h5"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.5])
def test_half_precision_probabilities_are_read_and_checked(golden, tmp_path, value):
    path = save(tmp_path / "a.h5", golden.graphs[:3], golden.annotations[:3])
    with h5py.File(path, "r+") as file:
        probs = file["predicate_probs"][()].astype(np.float16)
        del file["predicate_probs"]
        file["predicate_probs"] = probs
        file["predicate_probs"][0, 2:5] = (-0.0, 1, 0)
    assert Predictions(path)[0].predicate_probs[0, 2:5].tolist() == [0, 1, 0]
    assert np.abs(Predictions(path)[1].predicate_probs - golden.graphs[1].predicate_probs).max() < 3e-4
    with h5py.File(path, "r+", locking=False) as file:
        file["predicate_probs"][len(golden.graphs[0]), 4] = value
    with pytest.raises(SpeaqError, match=f"a.h5: image 1: predicate_probs must be in 0..1, found {value}"):
        list(Predictions(path))


def test_invalid_headers_are_rejected(golden, tmp_path):
    path = save(tmp_path / "a.h5", golden.graphs[:3], golden.annotations[:3])
    message = r"a.h5: expected 50 predicate_counts, .* found "
    for counts, found in ((np.arange(49), r"an array of shape \(49,\)"), (np.arange(-1, 49), "the value -1")):
        with pytest.raises(SpeaqError, match=message + found):
            save(path, [], [], predicate_counts=counts)
        with h5py.File(path, "r+") as file:
            file["predicate_counts"] = counts
        with pytest.raises(SpeaqError, match=message + found):
            Predictions(path)
        with h5py.File(path, "r+") as file:
            del file["predicate_counts"]
    with h5py.File(path, "r+") as file:
        file["image_sizes"][1] = (0, 640)
    with pytest.raises(SpeaqError, match=r"a.h5: image 1: expected an image size above 0, found 640 x 0"):
        Predictions(path)
    save(path, golden.graphs[:3], golden.annotations[:3])
    with h5py.File(path, "r+") as file:
        labels = file["labels"][()]
        del file["labels"]
        file["labels"] = labels + 0.7
    with pytest.raises(SpeaqError, match=r"a.h5: .*labels has .* kind 'f'"):
        Predictions(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_forked_process_does_not_keep_the_file_locked(golden, tmp_path):
    """As workers of a data loader are; a child that lives on has the writer's file open."""
    path = tmp_path / "a.h5"
    ready, done = multiprocessing.get_context("fork").Pipe()
    with PredictionWriter(path, vocabulary=VOCABULARY, dataset="VG_test") as writer:
        writer.add(golden.graphs[0], image_id=0, source="real")
        child = os.fork()
        if child == 0:
            ready.poll(30)  # until the parent has read
            os._exit(0)
    try:
        with Predictions(path) as predictions:
            assert_equal(predictions[0], golden.graphs[0])
        with h5py.File(path) as file:
            assert file.attrs["dataset"] == "VG_test"
    finally:
        done.send("read")
        assert os.waitpid(child, 0)[1] == 0


def test_image_ids_are_json(golden, tmp_path):
    path = save(tmp_path / "a.h5", golden.graphs[:2], golden.annotations[:2])
    with h5py.File(path) as file:
        assert [json.loads(name) for name in file["image_ids"]] == [0, 1]
        assert file["predicate_probs"].shape == (sum(map(len, golden.graphs[:2])), 51)
