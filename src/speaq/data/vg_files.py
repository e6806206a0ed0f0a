"""Reading and checking the two JSON files of a Visual Genome data set: class names and image list.

I: images of the list.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

# The published image list has these four images more than the published annotations have rows.
UNANNOTATED_IDS = (1592, 1722, 4616, 4617)


@dataclass(frozen=True, slots=True)
class ImageList:
    """The images of a data set, in the order of the annotation rows.

    Attributes:
        ids: (I,) int64, or strings.
        sizes: (I, 2) int32, height and width in pixels.
    """

    ids: np.ndarray
    sizes: np.ndarray

    def are_among(self, ids: Sequence[int | str]) -> np.ndarray:
        """Which of the images (I,) bool have one of ``ids``; 7, "7" and "7.jpg" name the same image."""
        if not ids:
            return np.zeros(len(self.ids), dtype=bool)
        return np.isin(self.ids.astype(str), [str(name).removesuffix(".jpg") for name in ids])


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the mapping dictionary: ``label_to_idx`` and ``predicate_to_idx``, numbers from 1.

    Raises:
        SpeaqError: the file is missing, is not JSON, or names and numbers are not one to one.
    """
    dictionary = _read_json(path, "mapping dictionary")
    if not isinstance(dictionary, dict):
        raise SpeaqError(
            f"{path}: expected a JSON object with 'label_to_idx' and 'predicate_to_idx'; "
            f"found {_kind(dictionary)}."
        )
    return Vocabulary(_class_names(path, dictionary, "label"), _class_names(path, dictionary, "predicate"))


def read_image_list(path: Path) -> ImageList:
    """Read the image list: a JSON list of objects with ``image_id``, ``width`` and ``height``.

    Raises:
        SpeaqError: the file is missing, is not such a list, or an entry is incomplete.
    """
    entries = _read_json(path, "image list")
    if not isinstance(entries, list) or not entries:
        raise SpeaqError(f"{path}: expected a JSON list of images; found {_kind(entries)}.")
    try:
        ids = [entry["image_id"] for entry in entries]
        sizes = np.array([(entry["height"], entry["width"]) for entry in entries])
    except (KeyError, TypeError, ValueError):
        raise SpeaqError(f"{path}: {_first_bad_entry(entries)}") from None
    if sizes.dtype.kind != "i" or (sizes <= 0).any() or (sizes >= 2**31).any():
        raise SpeaqError(f"{path}: {_first_bad_entry(entries)}")
    for number, name in enumerate(ids):
        if isinstance(name, str) and (PurePath(name).is_absolute() or ".." in PurePath(name).parts):
            raise SpeaqError(
                f"{path}: entry {number} has the 'image_id' {name!r}; expected a name within the folder of "
                "images."
            )
    kinds = {type(name) for name in ids}
    if kinds not in ({int}, {str}):
        found = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise SpeaqError(f"{path}: 'image_id' must be an integer everywhere, or a string; found {found}.")
    if kinds == {int} and max(map(abs, ids)) >= 2**63:
        raise SpeaqError(f"{path}: 'image_id' {max(ids, key=abs)} is too large a number; use a string.")
    return ImageList(np.array(ids), sizes.astype(np.int32))


def align_images(
    images: ImageList,
    num_rows: int,
    unannotated: Sequence[int | str],
    *,
    list_path: Path,
    annotations_path: Path,
) -> ImageList:
    """The images that belong to the annotation rows.

    The published list is longer than the published annotations by the four images of `UNANNOTATED_IDS`;
    other data sets may have such images too and name them.

    Args:
        images: the list as read.
        num_rows: rows of the annotation file.
        unannotated: ids that may be in the list without a row, besides the published four.
        list_path: for the message.
        annotations_path: for the message.

    Returns:
        A list of ``num_rows`` images.

    Raises:
        SpeaqError: the counts do not agree, with or without those images.
    """
    for surplus in ((), UNANNOTATED_IDS, unannotated):
        kept = ~images.are_among(surplus)
        if kept.sum() == num_rows:
            return ImageList(images.ids[kept], images.sizes[kept])
    published = ", ".join(map(str, UNANNOTATED_IDS))
    raise SpeaqError(
        f"{list_path} lists {len(images.ids)} images, but {annotations_path} has {num_rows} rows in 'split'. "
        f"Expected as many, or as many without the ids {published}, or without those of "
        "CORRUPTED_IMAGES. Use the image list that belongs to the annotations."
    )


def _read_json(path: Path, what: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read the {what} ({error.strerror}). Check the path.") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise SpeaqError(f"{path}: the {what} is not valid JSON ({error}).") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these members, whose names must differ: which one would count?"""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"one object has {next(n for n in names if names.count(n) > 1)!r} more than once")
    return members


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "nothing"
    return f"an empty {type(value).__name__}" if value in ({}, []) else type(value).__name__


def _class_names(path: Path, dictionary: dict[str, Any], kind: str) -> tuple[str, ...]:
    """Names in index order from ``<kind>_to_idx``, checked against ``idx_to_<kind>`` where that is given."""
    key, inverse_key = f"{kind}_to_idx", f"idx_to_{kind}"
    numbers = dictionary.get(key)
    if not isinstance(numbers, dict) or not numbers:
        raise SpeaqError(f"{path}: '{key}' must map names to numbers from 1; found {_kind(numbers)}.")
    expected = range(1, len(numbers) + 1)
    for name, number in numbers.items():
        if type(number) is not int or number not in expected:
            raise SpeaqError(
                f"{path}: '{key}' has {len(numbers)} names, so their numbers must be 1 to {len(numbers)}; "
                f"found {number!r} for {name!r}."
            )
    names = {number: name for name, number in numbers.items()}
    if len(names) < len(numbers):
        twice = next(name for name, number in numbers.items() if names[number] != name)
        raise SpeaqError(
            f"{path}: '{key}' gives {numbers[twice]} to {twice!r} and to {names[numbers[twice]]!r}; every "
            "name needs a number of its own."
        )
    inverse = dictionary.get(inverse_key)
    if inverse is not None and inverse != {str(number): name for number, name in names.items()}:
        raise SpeaqError(f"{path}: '{inverse_key}' is not the inverse of '{key}'. Correct one of the two.")
    return tuple(names[number] for number in expected)


def _first_bad_entry(entries: list[Any]) -> str:
    """Which entry of a refused image list is wrong, and how."""
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            return (
                f"entry {number} must be an object with 'image_id', 'width', 'height'; found {_kind(entry)}."
            )
        missing = [key for key in ("image_id", "width", "height") if key not in entry]
        if missing:
            return f"entry {number} has no '{missing[0]}'; found {', '.join(entry) or 'nothing'}."
        for key in ("width", "height"):
            if type(entry[key]) is not int or not 0 < entry[key] < 2**31:
                return (
                    f"entry {number} (image {entry['image_id']!r}): '{key}' must be a positive integer of 32 "
                    f"bits; found {entry[key]!r}."
                )
    return "the entries must be objects with 'image_id', 'width', 'height'."
