"""Compare the recall of an ONNX file on a data set with that of the model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.evaluation.build import build_metrics, load_evaluation_sets
from speaq.export.predictor import OnnxPredictor
from speaq.inference.build import build_postprocessor
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

Predict = Callable[..., SceneGraph | list[SceneGraph]]
"""From an image, and ``boxes`` and ``labels`` if TEST.MODE gives them, to its graph."""


def recall_table(config: Config, model: Speaq, path: Path) -> Table:
    """Recalls on DATASETS.TEST of the model and of its ONNX file, in percent.

    TEST.NUM_REL of the configuration is replaced by that of the file.

    Raises:
        SpeaqError: DATASETS.TEST is empty, cannot be read, or has other classes than the model.
    """
    predictor = OnnxPredictor(path)
    postprocess = build_postprocessor(config, model.vocabulary)
    postprocess.num_rel = predictor.description.num_rel or 1
    predictor.postprocess = postprocess
    sizes = {"min_size": config.input.min_size_test, "max_size": config.input.max_size_test}
    before = recalls(config, partial(model.predict, postprocess=postprocess, **sizes), model.vocabulary)
    after = recalls(config, partial(predictor.predict, **sizes), model.vocabulary)
    title = f"Recall (%) on {', '.join(config.datasets.test)}, {config.test.mode}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("", "model", "file", "change"):
        table.add_column(name, justify="right")
    for name, value in before.items():
        change = after[name] - value
        table.add_row(name, f"{100 * value:.2f}", f"{100 * after[name]:.2f}", f"{100 * change:+.2f}")
    return table


def recalls(config: Config, predict: Predict, vocabulary: Vocabulary) -> dict[str, float]:
    """R@k and mR@k over all images of DATASETS.TEST for the task TEST.MODE.

    Raises:
        SpeaqError: see `recall_table`.
    """
    sets = load_evaluation_sets(config, vocabulary)
    if not sets.datasets:
        raise SpeaqError("DATASETS.TEST is empty: name a data set to evaluate on, such as ('VG_test',)")
    metrics, *_ = build_metrics(config, vocabulary, None, None)
    for split in sets.datasets:
        for index in range(len(split)):
            image, annotation = split.dataset.read(index)
            given: dict[str, np.ndarray] = {}
            if config.test.mode in ("sgcls", "predcls"):
                given["boxes"] = annotation.boxes
            if config.test.mode == "predcls":
                given["labels"] = annotation.labels
            graph = predict(image, **given)
            metrics.update([graph], [annotation])  # pyright: ignore[reportArgumentType]  # one image
    return {name: float(value) for name, value in metrics.compute().items() if name.startswith(("R@", "mR@"))}
