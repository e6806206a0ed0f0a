"""All kinds of problems of a data set, by code: what is wrong, and what to do about it.

Fields in braces are filled in where the problem is found. A last sentence that begins with ``--fix`` is for
``speaq data check`` alone. Codes and severities are the same in every version; the texts may change.
"""

from typing import Literal

Severity = Literal["error", "warning", "note"]

_CLASS_NUMBERS = "Class numbers are 1, 2, 3, ... without a gap. --fix renumbers the classes, labels included."
_WRONG_DICTIONARY = (
    "Use the dictionary that belongs to the annotations; numbers start at 1. --fix leaves these {} out."
)
_RANGES = "'last' is inclusive; -1 and -1 mean no rows. --fix leaves the images out."
_BOXES = (
    "Boxes are (cx, cy, w, h) in a frame in which the image's long side is {box_scale}. --fix leaves these "
    "boxes and their relations out."
)
_PAIRS = "Boxes are numbered from 0 over the whole file. --fix leaves these relations out."
_LEAK = "Evaluation images must not be trained on."
_SAME_CLASSES = "One model learns both: give both sets the same class names with the same numbers."

_ERRORS = {
    # dictionary
    "json-name-twice": (
        "An object in {file} has a name more than once.",
        "Keep one. --fix merges the numbers of a class name; elsewhere the last value is used.",
    ),
    "dictionary-unreadable": (
        "The mapping dictionary cannot be read as a JSON object.",
        "Check the path, and use the dictionary that belongs to the annotations.",
    ),
    "dictionary-key-missing": (
        "The dictionary has no '{key}' that maps names to numbers.",
        "Add it. --fix makes it from '{inverse_key}' where that is given.",
    ),
    "dictionary-number": (
        "A class number in '{key}' is not an integer (of 32 bits).",
        "Write numbers without quotes and decimals. --fix does this where the meaning is clear.",
    ),
    "dictionary-gap": ("The numbers of '{key}' are not 1 to {last}.", _CLASS_NUMBERS),
    "dictionary-number-twice": (
        "Names of '{key}' share a number.",
        "Give every name its own number. --fix keeps the name in the inverse table, else the first one.",
    ),
    "dictionary-inverse": (
        "'{inverse_key}' is not the inverse of '{key}'.",
        "Correct one of the two. --fix keeps '{key}'.",
    ),
    # image list and image files
    "image-list-unreadable": (
        "The image list cannot be read as a JSON list of images.",
        "Check the path, and use the image list that belongs to the annotations.",
    ),
    "image-entry": (
        "An entry of the image list is not an object.",
        "Every entry needs image_id, width, height. --fix leaves the image out.",
    ),
    "image-id-missing": (
        "An entry of the image list has no 'image_id'.",
        "Add the id. --fix leaves the image out.",
    ),
    "image-id-type": (
        "An 'image_id' is neither an integer (of 64 bits) nor a string.",
        "Write the name of the file without its ending. --fix leaves the image out.",
    ),
    "image-id-path": (
        "An 'image_id' is not the name of a file in the image folder.",
        "Use ids of files in the folder. --fix leaves the image out.",
    ),
    "image-id-mixed": (
        "Some ids are integers and some are strings; the examples have the rarer type.",
        "Use one type. --fix converts all ids to strings.",
    ),
    "image-size": (
        "'width' or 'height' is missing, or is not a positive integer of 32 bits.",
        "Write the size of the file. --fix reads it from the file.",
    ),
    "image-list-length": (
        "The image list and the annotations have different numbers of images, with and without the ids "
        "{unannotated} and CORRUPTED_IMAGES.",
        "Use the list that belongs to the annotations. Files and sizes of images were not checked.",
    ),
    "image-missing": (
        "An image has no file ({suffixes}) in {folder}.",
        "Add the files, or name the ids under CORRUPTED_IMAGES. --fix leaves the images out.",
    ),
    "image-unreadable": (
        "A file is damaged or not an image of a known format, or has more pixels than INPUT.MAX_PIXELS.",
        "Replace the files, raise INPUT.MAX_PIXELS in a configuration, or name the ids under "
        "CORRUPTED_IMAGES. --fix leaves the images out.",
    ),
    "image-id-duplicate": (
        "An id is in the image list more than once.",
        "Every image has one row. --fix keeps a test image, else a validation image, else the first one.",
    ),
    "leak-same-id": (
        "An image is in more than one split.",
        f"{_LEAK} --fix leaves it out of the training images.",
    ),
    "leak-same-content": (
        "An identical file is in more than one split under different ids.",
        f"{_LEAK} --fix with --open-images leaves it out of training.",
    ),
    # arrays of the HDF5 file
    "h5-unreadable": (
        "The annotations cannot be read as an HDF5 file.",
        "Check the path, or copy or download the file again.",
    ),
    "array-unreadable": ("An array cannot be read.", "The file is damaged: copy or download it again."),
    "array-missing": (
        "An array is missing.",
        "Add it, or name the file that has it (BOX_SCALE chooses between boxes_1024 and boxes_512).",
    ),
    "array-shape": ("An array has the wrong shape.", "Write it in the documented shape; it was not checked."),
    "array-type": (
        "An array has the wrong type.",
        "Write integers; boxes and confidences may be floating-point, sources are texts. --fix converts "
        "whole numbers.",
    ),
    "array-length": (
        "Arrays that belong together have different numbers of rows.",
        "One of them is truncated or from another file; the rows cannot be matched.",
    ),
    "split-unknown": (
        "A split is not 0 (train), 1 (validation) or 2 (test); the image is never read.",
        "Give the images a split. --fix leaves them out.",
    ),
    # boxes and relations
    "box-not-finite": ("A box has NaN or infinity.", _BOXES),
    "box-negative-size": ("A box has a negative width or height.", _BOXES),
    "box-empty": ("A box has no area.", _BOXES),
    "box-off-image": ("A box lies wholly outside its image.", _BOXES),
    "label-unknown": ("A label is not in the dictionary.", _WRONG_DICTIONARY.format("boxes")),
    "relation-box-unknown": ("A relation refers to a box that does not exist.", _PAIRS),
    "relation-box-of-other-image": ("A relation refers to a box of another image.", _PAIRS),
    "relation-confidence": (
        "A confidence is not a number in 0..1.",
        "Correct it, or remove 'relation_confidences'. --fix leaves these relations out.",
    ),
    "predicate-unknown": ("A predicate is not in the dictionary.", _WRONG_DICTIONARY.format("relations")),
    # two data sets of a mix
    "vocabulary-missing": ("{second} lacks {kind} that {first} has.", _SAME_CLASSES),
    "vocabulary-extra": ("{second} has {kind} that {first} lacks.", _SAME_CLASSES),
    "vocabulary-order": ("The {kind} of {first} and {second} have different numbers.", _SAME_CLASSES),
}
for _array in ("boxes", "labels", "predicates", "relationships"):
    _ERRORS[f"systematic-{_array}"] = (
        f"Most or all of '{_array}' are wrong in the same way: {{explanation}}.",
        "Correct the file or use the right one. --fix does not repair this.",
    )

_WARNINGS = {
    "dictionary-similar-names": (
        "Names of '{key}' differ in spaces or upper case only.",
        "Merge them if they mean the same.",
    ),
    "image-size-differs": (
        "The size of a file differs from the image list; the size of the file is used.",
        "Check that the files belong to the annotations (found is height, width in the list, then in the "
        "file). --fix writes the size of the file.",
    ),
    "image-same-content": (
        "Files of different images are identical.",
        "Check the folder of images. --fix with --open-images keeps one of them.",
    ),
    "box-outside-image": (
        "A box exceeds its image by more than {tolerance:g} units of the frame.",
        "Check the sizes in the image list. --fix clips the boxes.",
    ),
    "boxes-disagree": (
        "A box differs between {key} and {other_key}.",
        "Only {key} is read here (BOX_SCALE). --fix recomputes the others from it.",
    ),
    "attribute-unknown": (
        "An attribute is not in the dictionary.",
        "Attributes are not used here; 0 stands for none.",
    ),
    "relation-to-itself": (
        "A relation is between a box and itself.",
        "It is read, but a model cannot learn from it. --fix leaves these relations out.",
    ),
    "mix-leak-same-id": (
        "{trained} trains on ids of validation or test images of {evaluated}{remark}.",
        f"{_LEAK} Leave the images out of one of the two.",
    ),
}
for _item, _items in (("box", "boxes"), ("relation", "relations")):
    _ERRORS |= {
        f"{_item}-range-out-of-bounds": (
            f"An image's range of {_items} ends after the last of the {{num_rows}} rows.",
            _RANGES,
        ),
        f"{_item}-range-reversed": (f"An image's first row of {_items} comes after its last.", _RANGES),
        f"{_item}-range-overlap": (f"Images share {_items}.", f"Every row belongs to one image. {_RANGES}"),
    }
    _WARNINGS |= {
        f"{_item}-range-half-empty": (
            f"An image has a last row of {_items} but no first row; it is read as having none.",
            "Write -1 for both. --fix does this.",
        ),
        f"{_item}-unowned": (
            f"Rows of {_items} belong to no image and are never read.",
            "Check the ranges of the images. --fix leaves the rows out.",
        ),
    }

_NOTES = {
    "dictionary-no-inverse": (
        "The dictionary has no '{inverse_key}'.",
        "It is not needed here; other programs may ask for it. --fix adds it.",
    ),
    "image-list-unannotated": (
        "Images of the list have no annotations; these ids are known to have none.",
        "",
    ),
    "image-not-listed": ("A file in the folder of images is not in the list.", "It is not used."),
    "array-absent": (
        "An array of the format is missing.",
        "It is not needed here; other programs may ask for it.",
    ),
    "split-no-test": (
        "There are no test images.",
        "A model can be trained but not evaluated on this data set: mark test images with 2.",
    ),
    "split-no-validation": (
        "There are no validation images: the first {first:,} (NUMBER_OF_VALIDATION_IMAGES) of the "
        "{training:,} training images are used.",
        "{advice}",
    ),
    "image-without-boxes": ("An image has no boxes.", "Images without boxes are left out."),
    "image-without-relations": (
        "An image has no relations.",
        "Images without relations are left out with FILTER_EMPTY_RELATIONS.",
    ),
    "relation-duplicate": (
        "A relation occurs more than once (same boxes, same predicate), as in Visual Genome.",
        "Training draws one predicate per pair (FILTER_DUPLICATE_RELATIONS); evaluation counts each.",
    ),
    "object-unused": ("No training image has this object class.", "A model cannot learn it."),
    "predicate-unused": ("No training image has this predicate class.", "A model cannot learn it."),
    "zero-shot": (
        "Triplets of the test images that no training image has ({num_relations} relations): zero-shot "
        "recall is computed on these.",
        "",
    ),
}

KINDS: dict[Severity, dict[str, tuple[str, str]]] = {"error": _ERRORS, "warning": _WARNINGS, "note": _NOTES}
