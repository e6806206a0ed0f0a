import pytest
import torch

from speaq.errors import SpeaqError
from speaq.export.network import ExportNetwork


def test_export_network_does_not_change_the_model(small_model):
    small_model.train()
    try:
        network = ExportNetwork(small_model)
        assert small_model.training
        assert not network.model.training
        assert all(parameter.requires_grad for parameter in small_model.encoder.parameters())
    finally:
        small_model.eval()


def test_num_rel_is_limited_by_the_predicate_classes(small_model):
    with pytest.raises(SpeaqError, match="expected 1 to 50"):
        ExportNetwork(small_model, num_rel=51)(torch.zeros(1, 3, 16, 16))
