"""The whole system on a small scale: generated data, training, evaluation, prediction."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from speaq.config import Config, load_config
from speaq.files import replacing
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation
from speaq.tools.report.run import evaluate_with_report
from speaq.tools.scenes import GeneratedDataset, generate_dataset, generate_scene
from speaq.tools.training_log.plots import plot_training_logs
from speaq.training import launch
from speaq.training.cluster import Cluster
from speaq.visualize.image import draw_comparison

CONFIG = Path(__file__).with_name("demo.yaml")
NUM_TRAIN, NUM_VAL, NUM_TEST = 3000, 100, 300
UNSEEN_SEED, UNSEEN_SIZE = 2**31, (384, 384)  # the data set has seed 0


@dataclass(frozen=True)
class DemoFiles:
    """What the demo leaves behind.

    Attributes:
        dataset: the generated data.
        run: output folder of the training; its ``best`` is the model.
        picture: an image that the model has never seen.
        graph: its predicted scene graph as JSON.
        drawing: ground truth and prediction side by side.
        plots: the course of the training.
    """

    dataset: Path
    run: Path
    picture: Path
    graph: Path
    drawing: Path
    plots: Path

    @property
    def report(self) -> Path:
        """Everything about the evaluation, for a browser."""
        return self.run / "report.html"

    @classmethod
    def under(cls, folder: Path) -> "DemoFiles":
        """The names in an output folder."""
        return cls(
            folder / "dataset",
            folder / "run",
            folder / "unseen.png",
            folder / "unseen.json",
            folder / "prediction.png",
            folder / "training_plots",
        )


def run_demo(folder: Path, *, overrides: tuple[str, ...] = (), num_gpus: int | None = None) -> dict[str, Any]:
    """Draw a data set, train a model on it from nothing, evaluate it, and use it on an unseen image.

    Args:
        folder: where everything is written. A data set that is already there is used again; a former training
            is replaced.
        overrides: KEY VALUE pairs that win over the demo's configuration.
        num_gpus: 0 is the CPU; one if there is any by default.

    Returns:
        The results on the held-out test images, as the metrics give them.
    """
    console, start = Console(), time.perf_counter()
    files = DemoFiles.under(folder)
    cluster = Cluster(num_gpus=num_gpus)
    cluster.trainer_options(load_config(CONFIG, overrides))  # a mistake shall not be found after the drawing

    console.rule("1. A data set")
    data = _draw_dataset(files.dataset, console)
    console.print(
        f"{NUM_TRAIN:,} scenes to learn from, {NUM_VAL} to choose the best model, {NUM_TEST} to test it"
    )

    console.rule("2. Training, from nothing")
    config = load_config(CONFIG, [*_data_keys(data), "OUTPUT_DIR", str(files.run), *overrides])
    _clear(files.run)
    launch.train(config, cluster=cluster)

    console.rule("3. Evaluation on images that were held out")
    results = _evaluate(config, files, cluster)

    console.rule("4. A picture it has never seen")
    truth, prediction = _predict(files)
    known = {(t.subject, t.predicate, t.object) for t in truth.triplets}
    console.print("What the model says (* also drawn that way):")
    for triplet in prediction.triplets:
        mark = "*" if (triplet.subject, triplet.predicate, triplet.object) in known else " "
        console.print(f"  {mark} {triplet}", highlight=False)

    plot_training_logs([files.run], files.plots)

    console.rule(f"Done in {(time.perf_counter() - start) / 60:.1f} minutes")
    for name, path in (
        ("the data set", files.dataset),
        ("the model", files.run / "best"),
        ("log, figures, results", files.run),
        ("the unseen picture", files.picture),
        ("its scene graph", files.graph),
        ("truth and prediction", files.drawing),
        ("the training, in plots", files.plots),
    ):
        console.print(f"{name:>22}: {path}", highlight=False)
    console.print(f"\nTry it:  speaq predict {files.picture} --model {files.run}", highlight=False)
    console.print(f"Open:    {files.report}  (in a browser: the evaluation)", highlight=False)
    return results


def _draw_dataset(folder: Path, console: Console) -> GeneratedDataset:
    workers = min(os.cpu_count() or 1, 4)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("drawing", total=NUM_TRAIN + NUM_VAL + NUM_TEST)
        return generate_dataset(
            folder,
            num_images=NUM_TRAIN,
            num_val=NUM_VAL,
            num_test=NUM_TEST,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _data_keys(data: GeneratedDataset) -> list[str]:
    pairs = [(f"DATASETS.VISUAL_GENOME.{key}", str(path)) for key, path in data.settings.items()]
    return [item for pair in pairs for item in pair]


def _clear(run: Path) -> None:
    """Remove a former training, so that its checkpoints cannot be mistaken for new ones."""
    for name in ("best", "checkpoints", "tensorboard"):
        shutil.rmtree(run / name, ignore_errors=True)
    for name in ("log.txt", "metrics.json"):
        (run / name).unlink(missing_ok=True)


def _evaluate(config: Config, files: DemoFiles, cluster: Cluster) -> dict[str, Any]:
    """Results of the best model on the test images, which had no part in training or in choosing it."""
    model = {"weights": str(files.run / "best")}
    config = config.model_copy(
        update={
            "model": config.model.model_copy(update=model),
            "datasets": config.datasets.model_copy(update={"test": ("VG_test",)}),
        }
    )
    return evaluate_with_report(config, cluster=cluster).module.results[0]


def _predict(files: DemoFiles) -> tuple[SceneGraph, SceneGraph]:
    """Ground truth and prediction of a scene that is in no data set, drawn larger for the eye."""
    scene = generate_scene(seed=UNSEEN_SEED, index=0, image_size=UNSEEN_SIZE)
    model = Speaq.from_pretrained(files.run)
    with replacing(files.picture) as temporary:
        scene.image.save(temporary)
    truth = SceneGraph.from_annotation(
        Annotation(
            image_id="unseen",
            path=files.picture,
            width=UNSEEN_SIZE[0],
            height=UNSEEN_SIZE[1],
            boxes=scene.boxes.astype(np.float32),
            labels=scene.labels,
            relations=scene.relations,
        ),
        model.vocabulary,
    )
    graph = model.predict(files.picture)
    assert isinstance(graph, SceneGraph)
    best = graph.filter(top=len(truth))
    best.to_json(files.graph)
    draw_comparison(truth, best, path=files.drawing)
    return truth, best
