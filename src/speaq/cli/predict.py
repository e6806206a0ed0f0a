"""``speaq predict``."""

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators
from cyclopts.types import NonNegativeInt, PositiveFloat, PositiveInt

from speaq.errors import SpeaqError, first_names, printable
from speaq.files import expand

if TYPE_CHECKING:
    from rich.progress import Progress

    from speaq.data.build import TrainingStatistics
    from speaq.export.predictor import FilePredictor
    from speaq.inference.boxes_file import ListedBoxes
    from speaq.inference.pipeline import Predictor
    from speaq.inference.results import Results
    from speaq.pretrained import Speaq
    from speaq.scene_graph import SceneGraph
    from speaq.structures import Vocabulary
    from speaq.tools.shards import Shard, ShardWriter

Precision = Literal["float32", "bfloat16"]
Engine = Literal["torch", "onnx", "openvino"]


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
        model: folder of a saved model, output folder of a training, a model id on the hub, or an ONNX file of
            speaq export.
        list_file: a text file with the paths of more images, one per line.
        boxes: a JSON file with the boxes of each image, and optionally their classes, between which relations
            are predicted: {"photo.jpg": [{"box": [x1, y1, x2, y2], "label": "cup"}]}, or scene graphs as this
            command writes them. By default the model finds the boxes.
        output_dir: output folder, which must not contain the images; their subfolders are mirrored in it.
        top: maximum number of triplets per image to print and draw, best first.
        score: minimum score of the triplets to print and draw; the JSON has all of them.
        keep: maximum number of relations per image in the JSON, best first; by default all.
        adjust: strength tau of a logit adjustment by the frequency of predicates in training.
        frequency_bias: strength alpha of a bias by the frequency of predicates between the two classes.
        config_file: with frequency_bias, a configuration that names the training data; by default config.yaml
            of the training. Also for adjust with a model that does not hold the numbers of relations.
        format_: json: one file per image; jsonl: predictions.jsonl with one line per image; parquet, one row
            per image, is for shards, which are otherwise jsonl.
        draw: also write drawings of the graphs.
        picture: file format of the drawings.
        quiet: print no triplets.
        resume: skip images whose results exist and are not older than the image (jsonl: whose line exists;
            shards: whose shard exists).
        engine: what computes the network: torch, onnx (onnxruntime) or openvino; the last two for an ONNX
            file, or a folder, to which exported.onnx is added for the next time. By default onnx for an ONNX
            file, and otherwise torch. ray: the default engine, on the workers of a Ray cluster.
        device: cpu, cuda, cuda:1, ...
        dtype: bfloat16 is slightly less accurate, and faster on a GPU, or in openvino on a CPU that has it.
        batch_size: images per forward pass; by default 8 in torch, 1 in the other engines. The results do not
            depend on it, but for 8-bit ONNX files slightly.
        max_pixels: refuse images with more pixels; each pixel needs 4 bytes.
        every: read the files as videos (GIF, WebP; others with PyAV), one frame every this many seconds, and
            write for each a JSON file with one line per frame and a video with the graphs drawn into it.
        shard_size: write graphs-000000.jsonl, ... of this many images, each as a whole, and no drawings; by
            default 1000 for --engine ray.
        address: with --engine ray: HOST:PORT of the head of the cluster, or auto for the cluster of this
            machine; by default RAY_ADDRESS, or a cluster of this machine for the time of the command.
        workers: with --engine ray: number of models, each on a CPU or, with --device cuda, a GPU; by default
            as many as there is room for.
    """
    from speaq.evaluation.adjustment import check_strengths
    from speaq.images import pixel_limit
    from speaq.inference.boxes_file import BoxesFile
    from speaq.inference.results import Results, read_list, result_paths

    check_strengths(adjust, frequency_bias)
    if config_file is not None and adjust is None and frequency_bias is None:
        raise SpeaqError("--config-file names the training data for --frequency-bias or --adjust: give one")
    sources: list[str | Path] = [*(read_list(list_file) if list_file else [])]
    for image in reversed(images or []):
        sources[:0] = read_list(Path(image)) if image.lower().endswith(".txt") else [image]
    if engine != "ray" and (address or workers):
        raise SpeaqError("--address, --workers: expected --engine ray with them")
    on_ray, engine = engine == "ray", default_engine(model) if engine in (None, "ray") else engine
    model_options = {"adjust": adjust, "frequency_bias": frequency_bias, "config_file": config_file}
    load = partial(_load, model, engine, device, dtype, **model_options)
    options: dict[str, Any] = {"batch_size": batch_size or (8 if engine == "torch" else 1), "dtype": dtype}
    if on_ray or shard_size:
        if boxes is not None or every is not None:
            raise SpeaqError("--boxes, --every: expected neither --shard-size nor --engine ray with them")
        from speaq.tools.shards import ShardWriter, list_items

        items = list_items(sources, output_dir)
        suffix = "parquet" if format_ == "parquet" else "jsonl"
        writer = ShardWriter(folder=output_dir, suffix=suffix, keep=keep, max_pixels=max_pixels, **options)
        start = partial(writer.start, items, shard_size or 1000, resume=resume, model=model, **model_options)
        if not on_ray:
            network = load()  # before the shards of an earlier run are deleted
            todo = start()
            _report_shards(writer, len(items), todo, writer.write_all(network, todo), quiet=quiet)
            return
        from speaq.tools.ray_predict import connected, predict_on_ray

        load = partial(load, on_worker=True)
        gpu = device.startswith("cuda")
        with connected(address, workers, gpu=gpu):
            todo = start()
            written = predict_on_ray(load, writer, todo, workers=workers, gpu=gpu)
            _report_shards(writer, len(items), todo, written, quiet=quiet)
        return
    if format_ == "parquet":
        raise SpeaqError("--format parquet: expected --shard-size or --engine ray with it")
    with pixel_limit(max_pixels):
        if every is not None:
            if boxes is not None:
                raise SpeaqError("--boxes: boxes are given for images, not for videos (--every)")
            network = load()
            options |= {"every": every, "draw": draw, "top": top, "score": score}
            _predict_videos(network, map(Path, sources), output_dir, **options)
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
        network = load()
        unreadable = _predict_images(network, results, quiet=quiet, given=given, **options)
    if unreadable:
        raise SystemExit(1)


def _is_onnx(model: str) -> bool:
    return Path(model).suffix.lower() == ".onnx"


def default_engine(model: str) -> Engine:
    """The engine for an ONNX file or another model."""
    return "onnx" if _is_onnx(model) else "torch"


def load_predictor(
    model: str, engine: Engine, device: str, dtype: Precision, threads: int = 0
) -> "Speaq | FilePredictor":
    """The model in a folder, on the hub or in an ONNX file, to be computed by this engine.

    ``threads`` are those of onnxruntime or OpenVINO; 0 for the number of cores.
    """
    if engine == "torch":
        from speaq.devices import find_device
        from speaq.pretrained import Speaq

        if _is_onnx(model):
            raise SpeaqError(
                f"{model}: an ONNX file cannot be computed with --engine torch; give the folder of the "
                "model, or --engine onnx or openvino"
            )
        return Speaq.from_pretrained(model, device=find_device(device))
    from speaq.export.predictor import OnnxPredictor, OpenVinoPredictor

    kind = OnnxPredictor if engine == "onnx" else OpenVinoPredictor
    if device != "cpu" or dtype not in kind.dtypes:
        raise SpeaqError(
            f"{model}: an ONNX file is computed on the cpu in {' or '.join(kind.dtypes)}, found "
            f"--device {device} --dtype {dtype}"
        )
    if _is_onnx(model):
        return kind(expand(model), threads=threads)
    from speaq.console import PlainConsole
    from speaq.export.files import exported_file

    with PlainConsole(stderr=True).status("exporting, if not done before (minutes for a large model)"):
        file = exported_file(model)
    return kind(file, threads=threads)


def _load(
    model: str,
    engine: Engine,
    device: str,
    dtype: Precision,
    *,
    adjust: float | None,
    frequency_bias: float | None,
    config_file: Path | None,
    on_worker: bool = False,
) -> "Predictor":
    """What `load_predictor` loads, with the changes of its graphs.

    ``on_worker``: in a process that was not started by ``run``, and has one CPU.
    """
    if on_worker:
        from speaq.cli import _keep_freed_memory

        _keep_freed_memory()
    network = load_predictor(model, engine, device, dtype, threads=1 if on_worker else 0)
    return _with_frequencies(network, model, adjust, frequency_bias, config_file)


class _Changed:
    """Predicts as ``network`` does, with a change of every graph."""

    def __init__(self, network: "Predictor", change: Callable[["SceneGraph"], "SceneGraph"]):
        self.network = network
        self.change = change

    def predict_each(self, images: Any, **options: Any) -> "Iterator[tuple[Any, SceneGraph]]":
        for image, graph in self.network.predict_each(images, **options):
            yield image, self.change(graph)


def _with_frequencies(
    network: "Speaq | FilePredictor",
    model: str,
    adjust: float | None,
    frequency_bias: float | None,
    config_file: Path | None,
) -> "Predictor":
    """The model with the logit adjustment or the frequency bias that was asked for, if any."""
    if adjust is None and frequency_bias is None:
        return network

    from speaq.evaluation.adjustment import choose_change
    from speaq.export.predictor import FilePredictor

    is_file = isinstance(network, FilePredictor)
    about = network.description if is_file else network.config
    counts, statistics = about.predicate_counts or None, None
    if config_file is not None or frequency_bias is not None or counts is None:
        statistics = _load_statistics(model, about.vocabulary, config_file)
        counts = statistics.predicate_counts
    change = choose_change(
        model,
        adjustment=adjust,
        frequency_bias=frequency_bias,
        predicate_counts=counts,
        statistics=statistics,
        num_rel=(network.description.num_rel or 1) if is_file else 1,
    )
    return network if change is None else _Changed(network, lambda graph: change.apply(graph, change.value))


def _load_statistics(model: str, vocabulary: "Vocabulary", config_file: Path | None) -> "TrainingStatistics":
    """The statistics of the training data in a configuration, by default that of the training.

    Raises:
        SpeaqError: there is no configuration, or its data cannot be read or has other classes.
    """
    from speaq.config import load_config
    from speaq.data.build import load_statistics

    if config_file is None:
        folder = Path(
            expand(model)
        ).resolve()  # RUN, RUN/best, RUN/model.onnx or RUN/checkpoints/iter_0000400
        files = [each / "config.yaml" for each in (folder, *folder.parents[:2])]
        config_file = next((file for file in files if file.is_file()), None)
    if config_file is None:
        raise SpeaqError(
            f"{model}: the numbers of training relations are not known; give the configuration of the "
            "training data with --config-file"
        )
    statistics = load_statistics(load_config(config_file))
    if statistics is None:
        raise SpeaqError(f"{config_file}: names no training data; set DATASETS.TRAIN")
    differences = vocabulary.differences(statistics.vocabulary)
    if differences:
        raise SpeaqError(
            f"{config_file}: expected training data with the classes of {model}, found differences: "
            f"{'; '.join(differences)}"
        )
    return statistics


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
    with _progress_bar() as progress:
        task = progress.add_task("predicting", total=len(images))

        def report(image: object, error: SpeaqError) -> None:
            unreadable.append(Path(str(image)))
            sys.stderr.write(printable(f"speaq: {error}\n"))
            progress.advance(task)

        for path, graph in network.predict_each(images, on_unreadable=report, **options):
            results.write(path, graph)
            if not quiet:
                best = graph.filter(score=results.score, top=results.top)
                lines = [f"{path}: {len(graph)} relations, the best {len(best)}:"]
                lines += [f"  {triplet}" for triplet in best.triplets]
                sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
            progress.advance(task)
    summary = _summary(len(results.paths), len(images), unreadable)
    sys.stdout.write(printable(f"{summary}\nwritten to {results.folder}\n"))
    return unreadable


def _report_shards(
    writer: "ShardWriter", total: int, todo: "list[Shard]", written: "Iterator[Shard]", *, quiet: bool
) -> None:
    """Write shards with a progress bar; end the program with exit code 1 if images could not be read."""
    started = sum(len(shard.items) for shard in todo)
    with _progress_bar() as progress:
        task = progress.add_task("predicting", total=started)
        for shard in written:
            if not quiet:
                sys.stdout.write(printable(f"{writer.graphs(shard.number)}: {len(shard.items)} images\n"))
            progress.advance(task, len(shard.items))
    unreadable = writer.finish()
    summary = _summary(total, started, [Path(name) for name in unreadable])
    sys.stdout.write(printable(f"{summary}\nwritten to {writer.folder}\n"))
    if unreadable:
        number = f"{len(unreadable)} image{'s' if len(unreadable) > 1 else ''}"
        sys.stderr.write(
            printable(f"speaq: {number} could not be read, see {writer.folder}/failed-*.jsonl\n")
        )
        raise SystemExit(1)


def _progress_bar() -> "Progress":
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from speaq.console import PlainConsole

    console = PlainConsole(stderr=True)
    return Progress(
        *Progress.get_default_columns()[:-1],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # so that redirected output stays in its file
    )


def _summary(total: int, started: int, unreadable: list[Path]) -> str:
    """The number of images, such as "198 of 200 images; 2 could not be read: a.jpg, b.jpg"."""
    text = f"{total - len(unreadable)} of {total} images"
    if total > started:
        text += f" ({total - started} had results already)"
    if unreadable:
        names = first_names(unreadable)
        text += f"; {len(unreadable)} could not be read: {names}"
    return text
