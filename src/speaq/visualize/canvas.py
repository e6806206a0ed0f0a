"""A canvas for shapes, text and photos, written as pixels or as vectors."""

import base64
import io
import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch
from matplotlib.path import Path as Outline
from matplotlib.patheffects import Normal, Stroke
from PIL import Image

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.graph.colours import WHITE, Box, Colour, Point
from speaq.visualize.charts import rgb
from speaq.visualize.text import FONT, GAP, LINE_HEIGHT, Text, families, missing_glyphs_allowed, row_size

_JPEG_QUALITY = 92
_PNG_LEVEL = 4  # 1 % larger than the default of 6, in less than half the time
# Text stays text in vectors, and equal drawings give equal files.
_SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "speaq", "pdf.fonttype": 42}
_MIDDLE = 0.35  # from the baseline up to the visual middle of a text, of its font size


class Panel:
    """A part of a canvas with its own coordinates: the origin is its top left corner, and y points down.

    Line widths are in its units. ``halo`` is the width of a white edge around lines and shapes, which makes
    them visible on a photo. Shapes with a higher ``zorder`` cover those with a lower one.
    """

    def __init__(self, axes: Axes, zoom: float) -> None:
        self._axes, self._zoom = axes, zoom

    def rectangle(
        self,
        box: Box,
        *,
        fill: Colour | None = None,
        edge: Colour | None = None,
        width: float = 0,
        radius: float = 0,
        opacity: float = 1,
        dashed: bool = False,
        halo: float = 0,
        zorder: int = 1,
    ) -> None:
        """Draw a rectangle with rounded corners."""
        x1, y1, x2, y2 = box
        radius = max(min(radius, (x2 - x1) / 2, (y2 - y1) / 2), 1e-3)
        patch = FancyBboxPatch((x1, y1), x2 - x1, y2 - y1, boxstyle=f"round,pad=0,rounding_size={radius}")
        patch.set(
            facecolor=rgb(fill) if fill else "none",
            edgecolor=rgb(edge) if edge else "none",
            linestyle=(0, (3, 2)) if dashed else "solid",
            alpha=opacity,
        )
        self._add(patch, width, halo, zorder)

    def curve(
        self,
        outline: Outline,
        colour: Colour,
        width: float,
        *,
        dashed: bool = False,
        halo: float = 0,
        zorder: int = 1,
    ) -> None:
        """Draw a line along ``outline``."""
        patch = PathPatch(outline, facecolor="none", edgecolor=rgb(colour), joinstyle="round")
        patch.set(capstyle="butt" if dashed else "round", linestyle=(0, (4, 2)) if dashed else "solid")
        self._add(patch, width, halo, zorder)

    def filled(self, shape: Patch, colour: Colour, *, halo: float = 0, zorder: int = 1) -> None:
        """Draw a shape of matplotlib without an edge."""
        shape.set(facecolor=rgb(colour), edgecolor="none")
        self._add(shape, 0, halo, zorder)

    def texts(self, centre: Point | np.ndarray, texts: Sequence[Text], *, zorder: int = 1) -> None:
        """Write texts in a row around ``centre``; those of several lines are centred vertically."""
        x = centre[0] - row_size(texts)[0] / 2
        baseline = centre[1] + _MIDDLE * texts[0].size
        for text in texts:
            lines = text.text.split("\n")
            for row, line in enumerate(lines):
                self._axes.text(
                    x + text.width / 2,
                    baseline + LINE_HEIGHT * text.size * (row - (len(lines) - 1) / 2),
                    line,
                    fontsize=text.size * self._zoom,
                    color=rgb(text.colour),
                    horizontalalignment="center",
                    verticalalignment="baseline",
                    fontfamily=list(families(line)),
                    fontweight="bold" if text.bold else "normal",
                    parse_math=False,
                    zorder=zorder,
                )
            x += text.width + GAP * texts[0].size

    def _add(self, patch: Patch, width: float, halo: float, zorder: int) -> None:
        if halo:
            edge = {"linewidth": (width + 2 * halo) * self._zoom, "foreground": rgb(WHITE)}
            solid = {"dash_offset": 0, "dash_list": None}
            patch.set_path_effects([Stroke(**edge, dashes=solid), Normal()])
        patch.set(linewidth=width * self._zoom, zorder=zorder, clip_on=False)
        self._axes.add_patch(patch)


class Canvas:
    """A white page of ``width`` x ``height`` units, with ``scale`` pixels per unit."""

    def __init__(self, width: float, height: float, scale: float = 1.0) -> None:
        self.width, self.height, self.scale = math.ceil(width), math.ceil(height), scale
        # A unit is a point, in which matplotlib takes font sizes and line widths.
        self._figure = Figure(figsize=(self.width / 72, self.height / 72), facecolor="none")
        self._photos: list[tuple[Image.Image, Box]] = []

    def panel(self, x: float, y: float, width: float, height: float, zoom: float = 1.0) -> Panel:
        """A part of the page; what is drawn in it is enlarged by ``zoom``."""
        return Panel(self._axes(x, y, width, height, zoom), zoom)

    def photo(self, image: Image.Image, x: float, y: float, width: float, height: float) -> None:
        """Put an image below all shapes and text."""
        self._photos.append((image, (x, y, width, height)))

    @cached_property
    def pixels(self) -> Image.Image:
        """The finished page as an RGB image of int(width * scale) x int(height * scale) pixels."""
        dpi = 72 * self.scale
        # Some versions of FigureCanvasAgg lose a pixel to rounding errors, so the size is computed here.
        width, height = (int(side * self.scale + 1e-8) for side in (self.width, self.height))
        self._figure.set_dpi(dpi)
        renderer = RendererAgg(width, height, dpi)
        with matplotlib.rc_context(_SETTINGS), missing_glyphs_allowed():
            self._figure.draw(renderer)
        drawing = Image.fromarray(np.asarray(renderer.buffer_rgba()))
        page = Image.new("RGBA", drawing.size, (*WHITE, 255))
        for image, place in self._photos:
            x, y, *size = (round(value * self.scale) for value in place)
            page.paste(image.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=3), (x, y))
        return Image.alpha_composite(page, drawing).convert("RGB")

    def write(self, path: str | Path) -> None:
        """Write the page to a file: .svg and .pdf hold shapes and text, all other formats pixels.

        Raises:
            SpeaqError: the file name extension is not one of an image, or the file cannot be written.
        """
        ending = Path(path).suffix.lower()
        if ending != ".svg" and Image.registered_extensions().get(ending) not in Image.SAVE:
            raise SpeaqError(
                f"{path}: cannot write an image with this extension; use .png, .jpg, .svg or .pdf"
            )
        with replacing(path) as temporary:
            if ending == ".svg":
                temporary.write_text(self.svg(), encoding="utf-8")
            elif ending == ".pdf":
                temporary.write_bytes(self._pdf())
            else:
                self.pixels.save(temporary, compress_level=_PNG_LEVEL)

    def _axes(self, x: float, y: float, width: float, height: float, zoom: float = 1.0) -> Axes:
        place = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        axes = self._figure.add_axes(place, xlim=(0, width / zoom), ylim=(height / zoom, 0))
        axes.set_axis_off()
        return axes

    def _pdf(self) -> bytes:
        """The page as PDF, with all pixels of the photos."""
        photos = []
        for image, (x, y, width, height) in self._photos:
            photos.append(self._axes(x, y, width, height))
            photos[-1].set_zorder(-1)
            photos[-1].imshow(image, extent=(0, width, height, 0), aspect="auto", interpolation="none")
        content = self._vectors("pdf", "CreationDate")
        for axes in photos:
            axes.remove()
        return content

    def svg(self) -> str:
        """The page as SVG. Photos are JPEGs, since matplotlib would embed PNGs of ten times the size."""
        photos = [f'<rect width="{self.width}" height="{self.height}" fill="white"/>']
        for image, (x, y, width, height) in self._photos:
            buffer = io.BytesIO()
            image.save(buffer, format="jpeg", quality=_JPEG_QUALITY)
            data = base64.b64encode(buffer.getvalue()).decode("ascii")
            photos.append(
                f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
                f'preserveAspectRatio="none" xlink:href="data:image/jpeg;base64,{data}"/>'
            )
        start = '<g id="figure_1">\n'
        text = self._vectors("svg", "Date").decode("utf-8")
        text = text.replace(start, start + "\n".join(photos) + "\n", 1)
        # Viewers that lack the font take Verdana, whose letters are as wide.
        return re.sub(rf"(<text style=\"[^\"]*'{FONT}'[^;\"]*)", r"\1, Verdana, sans-serif", text)

    def _vectors(self, format_: str, date: str) -> bytes:
        """The shapes and text in a format, without the metadata named ``date``."""
        buffer = io.BytesIO()
        with matplotlib.rc_context(_SETTINGS), missing_glyphs_allowed():
            self._figure.savefig(buffer, format=format_, dpi=72, metadata={date: None})
        return buffer.getvalue()
