"""One small model, exported once: the slow part of these tests."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from golden_dataset import TINY
from speaq.data.vg_dictionary import read_vocabulary
from speaq.export.network import ExportNetwork
from speaq.model.backbone import resnet_config
from speaq.pretrained import Speaq
from tiny_model import tiny_config

NUM_REL = 2


@pytest.fixture(scope="session")
def small_model() -> Speaq:
    """With everything that a graph must get right: BGR, reference points, and several queries per entity."""
    torch.manual_seed(0)
    names = read_vocabulary(TINY / "dicts.json")
    model = Speaq(
        tiny_config(
            objects=names.objects,
            predicates=names.predicates,
            backbone=resnet_config(depth=18, num_stages=1, stem_width=4, width=4),
            query_multiplier=2,
            reference_points=True,
            pixel_order="BGR",
            pixel_mean=(10.0, 100.0, 150.0),
            min_size=48,
            max_size=80,
            nms_threshold=0.4,
        )
    )
    for parameter in model.parameters():  # the last layers of conditionings and boxes start as zero
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture(scope="session")
def network(small_model) -> ExportNetwork:
    return ExportNetwork(small_model, num_rel=NUM_REL)


@pytest.fixture(scope="session")
def onnx_file(small_model, tmp_path_factory) -> Path:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    from speaq.export.files import export_model

    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    report = export_model(small_model, path, num_rel=NUM_REL)
    assert report.quantization == []
    assert len(report.parity) == 6
    return path


@pytest.fixture
def exported(monkeypatch, onnx_file) -> None:
    """Exporting copies the existing file instead of tracing and writing the network."""
    from speaq.export import files

    monkeypatch.setattr(files, "trace", lambda network, pixels: None)
    monkeypatch.setattr(
        files, "_write_onnx", lambda program, network, path, opset: shutil.copy(onnx_file, path)
    )


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """A folder of four images, upright and not."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, (height, width) in {"a": (60, 80), "b": (90, 50), "c": (60, 80), "d": (33, 140)}.items():
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="session")
def config_file(tmp_path_factory) -> Path:
    """A data set of five images with the classes of the model."""
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(f"""
DATASETS:
  TEST: ('VG_val',)
  VISUAL_GENOME:
    IMAGES: {TINY / "images"}
    IMAGE_DATA: {TINY / "image_data.json"}
    MAPPING_DICTIONARY: {TINY / "dicts.json"}
    VG_ATTRIBUTE_H5: {TINY / "VG.h5"}
    NUMBER_OF_VALIDATION_IMAGES: 5
INPUT:
  MIN_SIZE_TEST: 32
  MAX_SIZE_TEST: 64
""")
    return path
