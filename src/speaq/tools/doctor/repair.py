"""Writing a repaired copy of a data set, never over or into a data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from speaq.config.data import GenomeSection
from speaq.data.vg_dictionary import Dictionary
from speaq.data.vg_image_list import ImageList
from speaq.data.vg_writer import class_tables, write_annotations, write_dictionary, write_image_list
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.tools.doctor.check import DatasetCheck
from speaq.tools.doctor.sources import Source
from speaq.tools.doctor.usable import UsablePart

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


def write_repaired(check: DatasetCheck, folder: Path) -> Source:
    """Write the usable part of a data set: annotations, image list and dictionary.

    Args:
        check: of a data set with a usable part, with the sizes of all images known.
        folder: the target; outside the folders of the original, and without an earlier copy.

    Returns:
        The copy, with the images of the original.

    Raises:
        SpeaqError: as `find_targets`, or a file cannot be written.
    """
    source, usable, listed, sizes = check.source, check.usable, check.listed, check.sizes
    assert usable is not None and listed is not None and sizes is not None
    find_targets(folder, [source])
    section = source.section.model_copy(
        update={
            "images": str(source.images.resolve()),
            "image_data": str((folder / IMAGE_LIST).resolve()),
            "mapping_dictionary": str((folder / DICTIONARY).resolve()),
            "vg_attribute_h5": str((folder / ANNOTATIONS).resolve()),
            "corrupted_images": (),
        }
    )
    repaired = Source(source.name, section)
    _write_annotations(repaired.annotations, usable, section.box_scale)
    write_image_list(repaired.image_data, _image_list(listed.select(usable.images), sizes[usable.images]))
    write_dictionary(repaired.dictionary, usable.vocabulary, other=check.dictionary.content)
    return repaired


def write_settings(path: Path, sources: list[Source]) -> None:
    """Write a configuration that names these data sets, for ``--config-file`` or ``_BASE_``."""
    defaults = GenomeSection().model_dump(mode="json", by_alias=True)
    sections = {}
    for source in sources:
        settings = source.section.model_dump(mode="json", by_alias=True)
        sections[source.name] = {key: value for key, value in settings.items() if value != defaults[key]}
    with replacing(path) as temporary:
        text = yaml.safe_dump({"DATASETS": sections}, sort_keys=False, allow_unicode=True, width=1000)
        temporary.write_text(text, encoding="utf-8")


def describe_size(check: DatasetCheck) -> str:
    """How many images, boxes and relations there were and are left, in words."""
    arrays, usable = check.arrays, check.usable
    assert arrays is not None and usable is not None
    assert arrays.split is not None and arrays.boxes is not None and arrays.pairs is not None
    return ", ".join(
        f"{len(after):,} of {len(before):,} {what}"
        for what, before, after in (
            ("images", arrays.split, usable.images),
            ("boxes", arrays.boxes, usable.stored_boxes),
            ("relations", arrays.pairs, usable.annotations.pairs),
        )
    )


def list_changes(check: DatasetCheck) -> dict[str, int]:
    """What `write_repaired` changes, in words, and how many times."""
    usable, listed, sizes, dictionary = check.usable, check.listed, check.sizes, check.dictionary
    assert usable is not None and listed is not None and sizes is not None
    kept = listed.select(usable.images)
    changes = dict(usable.steps)
    changes["sizes written as the files have them"] = int((kept.sizes != sizes[usable.images]).any(1).sum())
    changes["ids made strings"] = sum(isinstance(name, int) for name in kept.ids) * _is_mixed(kept)
    for kind, names in (("object", dictionary.objects), ("predicate", dictionary.predicates)):
        if names is not None:
            changes[f"{kind} numbers changed"] = int((names.numbers != names.classes + 1).sum())
    content = _dictionary_content(dictionary, usable)
    for key, table in content.items():
        changes[f"'{key}' written anew"] = int(table != dictionary.content.get(key))
    if check.arrays is not None:
        changes |= {
            f"array '{name}' left out: damaged, or of unknown meaning": 1 for name in check.arrays.unread
        }
    return {what: count for what, count in changes.items() if count}


def _write_annotations(path: Path, usable: UsablePart, box_scale: int) -> None:
    annotations = usable.annotations
    boxes = {box_scale: usable.stored_boxes}
    if usable.other_boxes is not None:
        boxes[1536 - box_scale] = usable.other_boxes
    write_annotations(
        path,
        split=annotations.split,
        box_ranges=annotations.box_ranges,
        relation_ranges=annotations.relation_ranges,
        boxes=boxes,
        labels=annotations.labels,
        pairs=annotations.pairs,
        predicates=annotations.predicates,
        attributes=usable.attributes,
    )


def _is_mixed(listed: ImageList) -> bool:
    return len({isinstance(name, str) for name in listed.ids}) > 1


def _image_list(listed: ImageList, sizes: np.ndarray) -> list[dict[str, Any]]:
    """The entries with sound ids and sizes; their other members stay."""
    mixed = _is_mixed(listed)
    return [
        {**entry, "image_id": str(name) if mixed else name, "width": width, "height": height}
        for entry, name, (height, width) in zip(listed.entries, listed.ids, sizes.tolist(), strict=True)
    ]


def _dictionary_content(dictionary: Dictionary, usable: UsablePart) -> dict[str, Any]:
    """The dictionary with sound class tables; its other members stay."""
    return {**dictionary.content, **class_tables(usable.vocabulary)}
