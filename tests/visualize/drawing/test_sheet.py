import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from speaq.errors import SpeaqError
from speaq.visualize.drawing.sheet import Sheet, Word, words_width

RED, BLUE = (200, 0, 0), (0, 114, 178)
SVG = "{http://www.w3.org/2000/svg}"


def make_sheet(scale=2.0):
    sheet = Sheet(120, 80, scale)
    sheet.photo(Image.new("RGB", (30, 20), RED), 10, 20, 60, 40)
    panel = sheet.panel(10, 20, 60, 40)
    panel.plate((10, 10, 30, 20), fill=BLUE)
    panel.words((20, 15), [Word("a <$x$> & b", 6, (255, 255, 255)), Word("0.50", 4, (255, 255, 255))])
    return sheet


def test_pixels():
    picture = np.asarray(make_sheet().pixels)
    assert picture.shape == (160, 240, 3)
    assert picture[0, 0].tolist() == [255, 255, 255]
    for y, x in ((40, 20), (119, 139)):  # the corners of the photo
        assert picture[y, x].tolist() == list(RED)
    assert picture[39, 20].tolist() == picture[120, 139].tolist() == [255, 255, 255]
    assert picture[62, 42].tolist() == list(BLUE)
    assert picture[61:79, 41:79, 0].max() > 200  # text


def test_lines_have_the_width_that_they_are_given():
    sheet = Sheet(100, 100, 2.0)
    panel = sheet.panel(0, 0, 100, 100, zoom=2)
    panel.curve(Outline([(0, 25), (50, 25)]), BLUE, 5, rim=2)
    column = np.asarray(sheet.pixels)[:, 100].astype(int)
    blue = np.flatnonzero((column == BLUE).all(axis=1))
    assert (blue.min(), blue.max()) == (90, 109)  # 5 units, zoomed and in pixels


def test_svg_holds_text_shapes_and_the_photo():
    sheet = make_sheet()
    text = sheet._svg()
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
    assert "font-family: 'DejaVu Sans', Verdana, sans-serif" in text
    # Nothing is read from elsewhere, and nothing tells when or where it was made.
    assert set(re.findall(r'href="(.{5})', text)) <= {"data:"}
    assert "<dc:date>" not in text
    assert text == make_sheet()._svg()


def test_files(tmp_path):
    sheet = make_sheet()
    for ending in ("svg", "PDF", "png", "jpg", "webp"):
        sheet.write(tmp_path / "new" / f"a.{ending}")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "a.PDF", "a.jpg", "a.png", "a.svg", "a.webp"
    ]  # fmt: skip
    assert (tmp_path / "new" / "a.PDF").read_bytes().startswith(b"%PDF")
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "new" / "a.png")), np.asarray(sheet.pixels)
    )
    make_sheet().write(tmp_path / "b.pdf")
    assert (tmp_path / "new" / "a.PDF").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    for name in ("a.xyz", "a"):
        with pytest.raises(SpeaqError, match=rf"{name}: cannot write a picture with this ending; use .png"):
            sheet.write(tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(SpeaqError, match=r"a.svg: cannot write this file"):
        sheet.write(tmp_path / "file" / "a.svg")


def test_words():
    words = [Word("left of", 10, BLUE), Word("0.50", 8, BLUE)]
    assert words_width(words) == pytest.approx(words_width(words[:1]) + 4 + words_width(words[1:]))
    assert words_width([Word("m", 10, BLUE, bold=True)]) > words_width([Word("m", 10, BLUE)])


def test_lines_of_text_are_centred():
    sheet = Sheet(100, 60)
    sheet.panel(0, 0, 100, 60).words((50, 30), [Word("wide line\nx", 10, BLUE), Word("1", 8, BLUE)])
    rows = [
        (
            element.text,
            float(element.get("x")),
            float(element.get("y")),
            "text-anchor: middle" in element.get("style"),
        )
        for element in ElementTree.fromstring(sheet._svg()).iter(f"{SVG}text")
    ]
    assert [row[0] for row in rows] == ["wide line", "x", "1"]
    assert all(row[3] for row in rows)
    assert rows[0][1] == rows[1][1] < rows[2][1]
    assert [row[2] for row in rows] == pytest.approx([27.5, 39.5, 33.5])


def test_letters_without_a_font_do_not_warn(recwarn):
    sheet = Sheet(100, 20)
    sheet.panel(0, 0, 100, 20).words((50, 10), [Word("\U000e4321", 10, BLUE)])
    assert sheet.pixels.size == (100, 20)
    assert "\U000e4321" in sheet._svg()
    assert not recwarn.list
