"""The table of formats."""

from collections.abc import Callable
from dataclasses import dataclass
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


FORMATS = (
    Format(
        "vg",
        "Visual Genome scene graphs: *.h5, *image_data*.json, *dict*.json",
        vg.recognises,
        vg.read,
        vg.write,
        keeps_confidences=True,
    ),
    Format(
        "vg-raw",
        "Visual Genome as published: objects.json, relationships.json, image_data.json",
        vg_raw.recognises,
        vg_raw.read,
    ),
    Format(
        "coco",
        "RelTR and EGTR: train.json, val.json, test.json and rel.json",
        coco.recognises,
        coco.read,
        coco.write,
    ),
    Format(
        "jsonl",
        "one image per line: *.jsonl",
        json_lines.recognises,
        json_lines.read,
        json_lines.write,
        keeps_confidences=True,
    ),
    Format(
        "openimages",
        "Open Images V6: *vrd*.csv and *class-descriptions*.csv",
        open_images.recognises,
        open_images.read,
    ),
    Format(
        "vrd",
        "VRD: annotations_train.json, annotations_test.json, objects.json, predicates.json",
        vrd.recognises,
        vrd.read,
    ),
    Format(
        "parquet",
        "Hugging Face data sets: *.parquet, one image per row",
        parquet.recognises,
        parquet.read,
        parquet.write,
        parquet.extract_images,
        keeps_confidences=True,
    ),
    Format("gqa", "GQA: *sceneGraphs.json", gqa.recognises, gqa.read),
    Format("clevr", "CLEVR: *_scenes.json", clevr.recognises, clevr.read),
    Format("layout", "layouts for GLIGEN: *layout*.json", layouts.recognises, layouts.read, layouts.write),
    Format("cvat", "CVAT for images 1.1: *.xml", cvat.recognises, cvat.read),
    Format(
        "hoi",
        "HICO-DET and V-COCO: JSON with 'hoi_annotation', and objects.txt and verbs.txt",
        hoi.recognises,
        hoi.read,
        by_content=True,
    ),
    Format(
        "triplets",
        "triplets with names, of language models: JSON or JSON lines with 'triplets'",
        triplets.recognises,
        triplets.read,
        by_content=True,
    ),
    Format(
        "label-studio",
        "Label Studio: JSON with 'rectanglelabels'",
        label_studio.recognises,
        label_studio.read,
        by_content=True,
    ),
    Format(
        "sgg-benchmark",
        "COCO JSON with 'rel_annotations', one file per split",
        sgg_benchmark.recognises,
        sgg_benchmark.read,
        sgg_benchmark.write,
        by_content=True,
    ),
    Format(
        "psg",
        "Panoptic Scene Graph: JSON with 'predicate_classes'",
        psg.recognises,
        psg.read,
        psg.write,
        by_content=True,
    ),
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
