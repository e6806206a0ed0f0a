"""From one format to another: read, choose classes and splits, find the images, write."""

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from speaq.checkpoints.hub import download, is_hub_id
from speaq.data.aliases import read_aliases
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError, first_names
from speaq.evaluation.formats.triplets import BoxScale
from speaq.tools.convert.annotated import AnnotatedSet
from speaq.tools.convert.classes import force_classes, keep_frequent, merge_classes
from speaq.tools.convert.formats import FORMATS, format_named, format_of
from speaq.tools.convert.image_files import count_other_names, find_images, guess_folder, link_images
from speaq.tools.convert.splits import draw_splits, keep_splits

_log = logging.getLogger(__name__)

_HUB_FILES = ["README.md", "categories.json", "*.parquet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedDataset:
    """A converted dataset and its files.

    Attributes:
        data: as written.
        source_format, target_format: their names.
        files: what was written.
        images: folder of the images, None if not known.
        num_missing: images that have no file there.
        num_other_names: images whose file is not named after their id.
    """

    data: AnnotatedSet
    source_format: str
    target_format: str
    files: list[Path]
    images: Path | None
    num_missing: int
    num_other_names: int


def convert_dataset(
    source: str | Path,
    out: str | Path,
    *,
    source_format: str | None = None,
    target_format: str = "vg",
    images: str | Path | None = None,
    link: bool = False,
    splits: Sequence[str] = (),
    val_share: float = 0.0,
    test_share: float = 0.0,
    seed: int = 0,
    num_objects: int | None = None,
    num_predicates: int | None = None,
    min_object_count: int = 0,
    min_predicate_count: int = 0,
    mapping: str | Path | None = None,
    object_aliases: str | Path | None = None,
    predicate_aliases: str | Path | None = None,
    box_scale: BoxScale = "auto",
) -> ConvertedDataset:
    """Convert the annotations of a data set.

    Images stay where they are. Those that are part of the source are written to ``<out>/images``, unless
    ``images`` names a folder.

    Args:
        source: a file, a folder, or the id of a data set in Parquet on the Hugging Face hub.
        out: folder to write to; made if missing. It must not be the source.
        source_format: name of one of `FORMATS`; None: recognised by the files.
        target_format: name of a format that can be written.
        images: folder of the images; None: the one beside the annotations, if there is one.
        link: make links ``<image_id>.<ending>`` in ``<out>/images``, where the files are not named so.
        splits: keep only images of these splits (train, val, test); empty: all.
        val_share: share of the training images to draw for validation, where the source has none.
        test_share: share of the training images to draw for testing, where the source has none.
        seed: of that draw.
        num_objects: how many of the most frequent object classes to keep.
        num_predicates: how many of the most frequent predicates to keep.
        min_object_count: boxes that an object class needs to be kept.
        min_predicate_count: relations that a predicate needs to be kept.
        mapping: dictionary whose classes the result is to have; those of the source are found by name.
        object_aliases: file of object names to merge before classes are chosen (`read_aliases`).
        predicate_aliases: file of predicates to merge, likewise.
        box_scale: unit of the boxes of triplets.

    Raises:
        SpeaqError: the source is damaged, an option does not fit it, or a file cannot be written.
    """
    source, out = Path(source), Path(out)
    if source_format in (None, "parquet") and is_hub_id(source):
        source = download(str(source), _HUB_FILES, repo_type="dataset")
    _check_folders(source, out, None if images is None else Path(images))
    folder = guess_folder(source) if images is None else Path(images)
    reader = format_of(source) if source_format is None else format_named(source_format)
    writer = format_named(target_format)
    if writer.write is None:
        known = ", ".join(one.name for one in FORMATS if one.write is not None)
        raise SpeaqError(f"{target_format}: this format can only be read; expected one of {known}.")
    if link and folder is None:
        raise SpeaqError("links to the images need their folder: name it with --images.")

    if box_scale != "auto" and reader.name != "triplets":
        raise SpeaqError(f"--box-scale is for triplets; boxes of {reader.name} have a fixed unit.")
    options = {"box_scale": box_scale} if reader.name == "triplets" else {}
    with _no_garbage_collection():
        data = reader.read(source, folder, **options)
    if splits:
        data = keep_splits(data, splits)
    data = draw_splits(data, val_share=val_share, test_share=test_share, seed=seed)
    objects = _aliases(object_aliases, data.vocabulary.objects, "object classes")
    data = merge_classes(data, objects, _aliases(predicate_aliases, data.vocabulary.predicates, "predicates"))
    if mapping is not None:
        data = force_classes(data, read_vocabulary(Path(mapping)))
    data = keep_frequent(
        data,
        num_objects=num_objects,
        num_predicates=num_predicates,
        min_object_count=min_object_count,
        min_predicate_count=min_predicate_count,
    )
    _check_not_empty(source, data)

    if images is None and reader.extract_images is not None:
        extracted = reader.extract_images(source, data, out / "images")
        if extracted is not None:
            data, folder = extracted, out / "images"
    num_missing = 0
    if folder is not None:
        data, num_missing = find_images(data, folder)
        if link and count_other_names(data):
            data, folder = link_images(data, folder, out / "images"), out / "images"
    if not writer.keeps_confidences and not (data.confidences is None and data.sources is None):
        _log.warning(
            "%s has no place for confidences and sources of relations: they are left out", target_format
        )
    files = writer.write(data, out, folder)
    return ConvertedDataset(
        data=data,
        source_format=reader.name,
        target_format=writer.name,
        files=files,
        images=folder,
        num_missing=num_missing,
        num_other_names=count_other_names(data),
    )


def _check_folders(source: Path, out: Path, images: Path | None) -> None:
    if not source.exists():
        raise SpeaqError(f"{source}: there is no such file or folder.")
    if out.exists() and not out.is_dir():
        raise SpeaqError(f"{out}: expected a folder to write to, found a file.")
    if out.resolve() in (source.resolve(), source.resolve().parent if source.is_file() else None):
        raise SpeaqError(f"{out}: the source itself is in this folder; name another one to write to.")
    if images is not None and not images.is_dir():
        raise SpeaqError(f"{images}: there is no such folder of images.")


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause the search for cycles, which takes half of the time while millions of JSON objects are made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _aliases(path: str | Path | None, classes: Sequence[str], what: str) -> dict[str, str]:
    """The names to replace, with a warning if none is a class of the source."""
    aliases = read_aliases(path)
    if path is not None and aliases.keys().isdisjoint(classes):
        _log.warning("%s: replaces none of the %s of the source (%s)", path, what, first_names(classes))
    return aliases


def _check_not_empty(source: Path, data: AnnotatedSet) -> None:
    for what, rows in (("box", data.boxes), ("relation", data.relations)):
        if not len(rows):
            changes = "".join(f"\n  {count:,} {change}" for change, count in data.changes.items())
            raise SpeaqError(f"{source}: no {what} is left; nothing was written.{changes}")
