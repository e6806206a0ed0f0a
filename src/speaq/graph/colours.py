"""Colours of drawings, charts and DOT files, chosen to be distinguishable with any colour vision."""

Colour = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]

INK: Colour = (33, 37, 41)
GREY: Colour = (108, 117, 125)
FAINT: Colour = (233, 236, 239)
GREEN: Colour = (0, 158, 115)
VERMILLION: Colour = (213, 94, 0)
WHITE: Colour = (255, 255, 255)

# The colours of Okabe and Ito without black, then lighter and darker ones for graphs with many entities.
PALETTE: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (86, 180, 233),
    (240, 228, 66),
    (118, 42, 131),
    (153, 214, 190),
    (140, 81, 10),
    (190, 210, 255),
    (90, 90, 90),
)


def luminance(colour: Colour) -> float:
    """Relative luminance in 0..1 (WCAG 2)."""
    red, green, blue = ((channel / 255) ** 2.2 for channel in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_colour(background: Colour) -> Colour:
    """Ink or white, whichever is easier to read on ``background``."""
    return INK if luminance(background) > 0.25 else WHITE


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """``share`` * colour + (1 - ``share``) * other."""
    red, green, blue = (round(share * a + (1 - share) * b) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def line_colour(colour: Colour) -> Colour:
    """``colour``, darkened as far as a line on white needs."""
    share = 1.0
    while luminance(shade := mixed(colour, INK, share)) > 0.3:
        share -= 0.05
    return shade
