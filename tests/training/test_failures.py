"""Memory that is too small, workers that end, and models that diverged."""

import json

import pytest
import torch

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.inference.postprocess import PostProcessor
from speaq.losses.criterion import Criterion
from speaq.model.speaq import SpeaqModel
from speaq.structures import Batch
from speaq.training.cluster import Cluster
from speaq.training.failures import explain
from speaq.training.launch import evaluate, train

CPU = Cluster(num_gpus=0)


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


def test_out_of_memory_in_training_says_what_to_lower(config_file, tmp_path, monkeypatch):
    original, calls = Criterion.forward, []

    def forward(criterion, output, targets):
        calls.append(None)
        if len(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.34 GiB.")
        return original(criterion, output, targets)

    monkeypatch.setattr(Criterion, "forward", forward)
    message = (
        r"out of memory on cpu in training. Raise SOLVER.ACCUMULATE .* lower SOLVER.IMS_PER_BATCH or "
        r"INPUT.MAX_SIZE_TRAIN; --resume continues from .*iter_0000002"
    )
    with pytest.raises(SpeaqError, match=message):
        train(load_config(config_file, ["OUTPUT_DIR", str(tmp_path)]), cluster=CPU)


def test_out_of_memory_in_evaluation_says_what_to_lower(config_file, tmp_path, monkeypatch):
    error = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
    monkeypatch.setattr(PostProcessor, "__call__", raising(error))
    with pytest.raises(
        SpeaqError, match=r"in the evaluation. Lower TEST.IMS_PER_BATCH or INPUT.MAX_SIZE_TEST"
    ):
        train(load_config(config_file, ["OUTPUT_DIR", str(tmp_path)]), cluster=CPU)
    with pytest.raises(
        SpeaqError, match=r"in the evaluation. Lower TEST.IMS_PER_BATCH or INPUT.MAX_SIZE_TEST"
    ):
        evaluate(load_config(config_file, ["OUTPUT_DIR", str(tmp_path)]), cluster=CPU, resume=True)


def test_small_shared_memory_ends_the_training(config_file, tmp_path, monkeypatch):
    error = RuntimeError(
        "unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)"
    )
    monkeypatch.setattr(Batch, "share_memory", raising(error))
    options = ["OUTPUT_DIR", str(tmp_path), "DATALOADER.NUM_WORKERS", "1"]
    with pytest.raises(SpeaqError, match=r"shared memory .* DATALOADER.NUM_WORKERS 0, or .* --shm-size"):
        train(load_config(config_file, options), cluster=CPU)


@pytest.mark.parametrize(
    ("error", "device", "text"),
    [
        (MemoryError(), "cpu", "out of memory on cpu"),
        (RuntimeError("could not create a primitive"), "cpu", "out of memory on cpu"),
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            "cuda:1",
            "out of memory on cuda:1 .* SOLVER.AMP.ENABLED",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), "cpu", "shared memory"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "cpu",
            "Killed; .*NUM_WORKERS",
        ),
    ],
)
def test_explain_memory_and_workers(error, device, text):
    with pytest.raises(SpeaqError, match=text):
        raise SpeaqError(explain(error, device=device, is_training=True) or "not explained")


def test_explain_lost_and_silent_processes(monkeypatch):
    lost = RuntimeError("[/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4242")
    silent = RuntimeError("[/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 4000ms for recv")
    assert explain(silent, device="cpu", is_training=True) is None  # not one of several processes
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    assert "unless it was killed" in str(explain(lost, device="cpu", is_training=True))
    assert "not answered for DIST_WAIT_MINUTES" in str(explain(silent, device="cpu", is_training=True))


def test_explain_leaves_other_errors():
    for error in (RuntimeError("shapes do not match"), ValueError("memory"), SpeaqError("out of memory")):
        assert explain(error, device="cpu", is_training=True) is None


def test_evaluation_of_a_diverged_model_is_nan_and_never_the_best(config_file, tmp_path, monkeypatch):
    original, calls = SpeaqModel.forward, []

    def forward(model, images, sizes):
        output = original(model, images, sizes)
        if not model.training:
            calls.append(None)
            if len(calls) == 2:
                output.subject_logits[-1, -1] = float("nan")
                output.object_boxes[-1, -1] = float("inf")
        return output

    monkeypatch.setattr(SpeaqModel, "forward", forward)
    train(load_config(config_file, ["OUTPUT_DIR", str(tmp_path), "TEST.EVAL_PERIOD", "0"]), cluster=CPU)
    results = json.loads((tmp_path / "results.json").read_text())["VG_val"]
    assert results["images"] > 0
    assert set(results["scene_graph"].values()) == set(results["boxes"].values()) == {None}
    assert not (tmp_path / "best").exists()
    log = (tmp_path / "log.txt").read_text()
    assert log.count("the output of the model is not finite") == 1
    assert ".jpg: the output of the model" in log
    assert "with a lower SOLVER.BASE_LR" in log
