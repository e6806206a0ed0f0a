"""Finds the files of a data set."""

from pathlib import Path

from pydantic import StrictInt

from speaq.errors import SpeaqError

Triplet = tuple[StrictInt, StrictInt, StrictInt]  # subject, object, predicate


def files_named(source: Path, pattern: str) -> list[Path]:
    """The source itself, or the files of a folder, with such a name."""
    if source.is_dir():
        return sorted(source.glob(pattern))
    return [source] if source.match(pattern) else []


def files_with(source: Path, key: str) -> list[Path]:
    """The source itself, or the JSON files of a folder, with this key in it."""
    paths = sorted(source.glob("*.json")) if source.is_dir() else [source]
    quoted = f'"{key}"'.encode()
    return [
        path for path in paths if path.suffix == ".json" and path.is_file() and quoted in path.read_bytes()
    ]


def one_of(source: Path, pattern: str, what: str) -> Path:
    """The one file of a folder with such a name.

    Raises:
        SpeaqError: there is none, or more than one.
    """
    found = sorted(source.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise SpeaqError(
            f"{source}: expected one {what} ({pattern}) in this folder, found {names}. Put links to the "
            "files of one data set into a folder of its own."
        )
    return found[0]
