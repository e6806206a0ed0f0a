"""Sprites of all kinds."""

import numpy as np
import pytest

from speaq.graph.colours import Colour
from speaq.tools.scenes.kinds import FIXED_COLOURS, KINDS, Kind
from speaq.tools.scenes.sprites import HEIGHT, draw_layer

BY_NAME = {kind.name: kind for kind in KINDS}


def _first_colours(kind: Kind) -> dict[str, Colour]:
    return FIXED_COLOURS | {part: choices[0] for part, choices in kind.colours.items()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_sprites_fill_their_bounds(kind):
    for pose, sprite in kind.sprites.items():
        box = np.array((0, 0, 4 * sprite.width, 4 * HEIGHT))
        layers = [
            draw_layer(sprite, layer, _first_colours(kind), box)[0] for layer in range(len(sprite.layers))
        ]
        boxes = np.array([layer.getbbox() for layer in layers])
        (left, top), (right, bottom) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        slack = (left, top, 4 * sprite.width - right, 4 * HEIGHT - bottom)
        assert max(slack) <= 0.03 * 4 * HEIGHT, (kind.name, pose, slack)


def test_mirrored_sprite_is_the_mirror_image():
    bird, images = BY_NAME["bird"], []
    for mirror in (False, True):
        box = np.array((0, 0, 480, 400))
        image, _ = draw_layer(bird.sprites[""], 0, _first_colours(bird), box, mirror=mirror)
        images.append(np.asarray(image, dtype=int))
    difference = np.abs(images[0][:, ::-1] - images[1]).max(axis=-1) > 0
    assert difference.mean() < 0.03
