"""Writing a repaired copy of a data set, never over or into a data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speaq.config.data import DatasetSection
from speaq.data.vg_writer import (
    DATASET_FILE,
    class_tables,
    write_annotations,
    write_configuration,
    write_dictionary,
    write_json,
)
from speaq.errors import SpeaqError
from speaq.tools.data_check.check import DatasetCheck
from speaq.tools.data_check.sources import Source

_ANNOTATIONS, _IMAGE_LIST, _DICTIONARY = "annotations.h5", "image_data.json", "dicts.json"


def find_targets(folder: Path, sources: Sequence[Source]) -> list[Path]:
    """The folder of each copy: ``folder`` itself for one data set, else one in it for each.

    Raises:
        SpeaqError: the folder, or that of a copy, belongs to an original or holds what would be written.
    """
    for source in sources:
        if source.section.parquet:
            raise SpeaqError(
                f"{source.annotations}: --fix writes Visual Genome format; convert the files first: "
                f"speaq data convert {source.annotations} FOLDER"
            )
    targets = [folder] if len(sources) == 1 else [folder / source.name.lower() for source in sources]
    files = [path for one in sources for path in (one.annotations, one.image_data, one.dictionary)]
    originals = {path.parent.resolve() for path in files} | {path.resolve().parent for path in files}
    originals |= {folder.resolve() for source in sources for folder in source.images.folders}
    for target in dict.fromkeys([folder, *targets]):
        for original in sorted(originals):
            if target.resolve().is_relative_to(original):
                raise SpeaqError(
                    f"{target}: the folder {original} belongs to the data set; give --fix a folder outside "
                    "of it"
                )
        if target.exists() and not target.is_dir():
            raise SpeaqError(f"{target}: this is a file; give --fix a new folder")
    written = [folder / DATASET_FILE]
    written += [target / name for target in targets for name in (_ANNOTATIONS, _IMAGE_LIST, _DICTIONARY)]
    existing = [path.relative_to(folder) for path in written if path.exists() or path.is_symlink()]
    if existing:
        names = ", ".join(map(str, existing))
        raise SpeaqError(f"{folder}: it already has {names}, which --fix would overwrite; give a new folder")
    return targets


def write_repaired(check: DatasetCheck, folder: Path) -> Source:
    """Write the valid part of a data set (annotations, image list, dictionary) to a folder; return the copy.

    Raises:
        SpeaqError: as `find_targets`, or a file cannot be written.
    """
    source, valid = check.source, check.valid
    assert valid is not None
    find_targets(folder, [source])
    paths = {
        "image_data": folder / _IMAGE_LIST,
        "mapping_dictionary": folder / _DICTIONARY,
        "vg_attribute_h5": folder / _ANNOTATIONS,
    }
    folders = [str(folder.resolve()) for folder in source.images.folders]
    update = {key: str(path.resolve()) for key, path in paths.items()}
    update |= {"images": folders[0] if len(folders) == 1 else tuple(folders), "corrupted_images": ()}
    repaired = Source(source.name, source.section.model_copy(update=update), source.max_pixels)
    arrays: dict[str, Any] = vars(valid.annotations) | {"boxes": valid.boxes}
    write_annotations(repaired.annotations, **arrays, attributes=valid.attributes)
    write_json(repaired.image_data, _image_entries(check))
    write_dictionary(repaired.dictionary, valid.vocabulary, other=check.dictionary.content)
    return repaired


def write_settings(path: Path, sources: Sequence[Source]) -> None:
    """Write a configuration that names these data sets, for ``--config-file`` or ``_BASE_``."""
    defaults = DatasetSection().model_dump(mode="json", by_alias=True)
    sections = {}
    for source in sources:
        settings = source.section.model_dump(mode="json", by_alias=True)
        sections[source.name] = {key: value for key, value in settings.items() if value != defaults[key]}
    write_configuration(path, {"DATASETS": sections})


def describe_size(check: DatasetCheck) -> str:
    """How many images, boxes and relations there were and are left, in words."""
    assert check.arrays is not None and check.valid is not None
    before, after = check.arrays.values, check.valid.annotations
    numbers = {
        "images": (after.split, before["split"]),
        "boxes": (after.boxes, before["boxes"]),
        "relations": (after.pairs, before["relationships"]),
    }
    return ", ".join(f"{len(left):,} of {len(all_):,} {what}" for what, (left, all_) in numbers.items())


def list_changes(check: DatasetCheck) -> dict[str, int]:
    """What `write_repaired` changes, in words, and how many times."""
    valid, listed, arrays, dictionary = check.valid, check.listed, check.arrays, check.dictionary
    assert valid is not None and listed is not None and arrays is not None
    before, after = listed.select(valid.images), _image_entries(check)
    sizes = [[entry["height"], entry["width"]] for entry in after]
    ids = [entry["image_id"] for entry in after]
    changes = valid.changes | {
        "sizes replaced by those of the files": int((before.sizes != sizes).any(axis=1).sum()),
        "ids converted to strings": sum(new != old for new, old in zip(ids, before.ids, strict=True)),
    }
    for kind, names in (("object", dictionary.objects), ("predicate", dictionary.predicates)):
        if names is not None:
            changes[f"{kind} numbers changed"] = int((names.numbers != names.classes + 1).sum())
    tables = dictionary.content | class_tables(valid.vocabulary)
    for key, table in tables.items():
        changes[f"'{key}' rewritten"] = int(table != dictionary.content.get(key))
    for name in arrays.unread:
        changes[f"array '{name}' left out: damaged or unknown"] = 1
    return {what: count for what, count in changes.items() if count}


def _image_entries(check: DatasetCheck) -> list[dict[str, Any]]:
    """The entries of the valid images with ids of one type and with sizes; their other members stay."""
    assert check.valid is not None and check.listed is not None and check.sizes is not None
    listed, sizes = check.listed.select(check.valid.images), check.sizes[check.valid.images]
    is_mixed = len({isinstance(name, str) for name in listed.ids}) > 1
    return [
        {**entry, "image_id": str(name) if is_mixed else name, "width": width, "height": height}
        for entry, name, (height, width) in zip(listed.entries, listed.ids, sizes.tolist(), strict=True)
    ]
