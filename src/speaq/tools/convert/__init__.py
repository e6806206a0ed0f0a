"""Converts datasets from and to the formats of other projects.

In the order in which data flows: ``reading`` (files of other projects); one module per format (``vg``,
``vg_raw``, ``coco`` and ``sgg_benchmark`` over ``coco_images``, ``open_images``, ``psg``, ``json_lines``),
which makes `AnnotatedImage`s of them; ``annotated`` (a set in memory); ``classes`` and ``splits``
(selections); ``image_files``; ``formats`` (the table of formats); ``convert`` (the whole conversion).
"""

from speaq.tools.convert.annotated import AnnotatedSet
from speaq.tools.convert.convert import ConvertedDataset, convert_dataset
from speaq.tools.convert.formats import FORMATS, Format, format_named, format_of
from speaq.tools.convert.splits import describe_splits

__all__ = [
    "FORMATS",
    "AnnotatedSet",
    "ConvertedDataset",
    "Format",
    "convert_dataset",
    "describe_splits",
    "format_named",
    "format_of",
]
