"""The limits of a prediction server."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from speaq.images import MAX_PIXELS


class Limits(BaseModel):
    """The limits of a prediction server.

    Decoded images take 3 bytes per pixel, so a server holds at most ``3 * max_queue * max_pixels`` bytes of
    them, and ``max_queue * max_body`` bytes of requests.

    Attributes:
        max_batch: images per forward pass.
        max_wait: seconds that an image waits for others of its size while the model has nothing to do.
        max_queue: images that are accepted and not answered yet; what exceeds it is refused with status 503.
        max_images: images of a request.
        max_body: bytes of a request.
        max_pixels: pixels of an image.
        timeout: seconds until a request is answered with status 504.
    """

    model_config = ConfigDict(frozen=True)

    max_batch: PositiveInt = 8
    max_wait: NonNegativeFloat = 0.0
    max_queue: PositiveInt = 64
    max_images: PositiveInt = 16
    max_body: PositiveInt = 20_000_000
    max_pixels: Annotated[int, Field(gt=0, le=MAX_PIXELS)] = 16_000_000
    timeout: PositiveFloat = 30.0
