"""The table of formats."""

from pathlib import Path

from speaq.errors import SpeaqError
from speaq.tools.convert import (
    clevr,
    coco,
    cvat,
    gqa,
    hoi,
    json_lines,
    label_studio,
    layouts,
    open_images,
    parquet,
    psg,
    triplets,
    vg,
    vg_raw,
    vrd,
)
from speaq.tools.convert.reading import Format

FORMATS = (
    vg.FORMAT,
    vg_raw.FORMAT,
    coco.FORMAT,
    json_lines.FORMAT,
    open_images.FORMAT,
    vrd.FORMAT,
    parquet.FORMAT,
    gqa.FORMAT,
    clevr.FORMAT,
    layouts.FORMAT,
    cvat.FORMAT,
    hoi.FORMAT,
    triplets.FORMAT,
    label_studio.FORMAT,
    coco.SGG_BENCHMARK,
    psg.FORMAT,
)


def format_named(name: str) -> Format:
    """The format with this name.

    Raises:
        SpeaqError: there is none.
    """
    for one in FORMATS:
        if one.name == name:
            return one
    raise SpeaqError(f"{name}: there is no such format; expected {', '.join(one.name for one in FORMATS)}.")


def format_of(source: Path) -> Format:
    """The format of a file or folder, recognised by its files.

    Raises:
        SpeaqError: no format fits, or several do.
    """
    found = [one for one in FORMATS if not one.files.by_content and one.files.find(source)]
    if json_lines.FORMAT in found and triplets.FORMAT.files.find(source):
        found.remove(json_lines.FORMAT)
    found = found or [one for one in FORMATS if one.files.by_content and one.files.find(source)]
    if len(found) == 1:
        return found[0]
    what = " or ".join(one.name for one in found) or "none of the known ones"
    layouts = "".join(f"\n  {one.name}: {one.layout}" for one in FORMATS)
    raise SpeaqError(f"{source}: the format seems to be {what}; name it with --from:{layouts}")
