"""``speaq data convert``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators
from cyclopts.types import NonNegativeInt, PositiveInt

from speaq.errors import printable

if TYPE_CHECKING:
    from speaq.tools.convert import ConvertedDataset

Share = Annotated[float, Parameter(validator=validators.Number(gte=0, lt=1))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `speaq.tools.convert.convert_dataset`.

    Attributes:
        source_format: jsonl (docs/dataset_jsonl.md), vg (HDF5), vg-raw (objects.json, relationships.json),
            coco (with rel.json beside it, as in RelTR and EGTR), sgg-benchmark (COCO with rel_annotations),
            openimages (V6, CSV), psg, vrd, gqa, clevr, hoi (HICO-DET and V-COCO), label-studio, cvat, layout
            (GLIGEN), triplets (names, from language models) or parquet (Hugging Face); by default recognised
            from the files.
        target_format: format to write; vg is what training reads.
        images: folder of the images; by default the one beside the annotations.
        link: for image files that are not named after their ids, create links named after the ids in
            OUT/images.
        splits: keep only images of these splits, such as --splits train val.
        val_share: share of the training images to use for validation, if the source has no validation split.
        test_share: share of the training images to use for testing, if the source has no test split.
        seed: seed of the random choice of validation and test images.
        num_objects: keep only this many object classes, the most frequent ones.
        num_predicates: keep only this many predicates, the most frequent ones.
        min_object_count: keep object classes with at least this many boxes.
        min_predicate_count: keep predicates with at least this many relations.
        mapping: mapping dictionary (JSON) of another dataset, whose classes and class numbers are used;
            classes are matched by name.
        object_aliases: text file with lines "name, other name, ..."; the other names become the first.
        predicate_aliases: the same for predicates.
        box_scale: unit of the boxes of triplets: 1 (0..1), 1000 (0..1000) or pixels; auto: found from the
            coordinates.
    """

    source_format: Annotated[
        Literal[
            "vg",
            "vg-raw",
            "coco",
            "sgg-benchmark",
            "openimages",
            "psg",
            "jsonl",
            "vrd",
            "gqa",
            "clevr",
            "hoi",
            "label-studio",
            "cvat",
            "layout",
            "triplets",
            "parquet",
        ]
        | None,
        Parameter(name="--from"),
    ] = None
    target_format: Annotated[
        Literal["vg", "jsonl", "coco", "sgg-benchmark", "psg", "layout", "parquet"], Parameter(name="--to")
    ] = "vg"
    images: Path | None = None
    link: Annotated[bool, Parameter(name="--link-images")] = False
    splits: Annotated[
        tuple[Literal["train", "val", "test"], ...], Parameter(consume_multiple=True, negative=())
    ] = ()
    val_share: Share = 0.0
    test_share: Share = 0.0
    seed: NonNegativeInt = 0
    num_objects: PositiveInt | None = None
    num_predicates: PositiveInt | None = None
    min_object_count: NonNegativeInt = 0
    min_predicate_count: NonNegativeInt = 0
    mapping: Path | None = None
    object_aliases: Path | None = None
    predicate_aliases: Path | None = None
    box_scale: Literal["auto", "1", "1000", "pixels"] = "auto"


def convert(source: Path, out: Path, options: Options | None = None) -> None:
    """Convert a dataset from or to the format of another project.

    Image files stay where they are. Images in Parquet files are written to OUT/images, unless --images is
    given.

    Args:
        source: a file, a folder, or the id of a Parquet dataset on the Hugging Face hub.
        out: output folder, created if it does not exist.
        options: of the conversion.
    """
    from speaq.tools.convert import convert_dataset

    conversion = convert_dataset(source, out, **vars(options or Options()))
    section = _section(conversion, out) if conversion.target_format == "vg" else ""
    sys.stdout.write(printable(_summary(conversion)) + section)


def _summary(conversion: "ConvertedDataset") -> str:
    """What was read, changed and written."""
    from speaq.tools.convert import describe_splits

    data = conversion.data
    vocabulary = data.vocabulary
    lines = [
        f"{conversion.source_format} to {conversion.target_format}: {len(data.ids):,} images "
        f"({describe_splits(data)}), {len(data.boxes):,} boxes of {len(vocabulary.objects):,} classes, "
        f"{len(data.relations):,} relations of {len(vocabulary.predicates):,} predicates."
    ]
    lines += [f"  {count:,}  {what}" for what, count in data.changes.items()]
    if conversion.num_missing:
        lines.append(f"  {conversion.num_missing:,}  images have no file in {conversion.images}")
    if conversion.target_format == "vg" and conversion.num_other_names:
        lines.append(
            f"  {conversion.num_other_names:,}  image files are not named after their image ids: training "
            "finds them by the image list; --link-images makes links for other programs"
        )
    lines += [f"wrote {path}" for path in conversion.files]
    return "\n".join(lines) + "\n"


def _section(conversion: "ConvertedDataset", out: Path) -> str:
    """The settings to train on the set."""
    import yaml

    from speaq.tools.convert.vg import settings

    section = settings(out, conversion.images)
    text = yaml.safe_dump(
        {"DATASETS": {"VISUAL_GENOME": section}}, sort_keys=False, allow_unicode=True, width=1000
    )
    hint = ""
    if not (conversion.data.splits == 1).any():
        hint = (
            "No image is marked for validation: training does not evaluate, unless --val-share is given or "
            "the first NUMBER_OF_VALIDATION_IMAGES training images are used.\n"
        )
    return f"{hint}To train on them:\n\n{text}"
