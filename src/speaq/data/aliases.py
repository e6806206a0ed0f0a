"""Tables of names that mean the same."""

from pathlib import Path

from speaq.errors import SpeaqError
from speaq.files import regular


def read_aliases(path: str | Path | None) -> dict[str, str]:
    """Names to replace: every line has a name and, after it, those that mean the same, with commas between.

    None means no names.

    Raises:
        SpeaqError: the file cannot be read, or a name is to become two.
    """
    if path is None:
        return {}
    try:
        lines = regular(Path(path)).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise SpeaqError(f"{path}: cannot read these aliases ({error}).") from error
    aliases: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        name, *others = (part.strip() for part in line.split(","))
        for other in others:
            if aliases.setdefault(other, name) != name:
                raise SpeaqError(f"{path}: line {number}: {other!r} is to become {aliases[other]!r} already.")
    return aliases
