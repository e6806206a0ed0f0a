from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from speaq.data.transforms import resize_shortest_edge
from speaq.errors import SpeaqError
from speaq.inference.pipeline import BATCHES_AHEAD
from speaq.inference.postprocess import PostProcessor
from speaq.inference.predictor import predict_each
from speaq.pretrained import Speaq
from speaq.structures import RawOutput, Vocabulary
from tiny_model import tiny_config


class FakeModel(nn.Module):
    """One relation per image, whose boxes are its mean colour; keeps images and batch sizes."""

    vocabulary = Vocabulary(("cup", "table"), ("on",))
    config = SimpleNamespace(min_size=32, max_size=64, nms_threshold=0.5)
    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.batches = []
        self.images = []

    def forward(self, images, sizes):
        assert images.dtype == torch.uint8
        assert sizes.tolist() == [list(images.shape[-2:])] * len(images)
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.batches.append(len(images))
        self.images.extend(images)
        colour = images.float().mean(dim=(2, 3)) / 255
        boxes = torch.cat((colour, torch.full_like(colour[:, :1], 0.1)), dim=1)[None, :, None]
        logits = torch.tensor([3.0, 0.0, 0.0]).expand(1, len(images), 1, 3)
        predicate = torch.tensor([2.0, 0.0]).expand(1, len(images), 1, 2)
        return RawOutput(
            subject_logits=logits,
            object_logits=logits.flip(-1).roll(-1, -1),
            subject_boxes=boxes,
            object_boxes=boxes,
            predicate_logits=predicate,
            predicate_boxes=boxes,
        )


predict = Speaq.predict  # also of a FakeModel


def make_image(shade, width=40, height=30):
    return Image.new("RGB", (width, height), (shade, shade, shade))


def shade_of(graph):
    return round(float(graph.boxes[0, [0, 2]].mean() / graph.image_size[1] * 255))


def test_predict_gives_one_graph_for_one_image(tmp_path):
    path = tmp_path / "photo.png"
    make_image(51).save(path)
    graph = predict(FakeModel(), path)
    assert graph.image == path
    assert graph.image_size == (30, 40)
    assert str(graph.triplets[0]) == "cup on table (0.73)"
    np.testing.assert_allclose(
        graph.boxes[0], [4, 4.5, 12, 7.5], atol=1e-5
    )  # (0.2, 0.2, 0.2, 0.1) of 40 x 30


def test_predict_resizes_as_at_evaluation():
    model = FakeModel()
    rng = np.random.default_rng(0)
    for width, height in ((40, 30), (31, 77), (300, 50), (32, 32)):
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        predict(model, image)
        size = resize_shortest_edge(height, width, 32, 64)
        expected = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(model.images[-1].permute(1, 2, 0).numpy(), expected)


def test_predict_keeps_the_order_of_images():
    shades = list(range(10, 250, 7))
    images = [make_image(shade, *((40, 30), (30, 40), (50, 50))[i % 3]) for i, shade in enumerate(shades)]
    for batch_size in (1, 2, 5, 100):
        model = FakeModel()
        graphs = predict(model, images, batch_size=batch_size)
        assert [shade_of(graph) for graph in graphs] == shades
        assert max(model.batches) == min(batch_size, 12)
        assert sum(model.batches) == len(images)
        assert all(graph.image is not None for graph in graphs)


def test_predict_batches_images_of_equal_size():
    model = FakeModel()
    predict(model, [make_image(i, *((40, 30), (30, 40))[i % 2]) for i in range(8)], batch_size=4)
    assert model.batches == [4, 4]


def test_predict_each_reads_a_folder_lazily(tmp_path):
    for i in range(6):
        make_image(40 * i).save(tmp_path / f"{i}.png")
    (tmp_path / "5.png").write_text("broken")
    graphs = predict_each(FakeModel(), tmp_path, batch_size=2)
    first = [next(graphs) for _ in range(4)]
    assert [path.name for path, _ in first] == ["0.png", "1.png", "2.png", "3.png"]
    assert [shade_of(graph) for _, graph in first] == [0, 40, 80, 120]
    with pytest.raises(SpeaqError, match=r"5.png"):
        list(graphs)


def test_predict_each_limits_the_images_read_ahead():
    read = []

    def images():
        for i in range(100):
            read.append(i)
            yield make_image(i, *((64, 32) if i == 0 else (40, 30)))

    graphs = predict_each(FakeModel(), images(), batch_size=2)
    assert shade_of(next(graphs)[1]) == 0
    assert len(read) == 2 * BATCHES_AHEAD + 1
    assert [shade_of(graph) for _, graph in graphs] == list(range(1, 100))


def test_predict_options_replace_those_of_the_model():
    model = FakeModel()
    graph = predict(
        model, make_image(9), min_size=15, max_size=16, postprocess=PostProcessor(drop_self_relations=True)
    )
    assert model.images[0].shape == (3, 12, 16)
    assert graph.vocabulary == model.vocabulary


def test_score_and_top_filter_relations():
    torch.manual_seed(0)
    model = Speaq(tiny_config(predicates=("on", "under"), num_queries=20, query_multiplier=2))
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(4)
    image = make_image(200)
    whole = model.predict(image, min_size=64)
    assert len(whole) > 5
    np.testing.assert_array_equal(model.predict(image, min_size=64, top=3).queries, whole.queries[:3])
    least = float(whole.triplet_scores[3])
    np.testing.assert_array_equal(
        model.predict([image], min_size=64, score=least)[0].queries,
        whole.queries[whole.triplet_scores >= least],
    )
    lower = model.predict(image, min_size=64, dtype="bfloat16")
    assert not np.array_equal(lower.predicate_probs[0], whole.predicate_probs[0])
    order = np.argsort(whole.queries), np.argsort(lower.queries)
    if np.array_equal(whole.queries[order[0]], lower.queries[order[1]]):
        np.testing.assert_allclose(
            lower.predicate_probs[order[1]], whole.predicate_probs[order[0]], atol=0.05
        )


def test_on_unreadable_skips_images(tmp_path):
    for i in range(7):
        make_image(30 * i).save(tmp_path / f"{i}.png")
    for i in (0, 3, 6):
        (tmp_path / f"{i}.png").write_text("broken")
    missed = []
    graphs = predict_each(
        FakeModel(), tmp_path, batch_size=2, on_unreadable=lambda *what: missed.append(what)
    )
    assert [(path.name, shade_of(graph)) for path, graph in graphs] == [
        (f"{i}.png", 30 * i) for i in (1, 2, 4, 5)
    ]
    assert [path.name for path, _ in missed] == ["0.png", "3.png", "6.png"]
    assert all(f"{path}: the image cannot be read" in str(error) for path, error in missed)


def test_predict_gives_lists_for_batches_and_patterns(tmp_path):
    pixels = np.stack([np.asarray(make_image(50 * i)) for i in range(3)])
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    for batch in (pixels, tensor, tensor.float() / 255):
        assert [shade_of(graph) for graph in predict(FakeModel(), batch)] == [0, 50, 100]
    for i in range(3):
        make_image(50 * i).save(tmp_path / f"{i}[a].png")
    pattern = str(tmp_path / "[12]*.png")
    assert [graph.image.name for graph in predict(FakeModel(), pattern)] == ["1[a].png", "2[a].png"]
    assert predict(FakeModel(), str(tmp_path / "2[a].png")).image.name == "2[a].png"  # a file, no pattern


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 5)])
def test_predict_accepts_extreme_image_sizes(size):
    graph = Speaq(tiny_config(min_size=64, max_size=128)).predict(Image.new("RGB", size))
    assert graph.image_size == size[::-1]
    assert np.isfinite(graph.boxes).all()


def test_predict_rejects_wrong_options():
    for options, message in (
        ({"device": "cuda:99"}, "device cuda:99: this machine has cpu"),
        ({"batch_size": 0}, "batch_size: expected a whole number from 1 to 2147483647, found 0"),
        ({"batch_size": 2**31}, "batch_size: expected a whole number from 1 to 2147483647, found 2147483648"),
        ({"min_size": -5}, "min_size: expected a whole number from 1 to 2147483647, found -5"),
        ({"max_size": 99.5}, "max_size: expected a whole number from 1 to 2147483647, found 99.5"),
        ({"dtype": "int8"}, "dtype: expected float32 or bfloat16, found 'int8'"),
        ({"boxes": [[0, 0, 0.5, 0.5]]}, "image 0: boxes: expected pixels .* found numbers in 0..1"),
    ):
        with pytest.raises(SpeaqError, match=message):
            predict(FakeModel(), make_image(1), **options)
    assert shade_of(predict(FakeModel(), make_image(7), device="cpu")) == 7


def test_predict_reports_out_of_memory(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("out of memory")

    model = FakeModel()
    monkeypatch.setattr(model, "forward", full)
    with pytest.raises(SpeaqError, match="cpu: its memory is too small for 2 images of 43x32 at once"):
        predict(model, [make_image(1)] * 2)


def test_predict_of_no_images_gives_no_graphs():
    assert predict(FakeModel(), []) == []


def test_predict_restores_training_mode():
    model = FakeModel().train()
    predict(model, make_image(1))
    assert model.training
    assert not torch.is_inference_mode_enabled()
    graphs = predict_each(model, [make_image(1)] * 3, batch_size=1)
    next(graphs)
    assert model.training  # between two graphs of an unfinished iteration, too
    assert not torch.is_inference_mode_enabled()


def test_predict_with_given_boxes():
    model, images = FakeModel(), [make_image(20), make_image(90, 50, 40), make_image(160)]
    boxes = [[[1, 1, 9, 9], [10, 5, 30, 20]], [], [[0, 0, 5, 5]]]
    first, second, third = predict(model, images, boxes=boxes, labels=[["cup", None], [], None], batch_size=2)
    assert first.boxes.tolist() == boxes[0]
    assert first.labels[0] == 0
    assert first.scores[0] == 1
    assert set(map(tuple, first.pairs.tolist())) <= {(0, 1), (1, 0)}
    assert len(first) == 1  # as many as the network has predicate queries
    assert (len(second.boxes), len(third)) == (0, 0)
    assert first.vocabulary == model.vocabulary
    assert predict(model, make_image(20), boxes=boxes[0], labels=["cup", None]) == first
    with pytest.raises(SpeaqError, match=r"image 0: boxes\[0\]: expected a box in the image of 40x30 pixels"):
        predict(model, make_image(20), boxes=[[41, 0, 50, 9]])
    with pytest.raises(SpeaqError, match="expected an entry for each image, found 3 for 2 images"):
        predict(model, images[:2], boxes=boxes)
    with pytest.raises(SpeaqError, match="expected an entry for each image, found 2 for more images"):
        predict(model, images, boxes=boxes[:2])
