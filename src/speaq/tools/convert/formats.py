"""The table of formats."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    sgg_benchmark,
    triplets,
    vg,
    vg_raw,
    vrd,
)
from speaq.tools.convert.annotated import AnnotatedSet


@dataclass(frozen=True, slots=True)
class Format:
    """How one format is recognised, read and written.

    Attributes:
        name: on the command line.
        layout: description of the files.
        recognises: whether a path holds it.
        read: the set at a path; the second argument is the folder of images, where it is known.
        write: writes a set to a folder and names the files; the last argument is the folder of images, where
            it is known. None where there is no exporter.
        extract_images: writes the images that are part of the files to a folder (the last argument), and
            returns the set with their names, or None if there are none.
        by_content: the names of files do not identify it, so that files must be searched.
        keeps_confidences: ``write`` writes the confidences and sources of relations.
    """

    name: str
    layout: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Path | None], AnnotatedSet]
    write: Callable[[AnnotatedSet, Path, Path | None], list[Path]] | None = None
    extract_images: Callable[[Path, AnnotatedSet, Path], AnnotatedSet | None] | None = None
    by_content: bool = False
    keeps_confidences: bool = False


def _format(
    name: str, layout: str, module: Any, *, by_content: bool = False, keeps_confidences: bool = False
) -> Format:
    """The format of a module, whose functions have the names of the attributes of `Format`."""
    return Format(
        name,
        layout,
        recognises=module.recognises,
        read=module.read,
        write=getattr(module, "write", None),
        extract_images=getattr(module, "extract_images", None),
        by_content=by_content,
        keeps_confidences=keeps_confidences,
    )


FORMATS = (
    _format(
        "vg",
        "Visual Genome scene graphs: *.h5, *image_data*.json, *dict*.json",
        vg,
        keeps_confidences=True,
    ),
    _format(
        "vg-raw", "Visual Genome as published: objects.json, relationships.json, image_data.json", vg_raw
    ),
    _format("coco", "RelTR and EGTR: train.json, val.json, test.json and rel.json", coco),
    _format("jsonl", "one image per line: *.jsonl", json_lines, keeps_confidences=True),
    _format("openimages", "Open Images V6: *vrd*.csv and *class-descriptions*.csv", open_images),
    _format("vrd", "VRD: annotations_train.json, annotations_test.json, objects.json, predicates.json", vrd),
    _format(
        "parquet", "Hugging Face data sets: *.parquet, one image per row", parquet, keeps_confidences=True
    ),
    _format("gqa", "GQA: *sceneGraphs.json", gqa),
    _format("clevr", "CLEVR: *_scenes.json", clevr),
    _format("layout", "layouts for GLIGEN: *layout*.json", layouts),
    _format("cvat", "CVAT for images 1.1: *.xml", cvat),
    _format(
        "hoi",
        "HICO-DET and V-COCO: JSON with 'hoi_annotation', and objects.txt and verbs.txt",
        hoi,
        by_content=True,
    ),
    _format(
        "triplets",
        "triplets with names, of language models: JSON or JSON lines with 'triplets'",
        triplets,
        by_content=True,
    ),
    _format("label-studio", "Label Studio: JSON with 'rectanglelabels'", label_studio, by_content=True),
    _format(
        "sgg-benchmark",
        "COCO JSON with 'rel_annotations', one file per split",
        sgg_benchmark,
        by_content=True,
    ),
    _format("psg", "Panoptic Scene Graph: JSON with 'predicate_classes'", psg, by_content=True),
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
    found = [one for one in FORMATS if not one.by_content and one.recognises(source)]
    found = found or [one for one in FORMATS if one.by_content and one.recognises(source)]
    if len(found) == 1:
        return found[0]
    what = " or ".join(one.name for one in found) or "none of the known ones"
    layouts = "".join(f"\n  {one.name}: {one.layout}" for one in FORMATS)
    raise SpeaqError(f"{source}: the format seems to be {what}; name it with --from:{layouts}")
