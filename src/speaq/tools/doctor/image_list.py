"""The image list, read as far as it can be, with everything that is wrong with it.

L: entries of the list, I: rows of the annotations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from speaq.data.vg_files import UNANNOTATED_IDS, ImageList
from speaq.tools.doctor.findings import Example, Findings
from speaq.tools.doctor.json_file import read_json

_KEYS = ("image_id", "width", "height")


@dataclass(frozen=True, slots=True)
class ListedImages:
    """What could be read of the list.

    Attributes:
        entries: L JSON values, as they are.
        ids: L usable ids, None where an entry has none.
        sizes: (L, 2) int64, height and width in pixels, 0 where an entry does not say.
    """

    entries: list[Any]
    ids: list[int | str | None]
    sizes: np.ndarray

    def select(self, rows: np.ndarray) -> "ListedImages":
        """The entries of these rows."""
        chosen = rows.tolist()
        return ListedImages(
            [self.entries[i] for i in chosen], [self.ids[i] for i in chosen], self.sizes[rows]
        )

    def are_among(self, ids: Sequence[int | str]) -> np.ndarray:
        """Which of the entries (L,) bool have one of ``ids``."""
        return ImageList(np.array(self.ids, dtype=str), self.sizes).are_among(ids)


def read_listed_images(path: Path, findings: Findings) -> ListedImages | None:
    """Read the image list and note its mistakes; None where there is nothing to read."""
    entries, problem = read_json(path, findings)
    if not isinstance(entries, list) or not entries:
        findings.add(
            "error",
            "image-list-unreadable",
            "The image list is not a JSON list of images.",
            "Use the image list that belongs to the annotations; image files were not checked.",
            examples=[Example(None, path.name, problem or f"it holds {entries!r:.60}")],
        )
        return None
    objects = [entry if isinstance(entry, dict) else {} for entry in entries]
    findings.add(
        "error",
        "image-entry",
        "An entry of the image list is not an object.",
        f"Every entry needs {', '.join(_KEYS)}. --fix leaves the image out.",
        examples=[
            Example(None, f"entry {i}", entry)
            for i, entry in enumerate(entries)
            if not isinstance(entry, dict)
        ],
    )
    return ListedImages(entries, _read_ids(entries, findings), _read_sizes(objects, findings))


def _read_ids(entries: list[Any], findings: Findings) -> list[int | str | None]:
    missing, wrong, paths = [], [], []
    ids: list[int | str | None] = []
    for number, entry in enumerate(entries):
        usable = None
        if not isinstance(entry, dict):
            pass
        elif "image_id" not in entry:
            missing.append(Example(None, f"entry {number}", ", ".join(map(str, entry)) or "nothing"))
        elif not _is_id(name := entry["image_id"]):
            wrong.append(Example(None, f"entry {number}", name))
        elif isinstance(name, str) and _leaves_folder(name):
            paths.append(Example(None, f"entry {number}", name))
        else:
            usable = name
        ids.append(usable)
    findings.add(
        "error",
        "image-id-missing",
        "An entry of the image list has no 'image_id'.",
        "Add the id. --fix leaves the image out.",
        examples=missing,
    )
    findings.add(
        "error",
        "image-id-type",
        "An 'image_id' is neither an integer (of 64 bits) nor a string.",
        "Write the name of the file without its ending. --fix leaves the image out.",
        examples=wrong,
    )
    findings.add(
        "error",
        "image-id-path",
        "An 'image_id' leads out of the folder of images.",
        "Name files within the folder. --fix leaves the image out.",
        examples=paths,
    )
    _check_kinds(ids, findings)
    return ids


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (type(value) is int and abs(value) < 2**63)


def _leaves_folder(name: str) -> bool:
    if not any(sign in name for sign in ("/", "\\", "..")):  # a path is slow to make
        return False
    return PurePath(name).is_absolute() or ".." in PurePath(name).parts


def _check_kinds(ids: list[int | str | None], findings: Findings) -> None:
    """Integers everywhere, or strings."""
    kinds = [[i for i, name in enumerate(ids) if isinstance(name, kind)] for kind in (int, str)]
    rarer = min(kinds, key=len)
    findings.add(
        "error",
        "image-id-mixed",
        "Some ids are integers and some strings; this is the rarer kind.",
        "Use one kind. --fix makes strings of all.",
        examples=[Example(ids[i], f"entry {i}", ids[i]) for i in rarer],
    )


def _read_sizes(objects: list[dict[str, Any]], findings: Findings) -> np.ndarray:
    """Heights and widths, 0 where one of the two is not a positive integer."""
    sizes = [(entry.get("height"), entry.get("width")) for entry in objects]
    wrong = []
    for number, (height, width) in enumerate(sizes):
        if not all(type(side) is int and 0 < side < 2**31 for side in (height, width)):
            sizes[number] = (0, 0)
            if entry := objects[number]:
                found = {key: entry.get(key) for key in ("width", "height")}
                wrong.append(Example(entry.get("image_id"), f"entry {number}", found))
    findings.add(
        "error",
        "image-size",
        "'width' or 'height' is missing, or is not a positive integer.",
        "Write the size of the file. --fix reads it from the file.",
        examples=wrong,
    )
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)


def align(
    listed: ListedImages, num_rows: int, left_out: Sequence[int | str], findings: Findings
) -> ListedImages | None:
    """The images of the annotation rows, in order; None where the two cannot belong together.

    Args:
        listed: the list.
        num_rows: I.
        left_out: ids that may be listed without a row, besides the published four.
        findings: where to note what is wrong.
    """
    for surplus in ((), UNANNOTATED_IDS, left_out):
        absent = listed.are_among(surplus)
        if len(absent) - absent.sum() == num_rows:
            findings.add(
                "note",
                "image-list-unannotated",
                "Images of the list have no annotations, as is known of these ids.",
                "",
                examples=[
                    Example(listed.ids[i], f"entry {i}", "no row") for i in np.flatnonzero(absent).tolist()
                ],
            )
            return listed.select(np.flatnonzero(~absent))
    findings.add(
        "error",
        "image-list-length",
        "The image list and the annotations have different numbers of images, with and without the ids "
        f"{', '.join(map(str, UNANNOTATED_IDS))} and CORRUPTED_IMAGES.",
        "Use the list that belongs to the annotations. Files and sizes of images were not checked.",
        examples=[Example(None, "images", {"image list": len(listed.ids), "annotations": num_rows})],
    )
    return None
