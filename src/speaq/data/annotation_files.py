"""Reads the annotations of a data set in blocks of images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from speaq.data.vg_annotations import AnnotationArrays, read_annotations
from speaq.data.vg_arrays import count_rows, has_validation
from speaq.data.vg_image_list import ImageList, image_list_blocks, load_image_list
from speaq.structures import Vocabulary


class AnnotationFiles(Protocol):
    """The annotations of a data set.

    Attributes:
        name: for messages.
        names: of all files.
        num_images: images of the files, 0 where it is not known.
        has_validation: whether images are marked for validation.
    """

    name: str
    names: list[str]
    num_images: int
    has_validation: bool

    def stamp(self) -> Any:
        """The state of the files, as JSON."""
        ...

    def blocks(self, size: int) -> Iterator[tuple[AnnotationArrays, ImageList]]:
        """Annotations and images, at most ``size`` images at a time."""
        ...


class VisualGenomeFiles:
    """`AnnotationFiles` in Visual Genome format.

    Args:
        annotations: HDF5 file.
        image_data: image list.
        vocabulary: class names.
        box_scale: frame of the boxes, 1024 or 512.
        left_out: ids that may be in the list without a row.
    """

    def __init__(
        self,
        annotations: Path,
        image_data: Path,
        vocabulary: Vocabulary,
        box_scale: int,
        left_out: Sequence[int | str],
    ) -> None:
        self._paths = annotations, image_data
        self._vocabulary, self._box_scale, self._left_out = vocabulary, box_scale, left_out
        self.name, self.num_images = str(annotations), count_rows(annotations) or 0
        self.names = [str(path.resolve()) for path in self._paths]
        self.has_validation = has_validation(annotations)

    def stamp(self) -> list[list[int]]:
        """Sizes and times of the files."""
        return [[status.st_size, status.st_mtime_ns] for status in map(Path.stat, self._paths)]

    def blocks(self, size: int) -> Iterator[tuple[AnnotationArrays, ImageList]]:
        """Annotations and images, at most ``size`` images at a time.

        Raises:
            SpeaqError: see `read_annotations` and `load_image_list`.
        """
        annotations, image_data = self._paths
        options = {"box_scale": self._box_scale, "vocabulary": self._vocabulary}
        if self.num_images <= size:
            arrays = read_annotations(annotations, **options)
            yield arrays, load_image_list(image_data, num_rows=len(arrays.split), left_out=self._left_out)
            return
        listed = image_list_blocks(image_data, size, num_rows=self.num_images, left_out=self._left_out)
        for start in range(0, self.num_images, size):
            arrays = read_annotations(annotations, images=slice(start, start + size), **options)
            yield arrays, next(listed)
