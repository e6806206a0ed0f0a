"""Renders a planned scene, and finds the boxes of what is visible in the image.

N: objects of a scene. H, W: height and width of the image in pixels.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from speaq.graph.colours import Colour
from speaq.tools.scenes.backdrop import draw_backdrop, vignette
from speaq.tools.scenes.kinds import FIXED_COLOURS, Kind
from speaq.tools.scenes.layout import SceneObject
from speaq.tools.scenes.sprites import draw_layer

_LIGHT = np.array((-0.55, -0.83), dtype=np.float32)  # where the light of a "photo" comes from: x, y


def render(
    rng: np.random.Generator, objects: Sequence[SceneObject], size: tuple[int, int], photo: bool
) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """Draw a scene of N planned objects; a "photo" is textured, shaded and noisy rather than flat.

    Returns:
        The RGB image; boxes (N, 4) int64, xyxy in pixels, around the pixels of which each object covers at
        least half (all zero if there are none); the share (N,) of each object that others do not hide.
    """
    unit = min(size)
    oversampling = 4 if unit <= 192 else 3 if unit <= 512 else 2
    canvas = draw_backdrop(rng, size, any(one.kind.outdoors for one in objects), photo)
    colours = [_pick_colours(rng, one.kind) for one in objects]
    orders = [
        (order, i, layer) for i, one in enumerate(objects) for layer, order in enumerate(one.layer_orders)
    ]
    visible = np.zeros((len(objects), size[1], size[0]), dtype=np.float32)
    whole = np.zeros_like(visible)
    for _, i, layer in sorted(orders):
        box = objects[i].box * unit
        if photo and layer == 0 and objects[i].rests:
            _cast_shadow(canvas, box)
        patch, corner = draw_layer(
            objects[i].sprite, layer, colours[i], box, mirror=objects[i].mirror, oversampling=oversampling
        )
        alpha = np.asarray(patch.getchannel("A"), dtype=np.float32) / 255
        if photo:
            patch = _shade_in_light(patch, alpha)
        canvas.paste(patch, corner, patch)
        area = (slice(corner[1], corner[1] + patch.height), slice(corner[0], corner[0] + patch.width))
        visible[:, *area] *= 1 - alpha
        visible[i, *area] += alpha
        whole[i, *area] = 1 - (1 - whole[i, *area]) * (1 - alpha)
    if photo:
        canvas = _add_camera_effects(rng, canvas)
    share = visible.sum(axis=(1, 2)) / whole.sum(axis=(1, 2))
    return canvas, np.array([_bounds(mask >= 0.5) for mask in visible]), share


def _pick_colours(rng: np.random.Generator, kind: Kind) -> dict[str, Colour]:
    """One colour for each part, all shifted by the same small random amount."""
    hue, saturation, value = rng.uniform((-0.02, -0.08, -0.07), (0.02, 0.08, 0.05)).tolist()
    colours = dict(FIXED_COLOURS)
    for part, choices in kind.colours.items():
        h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in choices[rng.integers(len(choices))]))
        # A factor of the saturation keeps the tint of near-white and near-grey parts.
        moved = colorsys.hsv_to_rgb((h + hue) % 1, min(1.0, s * (1 + saturation)), min(1.0, v * (1 + value)))
        red, green, blue = (round(255 * channel) for channel in moved)
        colours[part] = (red, green, blue)
    return colours


def _cast_shadow(canvas: Image.Image, box: np.ndarray) -> None:
    """Darken the ground around an object's foot."""
    unit = min(canvas.size)
    x, y, rx, ry = (box[0] + box[2]) / 2 + 0.015 * unit, box[3], 0.5 * (box[2] - box[0]), 0.03 * unit
    blur = 0.018 * unit
    left, top = int(x - rx - 2 * blur), int(y - ry - 2 * blur)
    spot = Image.new("L", (int(2 * rx + 4 * blur), int(2 * ry + 4 * blur)))
    ImageDraw.Draw(spot).ellipse((x - rx - left, y - ry - top, x + rx - left, y + ry - top), fill=88)
    canvas.paste((30, 26, 44), (left, top), spot.filter(ImageFilter.GaussianBlur(blur)))


def _shade_in_light(patch: Image.Image, alpha: np.ndarray) -> Image.Image:
    """Shade a flat patch as if it were soft clay, lit from the upper left.

    The blurred outline serves as a height map; its slope towards the light brightens or darkens.
    """
    radius = 0.1 * min(patch.size)
    pad = int(2 * radius) + 1
    outline = Image.new("L", (patch.width + 2 * pad, patch.height + 2 * pad))
    outline.paste(patch.getchannel("A"), (pad, pad))
    relief = np.asarray(outline.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255
    down, across = np.gradient(relief)
    slope = -(across * _LIGHT[0] + down * _LIGHT[1])[pad:-pad, pad:-pad]
    light = np.clip(1 + 0.8 * radius * slope, 0.62, 1.3)[..., None]
    rgb = np.asarray(patch, dtype=np.float32)[..., :3]
    lit = np.where(light < 1, rgb * light, rgb + (255 - rgb) * (light - 1) * 1.2)
    return Image.fromarray(np.dstack((lit, alpha * 255)).astype(np.uint8))


def _add_camera_effects(rng: np.random.Generator, canvas: Image.Image) -> Image.Image:
    """Add what a small camera adds: a little blur, uneven light, a colour cast and noise."""
    sharpness, noise = rng.uniform(0.001, 0.0028) * min(canvas.size), rng.uniform(2.5, 5.0)
    pixels = np.asarray(canvas.filter(ImageFilter.GaussianBlur(sharpness)), dtype=np.float32)
    tint = rng.uniform(0.98, 1.08, size=3).astype(np.float32)
    pixels = pixels * vignette(canvas.size) * tint
    pixels += noise * rng.standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box (xyxy, in pixels) around the true cells of ``mask`` (H, W)."""
    return Image.fromarray(mask).getbbox() or (0, 0, 0, 0)
