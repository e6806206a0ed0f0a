"""Measure the parameters, computation, time and memory of a model."""

import copy
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from speaq.config import load_config
from speaq.data.transforms import resize_image
from speaq.export.predictor import FilePredictor
from speaq.images import ImageSource, iterate_sources, read_image
from speaq.inference.graph_builder import Reduced
from speaq.inference.postprocess import PostProcessor
from speaq.inference.predictor import Precision
from speaq.model.speaq import parameter_count
from speaq.pretrained import Speaq
from speaq.structures import Vocabulary

WARM_UP = 2  # runs before the timed ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of a model on one machine. Times are medians over the runs.

    Attributes:
        parameters: number of parameters, trainable or frozen; without buffers such as frozen batch norms.
        gflops: 10^9 floating-point operations of matrix products and convolutions in the forward pass of a
            batch; a multiply-add counts as two.
        forward_ms: time from images on the device to the output of the network.
        postprocess_ms: time from the output to scene graphs.
        predict_ms: time from PIL images to scene graphs, with resizing and transfers.
        memory_mb: peak memory in 10^6 bytes: of the process on the CPU, of the tensors of PyTorch on a GPU;
            None where it is unknown.
    """

    parameters: int
    gflops: float
    forward_ms: float
    postprocess_ms: float
    predict_ms: float
    memory_mb: float | None


def build_model(file: Path, *, objects: int, predicates: int) -> Speaq:
    """Build the model of a YAML configuration, with random weights and this many numbered classes."""
    from speaq.model.build import model_config

    vocabulary = Vocabulary(
        tuple(f"object {i}" for i in range(objects)), tuple(f"predicate {i}" for i in range(predicates))
    )
    torch.manual_seed(0)
    return Speaq(model_config(load_config(file), vocabulary, np.zeros(0))).eval()


def measure(
    model: Speaq,
    *,
    size: tuple[int, int] = (600, 800),
    batch: int = 1,
    runs: int = 5,
    dtype: Precision = "float32",
) -> Cost:
    """Measure a model on its current device.

    Args:
        model: a model in evaluation mode. Post-processing takes longer the more entities it detects.
        size: height and width of the images in pixels.
        batch: images per forward pass.
        runs: number of timed runs.
        dtype: see :meth:`speaq.pretrained.Speaq.predict`.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (batch, *size, 3), dtype=np.uint8)
    pil_images = [Image.fromarray(array) for array in pixels]
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(model.device)
    sizes = torch.tensor([size] * batch)
    postprocess = PostProcessor(nms_threshold=model.config.nms_threshold)
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=dtype == "bfloat16")
    options: Any = {"batch_size": batch, "min_size": min(size), "max_size": max(size), "dtype": dtype}
    median_ms = partial(_median_ms, runs=runs, device=model.device)
    with torch.inference_mode():
        with autocast:
            output = model(images, sizes)
            forward_ms = median_ms(lambda: model(images, sizes))
        postprocess_ms = median_ms(lambda: postprocess(output, sizes))
        predict_ms = median_ms(lambda: model.predict(pil_images, **options))
    return Cost(
        memory_mb=_peak_memory_mb(model.device),  # before the counter of operations adds to it
        parameters=parameter_count(model.parameters()),
        gflops=_gflops(model, images, sizes),
        forward_ms=forward_ms,
        postprocess_ms=postprocess_ms,
        predict_ms=predict_ms,
    )


def measure_stages(
    network: Speaq | FilePredictor,
    images: ImageSource | Iterable[ImageSource],
    *,
    limit: int = 100,
    dtype: Precision = "float32",
    top: int = 10,
    score: float = 0.05,
) -> tuple[int, dict[str, float]]:
    """Measure each step of the prediction of images, one by one, after the first one to warm up.

    Args:
        network: a model on its current device, or an ONNX file.
        images: as of :meth:`speaq.pretrained.Speaq.predict`.
        limit: measure this many images, the first ones.
        dtype: see there.
        top: maximum number of relations that are drawn.
        score: their minimum score.

    Returns:
        The number of images, and the mean time of each step in ms per image, in their order: read, resize,
        backbone (with normalization and projection), encoder, decoder and heads of a model or network of an
        ONNX file, post-processing, and draw (as PNG).

    Raises:
        SpeaqError: an image cannot be read.
    """
    device = network.device if isinstance(network, Speaq) else torch.device("cpu")
    config = network.config if isinstance(network, Speaq) else network.description
    postprocess = PostProcessor(nms_threshold=config.nms_threshold, vocabulary=config.vocabulary)
    times: dict[str, float] = {}
    last = 0.0

    def lap(name: str) -> None:
        """Add the time since the last lap to this step."""
        nonlocal last
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        times[name] = times.get(name, 0) + now - last
        last = now

    def predict(source: ImageSource) -> None:
        nonlocal last
        last = time.perf_counter()
        image = read_image(source)
        lap("read")
        pixels = np.array(resize_image(image, config.min_size, config.max_size)).transpose(2, 0, 1)[None]
        lap("resize")
        size = (image.height, image.width)
        if isinstance(network, Speaq):
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
                output = network(torch.from_numpy(pixels).to(device), all_layers=False)
            lap("heads")
            (graph,) = postprocess(output, [size])
        else:
            reduced = Reduced(**network.run(pixels, dtype))
            lap("network")
            (graph,) = network.postprocess.build(reduced, [size])
        lap("post-processing")
        graph.draw(image=image, top=top, score=score).save(io.BytesIO(), "PNG")
        lap("draw")

    with torch.inference_mode(), ExitStack() as hooks:
        if isinstance(network, Speaq):
            network.eval()
            for hook in (
                network.encoder.register_forward_pre_hook(lambda *_: lap("backbone")),
                network.decoder.register_forward_pre_hook(lambda *_: lap("encoder")),
                network.decoder.register_forward_hook(lambda *_: lap("decoder")),
            ):
                hooks.callback(hook.remove)
        number = 0
        for source in islice(iterate_sources(images), limit):
            if number == 0:
                predict(source)
                times.clear()
            predict(source)
            number += 1
    return number, {name: 1000 * value / number for name, value in times.items()}


def _gflops(model: Speaq, images: torch.Tensor, sizes: torch.Tensor) -> float:
    """10^9 floating-point operations of a forward pass."""
    frozen = copy.deepcopy(model).requires_grad_(False)  # the counter fails on inference with gradients
    # The counter does not know fused attention on the CPU; the math backend consists of matrix products.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        frozen(images, sizes)
    return counter.get_total_flops() / 1e9


def _median_ms(run: Callable[[], object], *, runs: int, device: torch.device) -> float:
    """Median time of a run in milliseconds."""
    times = []
    for _ in range(WARM_UP + runs):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[WARM_UP:])


def _peak_memory_mb(device: torch.device) -> float | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
