import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from speaq.errors import SpeaqError
from speaq.images import (
    is_one_image,
    iterate_sources,
    pixel_limit,
    read_image,
    read_image_file,
    read_image_size,
)


def pixels(height=4, width=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_read_image_gives_equal_pixels_for_every_source(tmp_path):
    array = pixels()
    image = Image.fromarray(array)
    path = tmp_path / "a.png"
    image.save(path)
    sources = [
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        memoryview(path.read_bytes()),
        io.BytesIO(path.read_bytes()),
        path.open("rb"),
        image,
        array,
        array.astype(np.int64),
        array.astype(np.float64) / 255,
        torch.from_numpy(array).permute(2, 0, 1),
        torch.from_numpy(array).permute(2, 0, 1).float() / 255,
        torch.from_numpy(array).permute(2, 0, 1).half() / 255,
        torch.from_numpy(array).permute(2, 0, 1).requires_grad_(False),
    ]
    for source in sources:
        read = read_image(source)
        assert read.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(read), array)


def test_open_files_are_single_images(tmp_path):
    content = encoded(Image.fromarray(pixels()))
    file = io.BytesIO(content)
    assert is_one_image(file)
    assert list(iterate_sources([file, bytearray(content)])) == [file, bytearray(content)]
    with pytest.raises(SpeaqError, match="expected a binary file, found text; open it with 'rb'"):
        read_image(io.StringIO("text"))
    with pytest.raises(SpeaqError, match=r"expected an image .*, found dict"):
        list(iterate_sources({"image": content}))


def test_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # Windows
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    assert read_image("~/a.png").size == (6, 4)
    assert not is_one_image("~")
    assert list(iterate_sources("~/*.png")) == [tmp_path / "a.png"]


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1)])
def test_grey_arrays(shape):
    grey = np.arange(24, dtype=np.uint8).reshape(shape)
    assert np.asarray(read_image(grey))[1, 2].tolist() == [8, 8, 8]
    tensor = torch.from_numpy(grey.reshape(4, 6))
    assert np.asarray(read_image(tensor))[1, 2].tolist() == [8, 8, 8]
    assert np.asarray(read_image(tensor[None]))[1, 2].tolist() == [8, 8, 8]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_image_applies_the_exif_orientation(orientation):
    upright = Image.fromarray(pixels())
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(np.asarray(read_image(encoded(stored, exif=exif))), np.asarray(upright))


def test_read_image_converts_colour_modes():
    grey = Image.new("L", (2, 2), 77)
    assert read_image(encoded(grey)).getpixel((0, 0)) == (77, 77, 77)
    palette = Image.new("RGB", (2, 2), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert read_image(encoded(palette)).getpixel((0, 0)) == (10, 200, 30)
    half = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert read_image(encoded(half)).getpixel((0, 0)) == (255, 255, 255)  # transparent: white, not red
    assert read_image(encoded(Image.new("LA", (2, 2), (0, 255)))).getpixel((0, 0)) == (0, 0, 0)
    assert read_image(encoded(Image.new("CMYK", (2, 2), (0, 0, 0, 0)), "TIFF")).getpixel((0, 0)) == (
        255,
        255,
        255,
    )
    deep = Image.fromarray(np.full((2, 2), 257 * 100, np.uint16))
    assert read_image(encoded(deep)).getpixel((0, 0)) == (100, 100, 100)  # 16 bits per pixel
    assert read_image(Image.new("1", (2, 2), 1)).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(np.full((2, 2, 4), (1, 2, 3, 255), np.uint8)).getpixel((0, 0)) == (1, 2, 3)


def test_read_image_reports_unreadable_files(tmp_path):
    with pytest.raises(SpeaqError, match=r"missing.jpg: there is no such image file"):
        read_image(tmp_path / "missing.jpg")
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    with pytest.raises(
        SpeaqError, match=r"text.jpg: the image cannot be read \(not an image of a known format\)"
    ):
        read_image(text)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(encoded(Image.fromarray(pixels(64, 64)), "JPEG")[:1500])
    with pytest.raises(SpeaqError, match=r"cut.jpg: the image cannot be read \(.*truncated"):
        read_image(cut)
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(SpeaqError, match=r"empty.png"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(SpeaqError, match=r"image of 3 bytes"):
        read_image(b"abc")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((3, 8, 8), np.uint8),
            r"array \(H, W, C\) with 1, 3 or 4 channels, found shape \(3, 8, 8\)",
        ),
        (np.zeros((2, 8, 8, 3), np.uint8), r"expected one image .* found shape \(2, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"found shape \(0, 8, 3\)"),
        (torch.zeros(8, 8, 3), r"tensor \(C, H, W\)"),
        (np.full((4, 4, 3), 200.0), r"values in 0..1 for float64, found 200 to 200"),
        (np.full((4, 4, 3), np.nan), r"values in 0..1 for float64, found nan to nan"),
        (np.full((4, 4, 3), 300), r"values in 0..255 for int64, found 300 to 300"),
        (np.full((4, 4), True), r"integers in 0..255 or floats in 0..1, found shape \(4, 4\), bool"),
    ],
)
def test_read_image_rejects_arrays_that_are_not_images(array, message):
    with pytest.raises(SpeaqError, match=message):
        read_image(array)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGB", (0, 5)), "PIL image: the image cannot be read .it has 0x5 pixels"),
        (Image.fromarray(np.full((4, 4), np.nan, np.float32)), "some of its pixels are not finite numbers"),
        ("https://example.org/a.jpg", "https://example.org/a.jpg: addresses are not opened; download"),
    ],
)
def test_read_image_rejects_what_has_no_pixels(image, message):
    with pytest.raises(SpeaqError, match=message):
        read_image(image)


def test_floats_of_an_opened_image_are_in_0_to_1_as_those_of_arrays():
    grey = np.array([[0, 0.5, 1]], np.float32)
    for image in (grey, Image.fromarray(grey), Image.fromarray(grey * 255)):
        assert np.asarray(read_image(image))[0, :, 0].tolist() in ([0, 127, 255], [0, 128, 255])


def test_a_folder_gives_its_images_by_name(tmp_path):
    for name in ("b.png", "a.JPG", "c.webp"):
        (tmp_path / name).write_bytes(b"")
    for name in ("notes.txt", "._a.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in iterate_sources(tmp_path)] == ["a.JPG", "b.png", "c.webp"]
    array = pixels()
    mixed = list(iterate_sources(["x.png", str(tmp_path), array, (b"y", "z.png")]))
    assert [type(source).__name__ for source in mixed] == [
        "str",
        *["PosixPath"] * 3,
        "ndarray",
        "bytes",
        "str",
    ]


def test_folders_in_a_folder_and_patterns(tmp_path, monkeypatch):
    for name in ("b.png", "a/z.jpg", "a/c/y.jpg", ".cache/x.png", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = [Path("a/c/y.jpg"), Path("a/z.jpg"), Path("b.png")]
    assert list(iterate_sources(Path())) == found
    for pattern, matches in (
        ("*.png", found[2:]),
        ("a/[cz]*", found[:2]),  # a folder that matches gives what is in it
        ("a/**/*.jpg", found[:2]),
        ("[b]*", found[2:]),
    ):
        assert list(iterate_sources(pattern)) == matches, pattern
    with pytest.raises(SpeaqError, match=r"none/a\*\.png: no image matches this pattern"):
        list(iterate_sources("none/a*.png"))
    with pytest.raises(SpeaqError, match=r"\*\.gif: no image matches this pattern"):
        list(iterate_sources("*.gif"))
    assert list(iterate_sources(Path("*.gif"))) == [Path("*.gif")]  # a name, for the error that names it


def test_pixel_limit_allows_and_refuses(tmp_path):
    path = tmp_path / "large.png"
    Image.new("1", (40, 25)).save(path)
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pixel_limit(1000):
            assert read_image(path).size == (40, 25)
    with (
        pixel_limit(999),
        pytest.raises(SpeaqError, match=r"large\.png: .* too large to be safe .*--max-pixels"),
    ):
        read_image(path)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_read_image_reports_a_lazily_opened_damaged_file(tmp_path):
    path = tmp_path / "cut.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with Image.open(path) as lazy, pytest.raises(SpeaqError, match=r"cut\.png: the image cannot be read"):
        read_image(lazy)


def test_iterate_sources_rejects_empty_folders_and_other_types(tmp_path):
    with pytest.raises(SpeaqError, match="no image in this folder; expected files ending in"):
        list(iterate_sources(tmp_path))
    with pytest.raises(SpeaqError, match="found int"):
        list(iterate_sources(["a.png", 3]))  # type: ignore[list-item]


def test_is_one_image(tmp_path):
    for one in ("a.png", tmp_path / "a.png", b"", pixels(), torch.zeros(3, 2, 2), Image.new("RGB", (2, 2))):
        assert is_one_image(one)
    batches = (np.zeros((2, 4, 4, 3)), torch.zeros(2, 3, 4, 4), f"{tmp_path}/*.png")
    for several in (tmp_path, str(tmp_path), ["a.png"], iter([b""]), *batches):
        assert not is_one_image(several)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_read_image_file_gives_rgb_for_every_mode(tmp_path: Path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new(mode, (5, 4)).save(path)
    image = read_image_file(path)
    assert (image.mode, image.size, read_image_size(path)) == ("RGB", (5, 4), (5, 4))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_file_size_and_pixels_agree_with_the_exif_orientation(tmp_path: Path, orientation, ending):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8] = 255  # the top left corner, as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(pixels).save(path, exif=exif)
    image = read_image_file(path)
    assert image.size == read_image_size(path) == ((32, 16) if orientation < 5 else (16, 32))
    # The standard: which corner of the upright image the first stored pixel belongs to.
    bottom, right = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
        orientation
    ]
    corner = np.asarray(image)[-4 if bottom else 3, -4 if right else 3]
    assert corner.min() > 200


def test_invalid_exif_is_ignored(tmp_path: Path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (6, 4)).save(path, exif=b"Exif\0\0nonsense")
    assert read_image_file(path).size == read_image_size(path) == (6, 4)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_unreadable_files_are_named(tmp_path: Path, content):
    path = tmp_path / "a.jpg"
    if content is None:  # cut off half-way
        Image.effect_noise((64, 64), 50).save(path)
        content = path.read_bytes()[:1000]
    path.write_bytes(content)
    with pytest.raises(SpeaqError, match=r"a\.jpg: the image cannot be read"):
        read_image_file(path)


def test_size_of_a_damaged_png():
    file = io.BytesIO()
    Image.effect_noise((40, 30), 90).save(file, "PNG")
    content = file.getvalue()
    damaged = content[:200] + bytes(200) + content[400:]
    with pytest.raises(SpeaqError):
        read_image(damaged)
    assert read_image_size(damaged, listed=(40, 30)) == (40, 30)
