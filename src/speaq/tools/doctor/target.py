"""Where a repaired copy may be written: never over or into a data set."""

from collections.abc import Sequence
from pathlib import Path

from speaq.errors import SpeaqError
from speaq.tools.doctor.sources import Source

ANNOTATIONS, IMAGE_LIST, DICTIONARY, SETTINGS = (
    "annotations.h5",
    "image_data.json",
    "dicts.json",
    "dataset.yaml",
)


def find_targets(folder: Path, sources: Sequence[Source]) -> list[Path]:
    """The folder of each copy: ``folder`` itself for one data set, else one in it for each.

    Args:
        folder: of ``--fix``.
        sources: the originals.

    Raises:
        SpeaqError: the folder, or that of a copy, belongs to an original or holds what would be written.
    """
    targets = [folder] if len(sources) == 1 else [folder / source.name.lower() for source in sources]
    for target in dict.fromkeys([folder, *targets]):
        _check_outside(target, sources)
        if target.exists() and not target.is_dir():
            raise SpeaqError(f"{target}: this is a file; give --fix a new folder")
    written = [folder / SETTINGS]
    written += [target / name for target in targets for name in (ANNOTATIONS, IMAGE_LIST, DICTIONARY)]
    held = [path for path in written if path.exists() or path.is_symlink()]
    if held:
        names = ", ".join(str(path.relative_to(folder)) for path in held)
        raise SpeaqError(
            f"{folder}: it already holds {names}, which --fix would overwrite; give a new folder"
        )
    return targets


def _check_outside(target: Path, sources: Sequence[Source]) -> None:
    place = target.resolve()
    for source in sources:
        files = (source.annotations, source.image_data, source.dictionary)
        folders = {path.parent.resolve() for path in files} | {path.resolve().parent for path in files}
        for folder in sorted(folders | {source.images.resolve()}):
            if place == folder:
                raise SpeaqError(f"{target}: the data set itself is in this folder; give --fix another one")
            if place.is_relative_to(folder):
                raise SpeaqError(
                    f"{target}: this is inside {folder}, which belongs to the data set; give --fix a folder "
                    "outside of it"
                )
