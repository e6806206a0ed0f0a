"""A page for shapes, text and photos alike, written as pixels or as vectors."""

import base64
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path as Outline
from matplotlib.patheffects import Normal, Stroke
from PIL import Image

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.graph.colours import WHITE, Box, Colour, Point
from speaq.visualize.text import FONT, families, letters_may_be_missing, text_width

_JPEG_QUALITY = 92
SPACE = 0.4  # between words, of the size of the first
LINE = 1.2  # from one line to the next, of the size of the text
MIDDLE = 0.35  # of the size of a text, how high above the baseline its middle seems to be


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of text with its own size and colour."""

    text: str
    size: float
    colour: Colour
    bold: bool = False


def words_width(words: Sequence[Word]) -> float:
    """Width of words in a row."""
    gaps = SPACE * words[0].size * (len(words) - 1)
    return sum(text_width(word.text, word.size, bold=word.bold) for word in words) + gaps


class Panel:
    """A part of a sheet with its own coordinates, which begin at its top left corner; y points down.

    Lines have a width in its units; ``rim`` is a white edge around them that makes them visible on a photo.
    Of two shapes, the one with the higher ``level`` is on top.
    """

    def __init__(self, axes: Axes, zoom: float) -> None:
        self._axes, self._zoom = axes, zoom

    def plate(
        self,
        box: Box,
        *,
        fill: Colour | None = None,
        edge: Colour | None = None,
        width: float = 0,
        radius: float = 0,
        opacity: float = 1,
        dashed: bool = False,
        rim: float = 0,
        level: int = 1,
    ) -> None:
        """A rectangle with rounded corners."""
        x1, y1, x2, y2 = box
        radius = min(radius, (x2 - x1) / 2, (y2 - y1) / 2)
        patch = FancyBboxPatch(
            (x1, y1), x2 - x1, y2 - y1, boxstyle=f"round,pad=0,rounding_size={max(radius, 1e-3)}"
        )  # fmt: skip
        patch.set(
            facecolor=_rgb(fill) if fill else "none",
            edgecolor=_rgb(edge) if edge else "none",
            linewidth=width * self._zoom,
            linestyle=(0, (3, 2)) if dashed else "solid",
            alpha=opacity,
            zorder=level,
        )
        self._add(patch, width, rim)

    def curve(
        self,
        outline: Outline,
        colour: Colour,
        width: float,
        *,
        dashed: bool = False,
        rim: float = 0,
        level: int = 1,
    ) -> None:
        """A line along ``outline``."""
        patch = PathPatch(outline, facecolor="none", edgecolor=_rgb(colour), zorder=level)
        patch.set(linewidth=width * self._zoom, joinstyle="round")
        patch.set_capstyle("butt" if dashed else "round")
        patch.set_linestyle((0, (4, 2)) if dashed else "solid")
        self._add(patch, width, rim)

    def polygon(self, corners: Sequence[Point], colour: Colour, *, rim: float = 0, level: int = 1) -> None:
        """A filled polygon."""
        self._add(Polygon(corners, facecolor=_rgb(colour), edgecolor="none", zorder=level), 0, rim)

    def disc(self, centre: Point, radius: float, colour: Colour, *, rim: float = 0, level: int = 1) -> None:
        """A filled circle."""
        self._add(Circle(centre, radius, facecolor=_rgb(colour), edgecolor="none", zorder=level), 0, rim)

    def words(self, centre: Point, words: Sequence[Word], *, level: int = 1) -> None:
        """Words in a row around ``centre``; what has several lines stays in the middle."""
        x = centre[0] - words_width(words) / 2
        baseline = centre[1] + MIDDLE * words[0].size
        for word in words:
            width, lines = text_width(word.text, word.size, bold=word.bold), word.text.split("\n")
            for row, line in enumerate(lines):
                y = baseline + LINE * word.size * (row - (len(lines) - 1) / 2)
                self._text((x + width / 2, y), line, word, level)
            x += width + SPACE * words[0].size

    def _text(self, position: Point, line: str, word: Word, level: int) -> None:
        """A line of text, the middle of its baseline at ``position``."""
        self._axes.text(
            *position,
            line,
            fontsize=word.size * self._zoom,
            color=_rgb(word.colour),
            horizontalalignment="center",
            verticalalignment="baseline",
            fontfamily=list(families(line)),
            fontweight="bold" if word.bold else "normal",
            parse_math=False,
            zorder=level,
        )

    def _add(self, patch: FancyBboxPatch | PathPatch | Polygon | Circle, width: float, rim: float) -> None:
        if rim:
            edge = {"linewidth": (width + 2 * rim) * self._zoom, "foreground": _rgb(WHITE)}
            unbroken = {"dash_offset": 0, "dash_list": None}
            patch.set_path_effects([Stroke(**edge, dashes=unbroken), Normal()])
        patch.set_clip_on(False)
        self._axes.add_patch(patch)


class Sheet:
    """A white page of ``width`` x ``height`` units.

    Args:
        width, height: of the page.
        scale: pixels per unit, where the page becomes pixels.
    """

    def __init__(self, width: float, height: float, scale: float = 1.0) -> None:
        self.width, self.height, self.scale = math.ceil(width), math.ceil(height), scale
        # One unit is one point: font sizes and line widths, which matplotlib takes in points, need no factor.
        self._figure = Figure(figsize=(self.width / 72, self.height / 72), facecolor="none")
        self._photos: list[tuple[Image.Image, Box]] = []

    def panel(self, x: float, y: float, width: float, height: float, zoom: float = 1.0) -> Panel:
        """A part of the page; what is drawn in it becomes ``zoom`` times as large."""
        axes = self._axes(x, y, width, height)
        axes.set(xlim=(0, width / zoom), ylim=(height / zoom, 0))
        return Panel(axes, zoom)

    def photo(self, picture: Image.Image, x: float, y: float, width: float, height: float) -> None:
        """A picture that fills a part of the page, below all shapes and text."""
        self._photos.append((picture, (x, y, width, height)))

    @cached_property
    def pixels(self) -> Image.Image:
        """The finished page as an RGB picture."""
        self._figure.set_dpi(72 * self.scale)
        canvas = FigureCanvasAgg(self._figure)
        with _settings():
            canvas.draw()
        drawing = Image.fromarray(np.asarray(canvas.buffer_rgba()))
        page = Image.new("RGBA", drawing.size, (*WHITE, 255))
        for picture, (x, y, width, height) in self._photos:
            size = round(width * self.scale), round(height * self.scale)
            page.paste(
                picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3),
                (round(x * self.scale), round(y * self.scale)),
            )
        return Image.alpha_composite(page, drawing).convert("RGB")

    def write(self, path: str | Path) -> None:
        """The page as a file: .svg and .pdf hold shapes and text, all other formats pixels.

        Raises:
            SpeaqError: the ending stands for no format, or the file cannot be written.
        """
        ending = Path(path).suffix.lower()
        if ending != ".svg" and Image.registered_extensions().get(ending) not in Image.SAVE:
            raise SpeaqError(f"{path}: cannot write a picture with this ending; use .png, .jpg, .svg or .pdf")
        with replacing(path) as temporary:
            if ending == ".svg":
                temporary.write_text(self._svg(), encoding="utf-8")
            elif ending == ".pdf":
                temporary.write_bytes(self._pdf())
            else:
                self.pixels.save(temporary)

    def _axes(self, x: float, y: float, width: float, height: float) -> Axes:
        place = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        axes = self._figure.add_axes(place, xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        return axes

    def _pdf(self) -> bytes:
        """PDF with all pixels of the photos."""
        behind = []
        for picture, (x, y, width, height) in self._photos:
            behind.append(self._axes(x, y, width, height))
            behind[-1].set_zorder(-1)
            behind[-1].imshow(picture, extent=(0, width, height, 0), aspect="auto", interpolation="none")
        content = self._vectors("pdf", {"CreationDate": None})
        for axes in behind:
            axes.remove()
        return content

    def _svg(self) -> str:
        """SVG whose photos are JPEGs; matplotlib would embed PNGs of ten times the size."""
        below = [f'<rect width="{self.width}" height="{self.height}" fill="white"/>']
        for picture, (x, y, width, height) in self._photos:
            buffer = io.BytesIO()
            picture.save(buffer, format="jpeg", quality=_JPEG_QUALITY)
            data = base64.b64encode(buffer.getvalue()).decode("ascii")
            below.append(
                f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
                f'preserveAspectRatio="none" xlink:href="data:image/jpeg;base64,{data}"/>'
            )
        start = '<g id="figure_1">\n'
        text = self._vectors("svg", {"Date": None}).decode("utf-8")
        text = text.replace(start, start + "\n".join(below) + "\n", 1)
        # Where the font is missing: Verdana's letters are as wide.
        return re.sub(rf"(<text style=\"[^\"]*'{FONT}'[^;\"]*)", r"\1, Verdana, sans-serif", text)

    def _vectors(self, format_: str, metadata: dict[str, None]) -> bytes:
        buffer = io.BytesIO()
        with _settings():
            self._figure.savefig(buffer, format=format_, dpi=72, metadata=metadata)
        return buffer.getvalue()


@contextmanager
def _settings() -> Iterator[None]:
    """Text stays text in vectors, and equal drawings give equal files."""
    settings = matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "speaq", "pdf.fonttype": 42})
    with settings, letters_may_be_missing():
        yield


def _rgb(colour: Colour) -> tuple[float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255
