"""The demo: generate a data set, train a small model, evaluate it and predict a scene graph."""

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
from speaq.tools.report.of_model import evaluate_with_report
from speaq.tools.scenes import GeneratedDataset, generate_dataset, generate_scene
from speaq.tools.training_log.plots import plot_training_logs
from speaq.training import launch
from speaq.training.cluster import Cluster
from speaq.visualize.draw import draw_comparison

CONFIG = Path(__file__).with_name("demo.yaml")
NUM_TRAIN, NUM_VAL, NUM_TEST = 3000, 100, 300
UNSEEN_SEED, UNSEEN_SIZE = 2**31, (384, 384)  # the data set has seed 0


@dataclass(frozen=True)
class DemoFiles:
    """The files that the demo writes.

    Attributes:
        dataset: folder of the generated data set.
        run: output folder of the training; ``best`` in it is the model.
        image: an image that is in no split of the data set.
        graph: the predicted scene graph of the image as JSON.
        drawing: ground truth and prediction side by side.
        plots: folder of plots of the training log.
    """

    dataset: Path
    run: Path
    image: Path
    graph: Path
    drawing: Path
    plots: Path

    @property
    def report(self) -> Path:
        """The evaluation report, a page for a browser."""
        return self.run / "report.html"

    @classmethod
    def under(cls, folder: Path) -> "DemoFiles":
        """The files in an output folder."""
        return cls(
            folder / "dataset",
            folder / "run",
            folder / "unseen.png",
            folder / "unseen.json",
            folder / "prediction.png",
            folder / "training_plots",
        )


def run_demo(folder: Path, *, overrides: tuple[str, ...] = (), num_gpus: int | None = None) -> dict[str, Any]:
    """Generate a data set, train a model on it from scratch, evaluate it, and apply it to an unseen image.

    Args:
        folder: folder to write to. An existing data set in it is reused; an existing training is replaced.
        overrides: KEY VALUE pairs that override the configuration of the demo.
        num_gpus: 0 for the CPU; by default one GPU if there is any.

    Returns:
        The results of the metrics on the test split.
    """
    console, start = Console(), time.perf_counter()
    files = DemoFiles.under(folder)
    cluster = Cluster(num_gpus=num_gpus)
    cluster.trainer_options(
        load_config(CONFIG, overrides)
    )  # report mistakes before the data set is generated

    console.rule("1. Generate a data set")
    data = _generate(files.dataset, console)
    console.print(f"{NUM_TRAIN:,} scenes for training, {NUM_VAL} for validation, {NUM_TEST} for the test")

    console.rule("2. Train a model from scratch")
    config = load_config(CONFIG, [*_data_keys(data), "OUTPUT_DIR", str(files.run), *overrides])
    _clear(files.run)
    launch.train(config, cluster=cluster)

    console.rule("3. Evaluate it on the test split")
    results = _evaluate(config, files, cluster)

    console.rule("4. Predict the scene graph of an unseen image")
    truth, prediction = _predict(files)
    correct = {(t.subject, t.predicate, t.object) for t in truth.triplets}
    console.print("Predicted relations (* also in the ground truth):")
    for triplet in prediction.triplets:
        mark = "*" if (triplet.subject, triplet.predicate, triplet.object) in correct else " "
        console.print(f"  {mark} {triplet}", highlight=False)

    plot_training_logs([files.run], files.plots)

    console.rule(f"Done in {(time.perf_counter() - start) / 60:.1f} minutes")
    for name, path in (
        ("the data set", files.dataset),
        ("the model", files.run / "best"),
        ("log, metrics, results", files.run),
        ("the unseen image", files.image),
        ("its scene graph", files.graph),
        ("truth and prediction", files.drawing),
        ("plots of the training", files.plots),
    ):
        console.print(f"{name:>22}: {path}", highlight=False)
    console.print(f"\nTry it:  speaq predict {files.image} --model {files.run}", highlight=False)
    console.print(f"Open:    {files.report}  (the evaluation report, in a browser)", highlight=False)
    return results


def _generate(folder: Path, console: Console) -> GeneratedDataset:
    workers = min(os.cpu_count() or 1, 4)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("generating", total=NUM_TRAIN + NUM_VAL + NUM_TEST)
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
    """Remove an earlier training, so that its checkpoints are not mistaken for new ones."""
    for name in ("best", "checkpoints", "tensorboard"):
        shutil.rmtree(run / name, ignore_errors=True)
    for name in ("log.txt", "metrics.json"):
        (run / name).unlink(missing_ok=True)


def _evaluate(config: Config, files: DemoFiles, cluster: Cluster) -> dict[str, Any]:
    """Results of the best model on the test split, which was not used to train or to select it."""
    model = {"weights": str(files.run / "best")}
    config = config.model_copy(
        update={
            "model": config.model.model_copy(update=model),
            "datasets": config.datasets.model_copy(update={"test": ("VG_test",)}),
        }
    )
    return evaluate_with_report(config, cluster=cluster).module.results[0]


def _predict(files: DemoFiles) -> tuple[SceneGraph, SceneGraph]:
    """Ground truth and prediction of a scene that is in no split, generated larger for the drawing."""
    scene = generate_scene(seed=UNSEEN_SEED, index=0, image_size=UNSEEN_SIZE)
    model = Speaq.from_pretrained(files.run)
    with replacing(files.image) as temporary:
        scene.image.save(temporary)
    truth = SceneGraph.from_annotation(
        Annotation(
            image_id="unseen",
            path=files.image,
            width=UNSEEN_SIZE[0],
            height=UNSEEN_SIZE[1],
            boxes=scene.boxes.astype(np.float32),
            labels=scene.labels,
            relations=scene.relations,
        ),
        model.vocabulary,
    )
    graph = model.predict(files.image)
    assert isinstance(graph, SceneGraph)
    best = graph.filter(top=len(truth))
    best.to_json(files.graph)
    draw_comparison(truth, best, path=files.drawing)
    return truth, best
