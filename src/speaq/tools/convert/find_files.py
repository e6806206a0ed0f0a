"""Finds the files of a source."""

from pathlib import Path

from speaq.errors import SpeaqError


def files_with(source: Path, suffix: str, text: str) -> list[Path]:
    """The source itself, or the files of a folder, with this ending and the text, as a JSON key, in it."""
    paths = sorted(source.glob(f"*{suffix}")) if source.is_dir() else [source]
    quoted = f'"{text}"'.encode()
    return [
        path for path in paths if path.suffix == suffix and path.is_file() and quoted in path.read_bytes()
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
