import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from speaq.errors import SpeaqError
from speaq.visualize.canvas import Canvas
from speaq.visualize.text import Text

RED, BLUE = (200, 0, 0), (0, 114, 178)
SVG = "{http://www.w3.org/2000/svg}"


def make_canvas(scale=2.0):
    canvas = Canvas(120, 80, scale)
    canvas.photo(Image.new("RGB", (30, 20), RED), 10, 20, 60, 40)
    panel = canvas.panel(10, 20, 60, 40)
    panel.rectangle((10, 10, 30, 20), fill=BLUE)
    panel.texts((20, 15), [Text("a <$x$> & b", 6, (255, 255, 255)), Text("0.50", 4, (255, 255, 255))])
    return canvas


def test_pixels_show_photo_shapes_and_text():
    drawing = np.asarray(make_canvas().pixels)
    assert drawing.shape == (160, 240, 3)
    assert drawing[0, 0].tolist() == [255, 255, 255]
    for y, x in ((40, 20), (119, 139)):  # the corners of the photo
        assert drawing[y, x].tolist() == list(RED)
    assert drawing[39, 20].tolist() == drawing[120, 139].tolist() == [255, 255, 255]
    assert drawing[62, 42].tolist() == list(BLUE)
    assert drawing[61:79, 41:79, 0].max() > 200  # text


@pytest.mark.parametrize("width", [25, 35, 101, 800])
def test_pixels_have_the_exact_size(width):
    # 25 / 72 * (72 * 1.8) is below 45 in floating-point numbers.
    assert Canvas(width, 50, 1.8).pixels.size == (width * 18 // 10, 90)


def test_curve_width_is_zoomed_and_scaled():
    canvas = Canvas(100, 100, 2.0)
    panel = canvas.panel(0, 0, 100, 100, zoom=2)
    panel.curve(Outline([(0, 25), (50, 25)]), BLUE, 5, halo=2)
    column = np.asarray(canvas.pixels)[:, 100].astype(int)
    blue = np.flatnonzero((column == BLUE).all(axis=1))
    assert (blue.min(), blue.max()) == (90, 109)  # 5 units, zoomed and in pixels


def test_svg_holds_text_shapes_and_the_photo():
    canvas = make_canvas()
    text = canvas.svg()
    root = ElementTree.fromstring(text)
    assert (root.get("width"), root.get("viewBox")) == ("120pt", "0 0 120 80")
    assert [element.text for element in root.iter(f"{SVG}text")] == ["a <$x$> & b", "0.50"]
    images = list(root.iter(f"{SVG}image"))
    assert [images[0].get(key) for key in ("x", "y", "width", "height")] == ["10", "20", "60", "40"]
    data = images[0].get("{http://www.w3.org/1999/xlink}href")
    assert data.startswith("data:image/jpeg;base64,")
    photo = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
    assert photo.size == (30, 20)
    assert np.abs(np.asarray(photo, int)[10, 10] - RED).max() < 5
    assert "'DejaVu Sans', Verdana, sans-serif" in text
    # The file refers to no other file and has no date.
    assert set(re.findall(r'href="(.{5})', text)) <= {"data:"}
    assert "<dc:date>" not in text
    assert text == make_canvas().svg()


def test_write_chooses_the_format_by_extension(tmp_path):
    canvas = make_canvas()
    for ending in ("svg", "PDF", "png", "jpg", "webp"):
        canvas.write(tmp_path / "new" / f"a.{ending}")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "a.PDF", "a.jpg", "a.png", "a.svg", "a.webp"
    ]  # fmt: skip
    assert (tmp_path / "new" / "a.PDF").read_bytes().startswith(b"%PDF")
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "new" / "a.png")), np.asarray(canvas.pixels)
    )
    make_canvas().write(tmp_path / "b.pdf")
    assert (tmp_path / "new" / "a.PDF").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    for name in ("a.xyz", "a"):
        with pytest.raises(SpeaqError, match=rf"{name}: cannot write an image with this extension; use .png"):
            canvas.write(tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(SpeaqError, match=r"a.svg: cannot write this file"):
        canvas.write(tmp_path / "file" / "a.svg")


def test_texts_of_several_lines_are_centred():
    canvas = Canvas(100, 60)
    canvas.panel(0, 0, 100, 60).texts((50, 30), [Text("wide line\nx", 10, BLUE), Text("1", 8, BLUE)])
    rows = [
        (
            element.text,
            float(element.get("x")),
            float(element.get("y")),
            "text-anchor: middle" in element.get("style"),
        )
        for element in ElementTree.fromstring(canvas.svg()).iter(f"{SVG}text")
    ]
    assert [row[0] for row in rows] == ["wide line", "x", "1"]
    assert all(row[3] for row in rows)
    assert rows[0][1] == rows[1][1] < rows[2][1]
    assert [row[2] for row in rows] == pytest.approx([27.5, 39.5, 33.5])


def test_letters_without_a_font_give_no_python_warning(recwarn):
    canvas = Canvas(100, 20)
    canvas.panel(0, 0, 100, 20).texts((50, 10), [Text("\U000e4321", 10, BLUE)])
    assert canvas.pixels.size == (100, 20)
    assert "\U000e4321" in canvas.svg()
    assert not recwarn.list
