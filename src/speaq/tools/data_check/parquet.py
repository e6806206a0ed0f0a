"""Data sets in Parquet for the checks, which read Visual Genome format.

I: images.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from speaq.data.parquet_images import ParquetFiles
from speaq.data.parquet_rows import image_content, opened, raw_rows
from speaq.data.selection import SPLITS, EmptySplitError
from speaq.data.vg_image_list import ImageList
from speaq.data.vg_ranges import Ranges
from speaq.data.vg_writer import write_annotations, write_dictionary, write_json
from speaq.errors import SpeaqError
from speaq.images import read_image_file, read_image_size
from speaq.tools.data_check.images import ImageFiles
from speaq.tools.data_check.sources import Source

_WITHOUT_COLUMN = {"confidences": 1.0, "sources": ""}


def read_row_images(
    files: Sequence[str],
    listed: ImageList,
    are_opened: np.ndarray,
    progress: Callable[[int, int], None] | None,
) -> ImageFiles:
    """Read the I images in the rows of Parquet files, in their order, if any ``are_opened`` (I,) bool."""
    number = len(listed.ids)
    paths: list[Path | None] = [None] * number
    contents: list[bytes | None] = [None] * number
    missing, unreadable = np.zeros(number, dtype=bool), np.zeros(number, dtype=bool)
    sizes = np.zeros((number, 2), dtype=np.int64)
    for row, (place, image) in enumerate(_images(files) if are_opened.any() else ()):
        paths[row], missing[row] = Path(place), image is None
        if image is not None:
            height, width = listed.sizes[row].tolist()
            try:
                read_image_file(image)
                sizes[row] = read_image_size(image, listed=(width, height))[::-1]
                contents[row] = hashlib.blake2b(image).digest()
            except SpeaqError:
                unreadable[row] = True
        if progress is not None:
            progress(row + 1, number)
    return ImageFiles(paths, missing, unreadable, sizes, contents)


def _images(files: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    for path in files:
        with opened(path) as file:
            for place, row in raw_rows(path, file, ("image",)):
                yield place, image_content(path, place, row["image"])


@contextmanager
def in_visual_genome_format(source: Source) -> Iterator[tuple[Source, list[str]]]:
    """A source in Visual Genome format with the same annotations, and the files that have the images in rows.

    The annotations of a source in Parquet are written to a temporary folder.

    Raises:
        SpeaqError: a file or a row cannot be read.
    """
    if not source.section.parquet:
        yield source, []
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        blocks, entries, files = [], [], []
        for split in SPLITS:
            with suppress(EmptySplitError):
                part = ParquetFiles(source.section, split)
                if part.split == split:  # else the training images, of which some are for validation
                    files.append(part)
        first_box = 0
        for arrays, listed in chain.from_iterable(part.blocks(part.num_images) for part in files):
            blocks.append(replace(arrays, pairs=arrays.pairs + first_box))
            first_box += len(arrays.boxes)
            sizes = zip(listed.ids, listed.entries, listed.sizes.tolist(), strict=True)
            entries += [{"image_id": i, "height": h, "width": w, **entry} for i, entry, (h, w) in sizes]
        written: dict[str, Any] = {}
        for key in vars(blocks[0]):
            parts = [getattr(block, key) for block in blocks]
            if key in ("box_ranges", "relation_ranges"):
                written[key] = Ranges.of_counts(np.concatenate([part.count for part in parts]))
            elif any(part is not None for part in parts):
                for number, block in enumerate(blocks):
                    if parts[number] is None:  # only other splits have a column of it
                        parts[number] = np.full(len(block.pairs), _WITHOUT_COLUMN[key])
                written[key] = np.concatenate(parts)
        low, high = written["boxes"][:, :2], written["boxes"][:, 2:]
        boxes = np.concatenate(((low + high) / 2, high - low), axis=1)
        written |= {"boxes": {1024: boxes, 512: boxes / 2}, "attributes": np.zeros((len(boxes), 1), np.int64)}
        paths = {key: folder / key for key in ("vg_attribute_h5", "image_data", "mapping_dictionary")}
        write_annotations(paths["vg_attribute_h5"], **written)
        write_json(paths["image_data"], entries)
        write_dictionary(paths["mapping_dictionary"], files[0].vocabulary)
        update = {key: str(path) for key, path in paths.items()} | {"parquet": "", "box_scale": 1024}
        images = [path for part in files for path in part.paths] if files[0].have_images else []
        yield replace(source, section=source.section.model_copy(update=update)), images
