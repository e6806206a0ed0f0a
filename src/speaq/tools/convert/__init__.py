"""Converts datasets from and to the formats of other projects.

In the order in which data flows: ``reading`` (what every format has); one module per format, such as ``gqa``,
which makes `AnnotatedImage`s of its files; ``annotated`` (a set in memory); ``classes`` and ``splits``
(selections); ``image_files``; ``formats`` (the table of formats); ``convert`` (the whole conversion).
"""

from speaq.tools.convert.annotated import AnnotatedSet
from speaq.tools.convert.convert import ConvertedDataset, convert_dataset
from speaq.tools.convert.formats import FORMATS, format_named, format_of
from speaq.tools.convert.reading import Format
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
