"""Read the images and options of a request."""

import asyncio
import binascii
import io
import json
from base64 import b64decode
from typing import Annotated, Any, NamedTuple, Self

from fastapi import HTTPException, Request
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.types import Message

from speaq.errors import SpeaqError
from speaq.images import PILLOW_ERRORS, read_image
from speaq.inference.given_boxes import GivenBoxes, check_given_boxes
from speaq.structures import Vocabulary
from speaq.tools.serve.limits import Limits

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""The formats of Pillow that are read: others are less safe, as EPS, which is a program."""
_FORM_FIELDS = 4  # score, relations, boxes, labels
_OTHER_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError)  # of Pillow


class Options(BaseModel):
    """The options of a request."""

    model_config = ConfigDict(extra="forbid")

    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="minimum score")] = 0.0
    relations: Annotated[
        int | None,
        Field(
            ge=0,
            le=2**31 - 1,
            description="maximum number of relations, best first; 100 by default, with boxes all",
        ),
    ] = None
    boxes: Annotated[
        list[Any] | None,
        Field(
            description="boxes of the entities, each x1, y1, x2, y2 in pixels; with images a list per image"
        ),
    ] = None
    labels: Annotated[
        list[Any] | None,
        Field(description="a class per box, by name or number, or null; with images a list per image"),
    ] = None


class JsonRequest(Options):
    """A request as JSON: the options, and either ``image`` or ``images``."""

    image: Annotated[str | None, Field(description="an image file in base64")] = None
    images: Annotated[list[str] | None, Field(min_length=1, description="image files in base64")] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.image is None) == (self.images is None):
            raise ValueError("expected either image or images")
        return self


class Upload(NamedTuple):
    """The content of a request.

    Attributes:
        files: the image files.
        options: the options.
        several: whether the answer is a list, even of one graph.
    """

    files: list[bytes]
    options: Options
    several: bool


class InputImage(NamedTuple):
    """An image of a request and the boxes that were given for it, if any."""

    image: Image.Image
    given: GivenBoxes | None


async def read_upload(request: Request, limits: Limits) -> Upload:
    """Read a request with a form or JSON.

    Raises:
        HTTPException: 400, 413, 415 or 422.
    """
    request = Request(request.scope, _limited(request, limits.max_body))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            upload = await _read_form(request, limits)
        elif kind == "application/json":
            upload = await asyncio.to_thread(_read_json, await request.body())
        else:
            raise HTTPException(
                415, f"expected the content type multipart/form-data or application/json, found {kind[:60]!r}"
            )
    except ClientDisconnect:
        raise HTTPException(400, "the connection was closed before the request was complete") from None
    if len(upload.files) > limits.max_images:
        raise HTTPException(413, f"expected at most {limits.max_images} images, found {len(upload.files)}")
    return upload


def _limited(request: Request, limit: int) -> Any:
    """The function that receives the parts of a request, and refuses more than ``limit`` bytes."""
    problem = HTTPException(413, f"expected a request of at most {limit:,} bytes; send smaller images")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise problem
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise problem
        return message

    return receive


async def _read_form(request: Request, limits: Limits) -> Upload:
    files: dict[str, list[bytes]] = {"image": [], "images": []}
    values: dict[str, Any] = {}
    limited = {"max_files": limits.max_images + 1, "max_fields": _FORM_FIELDS}
    async with request.form(**limited, max_part_size=limits.max_body) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) != (name in files):
                raise HTTPException(
                    422, f"{name[:40]}: expected the files image or images and the fields of the options"
                )
            if isinstance(value, UploadFile):
                files[name].append(await value.read())
            else:
                values[name] = value
    if bool(files["image"]) == bool(files["images"]) or len(files["image"]) > 1:
        raise HTTPException(422, "expected either one file image, or one or more files images")
    for name in {"boxes", "labels"} & values.keys():
        try:
            values[name] = json.loads(values[name])
        except (ValueError, RecursionError) as error:
            raise HTTPException(422, f"{name}: expected JSON ({str(error)[:80]})") from error
    try:
        options = Options.model_validate(values)
    except ValidationError as error:
        raise _refusal(error) from error
    return Upload(files["image"] or files["images"], options, bool(files["images"]))


def _read_json(body: bytes) -> Upload:
    try:
        content = JsonRequest.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from error
    texts = [content.image] if content.images is None else content.images
    try:
        files = [b64decode(text or "", validate=True) for text in texts]
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, f"expected images in base64 ({error})") from error
    return Upload(files, content, content.images is not None)


def _refusal(error: ValidationError) -> HTTPException:
    """Status 400 for what is not JSON, else 422, with the first problem."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part)[:40] for part in problem["loc"])
    status = 400 if problem["type"] == "json_invalid" else 422
    return HTTPException(status, f"{place}: {problem['msg']}" if place else problem["msg"])


def open_images(upload: Upload, vocabulary: Vocabulary, limits: Limits) -> list[InputImage]:
    """Decode the images of a request and check the boxes.

    Raises:
        HTTPException: 413, 415 or 422.
    """
    options = upload.options
    names = [f"image {index}" for index in range(len(upload.files))] if upload.several else ["image"]
    images = [_open(file, name, limits) for file, name in zip(upload.files, names, strict=True)]
    try:
        sources = images if upload.several else images[0]
        given = check_given_boxes(sources, options.boxes, options.labels, vocabulary)
        if given is None:
            return [InputImage(image, None) for image in images]
        if len(given) != len(images):
            raise SpeaqError(f"boxes: expected an entry per image, {len(images)}, found {len(given)}")
        for image, boxes, name in zip(images, given, names, strict=True):
            boxes.check_inside((image.height, image.width), name)
    except SpeaqError as error:
        raise HTTPException(422, str(error)) from error
    return [InputImage(image, boxes) for image, boxes in zip(images, given, strict=True)]


def _open(file: bytes, name: str, limits: Limits) -> Image.Image:
    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as image:
            if image.width * image.height > limits.max_pixels:
                raise Image.DecompressionBombError(f"{image.width}x{image.height}")
            return read_image(image)
    except Image.DecompressionBombError as error:
        raise HTTPException(
            413, f"{name}: expected at most {limits.max_pixels:,} pixels ({error}); make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        expected = ", ".join(FORMATS)
        raise HTTPException(415, f"{name}: expected an image file as {expected}") from error
    except (SpeaqError, *PILLOW_ERRORS, *_OTHER_ERRORS) as error:
        raise HTTPException(422, f"{name}: the image file is damaged ({str(error)[:200]})") from error
