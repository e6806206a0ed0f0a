"""Backbones of the transformers library, by name: here tiny random ones in folders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModel, AutoModelForImageClassification, BertConfig
from transformers.models.convnext.configuration_convnext import ConvNextConfig
from transformers.models.dinov2.configuration_dinov2 import Dinov2Config
from transformers.models.focalnet.configuration_focalnet import FocalNetConfig
from transformers.models.hiera.configuration_hiera import HieraConfig
from transformers.models.resnet.configuration_resnet import ResNetConfig
from transformers.models.swin.configuration_swin import SwinConfig

from speaq.checkpoints.weights import load_initial_weights
from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.model.backbone import Backbone, pretrained_backbone_config, resnet_config
from speaq.model.build import model_config
from speaq.model.config import ModelConfig
from speaq.pretrained import Speaq
from speaq.structures import Vocabulary
from tiny_model import tiny_config

PYRAMID: dict[str, Any] = {"depths": [1, 1, 1, 1]}
FAMILIES = {
    "resnet": ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 32], **PYRAMID),
    "convnext": ConvNextConfig(hidden_sizes=[8, 16, 16, 32], **PYRAMID),
    "swin": SwinConfig(embed_dim=8, num_heads=[1, 1, 2, 2], **PYRAMID),
    "focalnet": FocalNetConfig(embed_dim=8, **PYRAMID),
    "dinov2": Dinov2Config(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=56, patch_size=14
    ),
}
CLASSIFIERS = ("resnet", "convnext", "swin")
STRIDES = {"resnet": 32, "convnext": 32, "swin": 32, "focalnet": 32, "dinov2": 14}
CHANNELS = {"resnet": 32, "convnext": 32, "swin": 64, "focalnet": 64, "dinov2": 24}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Saved models, the first three as classifiers, which is how hubs have them; every tensor is random."""
    places = {}
    for name, config in FAMILIES.items():
        torch.manual_seed(0)
        model = (AutoModelForImageClassification if name in CLASSIFIERS else AutoModel).from_config(config)
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        for key, buffer in model.named_buffers():
            if key.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 1.5)
        places[name] = tmp_path_factory.mktemp("models") / name
        model.save_pretrained(places[name])
    return places


def small(backbone: dict[str, Any], **changes: Any) -> ModelConfig:
    values = {"dropout": 0.0, "query_multiplier": 2, "reference_points": True, "dense_head": True}
    return tiny_config(backbone=backbone, **{**values, **changes})


@pytest.mark.parametrize("name", FAMILIES)
def test_pretrained_backbones(folders, name, tmp_path):
    config = pretrained_backbone_config(str(folders[name]))
    assert json.loads(json.dumps(config)) == config
    assert not {"id2label", "architectures", "dtype"} & set(config)
    model = Speaq(small(config, freeze_at=0))
    assert (model.backbone.stride, model.backbone.channels) == (STRIDES[name], CHANNELS[name])
    model.backbone.load_pretrained(str(folders[name]))

    # Sizes that are no multiples of the stride, with padding; every parameter takes part.
    images = torch.randint(0, 256, (2, 3, 100, 135), dtype=torch.uint8)
    sizes = torch.tensor([[100, 135], [70, 97]])
    output = model.train()(images, sizes)
    assert output.token_logits is not None and output.token_boxes is not None
    (output.predicate_logits.sum() + output.predicate_boxes.sum() + output.subject_boxes.sum()).backward()
    trained = [(key, p) for key, p in model.backbone.named_parameters() if p.requires_grad]
    assert trained and all(p.grad is not None for _, p in trained)

    # config.json is enough to load it again, bit for bit.
    model.save_pretrained(tmp_path)
    again = Speaq.from_pretrained(tmp_path)
    assert again.config == model.config
    with torch.no_grad():
        ours, theirs = model.eval()(images, sizes), again(images, sizes)
    assert torch.equal(ours.subject_logits, theirs.subject_logits)
    assert torch.equal(ours.predicate_boxes, theirs.predicate_boxes)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_pretrained_weights_are_those_of_the_classifier(folders, name):
    backbone = Backbone(pretrained_backbone_config(str(folders[name])), freeze_at=0).eval()
    backbone.load_pretrained(str(folders[name]))
    classifier = AutoModelForImageClassification.from_pretrained(folders[name]).eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = classifier(images, output_hidden_states=True).hidden_states[-1]
        features = backbone(images)
        if name != "resnet":
            # A norm follows: of the pooled features in the classifier, of every cell in the backbone.
            expected = expected.flatten(2) if expected.ndim == 4 else expected.transpose(1, 2)
            expected = nn.functional.layer_norm(expected.transpose(1, 2), expected.shape[1:2])
            features = features.flatten(2).transpose(1, 2)
    torch.testing.assert_close(features, expected, atol=2e-4, rtol=0)


def test_a_resnet_of_the_hub_has_the_names_of_ours(folders, tmp_path):
    published = ResNetConfig(embedding_size=8, hidden_sizes=[32, 64, 128, 256], depths=[3, 4, 6, 3])
    AutoModelForImageClassification.from_config(published).save_pretrained(tmp_path)
    backbone = Backbone(resnet_config(depth=50, stem_width=8, width=8))
    backbone.load_pretrained(str(tmp_path))
    assert backbone.channels == 256


@pytest.mark.parametrize(
    ("name", "stem", "stage"),
    [
        ("resnet", "embedder.", "encoder.stages.{}."),
        ("convnext", "embeddings.", "encoder.stages.{}."),
        ("swin", "swin.embeddings.", "swin.encoder.layers.{}."),
        ("dinov2", "embeddings.", "encoder.layer.{}."),
    ],
)
def test_freeze_at_of_other_backbones(folders, name, stem, stage):
    config = pretrained_backbone_config(str(folders[name]))
    places = [stem, *(stage.format(i) for i in range(3 if name == "dinov2" else 4))]
    for freeze_at in range(len(places) + 1):
        body = Backbone(config, freeze_at=freeze_at).body
        trained = [key for key, p in body.named_parameters() if p.requires_grad]
        for i, place in enumerate(places):
            assert any(key.startswith(place) for key in trained) == (i >= freeze_at), (place, freeze_at)


def test_the_configuration_takes_a_name(folders):
    detr = {"HIDDEN_DIM": 16, "NHEADS": 2, "DIM_FEEDFORWARD": 16, "ENC_LAYERS": 1, "DEC_LAYERS": 1}
    backbone = {"NAME": str(folders["resnet"]), "FREEZE_AT": 0}
    config = Config.model_validate({"MODEL": {"BACKBONE": backbone, "DETR": detr}})
    model = Speaq(model_config(config, Vocabulary(("cup", "table"), ("on",)), np.array([3])))
    load_initial_weights(model, config)
    expected = AutoModelForImageClassification.from_pretrained(folders["resnet"])
    theirs = expected.resnet.embedder.embedder.convolution.weight
    assert torch.equal(model.backbone.body.embedder.embedder.convolution.weight, theirs)


def test_names_that_are_no_backbones(tmp_path):
    with pytest.raises(SpeaqError, match=r"no/such-model-anywhere.*nor a transformers model"):
        pretrained_backbone_config(str(tmp_path / "no/such-model-anywhere"))
    tiny = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    AutoModel.from_config(BertConfig(vocab_size=9, **tiny)).save_pretrained(tmp_path / "text")
    with pytest.raises(SpeaqError, match="a bert model cannot be a backbone"):
        pretrained_backbone_config(str(tmp_path / "text"))
    AutoModel.from_config(HieraConfig(embed_dim=8, num_heads=[1, 1, 2, 2], **PYRAMID)).save_pretrained(
        tmp_path / "one_size"
    )
    for config in ({}, {"model_type": "resnet50"}):
        with pytest.raises(SpeaqError, match="expected one that the installed transformers knows"):
            Backbone(config)
    with pytest.raises(SpeaqError, match=r"a hiera backbone that does not take .* 256 x 256 pixels"):
        Backbone(pretrained_backbone_config(str(tmp_path / "one_size")))


def test_weights_that_do_not_fit(folders, tmp_path):
    backbone = Backbone(resnet_config(depth=18, stem_width=8, width=8))
    for name, reason in (("convnext", "missing"), ("resnet", "MODEL.BACKBONE.NAME")):
        with pytest.raises(SpeaqError, match=reason):
            backbone.load_pretrained(str(folders[name]))
    FAMILIES["resnet"].save_pretrained(tmp_path)
    with pytest.raises(SpeaqError, match=r"no weights that can be read.*MODEL.BACKBONE.PRETRAINED False"):
        Backbone(pretrained_backbone_config(str(tmp_path))).load_pretrained(str(tmp_path))


def test_frozen_and_trained_norms_start_from_the_same_values(folders):
    config = pretrained_backbone_config(str(folders["resnet"]))
    images, results = torch.randn(1, 3, 64, 64), []
    for frozen_norm in (True, False):
        backbone = Backbone(config, frozen_norm=frozen_norm, freeze_at=0).eval()
        backbone.load_pretrained(str(folders["resnet"]))
        with torch.no_grad():
            results.append(backbone(images))
    torch.testing.assert_close(*results, atol=1e-4, rtol=0)
