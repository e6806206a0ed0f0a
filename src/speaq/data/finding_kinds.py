"""All kinds of mistakes in a data set, by code: severity, what is wrong, and what to do about it.

Fields in braces are filled in where the mistake is found. The codes and severities are the same in every
version; the texts may change.
"""

from typing import Literal

Severity = Literal["error", "warning", "note"]

_CLASS_RULE = "Class numbers are 1, 2, 3, ... without a gap. --fix renumbers the classes, labels included."
_OTHER_DICTIONARY = (
    "Use the dictionary that belongs to the annotations; numbers count from 1. --fix leaves these {} out."
)
_RANGES = (
    "'last' is the last row itself, not one more; -1 and -1 stand for none. --fix leaves the images out."
)
_BOXES = (
    "Boxes are (cx, cy, w, h) in a frame in which the image's long side is {box_scale}. --fix leaves these "
    "boxes and their relations out."
)
_PAIRS = "Box numbers count over the whole file, from 0. --fix leaves these relations out."
_NOT_REPAIRED = "Correct the file, or name the one that belongs here. --fix does not repair this."
_LEAK = "Evaluation images must not be trained on."
_ONE_VOCABULARY = "One model learns both: give both sets the same class names with the same numbers."

_DICTIONARY: dict[str, tuple[Severity, str, str]] = {
    "json-name-twice": (
        "error",
        "An object in {file} has a name more than once.",
        "Keep one. --fix makes one class of the numbers of a name; elsewhere the last value is used.",
    ),
    "dictionary-unreadable": (
        "error",
        "The mapping dictionary cannot be read as a JSON object.",
        "Check the path, and use the dictionary that belongs to the annotations.",
    ),
    "dictionary-key-missing": (
        "error",
        "The dictionary has no '{key}' that maps names to numbers.",
        "Add it; --fix makes it from '{inverse_key}' where that is given.",
    ),
    "dictionary-number": (
        "error",
        "A class number in '{key}' is not an integer (of 32 bits).",
        "Write numbers without quotes and decimals; --fix does, where the meaning is clear.",
    ),
    "dictionary-gap": ("error", "The numbers of '{key}' are not 1 to {count}.", _CLASS_RULE),
    "dictionary-number-twice": (
        "error",
        "Names of '{key}' share a number.",
        "Give every name a number of its own. --fix keeps that of the inverse table, else the first.",
    ),
    "dictionary-similar-names": (
        "warning",
        "Names of '{key}' differ in spaces or upper case only.",
        "Make one class of them if they mean the same.",
    ),
    "dictionary-no-inverse": (
        "note",
        "The dictionary has no '{inverse_key}'.",
        "It is not needed here; other programs may ask for it. --fix adds it.",
    ),
    "dictionary-inverse": (
        "error",
        "'{inverse_key}' is not the inverse of '{key}'.",
        "Correct one of the two. --fix keeps '{key}'.",
    ),
}

_IMAGES: dict[str, tuple[Severity, str, str]] = {
    "image-list-unreadable": (
        "error",
        "The image list cannot be read as a JSON list of images.",
        "Check the path, and use the image list that belongs to the annotations.",
    ),
    "image-entry": (
        "error",
        "An entry of the image list is not an object.",
        "Every entry needs image_id, width, height. --fix leaves the image out.",
    ),
    "image-id-missing": (
        "error",
        "An entry of the image list has no 'image_id'.",
        "Add the id. --fix leaves the image out.",
    ),
    "image-id-type": (
        "error",
        "An 'image_id' is neither an integer (of 64 bits) nor a string.",
        "Write the name of the file without its ending. --fix leaves the image out.",
    ),
    "image-id-path": (
        "error",
        "An 'image_id' leads out of the folder of images.",
        "Name files within the folder. --fix leaves the image out.",
    ),
    "image-id-mixed": (
        "error",
        "Some ids are integers and some strings; this is the rarer kind.",
        "Use one kind. --fix makes strings of all.",
    ),
    "image-size": (
        "error",
        "'width' or 'height' is missing, or is not a positive integer of 32 bits.",
        "Write the size of the file. --fix reads it from the file.",
    ),
    "image-list-unannotated": (
        "note",
        "Images of the list have no annotations, as is known of these ids.",
        "",
    ),
    "image-list-length": (
        "error",
        "The image list and the annotations have different numbers of images, with and without the ids "
        "{unannotated} and CORRUPTED_IMAGES.",
        "Use the list that belongs to the annotations. Files and sizes of images were not checked.",
    ),
    "image-missing": (
        "error",
        "An image has no file ({suffixes}) in {folder}.",
        "Add the files, or name the ids under CORRUPTED_IMAGES. --fix leaves the images out.",
    ),
    "image-unreadable": (
        "error",
        "A file is not an image of a known format.",
        "Replace the files, or name the ids under CORRUPTED_IMAGES. --fix leaves the images out.",
    ),
    "image-size-differs": (
        "warning",
        "A file has another size than in the image list; the size of the file is used.",
        "Check that the files belong to the annotations (found is height, width in the list, then in the "
        "file). --fix writes the size of the file.",
    ),
    "image-not-listed": (
        "note",
        "A file in the folder of images is not in the list.",
        "It is not used.",
    ),
    "image-id-duplicate": (
        "error",
        "An id is in the image list more than once.",
        "Every image has one row. --fix keeps one: of the test images, else of validation, else the first.",
    ),
    "leak-same-id": (
        "error",
        "An image is in more than one split.",
        f"{_LEAK} --fix leaves it out of the training images.",
    ),
    "image-same-content": (
        "warning",
        "Files of different images are the same to the byte.",
        "Check the folder of images. --fix with --open-images keeps one of them.",
    ),
    "leak-same-content": (
        "error",
        "The same file, under different ids, is in more than one split.",
        f"{_LEAK} --fix with --open-images leaves it out of training.",
    ),
}

_ARRAYS: dict[str, tuple[Severity, str, str]] = {
    "h5-unreadable": (
        "error",
        "The annotations cannot be read as an HDF5 file.",
        "Check the path, or copy or download the file again.",
    ),
    "array-unreadable": (
        "error",
        "An array cannot be read.",
        "The file is damaged: copy or download it again.",
    ),
    "array-missing": (
        "error",
        "An array is missing.",
        "Add it, or name the file that has it (BOX_SCALE chooses between boxes_1024 and boxes_512).",
    ),
    "array-absent": (
        "note",
        "An array of the format is missing.",
        "It is not needed here; other programs may ask for it.",
    ),
    "array-shape": (
        "error",
        "An array has the wrong shape.",
        "Write it as the format has it; it was not checked.",
    ),
    "array-type": (
        "error",
        "An array has the wrong type of numbers.",
        "Write integers (boxes may be floating-point). --fix converts whole numbers.",
    ),
    "array-length": (
        "error",
        "Arrays that belong together have different numbers of rows.",
        "One of them is of another file or cut off; which rows belong together cannot be determined.",
    ),
    "split-unknown": (
        "error",
        "A split is none of 0 (train), 1 (validation) and 2 (test); the image is never read.",
        "Give the images a split. --fix leaves them out.",
    ),
    "split-no-test": (
        "note",
        "No image is for test.",
        "A model can be trained, but not evaluated on this set: mark images with 2.",
    ),
    "split-no-validation": (
        "note",
        "No image is for validation: the first {first:,} (NUMBER_OF_VALIDATION_IMAGES) of the {training:,} "
        "training images are used.",
        "{advice}",
    ),
    "image-without-boxes": (
        "note",
        "An image has no boxes.",
        "Images without boxes are left out.",
    ),
    "image-without-relations": (
        "note",
        "An image has no relations.",
        "Images without relations are left out with FILTER_EMPTY_RELATIONS.",
    ),
}
for _item, _items in (("box", "boxes"), ("relation", "relations")):
    _ARRAYS |= {
        f"{_item}-range-out-of-bounds": (
            "error",
            f"An image's range of {_items} ends after the last of the {{num_rows}} rows.",
            _RANGES,
        ),
        f"{_item}-range-reversed": (
            "error",
            f"An image's first row of {_items} comes after its last.",
            _RANGES,
        ),
        f"{_item}-range-overlap": (
            "error",
            f"Images share {_items}.",
            f"Every row belongs to one image. {_RANGES}",
        ),
        f"{_item}-range-half-empty": (
            "warning",
            f"An image has a last row of {_items}, but no first; it is read as having none.",
            "Write -1 twice for none. --fix does.",
        ),
        f"{_item}-unowned": (
            "warning",
            f"Rows of {_items} belong to no image and are never read.",
            "Check the ranges of the images. --fix leaves the rows out.",
        ),
    }

_BOXES_AND_RELATIONS: dict[str, tuple[Severity, str, str]] = {
    "box-not-finite": ("error", "A box has NaN or infinity.", _BOXES),
    "box-negative-size": ("error", "A box has a negative width or height.", _BOXES),
    "box-empty": ("error", "A box has no area.", _BOXES),
    "box-off-image": ("error", "A box lies wholly outside its image.", _BOXES),
    "box-outside-image": (
        "warning",
        "A box reaches out of its image by more than {tolerance:g} units of the frame.",
        "Check the sizes in the image list. --fix clips the boxes.",
    ),
    "boxes-disagree": (
        "warning",
        "A box has another place in {other_key} than in {key}.",
        "Only {key} is read here (BOX_SCALE). --fix computes the others from it.",
    ),
    "label-unknown": ("error", "A label is not in the dictionary.", _OTHER_DICTIONARY.format("boxes")),
    "attribute-unknown": (
        "warning",
        "An attribute is not in the dictionary.",
        "Attributes are not used here; 0 stands for none.",
    ),
    "relation-box-unknown": ("error", "A relation names a box that does not exist.", _PAIRS),
    "relation-box-of-other-image": ("error", "A relation names a box of another image.", _PAIRS),
    "relation-to-itself": (
        "warning",
        "A relation is between a box and itself.",
        "It is read, but a model cannot learn from it. --fix leaves these relations out.",
    ),
    "relation-duplicate": (
        "note",
        "A relation occurs more than once (same boxes, same predicate), as in Visual Genome.",
        "Training draws one predicate per pair (FILTER_DUPLICATE_RELATIONS); evaluation counts each.",
    ),
    "predicate-unknown": (
        "error",
        "A predicate is not in the dictionary.",
        _OTHER_DICTIONARY.format("relations"),
    ),
    **{
        f"systematic-{name}": (
            "error",
            f"Most or all of '{name}' are wrong in the same way: {{explanation}}.",
            _NOT_REPAIRED,
        )
        for name in ("boxes", "labels", "predicates", "relationships")
    },
}

_COUNTS: dict[str, tuple[Severity, str, str]] = {
    "object-unused": ("note", "No training image has this object class.", "A model cannot learn it."),
    "predicate-unused": ("note", "No training image has this predicate class.", "A model cannot learn it."),
    "zero-shot": (
        "note",
        "Triplets of the test images that no training image has ({num_relations} relations): zero-shot "
        "recall is over these.",
        "",
    ),
}

_BETWEEN: dict[str, tuple[Severity, str, str]] = {
    "vocabulary-missing": ("error", "{second} lacks {kind} that {first} has.", _ONE_VOCABULARY),
    "vocabulary-extra": ("error", "{second} has {kind} that {first} lacks.", _ONE_VOCABULARY),
    "vocabulary-order": (
        "error",
        "The {kind} of {first} and {second} have different numbers.",
        _ONE_VOCABULARY,
    ),
    "mix-leak-same-id": (
        "warning",
        "{trained} trains on ids that {evaluated} has for val or test{remark}.",
        f"{_LEAK} Leave the images out of one of the two.",
    ),
}

KINDS = _DICTIONARY | _IMAGES | _ARRAYS | _BOXES_AND_RELATIONS | _COUNTS | _BETWEEN

UNREADABLE = frozenset(
    {"array-unreadable", "dictionary-unreadable", "h5-unreadable", "image-list-unreadable"}
)
"""Codes of a file that cannot be read at all, which can be replaced but not repaired."""
