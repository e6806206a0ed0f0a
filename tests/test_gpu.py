"""What runs on a GPU gives what the CPU gives; skipped where there is none."""

import json
from dataclasses import fields

import pytest
import torch

from golden_criterion import criterion, output, targets
from speaq.config import load_config
from speaq.model.backbone import resnet_config
from speaq.model.config import ModelConfig
from speaq.pretrained import Speaq
from speaq.structures import RawOutput
from speaq.training.cluster import Cluster
from speaq.training.launch import evaluate, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def on_gpu(raw: RawOutput) -> RawOutput:
    values = {item.name: getattr(raw, item.name) for item in fields(raw)}
    return RawOutput(**{name: value if value is None else value.cuda() for name, value in values.items()})


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    from speaq.tools.scenes import generate_dataset

    data = generate_dataset(
        tmp_path_factory.mktemp("data"), num_images=24, num_val=6, num_test=1, image_size=64
    )
    pairs = [(f"DATASETS.VISUAL_GENOME.{key}", str(path)) for key, path in data.settings.items()]
    paths = [item for pair in pairs for item in pair]
    return [
        "DATASETS.TRAIN", "VG_train", "DATASETS.TEST", "VG_val",
        *paths,
        "DATASETS.VISUAL_GENOME.FILTER_NON_OVERLAP", "False",
        "INPUT.MIN_SIZE_TRAIN", "(64, 96)", "INPUT.MIN_SIZE_TEST", "64",
        "MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.OUT_FEATURES", "res3",
        "MODEL.DETR.HIDDEN_DIM", "32", "MODEL.DETR.NHEADS", "2", "MODEL.DETR.DIM_FEEDFORWARD", "32",
        "MODEL.DETR.ENC_LAYERS", "1", "MODEL.DETR.DEC_LAYERS", "2",
        "MODEL.DETR.NUM_OBJECT_QUERIES", "16", "MODEL.DETR.NUM_RELATION_QUERIES", "16",
        "SOLVER.IMS_PER_BATCH", "8", "SOLVER.MAX_ITER", "6", "SOLVER.CHECKPOINT_PERIOD", "3",
        "SOLVER.LOG_PERIOD", "2", "SOLVER.BASE_LR", "1e-3", "SEED", "1", "DATALOADER.NUM_WORKERS", "2",
    ]  # fmt: skip


def test_the_network_agrees():
    torch.manual_seed(0)
    shape = {"objects": ("a", "b"), "predicates": ("on",), "hidden_dim": 32, "num_heads": 2}
    model = Speaq(ModelConfig(**shape, backbone=resnet_config(depth=18), num_queries=8)).eval()
    images = torch.randint(0, 256, (2, 3, 96, 128), dtype=torch.uint8)
    sizes = torch.tensor([[96, 128], [80, 100]])
    with torch.no_grad():
        here = model(images, sizes)
        there = model.cuda()(images.cuda(), sizes)
    for name in ("subject_logits", "object_boxes", "predicate_logits", "predicate_boxes"):
        torch.testing.assert_close(getattr(there, name).cpu(), getattr(here, name), rtol=0, atol=2e-3)


def test_matching_and_loss_agree():
    here = criterion("speaq")(output(2), targets())
    there = criterion("speaq").cuda()(on_gpu(output(2)), [target.to("cuda") for target in targets()])
    torch.testing.assert_close(there.total.cpu(), here.total, rtol=1e-4, atol=0)
    for name, value in here.terms.items():
        torch.testing.assert_close(there.terms[name].cpu(), value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_training_evaluation_and_resuming(config, tmp_path, precision):
    amp = [] if precision == "float32" else ["SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.PRECISION", precision]
    options = load_config(None, [*config, *amp, "OUTPUT_DIR", str(tmp_path)])
    one = Cluster(num_gpus=1)
    train(options, cluster=one)
    rows = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert all(row["total_loss"] > 0 for row in rows if "total_loss" in row)
    during = json.loads((tmp_path / "results.json").read_text())["VG_val"]
    evaluate(options, cluster=one, resume=True)
    assert json.loads((tmp_path / "results.json").read_text())["VG_val"] == during
