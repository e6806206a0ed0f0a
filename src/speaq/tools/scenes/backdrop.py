"""Draws the background of a scene: sky and ground, or wall and floor.

H, W: height and width of the image in pixels.
"""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from speaq.graph.colours import Colour, mixed
from speaq.tools.scenes.sprites import shade

# Top and bottom of the upper part (sky, wall), then far and near end of the lower part (ground, floor).
Palette = tuple[Colour, Colour, Colour, Colour]
_OUTDOORS: tuple[Palette, ...] = (
    ((146, 200, 240), (216, 236, 246), (188, 214, 134), (156, 192, 104)),  # meadow
    ((130, 206, 240), (222, 242, 246), (240, 224, 178), (226, 202, 150)),  # beach
    ((248, 190, 156), (254, 228, 186), (206, 178, 142), (184, 152, 120)),  # evening
    ((186, 212, 234), (234, 242, 248), (244, 247, 250), (218, 228, 240)),  # snow
)
_INDOORS: tuple[Palette, ...] = (
    ((250, 236, 210), (246, 230, 202), (226, 194, 152), (208, 172, 128)),  # wooden floor
    ((212, 230, 238), (204, 224, 234), (206, 200, 196), (186, 180, 178)),  # stone floor
    ((240, 224, 236), (234, 216, 230), (216, 194, 178), (198, 174, 158)),  # attic
)
_HORIZON = (0.5, 0.62)  # as a share of the height
_OVERSAMPLING = 2
# Ellipses of a cloud: left, top and right, from the centre of a cloud of radius 1; the bottoms are level.
_CLOUD = ((-1.9, -0.5, -0.7), (-1.35, -1.1, 0.35), (-0.25, -0.85, 1.25), (0.8, -0.35, 1.8))


def draw_backdrop(
    rng: np.random.Generator, size: tuple[int, int], outdoors: bool, photo: bool
) -> Image.Image:
    """An RGB image (width, height) of an empty scene; ``photo`` adds gradients and texture."""
    palettes = _OUTDOORS if outdoors else _INDOORS
    palette = palettes[rng.integers(len(palettes))]
    scenery = _draw_scenery(rng, size, palette, outdoors, photo)
    if not photo:
        return scenery
    pixels = np.asarray(scenery.filter(ImageFilter.GaussianBlur(min(size) / 100)), dtype=np.float32)
    pixels = pixels + _noise(rng, size, 6, 8.0) + _noise(rng, size, 24, 4.0)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _draw_scenery(
    rng: np.random.Generator, size: tuple[int, int], palette: Palette, outdoors: bool, photo: bool
) -> Image.Image:
    width, height = _OVERSAMPLING * size[0], _OVERSAMPLING * size[1]
    horizon = round(height * rng.uniform(*_HORIZON))
    top, back, front, bottom = palette if photo else (palette[1], palette[1], palette[2], palette[2])
    rows = np.concatenate((np.linspace(top, back, horizon), np.linspace(front, bottom, height - horizon)))
    full = Image.fromarray(rows.astype(np.uint8)[:, None])
    full = full.resize((width, height), Image.Resampling.NEAREST)
    image = full.copy()
    draw = ImageDraw.Draw(image)
    white = shade(palette[1], 1.5)
    if outdoors:
        r = 0.06 * min(width, height)
        for _ in range(rng.integers(4)):
            x, y = rng.uniform(0, width), rng.uniform(0.05, 0.34) * height
            for x1, y1, x2 in _CLOUD:
                draw.ellipse((x + x1 * r, y + y1 * r, x + x2 * r, y + r * 0.5), fill=white)
        draw.polygon(_hills(rng, width, height, horizon), fill=mixed(palette[1], palette[2], 0.5))
    else:
        draw.rectangle((0, horizon - height // 40, width, horizon), fill=white)
    image.paste(full.crop((0, horizon, width, height)), (0, horizon))
    return image.reduce(_OVERSAMPLING)


def _hills(rng: np.random.Generator, width: int, height: int, horizon: int) -> list[tuple[float, float]]:
    """A wavy outline above the horizon, closed below it."""
    x = np.linspace(0, width, 40)
    phase, rise = rng.uniform(0, 2 * np.pi, size=2), rng.uniform(0.01, 0.035, size=2) * height
    waves = rise[0] * np.sin(x / width * 5 + phase[0]) + rise[1] * np.sin(x / width * 9 + phase[1])
    y = horizon - 0.05 * height - waves
    return [*zip(x.tolist(), y.tolist(), strict=True), (width, horizon + 1), (0, horizon + 1)]


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: int, strength: float) -> np.ndarray:
    """Smooth colour noise (H, W, 3): a grid of random colours, enlarged bicubically."""
    grid = 128 + strength * rng.standard_normal((cells, cells, 3))
    grid[..., :] = 0.7 * grid.mean(axis=-1, keepdims=True) + 0.3 * grid
    small = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8))
    return np.asarray(small.resize(size, Image.Resampling.BICUBIC), dtype=np.float32) - 128


@lru_cache(maxsize=4)
def vignette(size: tuple[int, int]) -> np.ndarray:
    """Brightness factor of each pixel (H, W, 1): 1 in the middle, less towards the corners."""
    x, y = (np.linspace(-1, 1, n, dtype=np.float32) for n in size)
    return (1 - 0.06 * (x[None, :] ** 2 + y[:, None] ** 2))[..., None]
