"""``speaq predict``."""

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators
from cyclopts.types import NonNegativeInt, PositiveFloat, PositiveInt

from speaq.cli.models import Engine, Precision, default_engine, load_adjusted
from speaq.cli.progress import print_summary, progress_bar
from speaq.errors import SpeaqError, printable

if TYPE_CHECKING:
    from speaq.inference.boxes_file import ListedBoxes
    from speaq.inference.pipeline import Predictor
    from speaq.inference.results import Results


def predict(
    images: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    *,
    model: str,
    list_file: Annotated[Path | None, Parameter(name="--list")] = None,
    boxes: Path | None = None,
    output_dir: Path = Path("predictions"),
    top: NonNegativeInt = 10,
    score: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))] = 0.05,
    keep: PositiveInt | None = None,
    adjust: float | None = None,
    frequency_bias: float | None = None,
    config_file: Path | None = None,
    format_: Annotated[Literal["json", "jsonl", "parquet"], Parameter(name="--format")] = "json",
    draw: bool = True,
    picture: Literal["png", "svg", "jpg"] = "png",
    quiet: bool = False,
    resume: bool = False,
    engine: Literal[Engine, "ray"] | None = None,
    device: str = "cpu",
    dtype: Precision = "float32",
    batch_size: PositiveInt | None = None,
    max_pixels: PositiveInt = 178_956_970,
    every: PositiveFloat | None = None,
    shard_size: PositiveInt | None = None,
    address: str | None = None,
    workers: PositiveInt | None = None,
) -> None:
    """Predict the scene graphs of images, print them, and write them as JSON files and drawings.

    Images that cannot be read are reported and skipped; the exit code is then 1.

    Args:
        images: image files, folders (searched recursively), patterns such as 'photos/*.jpg', or text files
            (.txt) with one path per line; with --shard-size or --engine ray also Parquet files with a column
            of images, and folders of them.
        model: folder of a saved model, output folder of a training run, model id on the hub, or ONNX file of
            speaq export.
        list_file: text file with the paths of more images, one per line.
        boxes: JSON file with the boxes of each image and optionally their classes, {"photo.jpg": [{"box":
            [x1, y1, x2, y2], "label": "cup"}]}, or scene graphs written by this command: only relations
            between these boxes are predicted. By default the model finds the boxes.
        output_dir: output folder, which must not contain the images; their subfolders are mirrored in it.
        top: maximum number of triplets per image to print and draw, best first.
        score: minimum score of the triplets to print and draw; the JSON has all relations.
        keep: maximum number of relations per image in the JSON, best first; by default all.
        adjust: strength tau of logit adjustment by the predicate frequencies in training.
        frequency_bias: strength alpha of a bias by the predicate frequencies for the two classes in training.
        config_file: configuration that names the training data: for --frequency-bias, by default config.yaml
            of the training run; for --adjust, only if the model lacks the predicate counts.
        format_: json: one file per image; jsonl: predictions.jsonl with one line per image. Shards are jsonl,
            or parquet with one row per image.
        draw: also write drawings of the graphs.
        picture: file format of the drawings.
        quiet: print no triplets.
        resume: skip images whose results exist and are not older than the image (jsonl: whose line exists;
            shards: whose shard exists).
        engine: what runs the network: torch, onnx (onnxruntime) or openvino. onnx and openvino take an ONNX
            file, or export the model once, to exported.onnx in its folder. By default onnx for an ONNX file,
            otherwise torch. ray: the default engine on the workers of a Ray cluster.
        device: cpu, cuda, cuda:1, ...
        dtype: bfloat16 is slightly less accurate; it is faster on GPUs, and in OpenVINO on CPUs that support
            it.
        batch_size: images per forward pass; by default 8 in torch, 1 in the other engines. Results do not
            depend on it, except slightly for 8-bit ONNX files.
        max_pixels: refuse images with more pixels; a pixel needs 4 bytes of memory.
        every: read the files as videos (GIF, WebP; others with PyAV), one frame every this many seconds, and
            write for each video a JSON file with one line per frame and a video with the graphs drawn into
            it.
        shard_size: write files of this many images, graphs-000000.jsonl and so on, and no drawings; 1000 by
            default with --engine ray.
        address: with --engine ray: HOST:PORT of the head node, or auto for the cluster that this machine is
            part of; by default RAY_ADDRESS, or a temporary cluster on this machine.
        workers: with --engine ray: number of models, each on a CPU core or, with --device cuda, a GPU; by
            default as many as fit.
    """
    from speaq.evaluation.adjustment import check_strengths
    from speaq.images import pixel_limit
    from speaq.inference.boxes_file import BoxesFile
    from speaq.inference.results import Results, read_list, result_paths

    check_strengths(adjust, frequency_bias)
    if config_file is not None and adjust is None and frequency_bias is None:
        raise SpeaqError("--config-file names the training data for --frequency-bias or --adjust: give one")
    if engine != "ray" and (address or workers):
        raise SpeaqError("--address, --workers: expected --engine ray with them")
    in_shards = engine == "ray" or shard_size is not None
    if in_shards and (boxes is not None or every is not None):
        raise SpeaqError("--boxes, --every: expected neither --shard-size nor --engine ray with them")
    if boxes is not None and every is not None:
        raise SpeaqError("--boxes: boxes are given for images, not for videos (--every)")
    if format_ == "parquet" and not in_shards:
        raise SpeaqError("--format parquet: expected --shard-size or --engine ray with it")
    sources: list[str | Path] = []
    for image in images or []:
        sources += read_list(Path(image)) if image.lower().endswith(".txt") else [image]
    sources += read_list(list_file) if list_file else []
    on_ray, engine = engine == "ray", default_engine(model) if engine in (None, "ray") else engine
    changes = {"adjust": adjust, "frequency_bias": frequency_bias, "config_file": config_file}
    load = partial(load_adjusted, model, engine, device, dtype, **changes)
    options: dict[str, Any] = {"batch_size": batch_size or (8 if engine == "torch" else 1), "dtype": dtype}
    if in_shards:
        from speaq.cli.shards import predict_shards
        from speaq.tools.shards import ShardWriter

        suffix = "parquet" if format_ == "parquet" else "jsonl"
        writer = ShardWriter(folder=output_dir, suffix=suffix, keep=keep, max_pixels=max_pixels, **options)
        predict_shards(
            load,
            writer,
            sources,
            shard_size or 1000,
            on_ray=on_ray,
            address=address,
            workers=workers,
            gpu=device.startswith("cuda"),
            resume=resume,
            quiet=quiet,
            model=model,
            **changes,
        )
        return
    with pixel_limit(max_pixels):
        if every is not None:
            options |= {"every": every, "draw": draw, "top": top, "score": score}
            _predict_videos(load(), map(Path, sources), output_dir, **options)
            return
        results = Results(
            folder=output_dir,
            paths=result_paths(sources, output_dir),
            lines=format_ == "jsonl",
            picture=picture if draw else None,
            top=top,
            score=score,
            keep=keep,
            resume=resume,
        )
        given = None
        if boxes is not None:
            file = BoxesFile(boxes)
            given = {image: file.of(image) for image in results.paths}
        unreadable = _predict_images(load(), results, quiet=quiet, given=given, **options)
    if unreadable:
        raise SystemExit(1)


def _predict_videos(network: "Predictor", paths: Iterable[Path], output_dir: Path, **options: Any) -> None:
    from speaq.inference.video import annotate_video

    for path in paths:
        number = annotate_video(network, path, output_dir, **options)
        sys.stdout.write(printable(f"{path}: {number} frames, written to {output_dir}\n"))


def _predict_images(
    network: "Predictor",
    results: "Results",
    *,
    quiet: bool,
    given: "dict[Path, ListedBoxes] | None",
    **options: Any,
) -> list[Path]:
    """Predict the images that are not done yet, with a progress bar; return the unreadable ones."""
    images, unreadable = results.start(), []
    if given is not None:
        options["boxes"] = [given[image].boxes for image in images]
        options["labels"] = [given[image].labels for image in images]
    with progress_bar() as progress:
        task = progress.add_task("predicting", total=len(images))

        def report(image: object, error: SpeaqError) -> None:
            unreadable.append(Path(str(image)))
            sys.stderr.write(printable(f"speaq: {error}\n"))
            progress.advance(task)

        for path, graph in network.predict_each(images, on_unreadable=report, **options):
            results.write(path, graph)
            if not quiet:
                best = graph.filter(score=results.score, top=results.top)
                shown = f"the best {len(best)}"
                if len(best) < results.top:
                    shown = f"{len(best)} with a score of at least {results.score:g}"
                lines = [f"{path}: {len(graph)} relations, {shown}"]
                lines += [f"  {triplet}" for triplet in best.triplets]
                sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
            progress.advance(task)
    print_summary(len(results.paths), len(images), unreadable, results.folder)
    return unreadable
