"""A DETR, of its authors or of transformers, as initial weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    ConditionalDetrConfig,
    ConditionalDetrForObjectDetection,
    DetrConfig,
    DetrForObjectDetection,
    PreTrainedModel,
    ResNetConfig,
)

from speaq.checkpoints.names import from_published
from speaq.checkpoints.weights import load_matching, read_weights
from speaq.errors import SpeaqError
from speaq.model.backbone import resnet_config
from speaq.model.decoder import Memory
from speaq.pretrained import Speaq
from tiny_model import tiny_config

SMALL = resnet_config(depth=50, stem_width=8, width=4)
BLOCKS = (3, 4, 6, 3)


def torchvision_resnet(*, bottleneck: bool = True) -> dict[str, Tensor]:
    """A ResNet-50, or a ResNet-34, with random weights under torchvision's names."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def add(conv: str, norm: str, out: int, into: int, kernel: int) -> None:
        state[f"{conv}.weight"] = (
            torch.randn(out, into, kernel, kernel, generator=generator) * (into * kernel**2) ** -0.5
        )
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = torch.rand(out, generator=generator) + 0.5
        state[f"{norm}.num_batches_tracked"] = torch.tensor(1)

    add("conv1", "bn1", 8, 3, 7)
    channels = 8
    for stage, number in enumerate(BLOCKS, 1):
        width = 4 * 2 ** (stage - 1) if bottleneck else 8 * 2 ** (stage - 1)
        out = 4 * width if bottleneck else width
        kernels = ((width, 1), (width, 3), (out, 1)) if bottleneck else ((width, 3), (width, 3))
        for block in range(number):
            name, into = f"layer{stage}.{block}", channels
            for i, (size, kernel) in enumerate(kernels, 1):
                add(f"{name}.conv{i}", f"{name}.bn{i}", size, into, kernel)
                into = size
            if block == 0 and (channels != out or stage > 1):
                add(f"{name}.downsample.0", f"{name}.downsample.1", out, channels, 1)
            channels = out
    return state


def resnet_features(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The last feature map of a ResNet (He et al., CVPR 2016), strides in the 3x3 convolutions."""

    def convolve(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        scale, bias, mean, variance = (
            state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return F.batch_norm(x, mean, variance, scale, bias)

    x = F.max_pool2d(convolve(x, "conv1", "bn1", 2).relu(), 3, 2, 1)
    for stage, number in enumerate(BLOCKS, 1):
        for block in range(number):
            name, shortcut = f"layer{stage}.{block}", x
            stride = 2 if block == 0 and stage > 1 else 1
            number_of_convs = 3 if f"{name}.conv3.weight" in state else 2
            for i in range(1, number_of_convs + 1):
                strided = i == (2 if number_of_convs == 3 else 1)
                x = convolve(x, f"{name}.conv{i}", f"{name}.bn{i}", stride if strided else 1)
                x = x.relu() if i < number_of_convs else x
            if f"{name}.downsample.0.weight" in state:
                shortcut = convolve(shortcut, f"{name}.downsample.0", f"{name}.downsample.1", stride)
            x = (x + shortcut).relu()
    return x


def original_detr() -> dict[str, Tensor]:
    """A DETR under the names of its authors, with 16 channels, 1 encoder and 2 decoder layers."""
    generator = torch.Generator().manual_seed(1)
    state = {f"backbone.0.body.{name}": tensor for name, tensor in torchvision_resnet().items()}

    def add(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(*shape, generator=generator)
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator)

    def layer(name: str, attentions: tuple[str, ...]) -> None:
        for attention in attentions:
            state[f"{name}.{attention}.in_proj_weight"] = torch.randn(48, 16, generator=generator)
            state[f"{name}.{attention}.in_proj_bias"] = torch.randn(48, generator=generator)
            add(f"{name}.{attention}.out_proj", 16, 16)
        add(f"{name}.linear1", 16, 16)
        add(f"{name}.linear2", 16, 16)
        for i in range(len(attentions) + 1):
            add(f"{name}.norm{i + 1}", 16)

    add("input_proj", 16, 128, 1, 1)
    layer("transformer.encoder.layers.0", ("self_attn",))
    for i in range(2):
        layer(f"transformer.decoder.layers.{i}", ("self_attn", "multihead_attn"))
    add("transformer.decoder.norm", 16)
    add("class_embed", 92, 16)
    for i, width in enumerate((16, 16, 4)):
        add(f"bbox_embed.layers.{i}", width, 16)
    state["query_embed.weight"] = torch.randn(100, 16, generator=generator)
    return state


def test_the_names_of_detr_itself(tmp_path, caplog):
    state = original_detr()
    torch.save({"model": state}, tmp_path / "detr-r50.pth")
    model = Speaq(tiny_config(backbone=SMALL)).eval()
    report = load_matching(model, tmp_path / "detr-r50.pth")
    assert report.unexpected == []
    assert [text.split()[0] for text in report.mismatched] == [
        "decoder.subject_embedding.weight",
        "heads.entity_class.bias",
        "heads.entity_class.weight",
    ]
    scene_graph = ("_position.", "_graph.", "_graph_norm.", "_embedding.", "predicate_class.")
    assert all(any(part in name for part in scene_graph) for name in report.missing)
    plain = {name.removeprefix("backbone.0.body."): tensor for name, tensor in state.items()}
    images = torch.randn(1, 3, 70, 100)
    with torch.no_grad():
        expected = resnet_features(plain, images)
        assert (model.backbone(images) - expected).abs().max() < 1e-5 * expected.max()
    attention = model.decoder.relation_layers[1].cross_attention
    packed = state["transformer.decoder.layers.1.multihead_attn.in_proj_weight"]
    assert torch.equal(attention.key.weight, packed[16:32])
    assert torch.equal(model.decoder.relation_norm.weight, state["transformer.decoder.norm.weight"])
    assert not caplog.records


@pytest.mark.parametrize("bottleneck", [True, False])
def test_the_names_of_torchvision(tmp_path, caplog, bottleneck):
    state = torchvision_resnet(bottleneck=bottleneck)
    state["fc.weight"], state["fc.bias"] = torch.ones(10, 4), torch.ones(10)
    torch.save(state, tmp_path / "resnet.pth")
    backbone = SMALL if bottleneck else resnet_config(depth=34, stem_width=8, width=8)
    model = Speaq(tiny_config(backbone=backbone)).eval()
    report = load_matching(model, tmp_path / "resnet.pth")
    assert report.unexpected == ["fc.bias", "fc.weight"] and report.mismatched == []
    assert report.loaded == [name for name in sorted(model.state_dict()) if name.startswith("backbone.")]
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = resnet_features(state, images)
        assert (model.backbone(images) - expected).abs().max() < 1e-5 * expected.max()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "nothing of the transformer was loaded" in caplog.text


def test_other_pixels_and_strides_than_those_of_the_weights_are_reported(tmp_path, caplog):
    torch.save(original_detr(), tmp_path / "detr.pth")
    backbone = {**SMALL, "downsample_in_bottleneck": True}
    load_matching(Speaq(tiny_config(backbone=backbone, pixel_order="BGR")), tmp_path / "detr.pth")
    assert "set INPUT.FORMAT RGB, MODEL.RESNETS.STRIDE_IN_1X1 False" in caplog.text


def test_a_checkpoint_without_a_backbone_is_reported(tmp_path, caplog):
    state = {name: tensor for name, tensor in original_detr().items() if not name.startswith("backbone.")}
    torch.save(state, tmp_path / "detr.pth")
    load_matching(Speaq(tiny_config(backbone=SMALL)), tmp_path / "detr.pth")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "detr.pth: nothing of the backbone was loaded; it starts from random weights" in caplog.text


def transformers_config(cls: Any, **changes: Any) -> Any:
    values = {
        "backbone_config": ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 16, 32, 64],
            depths=[2, 2, 2, 2],
            layer_type="basic",
            out_features=["stage4"],
        ),
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "num_queries": 4,
        "id2label": {0: "N/A", 1: "table", 2: "dog"},
    }
    return cls(**{**values, **changes})


def random_model(cls: Any, config: Any) -> PreTrainedModel:
    """A model of transformers with random weights, norms included."""
    torch.manual_seed(0)
    model = cls(config).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.ndim == 1:
                tensor.copy_(torch.rand_like(tensor) + (0.5 if "running_var" in name else -0.2))
    return model


def ours() -> Speaq:
    return Speaq(tiny_config(encoder_layers=2, feedforward_dim=24, objects=("cup", "table"))).eval()


def padded_batch() -> tuple[Tensor, Tensor, Tensor]:
    """Normalized pixels (2, 3, 96, 128) with 0 in the padding, sizes (2, 2) and the mask of the pixels."""
    sizes = torch.tensor([[96, 60], [40, 128]])
    images = torch.randint(0, 256, (2, 3, 96, 128), dtype=torch.uint8)
    mask = torch.zeros(2, 96, 128, dtype=torch.long)
    for i, (height, width) in enumerate(sizes.tolist()):
        mask[i, :height, :width] = 1
    return images, sizes, mask


@pytest.mark.parametrize(
    ("model_class", "config_class"),
    [(DetrForObjectDetection, DetrConfig), (ConditionalDetrForObjectDetection, ConditionalDetrConfig)],
)
@pytest.mark.parametrize("old", [False, True])
def test_the_encoder_of_transformers_detr(tmp_path, caplog, model_class, config_class, old):
    theirs = random_model(model_class, transformers_config(config_class))
    theirs.save_pretrained(tmp_path)
    if old:
        (tmp_path / "model.safetensors").unlink()
        torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    model = ours()
    report = load_matching(model, tmp_path)
    assert not any(name.startswith(("backbone.", "projection.", "encoder.")) for name in report.missing)
    assert not any("nothing of" in record.message for record in caplog.records)
    images, sizes, mask = padded_batch()
    with torch.no_grad():
        tokens, position, valid, _ = model._tokens(images, sizes)
        memory = model.encoder(tokens, position, valid)
        output = theirs(model._normalize(images, sizes), mask)
    assert valid is not None and not valid.all()
    assert torch.allclose(memory[valid], output.encoder_last_hidden_state[valid], atol=1e-5)


def test_the_decoder_of_transformers_detr(tmp_path, caplog):
    theirs = random_model(DetrForObjectDetection, transformers_config(DetrConfig))
    theirs.save_pretrained(tmp_path)
    model = ours()
    with caplog.at_level("INFO"):
        report = load_matching(model, tmp_path)
    assert report.unexpected == [] and report.mismatched == []
    images, sizes, mask = padded_batch()
    with torch.no_grad():
        tokens, position, valid, _ = model._tokens(images, sizes)
        encoded = model.encoder(tokens, position, valid)
        memory = Memory(encoded, encoded + position, valid)
        output = theirs(model._normalize(images, sizes), mask, output_hidden_states=True)
        query = model.decoder.subject_embedding.weight.expand(2, -1, -1)
        for kind in ("subject", "object", "relation"):
            layers, x = getattr(model.decoder, f"{kind}_layers"), torch.zeros_like(query)
            x = layers[0](x, query, memory)
            assert torch.allclose(x, output.decoder_hidden_states[1], atol=1e-5)
            x = layers[1](x, query, memory)
            state = model.decoder.entity_norm(x)
            assert torch.allclose(state, output.last_hidden_state, atol=1e-5)
        assert torch.allclose(model.heads.box(state), output.pred_boxes, atol=1e-5)
        logits = model.heads.entity_class(state)
    # Classes "cup", "table" and none of ours; "N/A", "table", "dog" and none of the detector.
    assert torch.allclose(logits[..., 1:], output.logits[..., [1, 3]], atol=1e-5)
    assert report.partial == ["heads.entity_class.bias", "heads.entity_class.weight"]
    assert (
        "1 of 2 objects taken from the checkpoint by name (table); 1 newly initialized (cup)" in caplog.text
    )


def test_conditional_detr_leaves_out_what_has_another_meaning(tmp_path):
    theirs = random_model(
        ConditionalDetrForObjectDetection,
        transformers_config(ConditionalDetrConfig, id2label={0: "a", 1: "b", 2: "c"}),
    )
    theirs.save_pretrained(tmp_path)
    model = ours()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = load_matching(model, tmp_path)
    own, decoder = model.state_dict(), theirs.model.decoder
    for name in (
        "heads.entity_class.weight",
        "heads.box.layers.0.weight",
        "decoder.subject_embedding.weight",
    ):
        assert torch.equal(own[name], before[name]) and name in report.missing
    for kind in ("subject", "object", "relation"):
        layer = getattr(model.decoder, f"{kind}_layers")[1]
        assert torch.equal(layer.feedforward.expand.weight, decoder.layers[1].mlp.fc1.weight)
        assert torch.equal(layer.cross_attention.value.weight, decoder.layers[1].encoder_attn.v_proj.weight)
        assert f"decoder.{kind}_layers.1.self_attention.query.weight" in report.missing
    assert any("qcontent_proj" in name for name in report.unexpected)


def test_published_files_of_transformers_have_names_of_timm():
    state = {f"model.backbone.conv_encoder.model.{k}": v for k, v in torchvision_resnet().items()}
    layer = "model.decoder.layers.0."
    state |= {f"{layer}encoder_attn.out_proj.bias": torch.ones(1), f"{layer}fc1.bias": torch.ones(1)}
    state |= {f"{layer}sa_v_proj.bias": torch.ones(1)}
    names = set(from_published(state))
    backbone = {
        name for name in Speaq(tiny_config(backbone=SMALL)).state_dict() if name.startswith("backbone.")
    }
    assert names >= backbone
    rest = {name.removeprefix("decoder.subject_layers.0.") for name in names - backbone if "subject" in name}
    assert rest == {"cross_attention.output.bias", "feedforward.expand.bias", "self_attention.value.bias"}


def test_differences_of_a_detr_are_reported(tmp_path, caplog):
    config = transformers_config(DetrConfig, position_embedding_type="learned", encoder_attention_heads=4)
    random_model(DetrForObjectDetection, config).save_pretrained(tmp_path)
    load_matching(ours(), tmp_path)
    assert "encoder_attention_heads 4, the model 2" in caplog.text
    assert "position_embedding_type learned, the model sine" in caplog.text


def test_a_detr_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    theirs = random_model(DetrForObjectDetection, transformers_config(DetrConfig))
    theirs.save_pretrained(tmp_path / "new")
    (tmp_path / "old").mkdir()
    (tmp_path / "new" / "config.json").rename(tmp_path / "old" / "config.json")
    torch.save(theirs.state_dict(), tmp_path / "old" / "saved.bin")
    asked: list[list[str]] = []

    def download(name: str, files: list[str]) -> Path:
        asked.append(files)
        if "pytorch_model.bin" in files:
            (tmp_path / "old" / "saved.bin").rename(tmp_path / "old" / "pytorch_model.bin")
        return tmp_path / "old"

    monkeypatch.setattr("speaq.checkpoints.weights.download", download)
    report = load_matching(ours(), "facebook/detr-resnet-50")
    assert report.unexpected == []
    assert asked == [["config.json", "model.safetensors"], ["config.json", "pytorch_model.bin"]]


def test_other_detectors_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "deformable_detr"}')
    with pytest.raises(
        SpeaqError, match=r"a deformable_detr model, but the backbone is a resnet; expected .* detr"
    ):
        load_matching(ours(), tmp_path)


def test_read_weights_of_a_folder_of_transformers(tmp_path):
    random_model(DetrForObjectDetection, transformers_config(DetrConfig)).save_pretrained(tmp_path)
    weights = read_weights(tmp_path)
    assert weights.keys() <= ours().state_dict().keys()
