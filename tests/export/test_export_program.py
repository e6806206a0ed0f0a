"""torch.export programs, here with the raw outputs of the network."""

import json

import pytest
import torch

from speaq.errors import SpeaqError
from speaq.export.network import RAW, ExportNetwork
from speaq.export.parity import compare
from speaq.export.program import export_program
from speaq.model.backbone import resnet_config
from speaq.pretrained import Speaq
from tiny_model import tiny_config


def test_program_agrees_with_the_model(tmp_path):
    torch.manual_seed(0)
    backbone = resnet_config(depth=18, num_stages=1, stem_width=4, width=4)
    model = Speaq(tiny_config(backbone=backbone, decoder_layers=1))
    path = tmp_path / "small.pt2"
    assert export_program(model, path, num_rel=None, pixels="float32", check=False) == []
    assert [file.name for file in tmp_path.iterdir()] == ["small.pt2"]

    files = {"speaq.objects": "", "speaq.num_rel": ""}
    program = torch.export.load(path, extra_files=files).module()
    assert json.loads(files["speaq.objects"]) == list(model.config.objects)
    assert json.loads(files["speaq.num_rel"]) is None

    def run(images):
        outputs = program(torch.from_numpy(images))
        return {name: tensor.numpy() for name, tensor in zip(RAW, outputs, strict=True)}

    cases = compare(ExportNetwork(model, num_rel=None), run, "float32")
    assert {case.shape[0] for case in cases} == {1, 3}
    assert len(cases) == 6
    assert all(tuple(case.differences) == RAW for case in cases)
    assert max(case.worst for case in cases) < 1e-5


def test_num_rel_is_limited_by_the_predicate_classes(small_model):
    with pytest.raises(SpeaqError, match="expected 1 to 50"):
        ExportNetwork(small_model, num_rel=51)(torch.zeros(1, 3, 16, 16))
