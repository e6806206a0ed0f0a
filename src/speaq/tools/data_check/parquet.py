"""Data sets in Parquet for the checks, which read Visual Genome format.

I: images.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from speaq.data.parquet_images import ParquetFiles
from speaq.data.parquet_rows import image_content, opened, raw_rows
from speaq.data.selection import SPLITS, EmptySplitError
from speaq.data.vg_ranges import Ranges
from speaq.data.vg_writer import write_annotations, write_dictionary, write_json
from speaq.errors import SpeaqError
from speaq.images import read_image_file, read_image_size
from speaq.tools.data_check.images import ImageFiles
from speaq.tools.data_check.sources import Source


@dataclass(frozen=True, slots=True)
class RowImages:
    """The images in the rows of Parquet files, in their order."""

    paths: list[str]

    def read(
        self, sizes: np.ndarray, are_opened: np.ndarray, progress: Callable[[int, int], None] | None
    ) -> ImageFiles:
        """Read all rows if any of I images ``are_opened`` (I,) bool; their listed ``sizes`` are (I, 2)."""
        number = len(sizes)
        paths: list[Path | None] = [None] * number
        contents: list[bytes | None] = [None] * number
        missing, unreadable = np.zeros(number, dtype=bool), np.zeros(number, dtype=bool)
        found = np.zeros((number, 2), dtype=np.int64)
        for row, (place, image) in enumerate(self._images() if are_opened.any() else ()):
            paths[row], missing[row] = Path(place), image is None
            if image is not None:
                height, width = sizes[row].tolist()
                try:
                    read_image_file(image)
                    found[row] = read_image_size(image, listed=(width, height))[::-1]
                    contents[row] = hashlib.blake2b(image).digest()
                except SpeaqError:
                    unreadable[row] = True
            if progress is not None:
                progress(row + 1, number)
        return ImageFiles(paths, missing, unreadable, found, contents)

    def _images(self) -> Iterator[tuple[str, bytes | None]]:
        for path in self.paths:
            with opened(path) as file:
                for place, row in raw_rows(path, file, ("image",)):
                    yield place, image_content(path, place, row["image"])


@contextmanager
def in_visual_genome_format(source: Source) -> Iterator[tuple[Source, RowImages | None]]:
    """A source in Visual Genome format with the same annotations, and the images if they are in rows.

    The annotations of a source in Parquet are written to a temporary folder.

    Raises:
        SpeaqError: a file or a row cannot be read.
    """
    if not source.section.parquet:
        yield source, None
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
            parts = [part for block in blocks if (part := getattr(block, key)) is not None]
            if key in ("box_ranges", "relation_ranges"):
                written[key] = Ranges.of_counts(np.concatenate([part.count for part in parts]))
            elif parts:
                written[key] = np.concatenate(parts)
        low, high = written["boxes"][:, :2], written["boxes"][:, 2:]
        boxes = np.concatenate(((low + high) / 2, high - low), axis=1)
        written |= {"boxes": {1024: boxes, 512: boxes / 2}, "attributes": np.zeros((len(boxes), 1), np.int64)}
        paths = {key: folder / key for key in ("vg_attribute_h5", "image_data", "mapping_dictionary")}
        write_annotations(paths["vg_attribute_h5"], **written)
        write_json(paths["image_data"], entries)
        write_dictionary(paths["mapping_dictionary"], files[0].vocabulary)
        update = {key: str(path) for key, path in paths.items()} | {"parquet": "", "box_scale": 1024}
        images = RowImages([path for part in files for path in part.paths])
        section = source.section.model_copy(update=update)
        yield Source(source.name, section, source.max_pixels), images if files[0].have_images else None
