"""The XML export "CVAT for images 1.1", with relations in attributes of the boxes.

CVAT has no relations of its own. A box may have the text attributes ``id``, a name that is unique in its
image, and ``relations``, such as ``on 2; near 3``: predicates, each followed by the ``id`` of the object. An
image's ``subset`` is its split; without a known one it is for training.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from speaq.errors import SpeaqError
from speaq.files import regular
from speaq.tools.convert.annotated import SPLITS, AnnotatedImage, id_of_file
from speaq.tools.convert.reading import Files, Format, files_with, image_by_image


def _images(path: Path) -> Iterator[AnnotatedImage]:
    try:
        root = ElementTree.parse(regular(path)).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise SpeaqError(f"{path}: cannot read this XML file ({error}).") from error
    for element in root.iter("image"):
        place = f"{path}: image {element.get('name')!r}"
        try:
            yield _read_image(place, element)
        except (KeyError, ValueError) as error:
            raise SpeaqError(
                f"{place}: expected an image with name, width and height, and boxes with label, xtl, "
                f"ytl, xbr and ybr; found {error}."
            ) from None


def _read_image(place: str, element: ElementTree.Element) -> AnnotatedImage:
    name, subset = element.attrib["name"], element.get("subset", "").lower()
    image = AnnotatedImage(
        place=place,
        id=id_of_file(name),
        file=name,
        width=int(element.attrib["width"]),
        height=int(element.attrib["height"]),
        split=next((number for number, split in enumerate(SPLITS) if split in subset), 0),
    )
    positions: dict[str, int] = {}
    relations: list[tuple[int, str]] = []
    for box in element.iter("box"):
        attributes = {each.get("name"): (each.text or "").strip() for each in box.iter("attribute")}
        positions[attributes.get("id") or str(len(image.boxes) + 1)] = len(image.boxes)
        relations.append((len(image.boxes), attributes.get("relations", "")))
        image.boxes.append([float(box.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr")])
        image.classes.append(box.attrib["label"])
    for subject, text in relations:
        for part in filter(None, (part.strip() for part in text.split(";"))):
            predicate, _, target = part.rpartition(" ")
            if not predicate or target not in positions:
                raise SpeaqError(
                    f"{place}: expected relations such as 'on 2; near 3' with the ids of boxes "
                    f"({', '.join(positions)}), found {part!r}."
                )
            image.relations.append((subject, positions[target], re.sub(r"\s+", " ", predicate)))
    return image


FORMAT = Format(
    "cvat",
    "CVAT for images 1.1: *.xml",
    Files("XML files of CVAT", partial(files_with, text=b"<annotations>", patterns=("*.xml",), size=1000)),
    image_by_image(_images),
)
