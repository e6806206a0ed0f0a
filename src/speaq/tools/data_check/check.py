"""The check of one data set, from its files to its findings.

I: images, as rows of the annotations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from speaq.data.findings import Example, Finding, Findings
from speaq.data.statistics import ClassCounts
from speaq.data.vg_arrays import RawArrays, count_rows, read_arrays
from speaq.data.vg_dictionary import Dictionary, read_dictionary
from speaq.data.vg_image_list import ImageList, align_images, read_image_list
from speaq.images import pixel_limit
from speaq.tools.data_check.annotations import check_boxes, check_relations, frame_limits
from speaq.tools.data_check.array_format import check_array_format
from speaq.tools.data_check.counts import check_class_counts, count_splits
from speaq.tools.data_check.images import (
    ImageFiles,
    are_none,
    check_duplicates,
    check_image_files,
    read_image_files,
    surplus,
)
from speaq.tools.data_check.parquet import in_visual_genome_format, read_row_images
from speaq.tools.data_check.sources import Source
from speaq.tools.data_check.valid_part import Reasons, ValidPart, find_valid_part


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCheck:
    """The result of a check.

    Attributes:
        source: where the data set lies.
        findings: what is wrong, errors first.
        dictionary: the class names as far as they could be read.
        listed: the images of the annotation rows, None where list and annotations do not belong together.
        sizes: (I, 2) height and width of the files that were opened, else of the list, 0 where not known.
        arrays: the annotations, None where they cannot be read.
        obstacles: why the data set can be neither counted nor repaired; empty if it can.
        valid: what is left without the errors, None where there are obstacles.
        counts: of the valid part, by split.
    """

    source: Source
    findings: tuple[Finding, ...]
    dictionary: Dictionary
    listed: ImageList | None
    sizes: np.ndarray | None
    arrays: RawArrays | None
    obstacles: tuple[str, ...]
    valid: ValidPart | None
    counts: dict[str, ClassCounts]


def check_dataset(
    source: Source,
    *,
    limit: int,
    open_images: bool = False,
    open_unsized: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetCheck:
    """Find everything that is wrong with a data set.

    Args:
        source: where it lies; the paths exist.
        limit: examples to keep of each finding.
        open_images: open every image file.
        open_unsized: open those whose size the image list does not give.
        progress: called with (image files opened, files to open).
    """
    findings = Findings(limit)
    excluded = source.section.corrupted_images
    with in_visual_genome_format(source) as (copy, rows):
        box_scale = copy.section.box_scale
        dictionary = read_dictionary(copy.dictionary, findings)
        listed = everything = read_image_list(copy.image_data, findings)
        num_rows = count_rows(copy.annotations)
        if listed is not None and num_rows is not None:
            listed = align_images(listed, num_rows, excluded, findings)
            findings.image_ids = [] if listed is None else listed.ids
        arrays = read_arrays(copy.annotations, box_scale, findings)

    files = sizes = None
    if everything is not None:
        images = listed or everything  # files can be looked for whatever the annotations are
        opened = open_images | (open_unsized & (images.sizes == 0).any(axis=1))
        with pixel_limit(source.max_pixels):
            files = (
                read_row_images(rows, images, opened, progress)
                if rows
                else read_image_files(copy.images, images, opened, progress)
            )
        left_out = images.are_among(excluded)
        check_image_files(None if rows else copy.images, images, files, left_out, findings)
    if num_rows is None:
        listed = None
    if listed is not None and files is not None:
        sizes = np.where(files.sizes > 0, files.sizes, listed.sizes)

    obstacles = _obstacles(arrays, listed, dictionary)
    valid, counts = None, {}
    if arrays is not None:
        limits = frame_limits(arrays.boxes.owners, sizes, box_scale)
        obstacles += check_array_format(arrays, limits, dictionary, findings)
        _check_splits(arrays, source.section.number_of_validation_images, findings)
        faults = check_boxes(arrays, limits, dictionary, findings)
        faults |= check_relations(arrays, dictionary.predicates, findings)
        if listed is not None and files is not None and "split" in arrays.values:
            left_out = listed.are_among(excluded)
            check_duplicates(listed.ids, files.contents, arrays.values["split"], left_out, findings)
            if not obstacles:
                images_out = _images_out(arrays, listed, files, left_out)
                valid = find_valid_part(arrays, limits, dictionary, images_out, faults)
    if valid is not None and not len(valid.annotations.labels):
        valid, obstacles = None, ["no image with a valid box is left"]
    if valid is not None:
        counts = count_splits(valid.annotations, valid.vocabulary)
        check_class_counts(counts, valid.vocabulary, findings)
    return DatasetCheck(
        source=source,
        findings=findings.ordered(),
        dictionary=dictionary,
        listed=listed,
        sizes=sizes,
        arrays=arrays,
        obstacles=tuple(obstacles),
        valid=valid,
        counts=counts,
    )


def _obstacles(arrays: RawArrays | None, listed: ImageList | None, dictionary: Dictionary) -> list[str]:
    """Why the data set as a whole can be neither counted nor repaired."""
    obstacles = []
    if arrays is None:
        obstacles.append("the HDF5 file cannot be read")
    elif missing := arrays.missing():
        obstacles.append(f"of the annotations, {', '.join(missing)} cannot be used")
    if listed is None:
        obstacles.append("the image list does not match the annotations")
    for kind, names in (("objects", dictionary.objects), ("predicates", dictionary.predicates)):
        if names is None:
            obstacles.append(f"the dictionary has no {kind}")
    return obstacles


def _check_splits(arrays: RawArrays, num_validation: int, findings: Findings) -> None:
    """Report unknown and absent splits, and images without boxes or relations."""
    if "split" in arrays.values:
        split = arrays.values["split"]
        arrays.report("split-unknown", "split", (split < 0) | (split > 2), findings)
        if not (split == 2).any():
            findings.add("split-no-test", [Example(None, "split", "no 2 (test)")])
        training = int((split == 0).sum())
        if num_validation and not (split == 1).any():
            advice = "Mark images with 1 to choose them."
            if num_validation >= training:
                advice = "Mark images with 1, or choose a number below that of the training images."
            example = Example(None, "split", "no 1 (validation)")
            fields = {"first": num_validation, "training": training, "advice": advice}
            findings.add("split-no-validation", [example], **fields)
    for kind, items, rows in (("box", "boxes", arrays.boxes), ("rel", "relations", arrays.relations)):
        empty = (rows.ranges.count == 0) & ~rows.faulty
        findings.add_rows(f"image-without-{items}", f"img_to_first_{kind}", empty, np.full(len(empty), -1))


def _images_out(arrays: RawArrays, listed: ImageList, files: ImageFiles, left_out: np.ndarray) -> Reasons:
    """The images that cannot be used, and why."""
    split = arrays.values["split"]
    reasons: Reasons = {
        "named under CORRUPTED_IMAGES": left_out,
        "invalid id": are_none(listed.ids),
        "file missing": files.missing,
        "file not an image": files.unreadable,
        "size not known": ((files.sizes == 0) & (listed.sizes == 0)).any(axis=1),
        "unknown split": (split < 0) | (split > 2),
        "faulty range of boxes or relations": arrays.boxes.faulty | arrays.relations.faulty,
    }
    out = np.any(list(reasons.values()), axis=0)
    reasons["duplicate id"] = surplus(listed.ids, split, out)
    # An image that is left out for its repeated id must not be the one that is kept of its content.
    reasons["duplicate content"] = surplus(files.contents, split, out | reasons["duplicate id"])
    return reasons
