"""How much of the recall on a data set is left in an exported file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image
from rich import box
from rich.table import Table

from speaq.config import Config
from speaq.data.sources import load_sources
from speaq.errors import SpeaqError
from speaq.evaluation.build import build_metrics
from speaq.export.predictor import OnnxPredictor
from speaq.inference.build import build_postprocessor
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

Predict = Callable[[Image.Image], SceneGraph | list[SceneGraph]]


def recall_table(config: Config, model: Speaq, path: Path) -> Table:
    """Recalls on DATASETS.TEST of the model and of an ONNX file of it, in percent.

    Args:
        config: the data, and how to predict and measure; TEST.NUM_REL is that of the file.
        model: that was exported.
        path: the file.

    Raises:
        SpeaqError: DATASETS.TEST is empty, cannot be read, or is of other classes.
    """
    predictor = OnnxPredictor(path)
    postprocess = build_postprocessor(config, model.vocabulary)
    postprocess.num_rel = predictor.description.num_rel or 1
    predictor.postprocess = postprocess
    sizes = {"min_size": config.input.min_size_test, "max_size": config.input.max_size_test}
    before = recalls(config, partial(model.predict, postprocess=postprocess, **sizes), model.vocabulary)
    after = recalls(config, partial(predictor.predict, **sizes), model.vocabulary)
    title = f"Recall on {', '.join(config.datasets.test)}, in percent"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("", "model", "file", "change"):
        table.add_column(name, justify="right")
    for name, value in before.items():
        figures = (100 * value, 100 * after[name], 100 * (after[name] - value))
        table.add_row(name, f"{figures[0]:.2f}", f"{figures[1]:.2f}", f"{figures[2]:+.2f}")
    return table


def recalls(config: Config, predict: Predict, vocabulary: Vocabulary) -> dict[str, float]:
    """R@k and mR@k of predictions over all images of DATASETS.TEST.

    Raises:
        SpeaqError: see ``recall_table``.
    """
    genomes = [source.dataset for name in config.datasets.test for source in load_sources(config, name)]
    if not genomes:
        raise SpeaqError("DATASETS.TEST is empty: name a data set to evaluate on, such as ('VG_test',)")
    metrics, _ = build_metrics(config, vocabulary, None, None)
    for genome in genomes:
        differences = vocabulary.differences(genome.vocabulary)
        if differences:
            raise SpeaqError(f"the model has other classes than the data set: {'; '.join(differences)}")
        for index in range(len(genome)):
            image, annotation = genome.read(index)
            metrics.update([predict(image)], [annotation])  # pyright: ignore[reportArgumentType]  # one image
    figures = metrics.compute()
    return {name: float(value) for name, value in figures.items() if name.startswith(("R@", "mR@"))}
