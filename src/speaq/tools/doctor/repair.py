"""Writing a repaired copy of a data set. The images are not copied: the copy refers to their folder."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from speaq.config.data import GenomeSection
from speaq.data.vg_writer import class_tables, write_annotations, write_dictionary, write_image_list
from speaq.files import replacing
from speaq.tools.doctor.dataset import DatasetCheck
from speaq.tools.doctor.dictionary import Dictionary
from speaq.tools.doctor.image_list import ListedImages
from speaq.tools.doctor.salvage import Salvaged
from speaq.tools.doctor.sources import Source
from speaq.tools.doctor.target import ANNOTATIONS, DICTIONARY, IMAGE_LIST, find_targets


def write_repaired(check: DatasetCheck, folder: Path) -> Source:
    """Write what could be saved of a data set: annotations, image list and dictionary.

    Args:
        check: of a data set of which something could be saved, with the sizes of all images known.
        folder: where to; outside the folders of the original, and without an earlier copy.

    Returns:
        The copy, with the images of the original.

    Raises:
        SpeaqError: as `find_targets`, or a file cannot be written.
    """
    source, salvaged, listed, sizes = check.source, check.salvaged, check.listed, check.sizes
    assert salvaged is not None and listed is not None and sizes is not None
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
    _write_annotations(repaired.annotations, salvaged, section.box_scale)
    write_image_list(repaired.image_data, _image_list(listed.select(salvaged.images), sizes[salvaged.images]))
    write_dictionary(repaired.dictionary, salvaged.vocabulary, other=check.dictionary.content)
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
    arrays, salvaged = check.arrays, check.salvaged
    assert arrays is not None and salvaged is not None
    assert arrays.split is not None and arrays.boxes is not None and arrays.pairs is not None
    return ", ".join(
        f"{len(after):,} of {len(before):,} {what}"
        for what, before, after in (
            ("images", arrays.split, salvaged.images),
            ("boxes", arrays.boxes, salvaged.stored_boxes),
            ("relations", arrays.pairs, salvaged.annotations.pairs),
        )
    )


def list_changes(check: DatasetCheck) -> dict[str, int]:
    """What `write_repaired` changes, in words, and how many times."""
    salvaged, listed, sizes, dictionary = check.salvaged, check.listed, check.sizes, check.dictionary
    assert salvaged is not None and listed is not None and sizes is not None
    kept = listed.select(salvaged.images)
    changes = dict(salvaged.steps)
    changes["sizes written as the files have them"] = int((kept.sizes != sizes[salvaged.images]).any(1).sum())
    changes["ids made strings"] = sum(isinstance(name, int) for name in kept.ids) * _is_mixed(kept)
    for kind, names in (("object", dictionary.objects), ("predicate", dictionary.predicates)):
        if names is not None:
            changes[f"{kind} numbers changed"] = int((names.numbers != names.classes + 1).sum())
    content = _dictionary_content(dictionary, salvaged)
    for key, table in content.items():
        changes[f"'{key}' written anew"] = int(table != dictionary.content.get(key))
    if check.arrays is not None:
        changes |= {
            f"array '{name}' left out: damaged, or of unknown meaning": 1 for name in check.arrays.unread
        }
    return {what: count for what, count in changes.items() if count}


def _write_annotations(path: Path, salvaged: Salvaged, box_scale: int) -> None:
    annotations = salvaged.annotations
    boxes = {box_scale: salvaged.stored_boxes}
    if salvaged.other_boxes is not None:
        boxes[1536 - box_scale] = salvaged.other_boxes
    write_annotations(
        path,
        split=annotations.split,
        box_ranges=annotations.box_ranges,
        relation_ranges=annotations.relation_ranges,
        boxes=boxes,
        labels=annotations.labels,
        pairs=annotations.pairs,
        predicates=annotations.predicates,
        attributes=salvaged.attributes,
    )


def _is_mixed(listed: ListedImages) -> bool:
    return len({isinstance(name, str) for name in listed.ids}) > 1


def _image_list(listed: ListedImages, sizes: np.ndarray) -> list[dict[str, Any]]:
    """The entries with sound ids and sizes; what else they say stays."""
    mixed = _is_mixed(listed)
    return [
        {**entry, "image_id": str(name) if mixed else name, "width": width, "height": height}
        for entry, name, (height, width) in zip(listed.entries, listed.ids, sizes.tolist(), strict=True)
    ]


def _dictionary_content(dictionary: Dictionary, salvaged: Salvaged) -> dict[str, Any]:
    """The dictionary with sound class tables; what else it has stays."""
    return {**dictionary.content, **class_tables(salvaged.vocabulary)}
