"""Plots of scene graphs, training runs and datasets.

Examples:
    >>> import speaq
    >>> speaq.plot.draw_comparison(truth, prediction, path="comparison.png")  # doctest: +SKIP
    >>> speaq.plot.plot_training_logs(["outputs/first", "outputs/second"])  # doctest: +SKIP
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from speaq.tools.training_log.plots import plot_training_logs
from speaq.visualize.draw import draw_comparison, draw_diagram, draw_graph

if TYPE_CHECKING:
    from speaq.tools.distribution.comparison import Comparison

__all__ = ["draw_comparison", "draw_diagram", "draw_graph", "plot_predicates", "plot_training_logs"]


def plot_predicates(
    datasets: Mapping[str, tuple[str | Path, str | Path]],
    output_dir: str | Path = "predicate_analysis",
    *,
    split: Literal["train", "val", "test", "all"] = "train",
    format: Literal["png", "pdf", "svg"] = "png",
) -> "Comparison":
    """Plot how often predicates occur in one or more datasets, side by side.

    Args:
        datasets: by name, the mapping dictionary (JSON) and the annotations (HDF5) of each, in the format of
            Visual Genome.
        output_dir: where the plots are written.
        split: images to count, as the annotations mark them.
        format: of the image files.

    Returns:
        The counts and statistics of each dataset.

    Raises:
        SpeaqError: a file is missing or malformed, a dataset has no image of the split, or a plot cannot
            be written.
    """
    from speaq.config.data import DatasetSection  # these import torch
    from speaq.tools.distribution.files import compare_sets, save_charts

    sections = {
        name: DatasetSection(mapping_dictionary=str(dictionary), vg_attribute_h5=str(annotations))
        for name, (dictionary, annotations) in datasets.items()
    }
    (comparison,) = compare_sets(sections, ["predicates"], split=split)
    save_charts(comparison, Path(output_dir), ending=format)
    return comparison
