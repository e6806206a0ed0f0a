"""Reads the annotations of a data set in blocks of images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speaq.config.data import DatasetSection
from speaq.data.vg_annotations import AnnotationArrays, read_annotations
from speaq.data.vg_arrays import count_rows, has_validation
from speaq.data.vg_dictionary import read_vocabulary
from speaq.data.vg_image_list import ImageList, image_list_blocks, load_image_list
from speaq.structures import Vocabulary


class AnnotationFiles(ABC):
    """The annotations of a data set.

    Attributes:
        name: for messages.
        names: paths or URLs of all files.
        num_images: images of the files, 0 where it is not known.
        has_validation: whether images are marked for validation.
        vocabulary: class names.
        box_scale: long side of an image in the frame of the boxes.
    """

    name: str
    names: list[str]
    num_images: int
    has_validation: bool
    vocabulary: Vocabulary
    box_scale: int

    def stamp(self) -> list[Any]:
        """What changes with the content of each file, as JSON: size and time, or the key of a URL."""
        return list(map(_state, self.names))

    @abstractmethod
    def blocks(self, size: int) -> Iterator[tuple[AnnotationArrays, ImageList]]:
        """Annotations and images, at most ``size`` images at a time.

        Raises:
            SpeaqError: they cannot be read, or are malformed.
        """


def _state(name: str) -> Any:
    if "://" in name:
        import fsspec

        system, path = fsspec.url_to_fs(name)
        return system.ukey(path)
    status = Path(name).stat()
    return [status.st_size, status.st_mtime_ns]


class VisualGenomeFiles(AnnotationFiles):
    """`AnnotationFiles` in Visual Genome format.

    Raises:
        SpeaqError: see `read_vocabulary`.
    """

    def __init__(self, section: DatasetSection) -> None:
        annotations = Path(section.vg_attribute_h5)
        self._paths = annotations, Path(section.image_data)
        self._left_out, self.box_scale = section.corrupted_images, section.box_scale
        self.vocabulary = read_vocabulary(Path(section.mapping_dictionary))
        self.name, self.num_images = str(annotations), count_rows(annotations) or 0
        self.names = [str(path.resolve()) for path in self._paths]
        self.has_validation = has_validation(annotations)

    def blocks(self, size: int) -> Iterator[tuple[AnnotationArrays, ImageList]]:
        """See `AnnotationFiles`, `read_annotations` and `load_image_list`."""
        annotations, image_data = self._paths
        options = {"box_scale": self.box_scale, "vocabulary": self.vocabulary}
        if self.num_images <= size:
            arrays = read_annotations(annotations, **options)
            yield arrays, load_image_list(image_data, num_rows=len(arrays.split), left_out=self._left_out)
            return
        listed = image_list_blocks(image_data, size, num_rows=self.num_images, left_out=self._left_out)
        for start in range(0, self.num_images, size):
            arrays = read_annotations(annotations, images=slice(start, start + size), **options)
            yield arrays, next(listed)
