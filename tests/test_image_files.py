from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from speaq.errors import SpeaqError
from speaq.images import read_image_file, read_image_size


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new(mode, (5, 4)).save(path)
    image = read_image_file(path)
    assert (image.mode, image.size, read_image_size(path)) == ("RGB", (5, 4), (5, 4))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_exif_orientation(tmp_path: Path, orientation, ending):
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


def test_nonsense_exif_is_upright(tmp_path: Path):
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
