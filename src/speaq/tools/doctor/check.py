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
from speaq.tools.doctor.annotations import check_boxes, check_relations
from speaq.tools.doctor.array_format import check_array_format
from speaq.tools.doctor.class_counts import check_class_counts, count_splits
from speaq.tools.doctor.duplicates import check_duplicates, surplus
from speaq.tools.doctor.image_files import ImageFiles, check_image_files, read_image_files
from speaq.tools.doctor.sources import Source
from speaq.tools.doctor.valid_part import Reasons, ValidPart, find_valid_part


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
    excluded, box_scale = source.section.corrupted_images, source.section.box_scale
    dictionary = read_dictionary(source.dictionary, findings)
    listed = everything = read_image_list(source.image_data, findings)
    num_rows = count_rows(source.annotations)
    if listed is not None and num_rows is not None:
        listed = align_images(listed, num_rows, excluded, findings)
        findings.image_ids = [] if listed is None else listed.ids
    arrays = read_arrays(source.annotations, box_scale, findings)

    files = sizes = None
    left_out = np.empty(0, dtype=bool)
    if everything is not None:
        images = listed or everything  # files can be looked for whatever the annotations are
        unsized = (images.sizes == 0).any(axis=1)
        opened = np.full_like(unsized, open_images) | (unsized & open_unsized)
        left_out = images.are_among(excluded)
        files = read_image_files(source.images, images.ids, opened, progress)
        check_image_files(source.images, images, files, left_out, findings)
    if num_rows is None:
        listed = None
    if listed is not None and files is not None:
        sizes = np.where(files.sizes > 0, files.sizes, listed.sizes)

    obstacles, valid, counts = _obstacles(arrays, listed, dictionary), None, {}
    if arrays is not None:
        obstacles += check_array_format(arrays, sizes, dictionary, box_scale, findings)
        _check_splits(arrays, source, findings)
        box_faults = check_boxes(arrays, sizes, dictionary, box_scale, findings)
        relation_faults = check_relations(arrays, dictionary.predicates, findings)
        if listed is not None and files is not None and sizes is not None and "split" in arrays.values:
            split = arrays.values["split"]
            check_duplicates(*_comparable(listed, files, left_out), split, findings)
            if not obstacles:
                valid = find_valid_part(
                    arrays,
                    dictionary,
                    sizes,
                    box_scale,
                    images_out=_images_out(arrays, listed, files, sizes, left_out),
                    box_faults=box_faults,
                    relation_faults=relation_faults,
                )
                if len(valid.images) and len(valid.annotations.labels):
                    counts = count_splits(valid.annotations, valid.vocabulary)
                    check_class_counts(counts, valid.vocabulary, findings)
                else:
                    valid, obstacles = None, ["no image with a usable box is left"]
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


def _check_splits(arrays: RawArrays, source: Source, findings: Findings) -> None:
    """Report unknown and absent splits, and images without boxes or relations."""
    if "split" in arrays.values:
        split = arrays.values["split"]
        findings.add_rows("split-unknown", "split", (split < 0) | (split > 2), split)
        if not (split == 2).any():
            findings.add("split-no-test", [Example(None, "split", "no 2 (test)")])
        first, training = source.section.number_of_validation_images, int((split == 0).sum())
        if first and not (split == 1).any():
            advice = "Mark images with 1 to choose them."
            if first >= training:
                advice = "Mark images with 1, or choose a number below that of the training images."
            example = Example(None, "split", "no 1 (validation)")
            findings.add("split-no-validation", [example], first=first, training=training, advice=advice)
    for key, items, rows in (
        ("img_to_first_box", "boxes", arrays.box_rows),
        ("img_to_first_rel", "relations", arrays.relation_rows),
    ):
        if rows is not None:
            empty = (rows.ranges.count == 0) & ~rows.faulty
            findings.add_rows(f"image-without-{items}", key, empty, np.full(len(empty), -1))


def _comparable(
    listed: ImageList, files: ImageFiles, out: np.ndarray
) -> tuple[list[str | None], list[bytes | None]]:
    """Ids, as text, and contents of the images that are not ``out`` (I,), None for the others."""
    gone = out.tolist()
    ids = [None if x or name is None else str(name) for name, x in zip(listed.ids, gone, strict=True)]
    return ids, [None if x else content for content, x in zip(files.contents, gone, strict=True)]


def _images_out(
    arrays: RawArrays, listed: ImageList, files: ImageFiles, sizes: np.ndarray, left_out: np.ndarray
) -> Reasons:
    """The images that cannot be used, and why."""
    split, box_rows, relation_rows = arrays.values["split"], arrays.box_rows, arrays.relation_rows
    assert box_rows is not None and relation_rows is not None
    reasons: Reasons = {
        "named under CORRUPTED_IMAGES": left_out,
        "no usable id": np.array([name is None for name in listed.ids], dtype=bool),
        "file missing": files.missing,
        "file not an image": files.unreadable,
        "size not known": (sizes == 0).any(axis=1),
        "unknown split": (split < 0) | (split > 2),
        "faulty range of boxes or relations": box_rows.faulty | relation_rows.faulty,
    }
    ids, contents = _comparable(listed, files, np.any(list(reasons.values()), axis=0))
    repeated = surplus(ids, split)
    # An image that is left out for its repeated id must not be the one that is kept of its content.
    contents = [None if gone else content for content, gone in zip(contents, repeated.tolist(), strict=True)]
    return reasons | {"id comes again": repeated, "content comes again": surplus(contents, split)}


def _obstacles(arrays: RawArrays | None, listed: ImageList | None, dictionary: Dictionary) -> list[str]:
    """Why nothing of the data set can be used."""
    obstacles = []
    if arrays is None:
        obstacles.append("the HDF5 file cannot be read")
    elif missing := arrays.missing():
        obstacles.append(f"of the annotations, {', '.join(missing)} cannot be used")
    if listed is None:
        obstacles.append("image list and annotations do not belong together")
    for kind, names in (("objects", dictionary.objects), ("predicates", dictionary.predicates)):
        if names is None:
            obstacles.append(f"the dictionary has no {kind}")
    return obstacles
