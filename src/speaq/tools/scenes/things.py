"""Pictures of small things, in sprite units (see ``pen``)."""

from speaq.tools.scenes.kind import Colours
from speaq.tools.scenes.pen import Pen, shade, smooth


def draw_ball(pen: Pen, colours: Colours) -> None:
    """A beach ball; 100 wide."""
    main, other = colours
    pen.ellipse(50, 50, 50, 50, shade(main, 1.72))
    pen.slice(50, 50, 50, 50, -20, 40, main)
    pen.slice(50, 50, 50, 50, 100, 160, main)
    pen.slice(50, 50, 50, 50, 220, 280, main)
    pen.ellipse(50, 50, 13, 13, other)


def draw_kite(pen: Pen, colours: Colours) -> None:
    """A diamond on a tail with bows, whose end is at (35, 100); 66 wide."""
    main, other = colours
    pen.line(smooth([(33, 64), (38, 74), (30, 84), (37, 92), (35, 99)]), 2.4, shade(main, 0.6))
    for x, y in ((37, 75), (32, 87)):
        pen.polygon([(x - 9, y - 5), (x - 9, y + 5), (x + 9, y - 5), (x + 9, y + 5)], other)
    pen.polygon([(33, 0), (33, 27), (0, 27)], main)
    pen.polygon([(33, 0), (66, 27), (33, 27)], other)
    pen.polygon([(0, 27), (33, 27), (33, 68)], other)
    pen.polygon([(33, 27), (66, 27), (33, 68)], main)
    pen.line([(33, 2), (33, 66)], 1.8, shade(main, 0.6))
    pen.line([(2, 27), (64, 27)], 1.8, shade(main, 0.6))


def draw_cup(pen: Pen, colours: Colours) -> None:
    """A tea cup with its handle at the right; 116 wide."""
    main, band = colours
    pen.ellipse(88, 46, 28, 26, shade(main, 0.85))
    pen.erase_ellipse(88, 46, 15, 13.5)
    pen.blob([(0, 13), (44, 14), (88, 13), (85, 62), (66, 98), (44, 100), (22, 98), (3, 62)], main)
    pen.polygon(
        [*smooth([(0.5, 38), (44, 47), (87.5, 38)]), *smooth([(85, 58), (44, 68), (3, 58)])],
        band,
    )
    pen.ellipse(44, 13, 44, 13, shade(main, 1.35))
    pen.ellipse(44, 14, 37, 9, (112, 62, 34))
    pen.ellipse(36, 12, 12, 3, (150, 92, 56))


def draw_basket_inside(pen: Pen, colours: Colours) -> None:
    """The far rim and the dark inside of the basket; 140 wide."""
    main, _ = colours
    pen.ellipse(70, 20, 70, 20, shade(main, 1.2))
    pen.ellipse(70, 21, 61, 14, shade(main, 0.4))


def draw_basket(pen: Pen, colours: Colours) -> None:
    """The near wall of the basket, whose rim hangs down to y = 40 in the middle; 140 wide."""
    main, dark = colours
    rim = smooth([(0, 20), (12, 31), (40, 38), (70, 40), (100, 38), (128, 31), (140, 20)])
    pen.polygon([*rim, *smooth([(120, 88), (104, 97), (70, 100), (36, 97), (20, 88)])], main)
    for row, y in enumerate((52, 66, 80)):
        inset = 4 + (y - 20) * 0.26
        for column in range(7):
            x = inset + (140 - 2 * inset) * (column + (0.5 if row % 2 else 0.15)) / 7.2
            sag = 4 - abs(x - 70) / 18
            pen.line([(x, y + sag), (x + 9, y + sag)], 5, dark)
    pen.line(rim, 7, shade(main, 1.3))
    pen.line([(x, y + 5) for x, y in rim[3:-3]], 2, dark)


def draw_hat(pen: Pen, colours: Colours) -> None:
    """A hat with a wide brim; 165 wide."""
    main, band = colours
    pen.ellipse(82.5, 76, 82.5, 24, main)
    pen.blob(
        [(38, 78), (40, 30), (54, 4), (82, 8), (111, 4), (125, 30), (127, 78), (82, 86)], shade(main, 1.15)
    )
    upper, lower = smooth([(38, 54), (82, 62), (127, 54)]), smooth([(127, 75), (82, 84), (38, 75)])
    pen.polygon([*upper, *lower], band)


def draw_flower(pen: Pen, colours: Colours) -> None:
    """A flower in a pot; 58 wide."""
    petals, heart, pot = colours
    pen.line([(29, 36), (29, 70)], 4, (60, 140, 70))
    pen.blob([(29, 64), (14, 60), (4, 48), (20, 50)], (80, 165, 85))
    pen.blob([(29, 66), (44, 62), (54, 50), (38, 52)], (70, 150, 78))
    for x, y in ((29, 9), (45.5, 18.5), (42, 37), (16, 37), (12.5, 18.5)):
        pen.ellipse(x, y + 0.5, 12, 10, petals)
    pen.ellipse(29, 24, 9.5, 9.5, heart)
    pen.polygon([(3, 70), (55, 70), (47, 100), (11, 100)], pot)
    pen.box(0, 65, 58, 76, shade(pot, 1.2), 3)


def draw_lamp(pen: Pen, colours: Colours) -> None:
    """A table lamp with a glowing shade; 70 wide."""
    glow, foot = colours
    pen.box(31, 46, 39, 90, foot)
    pen.ellipse(35, 70, 9, 12, foot)
    pen.blob([(8, 100), (14, 89), (35, 86), (56, 89), (62, 100)], foot)
    pen.polygon([(18, 0), (52, 0), (70, 52), (0, 52)], glow)
    pen.polygon([(28, 0), (42, 0), (48, 52), (22, 52)], shade(glow, 1.55))
    pen.polygon([(1.5, 48), (68.5, 48), (70, 52), (0, 52)], shade(glow, 0.8))


def draw_balloon(pen: Pen, colours: Colours) -> None:
    """A balloon on a string, whose end is at (29, 100); 56 wide."""
    main, string = colours
    pen.line(smooth([(28, 68), (31, 78), (25, 88), (29, 99)]), 2.4, string)
    pen.blob([(28, 0), (50, 9), (55.5, 30), (44, 54), (28, 66), (12, 54), (0.5, 30), (6, 9)], main)
    pen.polygon([(28, 63), (34, 71), (22, 71)], shade(main, 0.8))
    pen.blob([(14, 14), (22, 8), (22, 18), (14, 28)], shade(main, 1.6))
