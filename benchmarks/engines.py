"""Time of a prediction in each engine, beside an earlier version, and what the engines change in the results.

    git worktree add /tmp/earlier TAG
    python benchmarks/engines.py --earlier /tmp/earlier/src
    python benchmarks/engines.py --accuracy demo/run

Time: the model of the paper with a ResNet-50 (D 256, 6 + 6 layers, 300 x 2 queries), random weights, images
of 480 x 640 pixels that are not resized, from arrays to scene graphs. Each measurement has a process of its
own; versions alternate, and the minimum over the rounds is printed. With one thread, the time is that of the
CPU, which other work on the machine disturbs less.

Accuracy: the largest difference of the outputs from those of PyTorch in float32 over the test set of a
training, the share of predicates that are the same, and the recalls.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from measuring import SOURCE, in_process, resnet50_model, shortest

ENGINES = {
    "torch float32": "model",
    "torch bfloat16": "model",
    "onnx float32": "model.onnx",
    "onnx int8": "int8.onnx",
    "openvino float32": "model.onnx",
    "openvino bfloat16": "model.onnx",
}


def write_models(folder: Path, source: str | None = None) -> None:
    """Write a model, that of ``source`` or a random one, as a folder and as ONNX files."""
    import speaq
    from speaq.export.files import export_model

    model = speaq.Speaq.from_pretrained(source) if source else resnet50_model()
    model.save_pretrained(folder / "model")
    export_model(model, folder / "model.onnx", check=False)
    export_model(model, folder / "int8.onnx", check=False, int8=True)


def load(engine: str, folder: Path, threads: int):
    import torch

    import speaq

    torch.set_num_threads(threads)
    if engine.startswith("torch"):
        return speaq.Speaq.from_pretrained(str(folder / "model"))
    from speaq.export import OnnxPredictor, OpenVinoPredictor

    kind = OpenVinoPredictor if engine.startswith("openvino") else OnnxPredictor
    return kind(folder / ENGINES[engine], threads=threads)


def dtype_of(engine: str) -> str:
    return "bfloat16" if engine.endswith("bfloat16") else "float32"


def measure(engine: str, folder: Path, threads: int) -> list[float]:
    """Milliseconds per image for batches of one and four images."""
    model = load(engine, folder, threads)
    images = list(np.random.default_rng(0).integers(0, 256, (4, 480, 640, 3), dtype=np.uint8))
    options = {"dtype": dtype_of(engine)}
    return [
        shortest(
            lambda number=number: model.predict(images[:number], batch_size=number, **options), times, threads
        )
        / number
        for number, times in ((1, 5), (4, 3))
    ]


def print_times(folder: Path, options: argparse.Namespace) -> None:
    versions = [(engine, engine, SOURCE) for engine in options.engines]
    if options.earlier:
        versions.insert(0, ("earlier, torch float32", "torch float32", options.earlier))
    print(f"{'':24}" + "".join(f"{f'{t} thr. batch {b}':>16}" for t in options.threads for b in (1, 4)))
    times: dict[str, dict[int, list[list[float]]]] = {name: {} for name, *_ in versions}
    for threads in options.threads:
        for _ in range(options.rounds):
            for name, engine, source in versions:
                words = ("--measure", engine, "--threads", str(threads), "--models", str(folder))
                times[name].setdefault(threads, []).append(in_process(__file__, *words, source=source))
    for name, by_threads in times.items():
        values = [f"{min(batch):16.0f}" for runs in by_threads.values() for batch in zip(*runs, strict=True)]
        print(f"{name:24}" + "".join(values))


def print_accuracy(folder: Path, run: Path) -> None:
    from speaq.config import load_config
    from speaq.evaluation.build import load_evaluation_sets
    from speaq.export.network import ExportNetwork
    from speaq.export.recall import recalls
    from speaq.inference.pipeline import resize_image

    config = load_config(run / "config.yaml", [])
    exact = load("torch float32", folder, 1)
    network = ExportNetwork(exact)
    sets = load_evaluation_sets(config, exact.vocabulary)
    images = [split.dataset.read(i)[0] for split in sets.datasets for i in range(len(split))]
    sizes = (config.input.min_size_test, config.input.max_size_test)
    print(f"{len(images)} images of the test set of {run}")
    for engine in ENGINES:
        model = load(engine, folder, 1)
        options = {"dtype": dtype_of(engine), "min_size": sizes[0], "max_size": sizes[1]}
        worst: dict[str, float] = {"scores": 0, "boxes": 0, "predicate_probs": 0}
        same = []
        for image in images:
            pixels = np.array(resize_image(image, *sizes)).transpose(2, 0, 1)[None]
            expected = outputs(network, pixels, "float32")
            found = outputs(network if engine.startswith("torch") else model, pixels, options["dtype"])
            for name in worst:
                worst[name] = max(worst[name], float(np.abs(found[name] - expected[name]).max()))
            same.append((found["predicates"] == expected["predicates"]).mean())
        found = recalls(config, lambda image, m=model, o=options: m.predict(image, **o), exact.vocabulary)
        values = [f"{name} {100 * found[name]:.2f}" for name in ("R@20", "R@50", "R@100", "mR@50")]
        differences = [f"{name} {value:.1e}" for name, value in worst.items()]
        share = f"same predicate {100 * np.mean(same):.2f} %"
        print(f"{engine:18}", *differences, share, *values, sep=", ")


def outputs(network, pixels: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    if hasattr(network, "run"):
        return network.run(pixels, dtype)
    import torch

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        values = network(torch.from_numpy(pixels))
    return {name: value.numpy() for name, value in zip(network.output_names, values, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--earlier", type=Path, help="folder of the earlier version that contains speaq/")
    parser.add_argument("--accuracy", type=Path, help="output folder of a training: compare results instead")
    parser.add_argument("--engines", choices=ENGINES, nargs="+", default=list(ENGINES))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--models", type=Path, help="keep the model files in this folder, and use those in it"
    )
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.models, options.threads[0])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.models or Path(temporary)
        if not (folder / "int8.onnx").exists():
            write_models(folder, str(options.accuracy) if options.accuracy else None)
        if options.accuracy:
            print_accuracy(folder, options.accuracy)
        else:
            print_times(folder, options)


if __name__ == "__main__":
    main()
