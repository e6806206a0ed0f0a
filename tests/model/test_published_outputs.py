"""Network outputs agree with those of the published implementation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from golden_weights import published_state
from speaq.checkpoints.names import from_published
from speaq.model.backbone import resnet_config
from speaq.model.config import ModelConfig
from speaq.pretrained import Speaq

TESTS = Path(__file__).parents[1]

OUTPUTS = {
    "predicate_boxes": "relation_boxes",
    "predicate_logits": "relation_logits",
    "subject_logits": "relation_subject_logits",
    "object_logits": "relation_object_logits",
    "subject_boxes": "relation_subject_boxes",
    "object_boxes": "relation_object_boxes",
}


def golden_model(name: str) -> tuple[Speaq, dict[str, np.ndarray], dict]:
    record = json.loads((TESTS / "golden" / f"{name}.json").read_text())
    detr, cfg = record["cfg"]["DETR"], record["cfg"]
    model = Speaq(
        ModelConfig(
            objects=tuple(f"object {i}" for i in range(detr["NUM_CLASSES"])),
            predicates=tuple(f"predicate {i}" for i in range(detr["NUM_RELATION_CLASSES"])),
            backbone=resnet_config(depth=cfg["RESNETS_DEPTH"]),
            hidden_dim=detr["HIDDEN_DIM"],
            num_heads=detr["NHEADS"],
            feedforward_dim=detr["DIM_FEEDFORWARD"],
            encoder_layers=detr["ENC_LAYERS"],
            decoder_layers=detr["DEC_LAYERS"],
            num_queries=detr["NUM_OBJECT_QUERIES"],
            query_multiplier=1 if name.endswith("baseline") else 2,
        )
    ).eval()
    model.load_state_dict(from_published(published_state(f"{name}.json")), strict=True)
    return model, dict(np.load(TESTS / "golden" / f"{name}.npz")), record


def padded_batch(figures: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    images = [torch.from_numpy(figures[f"image_{i}"]) for i in range(2)]
    sizes = torch.tensor([image.shape[1:] for image in images])
    batch = torch.zeros(2, 3, *sizes.amax(0).tolist(), dtype=torch.uint8)
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return batch, sizes


@pytest.mark.parametrize("name", ["model_small", "model_small_baseline", "model_paper"])
def test_outputs_agree_with_the_published_implementation(name):
    model, figures, record = golden_model(name)
    with torch.no_grad():
        output = model(*padded_batch(figures), all_layers=True)
    m = output.query_multiplier
    trainable = sum(p.numel() for p in model.parameters())
    assert trainable == record["params"]
    for ours, theirs in OUTPUTS.items():
        value = getattr(output, ours)[-1]
        if value.shape[1] != figures[f"out.{theirs}"].shape[1]:
            value = value.repeat_interleave(m, dim=1)
        np.testing.assert_allclose(value.numpy(), figures[f"out.{theirs}"], atol=5e-5, rtol=0, err_msg=ours)
    auxiliary = {"r": "predicate", "r_sub": "subject", "r_obj": "object"}
    for layer in range(2 if name == "model_small" else 0):
        for key, kind in auxiliary.items():
            for what in ("logits", "boxes"):
                value = getattr(output, f"{kind}_{what}")[layer]
                value = value if kind == "predicate" else value.repeat_interleave(m, dim=1)
                expected = figures[f"out.aux_outputs_{key}.{layer}.pred_{what}"]
                np.testing.assert_allclose(value.numpy(), expected, atol=5e-5, rtol=0)
