"""The check of one data set, from its files to its findings.

I: images, as rows of the annotations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from speaq.tools.doctor.arrays import RawArrays, count_rows, read_arrays
from speaq.tools.doctor.boxes import check_boxes, find_box_faults
from speaq.tools.doctor.counts import SplitCounts, check_counts, count_splits
from speaq.tools.doctor.dictionary import Dictionary, read_dictionary
from speaq.tools.doctor.duplicates import check_duplicates, surplus
from speaq.tools.doctor.findings import Example, Finding, Findings
from speaq.tools.doctor.image_files import ImageFiles, check_image_files, read_image_files
from speaq.tools.doctor.image_list import ListedImages, align, read_listed_images
from speaq.tools.doctor.relations import check_relations, find_relation_faults
from speaq.tools.doctor.salvage import Reasons, Salvaged, salvage
from speaq.tools.doctor.sources import Source
from speaq.tools.doctor.systematic import check_systematic

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCheck:
    """What is known of a data set after a check.

    Attributes:
        source: where it lies.
        findings: what is wrong, errors first.
        dictionary: the class names as far as they could be read.
        listed: the images of the annotation rows, None where the two do not belong together.
        files: the image files, None where there is no image list.
        arrays: the annotations, None where they cannot be read.
        obstacles: why it is not repaired, and nothing counted; empty if something of it can be used.
        salvaged: what can be used.
        counts: over what can be used, by split.
    """

    source: Source
    findings: tuple[Finding, ...]
    dictionary: Dictionary
    listed: ListedImages | None
    files: ImageFiles | None
    arrays: RawArrays | None
    obstacles: tuple[str, ...]
    salvaged: Salvaged | None
    counts: dict[str, SplitCounts]

    @property
    def sizes(self) -> np.ndarray | None:
        """Heights and widths (I, 2): of the files that were opened, else of the list, 0 where not known."""
        return None if self.listed is None else _sizes(self.listed, self.files)


def check_dataset(
    source: Source,
    *,
    limit: int,
    open_images: bool = False,
    open_unsized: bool = False,
    progress: Progress | None = None,
) -> DatasetCheck:
    """Find everything that is wrong with a data set.

    Args:
        source: where it lies; the paths exist.
        limit: examples to keep of each finding.
        open_images: open every image file.
        open_unsized: open those of which the image list does not give the size.
        progress: called with (image files opened, files to open).
    """
    findings = Findings(limit)
    left_out_ids, box_scale = source.section.corrupted_images, source.section.box_scale
    dictionary = read_dictionary(source.dictionary, findings)
    listed = everything = read_listed_images(source.image_data, findings)
    num_rows = count_rows(source.annotations)
    if listed is not None and num_rows is not None:
        listed = align(listed, num_rows, left_out_ids, findings)
        findings.image_ids = [] if listed is None else listed.ids
    arrays = read_arrays(source.annotations, box_scale, findings)

    files = None
    if everything is not None:
        looked_at = listed or everything  # files can be looked for whatever the annotations are
        unsized = (looked_at.sizes == 0).any(axis=1)
        opened = np.full_like(unsized, open_images) | (unsized & open_unsized)
        files = read_image_files(source.images, looked_at.ids, opened, progress)
        check_image_files(source.images, looked_at, files, looked_at.are_among(left_out_ids), findings)
    if num_rows is None:
        listed = None

    salvaged, obstacles, counts = None, _obstacles(arrays, listed, dictionary), {}
    if arrays is not None:
        sizes = None if listed is None else _sizes(listed, files)
        obstacles += check_systematic(arrays, sizes, dictionary, box_scale, findings)
        _check_annotations(arrays, listed, files, dictionary, source, findings)
    if listed is not None and arrays is not None and arrays.split is not None:
        left_out = listed.are_among(left_out_ids)
        ids, contents = _comparable(listed, files, left_out)
        check_duplicates(ids, contents, arrays.split, findings)
        if not obstacles:
            images_out = _images_out(arrays, listed, files, left_out)
            salvaged = salvage(arrays, dictionary, _sizes(listed, files), images_out, box_scale)
            if len(salvaged.images) and len(salvaged.stored_boxes):
                counts = count_splits(salvaged.annotations, salvaged.vocabulary)
                check_counts(counts, salvaged.vocabulary, findings)
            else:
                salvaged, obstacles = None, ["no image with a usable box is left"]
    return DatasetCheck(
        source=source,
        findings=findings.ordered(),
        dictionary=dictionary,
        listed=listed,
        files=files,
        arrays=arrays,
        obstacles=tuple(obstacles),
        salvaged=salvaged,
        counts=counts,
    )


def _check_annotations(
    arrays: RawArrays,
    listed: ListedImages | None,
    files: ImageFiles | None,
    dictionary: Dictionary,
    source: Source,
    findings: Findings,
) -> None:
    """Note what is wrong with splits, boxes and relations."""
    if arrays.split is not None:
        findings.add_rows(
            "error",
            "split-unknown",
            "A split is none of 0 (train), 1 (validation) and 2 (test); readers pass the image over.",
            "Give the images a split. --fix leaves them out.",
            key="split",
            bad=(arrays.split < 0) | (arrays.split > 2),
            values=arrays.split,
        )
        _check_splits(arrays.split, source, findings)
    for key, what, owned in (
        ("img_to_first_box", "boxes", arrays.box_ranges),
        ("img_to_first_rel", "relations", arrays.relation_ranges),
    ):
        if owned is not None:
            findings.add_rows(
                "note",
                f"image-without-{what}",
                f"An image has no {what}.",
                "Readers leave out images without boxes, and with FILTER_EMPTY_RELATIONS those with none.",
                key=key,
                bad=(owned.ranges.count == 0) & ~owned.faulty,
                values=np.full(len(owned.faulty), -1),
            )
    box_scale = source.section.box_scale
    if arrays.boxes is not None:
        faults = find_box_faults(
            arrays.boxes,
            arrays.labels,
            arrays.box_ranges and arrays.box_ranges.owners,
            None if listed is None else _sizes(listed, files),
            dictionary.objects,
            box_scale,
        )
        check_boxes(arrays, faults, dictionary, box_scale, findings)
    if arrays.pairs is not None:
        check_relations(arrays, find_relation_faults(arrays, dictionary.predicates), findings)


def _check_splits(split: np.ndarray, source: Source, findings: Findings) -> None:
    """Note what there is no image for."""
    absent = [Example(None, "split", "no 2 (test)")] if not (split == 2).any() else []
    findings.add(
        "note",
        "split-no-test",
        "No image is for test.",
        "A model can be trained, but not evaluated on this set: mark images with 2.",
        examples=absent,
    )
    first = source.section.number_of_validation_images
    if first and not (split == 1).any():
        training = int((split == 0).sum())
        findings.add(
            "note",
            "split-no-validation",
            f"No image is for validation: readers take the first {first:,} (NUMBER_OF_VALIDATION_IMAGES) of "
            f"the {training:,} training images.",
            "Mark images with 1, or choose a number below that of the training images."
            if first >= training
            else "Mark images with 1 to choose them.",
            examples=[Example(None, "split", "no 1 (validation)")],
        )


def _sizes(listed: ListedImages, files: ImageFiles | None) -> np.ndarray:
    return listed.sizes if files is None else np.where(files.sizes > 0, files.sizes, listed.sizes)


def _comparable(
    listed: ListedImages, files: ImageFiles | None, out: np.ndarray
) -> tuple[list[str | None], list[bytes | None]]:
    """Ids, as text, and contents of the images that are not ``out`` (I,), None for the others."""
    contents = [None] * len(out) if files is None else files.contents
    keep = (~out).tolist()
    return (
        [
            None if name is None or not kept else str(name)
            for name, kept in zip(listed.ids, keep, strict=True)
        ],
        [content if kept else None for content, kept in zip(contents, keep, strict=True)],
    )


def _images_out(
    arrays: RawArrays, listed: ListedImages, files: ImageFiles | None, left_out: np.ndarray
) -> Reasons:
    """The images that cannot be used, and why."""
    split, box_ranges, relation_ranges = arrays.split, arrays.box_ranges, arrays.relation_ranges
    assert split is not None and box_ranges is not None and relation_ranges is not None
    reasons: Reasons = {
        "named under CORRUPTED_IMAGES": left_out,
        "no usable id": np.array([name is None for name in listed.ids], dtype=bool),
    }
    if files is not None:
        reasons |= {"file missing": files.missing, "file not an image": files.unreadable}
    reasons |= {
        "size not known": (_sizes(listed, files) == 0).any(axis=1),
        "unknown split": (split < 0) | (split > 2),
        "faulty range of boxes or relations": box_ranges.faulty | relation_ranges.faulty,
    }
    ids, contents = _comparable(listed, files, np.any(list(reasons.values()), axis=0))
    repeated = surplus(ids, split)
    # An image that goes as the repetition of an id must not be the one that stays of its content.
    contents = [None if gone else content for content, gone in zip(contents, repeated.tolist(), strict=True)]
    return reasons | {"id comes again": repeated, "content comes again": surplus(contents, split)}


def _obstacles(arrays: RawArrays | None, listed: ListedImages | None, dictionary: Dictionary) -> list[str]:
    """What makes the whole data set useless."""
    obstacles = []
    if arrays is None:
        obstacles.append("the HDF5 file cannot be read")
    elif missing := arrays.missing():
        obstacles.append(f"of the annotations, {', '.join(missing)} cannot be used")
    if listed is None:
        obstacles.append("image list and annotations do not belong together")
    obstacles += [
        f"the dictionary has no {kind}"
        for kind, names in (("objects", dictionary.objects), ("predicates", dictionary.predicates))
        if names is None
    ]
    return obstacles
