"""From published checkpoints to models of ours, and back."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    ResNetConfig,
    ResNetForImageClassification,
)

from golden_weights import published_state
from speaq.checkpoints.architecture import infer_architecture
from speaq.checkpoints.convert import ConvertedModel, convert_checkpoint, write_published
from speaq.checkpoints.names import from_published, to_published
from speaq.checkpoints.saved_models import save_pretrained
from speaq.checkpoints.weights import load_initial_weights, load_matching, read_weights
from speaq.config import Config, load_config
from speaq.errors import SpeaqError
from speaq.model.backbone import resnet_config
from speaq.pretrained import Speaq
from speaq.structures import Vocabulary
from tiny_model import tiny_config

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden"
VG = Vocabulary(tuple(f"object {i}" for i in range(150)), tuple(f"predicate {i}" for i in range(50)))
HEADS = ["MODEL.DETR.NHEADS", 4]
PREFIX = "detr.backbone.0.backbone."


@pytest.fixture(scope="module")
def small() -> dict[str, torch.Tensor]:
    return published_state("model_small.json")


@pytest.fixture(scope="module")
def small_file(small, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("published") / "model.pth"
    torch.save({"model": small}, path)
    return path


def convert(
    path: Path, *pairs: object, file: Path | None = None, vocabulary: Vocabulary = VG
) -> ConvertedModel:
    config = load_config(file, pairs)
    return convert_checkpoint(path, vocabulary=vocabulary, config=config, trained_with=file is not None)


def tiny_published(path: Path, **changes: Any) -> Path:
    """A file of a tiny model under the published names."""
    state = to_published(Speaq(tiny_config(**changes)).state_dict())
    torch.save({"model": state}, path)
    return path


TINY = Vocabulary(("cup", "table"), ("on",))


@pytest.mark.parametrize("name", ["model_small", "model_small_baseline", "model_paper"])
def test_published_to_ours_and_back_is_identical(name):
    published = published_state(f"{name}.json")
    back = to_published(from_published(published))
    assert sorted(back) == sorted(published)
    for key, tensor in published.items():
        assert back[key].dtype == tensor.dtype and torch.equal(back[key], tensor), key


@pytest.mark.parametrize("name", ["model_small", "model_small_baseline"])
def test_golden_outputs_after_conversion(name, tmp_path):
    published = published_state(f"{name}.json")
    torch.save({"model": published}, tmp_path / "model.pth")
    conversion = convert(tmp_path / "model.pth", *HEADS)
    report = conversion.report
    assert (report.missing, report.unexpected, report.mismatched, report.not_finite) == ([], [], [], [])
    save_pretrained(conversion.model, tmp_path / "ours")
    model, figures = Speaq.from_pretrained(tmp_path / "ours"), np.load(GOLDEN / f"{name}.npz")
    images = [torch.from_numpy(figures[f"image_{i}"]) for i in range(2)]
    sizes = torch.tensor([image.shape[1:] for image in images])
    batch = torch.zeros(2, 3, *sizes.amax(0).tolist(), dtype=torch.uint8)
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    with torch.no_grad():
        output = model(batch, sizes)
    for ours, theirs in {
        "predicate_logits": "relation_logits",
        "predicate_boxes": "relation_boxes",
        "subject_logits": "relation_subject_logits",
        "object_boxes": "relation_object_boxes",
    }.items():
        value, expected = getattr(output, ours)[-1], figures[f"out.{theirs}"]
        if value.shape[1] != expected.shape[1]:
            value = value.repeat_interleave(model.config.query_multiplier, dim=1)
        np.testing.assert_allclose(value.numpy(), expected, atol=5e-5, rtol=0, err_msg=ours)


@pytest.mark.parametrize(
    ("name", "depth", "sizes", "multiplier"),
    [
        ("model_small", 50, (64, 128, 2, 3, 40), 2),
        ("model_small_baseline", 50, (64, 128, 2, 3, 40), 1),
        ("model_paper", 101, (256, 2048, 6, 6, 300), 2),
    ],
)
def test_infer_architecture_from_shapes(name, depth, sizes, multiplier):
    keys = json.loads((GOLDEN / f"{name}.json").read_text())["keys"]
    state = {key: torch.empty(shape, device="meta") for key, shape in keys}
    found = infer_architecture(from_published(state))
    assert found.kind == "scene graph model"
    assert found.resnet_depths == (depth,) and found.backbone is not None
    assert found.backbone["hidden_sizes"] == [256, 512, 1024, 2048]
    names = ("hidden_dim", "feedforward_dim", "encoder_layers", "decoder_layers", "num_queries")
    assert tuple(found.known[field] for field in names) == sizes
    assert found.known["query_multiplier"] == multiplier
    assert (found.num_objects, found.num_predicates) == (150, 50)


@pytest.mark.parametrize("depth", [18, 34, 50])
@pytest.mark.parametrize("stages", [2, 4])
def test_tiny_models_there_and_back(tmp_path, depth, stages):
    backbone = resnet_config(depth=depth, num_stages=stages, stem_width=8, width=8)
    torch.manual_seed(0)
    model = Speaq(tiny_config(backbone=backbone, query_multiplier=3, num_heads=8)).eval()
    model.save_pretrained(tmp_path / "a")
    write_published(tmp_path / "a", tmp_path / "a.pth")
    again = convert(tmp_path / "a.pth", vocabulary=TINY)
    assert again.model.config == model.config
    state = again.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_depths_that_look_alike(tmp_path):
    backbone = resnet_config(depth=101, num_stages=2, stem_width=8, width=8)
    path = tiny_published(tmp_path / "a.pth", backbone=backbone)
    assert convert(path, vocabulary=TINY).architecture.resnet_depths == (50, 101)
    assert convert(path, "MODEL.RESNETS.DEPTH", 101, vocabulary=TINY).model.config.backbone == backbone
    with pytest.raises(SpeaqError, match=r"has ResNet depth 50, but MODEL.RESNETS.DEPTH is 18"):
        convert(path, "MODEL.RESNETS.DEPTH", 18, vocabulary=TINY)


def test_settings_that_shapes_do_not_show(tmp_path):
    path = tiny_published(tmp_path / "a.pth")
    ours = convert(path, vocabulary=TINY).model.config
    assert (ours.num_heads, ours.dropout, ours.freeze_at, ours.nms_threshold) == (8, 0.1, 2, 0.5)
    assert (ours.min_size, ours.max_size, ours.pixel_order) == (800, 1333, "RGB")
    assert ours.pixel_mean == (123.675, 116.28, 103.53) and not ours.backbone["downsample_in_bottleneck"]
    pairs = [
        *HEADS,
        "INPUT.MIN_SIZE_TEST",
        600,
        "MODEL.RESNETS.STRIDE_IN_1X1",
        True,
        "MODEL.PIXEL_STD",
        "[1, 2, 3]",
    ]
    ours = convert(path, *pairs, vocabulary=TINY).model.config
    assert (ours.num_heads, ours.min_size, ours.pixel_order) == (4, 600, "RGB")
    assert ours.pixel_std == (1, 2, 3) and ours.pixel_mean == (123.675, 116.28, 103.53)
    assert ours.backbone["downsample_in_bottleneck"]
    # A file is the configuration of the training, its defaults included.
    file = tmp_path / "training.yaml"
    file.write_text("MODEL: {DETR: {NHEADS: 2}}")
    ours = convert(path, file=file, vocabulary=TINY).model.config
    assert (ours.num_heads, ours.pixel_order, ours.pixel_std) == (2, "BGR", (1, 1, 1))
    assert ours.backbone["downsample_in_bottleneck"]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"HIDDEN_DIM": 256}, "hidden dim 64, but MODEL.DETR.HIDDEN_DIM is 256"),
        ({"DIM_FEEDFORWARD": 64}, "feedforward dim 128, but MODEL.DETR.DIM_FEEDFORWARD is 64"),
        ({"ENC_LAYERS": 6}, "encoder layers 2, but MODEL.DETR.ENC_LAYERS is 6"),
        ({"DEC_LAYERS": 6}, "decoder layers 3, but MODEL.DETR.DEC_LAYERS is 6"),
        (
            {"NUM_OBJECT_QUERIES": 300, "NUM_RELATION_QUERIES": 300},
            "num queries 40, but MODEL.DETR.NUM_OBJECT_QUERIES is 300",
        ),
        (
            {"MULTIPLY_QUERY": 3, "ONLY_PREDICATE_MULTIPLY": True},
            "query multiplier 2, but MODEL.DETR.MULTIPLY_QUERY is 3",
        ),
        ({"NUM_CLASSES": 80}, "object classes 150, but MODEL.DETR.NUM_CLASSES is 80"),
        ({"NUM_RELATION_CLASSES": 56}, "predicates 50, but MODEL.DETR.NUM_RELATION_CLASSES is 56"),
        ({"REFERENCE_POINTS": True}, "reference points False, but MODEL.DETR.REFERENCE_POINTS is True"),
        ({"NHEADS": 128}, "hidden size is 64; expected a multiple of 4 and of MODEL.DETR.NHEADS, 128"),
    ],
)
def test_contradicting_keys_are_refused(small_file, pairs, message):
    with pytest.raises(SpeaqError, match=message) as caught:
        convert(small_file, *(item for key, value in pairs.items() for item in (f"MODEL.DETR.{key}", value)))
    assert str(caught.value).startswith(f"{small_file}: ")


def test_contradicting_backbone_keys_are_refused(small_file):
    for key, value, message in (
        ("RESNETS.DEPTH", 101, "ResNet depth 50, but MODEL.RESNETS.DEPTH is 101"),
        ("RESNETS.OUT_FEATURES", "['res4']", "ResNet stages 4, but MODEL.RESNETS.OUT_FEATURES"),
        ("RESNETS.STEM_OUT_CHANNELS", 32, "stem channels 64, but MODEL.RESNETS.STEM_OUT_CHANNELS is 32"),
        ("RESNETS.RES2_OUT_CHANNELS", 128, "first stage 256, but MODEL.RESNETS.RES2_OUT_CHANNELS is 128"),
    ):
        with pytest.raises(SpeaqError, match=message):
            convert(small_file, f"MODEL.{key}", value)


def test_other_numbers_of_classes_are_refused(small_file):
    with pytest.raises(SpeaqError, match="has 150 object classes, but the mapping dictionary names 2"):
        convert(small_file, vocabulary=TINY)
    with pytest.raises(SpeaqError, match="has 50 predicates, but the mapping dictionary names 1"):
        convert(small_file, vocabulary=Vocabulary(VG.objects, ("on",)))


def test_inconsistent_checkpoints_are_refused(tmp_path):
    def message(change: Any) -> str:
        state = to_published(Speaq(tiny_config(query_multiplier=2)).state_dict())
        change(state)
        torch.save(state, tmp_path / "a.pth")
        with pytest.raises(SpeaqError) as caught:
            convert(tmp_path / "a.pth", vocabulary=TINY)
        return str(caught.value)

    def without(text: str) -> Any:
        return lambda state: [state.pop(name) for name in list(state) if text in name]

    layer = "detr.transformer.decoder.subject_layers."
    assert "found decoder.subject_layers.1, but not decoder.subject_layers.0" in message(without(f"{layer}0"))
    assert "stages of 2, 2, 1, 2 blocks with two convolutions" in message(without("res4.1"))
    assert "decoder.subject_embedding.weight has the shape (4, 1000000), but" in message(
        lambda state: state.update({"detr.query_embed.weight": torch.ones(4, 10**6)})
    )
    assert "decoder.relation_embedding.weight has the shape (7, 16), but" in message(
        lambda state: state.update({"detr.relation_query_embed.weight": torch.ones(7, 16)})
    )
    assert "linear1.bias" not in message(  # by our name: feedforward.expand
        lambda state: state.update({f"{layer}1.linear1.bias": torch.ones(3)})
    )
    far = {f"{layer}1000000000.linear1.bias": torch.ones(3)}
    assert "found decoder.subject_layers.1000000000, but not" in message(lambda state: state.update(far))
    only = {"somewhere.else": torch.ones(1)}
    assert "neither a transformer nor a ResNet" in message(lambda state: (state.clear(), state.update(only)))


def test_convert_a_detector(small, tmp_path):
    names = {
        "detr.transformer.decoder.subject_layers.": "detr.transformer.decoder.layers.",
        "detr.transformer.decoder.subject_norm.": "detr.transformer.decoder.norm.",
        "detr.transformer.object_bbox_coords.": "detr.bbox_embed.",
        "detr.transformer.object_embed.": "detr.class_embed.",
        **{
            name: name
            for name in ("detr.backbone.", "detr.input_proj.", "detr.transformer.encoder.", "detr.query")
        },
    }
    state = {
        plain + name.removeprefix(theirs): tensor
        for name, tensor in small.items()
        for theirs, plain in names.items()
        if name.startswith(theirs)
    }
    torch.save({"model": state}, tmp_path / "detector.pth")
    pairs = [*HEADS, "MODEL.DETR.MULTIPLY_QUERY", 2, "MODEL.DETR.ONLY_PREDICATE_MULTIPLY", True]
    conversion = convert(tmp_path / "detector.pth", *pairs)
    assert conversion.architecture.kind == "detector"
    parts = {name.split(".")[1] for name in conversion.report.missing}
    graphs = {f"{kind}_graph{end}" for kind in ("subject", "object", "relation") for end in ("", "_norm")}
    rest = {
        "object_position",
        "relation_position",
        "object_embedding",
        "relation_embedding",
        "predicate_class",
    }
    assert parts == graphs | rest
    assert conversion.report.unexpected == []
    assert conversion.model.config.query_multiplier == 2
    # The folder is a start for a training, as the file itself is.
    save_pretrained(conversion.model, tmp_path / "ours")
    model = Speaq(conversion.model.config)
    load_initial_weights(model, Config.model_validate({"MODEL": {"WEIGHTS": str(tmp_path / "ours")}}))
    own = model.state_dict()
    expected = from_published(state)
    assert all(torch.equal(own[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
def test_convert_a_resnet(tmp_path, suffix):
    backbone = resnet_config(depth=50, stem_width=8, width=8)
    state = to_published(Speaq(tiny_config(backbone=backbone)).state_dict())
    arrays = {name.removeprefix(PREFIX): t.numpy() for name, t in state.items() if name.startswith(PREFIX)}
    content = {"model": {**arrays, "stem.fc.bias": np.zeros(4, np.float32)}, "__author__": "someone"}
    path = tmp_path / f"R-50{suffix}"
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    sizes = {"HIDDEN_DIM": 16, "DIM_FEEDFORWARD": 16, "ENC_LAYERS": 1, "DEC_LAYERS": 1}
    pairs = [item for key, value in sizes.items() for item in (f"MODEL.DETR.{key}", value)]
    conversion = convert(path, *pairs, vocabulary=TINY)
    assert (conversion.architecture.kind, conversion.architecture.resnet_depths) == ("backbone", (50,))
    assert len(conversion.report.loaded) == len(arrays)
    assert conversion.report.unexpected == ["stem.fc.bias"]
    assert not any(name.startswith("backbone.") for name in conversion.report.missing)
    config = convert(path, *pairs, "MODEL.RESNETS.OUT_FEATURES", "['res4']", vocabulary=TINY).model.config
    assert config.backbone["hidden_sizes"] == [32, 64, 128]


def test_nan_weights_are_reported(tmp_path, caplog):
    path = tiny_published(tmp_path / "a.pth")
    state = torch.load(path)["model"]
    state["detr.input_proj.bias"][0] = float("nan")
    state["detr.query_embed.weight"][0, 0] = float("inf")
    torch.save(state, path)
    report = convert(path, vocabulary=TINY).report
    assert report.not_finite == ["decoder.subject_embedding.weight", "projection.bias"]
    assert "2 tensors contain NaN or infinity" in caplog.text and "projection.bias" in caplog.text
    assert "2 not finite (decoder.subject_embedding.weight, projection.bias)" in str(report)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, dtype):
    path = tiny_published(tmp_path / "a.pth")
    state = {name: tensor.to(dtype) for name, tensor in torch.load(path)["model"].items()}
    torch.save(state, path)
    own = convert(path, vocabulary=TINY).model.state_dict()
    assert all(torch.equal(own[name], tensor.float()) for name, tensor in from_published(state).items())


def test_models_without_a_published_counterpart(tmp_path):
    for changes in ({"reference_points": True}, {"dense_head": True}):
        Speaq(tiny_config(**changes)).save_pretrained(tmp_path / "a")
        with pytest.raises(SpeaqError, match="the published model has no such parameter"):
            write_published(tmp_path / "a", tmp_path / "a.pth")
    assert not (tmp_path / "a.pth").exists()


def test_published_names_in_safetensors(tmp_path):
    from safetensors.torch import save_file

    state = {"detr.input_proj.bias": torch.ones(2)}
    save_file(state, tmp_path / "a.safetensors")
    assert list(read_weights(tmp_path / "a.safetensors")) == ["projection.bias"]


def test_a_backbone_as_weights(tmp_path, monkeypatch):
    shape = {
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 32, 64],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
    }
    source = ResNetForImageClassification(ResNetConfig(**shape))
    source.save_pretrained(tmp_path / "resnet")
    model = Speaq(tiny_config())
    before = model.heads.box.layers[0].weight.clone()
    report = load_matching(model, tmp_path / "resnet")
    theirs = source.get_parameter("resnet.embedder.embedder.convolution.weight")
    assert torch.equal(model.backbone.body.embedder.embedder.convolution.weight, theirs)
    assert torch.equal(model.heads.box.layers[0].weight, before)
    assert len(report.loaded) + len(report.missing) == len(model.state_dict())
    assert all(name.startswith("backbone.") for name in report.loaded) and report.loaded
    other = ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1])
    AutoModelForImageClassification.from_config(other).save_pretrained(tmp_path / "convnext")
    with pytest.raises(SpeaqError, match="a convnext model, but the backbone is a resnet"):
        load_matching(model, tmp_path / "convnext")
    deeper = ResNetConfig(**{**shape, "depths": [1, 1, 1, 1]})
    AutoModelForImageClassification.from_config(deeper).save_pretrained(tmp_path / "other")
    with pytest.raises(SpeaqError, match=r"does not match the backbone: .*missing"):
        load_matching(model, tmp_path / "other")


def test_an_id_on_the_hub_as_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = Speaq(tiny_config())
    saved.save_pretrained(tmp_path / "cache")
    asked: list[str] = []

    def download(name: str, files: list[str]) -> Path:
        asked.append(name)
        return tmp_path / "cache"

    monkeypatch.setattr("speaq.checkpoints.weights.download", download)
    model = Speaq(tiny_config())
    report = load_matching(model, "someone/speaq-vg")
    assert asked == ["someone/speaq-vg"] and not report.missing
    assert torch.equal(model.projection.weight, saved.projection.weight)
    for missing in ("pretrained/detector.pth", "./pretrained/detector.pth", "detector", "cache/none"):
        with pytest.raises(SpeaqError, match="no such weights file"):
            load_matching(model, missing)
    assert asked == ["someone/speaq-vg"]


def test_load_matching_raises_without_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        SpeaqError, match="someone/nothing: neither a local folder nor a readable model on the hub"
    ):
        load_matching(Speaq(tiny_config()), "someone/nothing")
