import pytest

from speaq.graph.colours import INK, PALETTE, WHITE, line_colour, luminance, mixed, text_colour


def test_text_and_line_colours_have_enough_contrast():
    for colour in PALETTE:
        for light, dark in ((colour, text_colour(colour)), (WHITE, line_colour(colour))):
            values = sorted((luminance(light) + 0.05, luminance(dark) + 0.05))
            assert values[1] / values[0] > 3
    assert text_colour((255, 255, 255)) == INK
    assert text_colour((0, 0, 0)) == WHITE
    assert mixed((0, 100, 200), (100, 100, 0), 0.25) == (75, 100, 50)
    assert luminance(WHITE) == pytest.approx(1)
