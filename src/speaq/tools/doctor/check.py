"""The check of one data set, from its files to its findings.

I: images, as rows of the annotations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from speaq.data.findings import Example, Finding, Findings
from speaq.data.statistics import ClassCounts, count_annotations
from speaq.data.vg_annotations import AnnotationArrays
from speaq.data.vg_arrays import RawArrays, count_rows, read_arrays
from speaq.data.vg_dictionary import Dictionary, read_dictionary
from speaq.data.vg_image_list import ImageList, align_images, read_image_list
from speaq.data.visual_genome import SPLITS
from speaq.structures import Vocabulary
from speaq.tools.doctor.annotations import check_boxes, check_relations
from speaq.tools.doctor.duplicates import check_duplicates, surplus
from speaq.tools.doctor.image_files import ImageFiles, check_image_files, read_image_files
from speaq.tools.doctor.sources import Source
from speaq.tools.doctor.systematic import check_systematic
from speaq.tools.doctor.usable import Reasons, UsablePart, usable_part

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCheck:
    """The result of a check.

    Attributes:
        source: where the data set lies.
        findings: what is wrong, errors first.
        dictionary: the class names as far as they could be read.
        listed: the images of the annotation rows, None where list and annotations do not belong together.
        files: the image files, None where there is no image list.
        arrays: the annotations, None where they cannot be read.
        obstacles: why the data set can be neither counted nor repaired; empty if it can.
        usable: the usable part, None where there are obstacles.
        counts: of the usable part, by split.
    """

    source: Source
    findings: tuple[Finding, ...]
    dictionary: Dictionary
    listed: ImageList | None
    files: ImageFiles | None
    arrays: RawArrays | None
    obstacles: tuple[str, ...]
    usable: UsablePart | None
    counts: dict[str, ClassCounts]

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
        open_unsized: open those whose size the image list does not give.
        progress: called with (image files opened, files to open).
    """
    findings = Findings(limit)
    left_out_ids, box_scale = source.section.corrupted_images, source.section.box_scale
    dictionary = read_dictionary(source.dictionary, findings)
    listed = everything = read_image_list(source.image_data, findings)
    num_rows = count_rows(source.annotations)
    if listed is not None and num_rows is not None:
        listed = align_images(listed, num_rows, left_out_ids, findings)
        findings.image_ids = [] if listed is None else listed.ids
    arrays = read_arrays(source.annotations, box_scale, findings)

    files = None
    if everything is not None:
        images = listed or everything  # files can be looked for whatever the annotations are
        unsized = (images.sizes == 0).any(axis=1)
        opened = np.full_like(unsized, open_images) | (unsized & open_unsized)
        files = read_image_files(source.images, images.ids, opened, progress)
        check_image_files(source.images, images, files, images.are_among(left_out_ids), findings)
    if num_rows is None:
        listed = None

    usable, obstacles, counts = None, _obstacles(arrays, listed, dictionary), {}
    if arrays is not None:
        sizes = None if listed is None else _sizes(listed, files)
        obstacles += check_systematic(arrays, sizes, dictionary, box_scale, findings)
        _check_splits(arrays, source, findings)
        check_boxes(arrays, sizes, dictionary, box_scale, findings)
        check_relations(arrays, dictionary.predicates, findings)
    if listed is not None and arrays is not None and arrays.split is not None:
        left_out = listed.are_among(left_out_ids)
        check_duplicates(*_comparable(listed, files, left_out), arrays.split, findings)
        if not obstacles:
            images_out = _images_out(arrays, listed, files, left_out)
            usable = usable_part(arrays, dictionary, _sizes(listed, files), images_out, box_scale)
            if len(usable.images) and len(usable.stored_boxes):
                counts = count_splits(usable.annotations, usable.vocabulary)
                _check_class_counts(counts, usable.vocabulary, findings)
            else:
                usable, obstacles = None, ["no image with a usable box is left"]
    return DatasetCheck(
        source=source,
        findings=findings.ordered(),
        dictionary=dictionary,
        listed=listed,
        files=files,
        arrays=arrays,
        obstacles=tuple(obstacles),
        usable=usable,
        counts=counts,
    )


def _check_splits(arrays: RawArrays, source: Source, findings: Findings) -> None:
    """Report unknown and absent splits, and images without boxes or relations."""
    split = arrays.split
    if split is not None:
        findings.add_rows("split-unknown", "split", (split < 0) | (split > 2), split)
        if not (split == 2).any():
            findings.add("split-no-test", [Example(None, "split", "no 2 (test)")])
        first, training = source.section.number_of_validation_images, int((split == 0).sum())
        if first and not (split == 1).any():
            advice = (
                "Mark images with 1, or choose a number below that of the training images."
                if first >= training
                else "Mark images with 1 to choose them."
            )
            fields = {"first": first, "training": training, "advice": advice}
            example = Example(None, "split", "no 1 (validation)")
            findings.add("split-no-validation", [example], fields=fields)
    for key, items, rows in (
        ("img_to_first_box", "boxes", arrays.box_rows),
        ("img_to_first_rel", "relations", arrays.relation_rows),
    ):
        if rows is not None:
            empty = (rows.ranges.count == 0) & ~rows.faulty
            findings.add_rows(f"image-without-{items}", key, empty, np.full(len(empty), -1))


def _sizes(listed: ImageList, files: ImageFiles | None) -> np.ndarray:
    return listed.sizes if files is None else np.where(files.sizes > 0, files.sizes, listed.sizes)


def _comparable(
    listed: ImageList, files: ImageFiles | None, out: np.ndarray
) -> tuple[list[str | None], list[bytes | None]]:
    """Ids, as text, and contents of the images that are not ``out`` (I,), None for the others."""
    contents = [None] * len(out) if files is None else files.contents
    gone = out.tolist()
    ids = [None if x or name is None else str(name) for name, x in zip(listed.ids, gone, strict=True)]
    return ids, [None if x else content for content, x in zip(contents, gone, strict=True)]


def _images_out(
    arrays: RawArrays, listed: ImageList, files: ImageFiles | None, left_out: np.ndarray
) -> Reasons:
    """The images that cannot be used, and why."""
    split, box_rows, relation_rows = arrays.split, arrays.box_rows, arrays.relation_rows
    assert split is not None and box_rows is not None and relation_rows is not None
    reasons: Reasons = {
        "named under CORRUPTED_IMAGES": left_out,
        "no usable id": np.array([name is None for name in listed.ids], dtype=bool),
    }
    if files is not None:
        reasons |= {"file missing": files.missing, "file not an image": files.unreadable}
    reasons |= {
        "size not known": (_sizes(listed, files) == 0).any(axis=1),
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


def count_splits(annotations: AnnotationArrays, vocabulary: Vocabulary) -> dict[str, ClassCounts]:
    """Count train, val and test, as far as the data set has them."""
    rows = {name: np.flatnonzero(annotations.split == number) for number, name in enumerate(SPLITS)}
    return {
        name: count_annotations(annotations, vocabulary, images)
        for name, images in rows.items()
        if len(images)
    }


def _check_class_counts(counts: dict[str, ClassCounts], vocabulary: Vocabulary, findings: Findings) -> None:
    """Report classes that never occur in training, and test triplets that training does not have."""
    train, test = counts.get("train"), counts.get("test")
    if train is None:
        return
    for kind, names, numbers in (
        ("object", vocabulary.objects, train.object_counts),
        ("predicate", vocabulary.predicates, train.predicate_counts),
    ):
        unused = [Example(None, names[index], 0) for index in np.flatnonzero(numbers == 0).tolist()]
        findings.add(f"{kind}-unused", unused)
    if test is not None:
        shape = (len(train.object_counts), len(train.object_counts), len(train.predicate_counts))
        seen, tested = (np.ravel_multi_index(tuple(part.triplets.T), shape) for part in (train, test))
        rows = np.flatnonzero(~np.isin(tested, seen))
        examples = [
            Example(None, triplet_name(test.triplets[row], vocabulary), int(test.triplet_counts[row]))
            for row in rows[: findings.limit].tolist()
        ]
        fields = {"num_relations": int(test.triplet_counts[rows].sum())}
        findings.add("zero-shot", examples, count=len(rows), fields=fields)


def triplet_name(triplet: np.ndarray, vocabulary: Vocabulary) -> str:
    """``subject predicate object`` in words."""
    subject, object_, predicate = triplet.tolist()
    return f"{vocabulary.objects[subject]} {vocabulary.predicates[predicate]} {vocabulary.objects[object_]}"
