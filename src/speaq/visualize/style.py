"""The look that all pictures of scene graphs share: colours, fonts, smooth shapes."""

from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]

INK: Colour = (33, 37, 41)
GREY: Colour = (108, 117, 125)
FAINT: Colour = (233, 236, 239)
GREEN: Colour = (0, 158, 115)
WHITE: Colour = (255, 255, 255)

# Okabe and Ito's colours, which people with any colour vision can tell apart, without black; then lighter or
# darker relatives of them for graphs with many entities.
PALETTE: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (86, 180, 233),
    (240, 228, 66),
    (118, 42, 131),
    (153, 214, 190),
    (140, 81, 10),
    (190, 210, 255),
    (90, 90, 90),
)


def text_colour(background: Colour) -> Colour:
    """Ink or white, whichever is easier to read on ``background`` (relative luminance, WCAG 2)."""
    red, green, blue = ((channel / 255) ** 2.2 for channel in background)
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.25 else WHITE


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that pictures look alike on every machine; ``size`` in pixels."""
    return ImageFont.load_default(size=size)


def text_width(text: str, size: int) -> int:
    """Width in pixels of ``text`` at a font size."""
    return round(font(size).getlength(text))


def tag_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels of ``text`` on a tag."""
    return text_width(text, size) + size, round(1.5 * size)


class Sketch:
    """Smooth shapes and sharp text over a picture.

    Shapes are drawn larger and reduced, which smooths their edges; text goes on top of them at its own size.

    Args:
        size: width and height of the picture in pixels.
    """

    OVERSAMPLING = 3

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._layer = Image.new("RGBA", (size[0] * self.OVERSAMPLING, size[1] * self.OVERSAMPLING))
        self._draw = ImageDraw.Draw(self._layer)
        self._texts: list[tuple[tuple[float, float], str, int, Colour, str]] = []

    def rectangle(self, box: Box, colour: Colour, width: float, radius: float = 0) -> None:
        """An outline of ``width`` pixels around ``box``, inside it."""
        self._draw.rounded_rectangle(
            self._enlarge(box),
            radius * self.OVERSAMPLING,
            outline=colour,
            width=round(width * self.OVERSAMPLING),
        )

    def plate(self, box: Box, colour: Colour, radius: float) -> None:
        """A filled rounded rectangle."""
        self._draw.rounded_rectangle(self._enlarge(box), radius * self.OVERSAMPLING, fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """A filled circle."""
        x, y = centre
        self._draw.ellipse(self._enlarge((x - radius, y - radius, x + radius, y + radius)), fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """A line of ``width`` pixels through ``points``, with round ends."""
        pixels = [(x * self.OVERSAMPLING, y * self.OVERSAMPLING) for x, y in points]
        self._draw.line(pixels, fill=colour, width=round(width * self.OVERSAMPLING), joint="curve")
        for end in (points[0], points[-1]):
            self.disc(end, width / 2, colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * self.OVERSAMPLING, y * self.OVERSAMPLING) for x, y in points], fill=colour)

    def text(self, position: Point, text: str, size: int, colour: Colour = INK, anchor: str = "lm") -> None:
        """A line of text; ``anchor`` as in Pillow, "lm" being its left end at middle height."""
        self._texts.append((position, text, size, colour, anchor))

    def tag(self, box: Box, text: str, size: int, colour: Colour) -> None:
        """Text on a plate."""
        self.plate(box, colour, radius=(box[3] - box[1]) / 4)
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        self.text(centre, text, size, text_colour(colour), anchor="mm")

    def onto(self, picture: Image.Image) -> Image.Image:
        """The picture, RGB and of the sketch's size, with the sketch on it."""
        layer = self._layer.resize(self.size, Image.Resampling.BOX)
        result = Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")
        draw = ImageDraw.Draw(result)
        for position, text, size, colour, anchor in self._texts:
            draw.text(position, text, font=font(size), fill=colour, anchor=anchor)
        return result

    def _enlarge(self, box: Box) -> Box:
        x1, y1, x2, y2 = (side * self.OVERSAMPLING for side in box)
        return x1, y1, max(x2, x1), max(y2, y1)
