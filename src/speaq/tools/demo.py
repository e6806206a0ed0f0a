"""The demo: generate a data set, train a small model, evaluate it and predict a scene graph."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from speaq.config import load_config
from speaq.console import PlainConsole
from speaq.files import replacing
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation
from speaq.tools.report.run import evaluate_with_report
from speaq.tools.scenes import GeneratedDataset, generate_dataset, generate_scene
from speaq.tools.training_log.plots import plot_training_logs
from speaq.training import launch
from speaq.training.cluster import Cluster
from speaq.visualize.draw import draw_comparison

CONFIG = Path(__file__).with_name("demo.yaml")
NUM_TRAIN, NUM_VAL, NUM_TEST = 3000, 100, 300
UNSEEN_SEED, UNSEEN_SIZE = 2**31, (384, 384)  # the data set has seed 0
IMAGE = "unseen.png"


def run_demo(folder: Path, *, overrides: tuple[str, ...] = (), num_gpus: int | None = None) -> dict[str, Any]:
    """Generate a data set, train a model on it from scratch, evaluate it, and apply it to an unseen image.

    Args:
        folder: folder to write to. An existing data set in it is reused; an existing training is replaced.
        overrides: KEY VALUE pairs that override the configuration of the demo.
        num_gpus: 0 for the CPU; by default one GPU if there is any.

    Returns:
        The results of the metrics on the test split.
    """
    console, start = PlainConsole(highlight=True), time.perf_counter()
    dataset, run = folder / "dataset", folder / "run"
    cluster = Cluster(num_gpus=num_gpus)
    # Report mistakes before the data set is generated.
    cluster.trainer_options(load_config(CONFIG, overrides))

    console.rule("1. Generate a data set")
    data = _generate(dataset, console)
    console.print(f"{NUM_TRAIN:,} scenes for training, {NUM_VAL} for validation, {NUM_TEST} for the test")

    console.rule("2. Train a model from scratch")
    options = ["OUTPUT_DIR", str(run)]
    for key, path in data.settings.items():
        options += [f"DATASETS.VISUAL_GENOME.{key}", str(path)]
    options += overrides
    config = load_config(CONFIG, options)
    _remove_training(run)
    launch.train(config, cluster=cluster)

    console.rule("3. Evaluate it on the test split")  # not used to train or to select the model
    options += ["MODEL.WEIGHTS", f"{config.output_dir}/best", "DATASETS.TEST", "('VG_test',)"]
    results = evaluate_with_report(load_config(CONFIG, options), cluster=cluster).module.results[0]

    console.rule("4. Predict the scene graph of an unseen image")
    truth, prediction = _predict(folder, run)
    correct = {(t.subject, t.predicate, t.object) for t in truth.triplets}
    console.print("Predicted relations (* also in the ground truth):")
    for triplet in prediction.triplets:
        mark = "*" if (triplet.subject, triplet.predicate, triplet.object) in correct else " "
        console.print(f"  {mark} {triplet}", highlight=False)
    plot_training_logs([run], folder / "training_plots")

    console.rule(f"Done in {(time.perf_counter() - start) / 60:.1f} minutes")
    for name, path in (
        ("the data set", dataset),
        ("the model", run / "best"),
        ("log, metrics, results", run),
        ("the unseen image", folder / IMAGE),
        ("its scene graph", folder / "unseen.json"),
        ("truth and prediction", folder / "prediction.png"),
        ("plots of the training", folder / "training_plots"),
    ):
        console.print(f"{name:>22}: {path}", highlight=False)
    console.print(f"\nTry it:  speaq predict {folder / IMAGE} --model {run}", highlight=False)
    console.print(f"Open:    {run / 'report.html'}  (the evaluation report, in a browser)", highlight=False)
    return results


def _generate(folder: Path, console: PlainConsole) -> GeneratedDataset:
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


def _remove_training(run: Path) -> None:
    """Remove an earlier training, so that its checkpoints are not mistaken for new ones."""
    for name in ("best", "checkpoints", "tensorboard"):
        shutil.rmtree(run / name, ignore_errors=True)
    for name in ("log.txt", "metrics.json"):
        (run / name).unlink(missing_ok=True)


def _predict(folder: Path, run: Path) -> tuple[SceneGraph, SceneGraph]:
    """Ground truth and prediction of a scene that is in no split, generated larger for the drawing."""
    scene = generate_scene(seed=UNSEEN_SEED, index=0, image_size=UNSEEN_SIZE)
    model, image = Speaq.from_pretrained(run), folder / IMAGE
    with replacing(image) as temporary:
        scene.image.save(temporary)
    truth = SceneGraph.from_annotation(
        Annotation(
            image_id="unseen",
            path=image,
            width=UNSEEN_SIZE[0],
            height=UNSEEN_SIZE[1],
            boxes=scene.boxes.astype(np.float32),
            labels=scene.labels,
            relations=scene.relations,
        ),
        model.vocabulary,
    )
    graph = model.predict(image)
    assert isinstance(graph, SceneGraph)
    best = graph.filter(top=len(truth))
    best.to_json(folder / "unseen.json")
    draw_comparison(truth, best, path=folder / "prediction.png")
    return truth, best
