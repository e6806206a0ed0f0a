"""Pictures of people and animals, in sprite units (see ``pen``). All face right."""

from speaq.tools.scenes.kind import Colours
from speaq.tools.scenes.pen import Colour, Pen, Point, shade, smooth

INK: Colour = (48, 42, 52)
BLUSH: Colour = (240, 130, 120)


def _eyes(pen: Pen, x: float, y: float, apart: float, size: float) -> None:
    for side in (-apart, apart):
        pen.ellipse(x + side, y, size, size * 1.25, INK)
        pen.ellipse(x + side + size * 0.3, y - size * 0.4, size * 0.4, size * 0.4, (255, 255, 255))


def _human_head(pen: Pen, x: float, skin: Colour, hair: Colour) -> None:
    pen.ellipse(x, 14.5, 14.5, 14.5, hair)
    pen.ellipse(x, 17.5, 12, 11.5, skin)
    pen.blob([(x - 13, 15), (x - 8, 4), (x + 5, 3), (x + 13, 14), (x + 5, 10), (x - 5, 11)], hair)
    _eyes(pen, x, 17.5, 4.6, 1.7)
    pen.ellipse(x - 7.5, 22, 2.4, 1.6, BLUSH)
    pen.ellipse(x + 7.5, 22, 2.4, 1.6, BLUSH)
    pen.line(smooth([(x - 3.4, 22.8), (x, 24.8), (x + 3.4, 22.8)]), 1.3, INK)


def _arm(pen: Pen, shoulder: Point, elbow: Point, hand: Point, sleeve: Colour, skin: Colour) -> None:
    pen.line([shoulder, elbow, hand], 7.5, skin)
    pen.line([shoulder, elbow], 8.5, sleeve)
    pen.ellipse(*hand, 4.6, 4.6, skin)


def _human_body(pen: Pen, x: float, shirt: Colour, trousers: Colour) -> None:
    for side in (-1, 1):
        pen.line([(x + 5.5 * side, 62), (x + 6.5 * side, 92)], 10, trousers)
        pen.blob(
            [(x + 1.5 * side, 100), (x + 1.5 * side, 93), (x + 8 * side, 92), (x + 14 * side, 100)],
            shade(trousers, 0.45),
        )
    pen.box(x - 12, 56, x + 12, 68, trousers, 4)
    pen.blob(
        [(x - 12, 31), (x, 28.5), (x + 12, 31), (x + 13, 46), (x + 13, 63), (x - 13, 63), (x - 13, 46)], shirt
    )
    pen.line([(x - 12, 52), (x + 12, 52)], 5, shade(shirt, 1.55))


def draw_person(pen: Pen, colours: Colours) -> None:
    """Standing, arms down; 46 wide."""
    shirt, trousers, skin, hair = colours
    _arm(pen, (13, 35), (7, 46), (4.6, 60), shirt, skin)
    _arm(pen, (33, 35), (39, 46), (41.4, 60), shirt, skin)
    _human_body(pen, 23, shirt, trousers)
    _human_head(pen, 23, skin, hair)


def draw_person_holding(pen: Pen, colours: Colours) -> None:
    """Standing, the right arm raised sideways, the hand at (65, 34); 70 wide."""
    shirt, trousers, skin, hair = colours
    _arm(pen, (13, 35), (7, 46), (4.6, 60), shirt, skin)
    _human_body(pen, 23, shirt, trousers)
    _arm(pen, (33, 37), (49, 45), (65.4, 36), shirt, skin)
    _human_head(pen, 23, skin, hair)


def draw_person_carrying(pen: Pen, colours: Colours) -> None:
    """Standing, both hands up beside the head; 56 wide."""
    shirt, trousers, skin, hair = colours
    _arm(pen, (18, 36), (6, 28), (4.6, 4.6), shirt, skin)
    _arm(pen, (38, 36), (50, 28), (51.4, 4.6), shirt, skin)
    _human_body(pen, 28, shirt, trousers)
    _human_head(pen, 28, skin, hair)


def draw_person_riding(pen: Pen, colours: Colours) -> None:
    """Astride something whose back is at y = 66, arms forward; 44 wide."""
    shirt, trousers, skin, hair = colours
    pen.line([(18, 64), (29, 72), (27, 92)], 11, trousers)
    pen.blob([(20, 100), (21, 92), (29, 91), (40, 100)], shade(trousers, 0.45))
    pen.blob([(4, 33), (16, 28.5), (29, 31), (31, 46), (29, 68), (6, 68), (0.5, 48)], shirt)
    pen.line([(4, 52), (29, 52)], 5, shade(shirt, 1.55))
    _arm(pen, (19, 38), (27, 50), (39.4, 51), shirt, skin)
    _human_head(pen, 18, skin, hair)


def draw_cat(pen: Pen, colours: Colours) -> None:
    """Sitting, tail curled up at the right; 92 wide."""
    fur, pale, dark = colours
    tail = smooth([(62, 92), (80, 87), (86.5, 74), (82, 60), (85, 48)])
    pen.line(tail, 11, fur)
    pen.line(tail[-6:], 11, dark)
    pen.blob([(16, 98), (16, 76), (28, 56), (56, 56), (68, 76), (68, 98), (42, 100)], fur)
    pen.ellipse(42, 82, 14, 17, pale)
    for x in (31, 53):
        pen.ellipse(x, 95, 9, 5, shade(fur, 1.25))
    for tip, base in (((7, 0), ((4, 30), (32, 14))), ((77, 0), ((80, 30), (52, 14)))):
        pen.polygon([tip, *base], fur)
        inner = [(0.5 * tip[0] + 0.25 * (base[0][0] + base[1][0]), 7.0)]
        inner += [(0.3 * tip[0] + 0.7 * x, 0.3 * tip[1] + 0.7 * y) for x, y in base]
        pen.polygon(inner, BLUSH)
    pen.ellipse(42, 36, 42, 27, fur)
    for x in (34, 42, 50):
        pen.line([(x, 11), (42 + (x - 42) * 0.8, 21)], 4, dark)
    pen.ellipse(42, 48, 17, 12, pale)
    _eyes(pen, 42, 35, 17, 5)
    pen.polygon([(38, 43), (46, 43), (42, 47.5)], BLUSH)
    pen.line([(35, 51), (39, 53), (42, 49), (45, 53), (49, 51)], 1.8, INK)
    for side in (-1, 1):
        pen.line([(42 + 20 * side, 45), (42 + 36 * side, 42)], 1.3, shade(pale, 0.8))
        pen.line([(42 + 20 * side, 49), (42 + 36 * side, 51)], 1.3, shade(pale, 0.8))


def draw_dog(pen: Pen, colours: Colours) -> None:
    """Standing in profile, tail up at the left; 118 wide."""
    fur, pale, dark = colours
    pen.line(smooth([(22, 54), (10, 42), (6, 24)]), 10, fur)
    pen.ellipse(6.5, 23, 6.5, 6.5, pale)
    for x in (34, 86):
        pen.line([(x, 66), (x, 94)], 11, shade(fur, 0.75))
    pen.blob([(14, 58), (22, 44), (56, 46), (88, 40), (96, 60), (84, 76), (50, 74), (24, 76)], fur)
    pen.ellipse(52, 56, 15, 9, dark)
    for x in (22, 76):
        pen.line([(x, 62), (x, 94)], 13, fur)
        pen.ellipse(x + 3, 95.5, 9, 4.5, pale)
    pen.blob([(66, 22), (74, 4), (92, 2), (104, 14), (104, 40), (86, 50), (70, 44)], fur)
    pen.blob([(88, 26), (112, 24), (118, 34), (108, 45), (90, 46)], pale)
    pen.ellipse(113, 28, 5, 4.5, INK)
    pen.line([(97, 40), (106, 41), (112, 38)], 1.8, INK)
    pen.blob([(68, 6), (78, 2), (82, 20), (76, 46), (64, 44), (60, 24)], dark)
    pen.ellipse(94, 17, 4.2, 5.2, INK)
    pen.ellipse(95.5, 15, 1.6, 1.6, (255, 255, 255))
    pen.line([(72, 52), (92, 51)], 5, (214, 60, 60))


def _bird_head(pen: Pen, x: float, y: float, body: Colour, beak: Colour) -> None:
    pen.polygon([(x + 16, y - 7), (x + 38, y + 4), (x + 14, y + 10)], beak)
    pen.polygon([(x + 15, y + 3), (x + 38, y + 4), (x + 14, y + 10)], shade(beak, 0.8))
    pen.ellipse(x, y, 22, 21, body)
    pen.ellipse(x + 8, y - 3, 6, 6.5, (255, 255, 255))
    pen.ellipse(x + 9.5, y - 2.5, 3.8, 4.4, INK)


def draw_bird(pen: Pen, colours: Colours) -> None:
    """Perched, tail at the left; 120 wide."""
    body, belly, beak = colours
    for x in (56, 70):
        pen.line([(x, 84), (x, 97), (x + 8, 97)], 4.5, shade(beak, 0.85))
    pen.polygon([(0, 50), (3, 34), (40, 50), (34, 72)], shade(body, 0.7))
    pen.blob([(24, 52), (50, 36), (84, 26), (102, 44), (96, 70), (72, 89), (42, 82)], body)
    pen.blob([(66, 58), (92, 44), (98, 58), (88, 76), (70, 86), (56, 80)], belly)
    _bird_head(pen, 82, 21, body, beak)
    pen.blob([(22, 50), (44, 44), (70, 46), (66, 64), (46, 72), (28, 66)], shade(body, 0.75))
    pen.line([(32, 58), (52, 58)], 3, shade(body, 0.6))


def draw_bird_flying(pen: Pen, colours: Colours) -> None:
    """In flight, wings up; 136 wide."""
    body, belly, beak = colours
    pen.polygon([(0, 66), (8, 50), (44, 60), (36, 78)], shade(body, 0.7))
    pen.blob([(60, 62), (76, 18), (104, 2), (100, 26), (94, 58)], shade(body, 0.6))
    pen.blob([(26, 68), (52, 54), (92, 46), (116, 58), (110, 82), (80, 99), (46, 90)], body)
    pen.blob([(70, 82), (104, 68), (108, 80), (84, 98), (58, 93)], belly)
    _bird_head(pen, 98, 58, body, beak)
    pen.blob([(46, 66), (36, 26), (22, 0), (58, 12), (76, 40), (80, 66), (62, 74)], shade(body, 0.75))
    pen.line([(40, 20), (58, 56)], 3, shade(body, 0.6))


def draw_horse(pen: Pen, colours: Colours) -> None:
    """Standing in profile, the back at y = 44; 118 wide."""
    coat, mane, muzzle = colours
    pen.line(smooth([(14, 46), (5.5, 58), (5, 80)]), 10, mane)
    for x in (30, 82):
        pen.line([(x, 66), (x, 90)], 9, shade(coat, 0.72))
        pen.box(x - 5, 92, x + 6, 100, shade(mane, 0.6), 2)
    pen.blob([(10, 54), (20, 42), (48, 45), (78, 40), (92, 52), (84, 72), (50, 74), (20, 74)], coat)
    for x in (20, 74):
        pen.line([(x, 64), (x, 90)], 11, coat)
        pen.box(x - 6, 91, x + 7, 100, shade(mane, 0.6), 2)
    pen.blob([(68, 46), (76, 18), (88, 6), (100, 14), (96, 34), (94, 56), (80, 60)], coat)
    pen.blob([(84, 6), (98, 6), (114, 24), (118, 34), (108, 40), (96, 30), (86, 28)], coat)
    pen.blob([(106, 22), (114, 24), (118, 34), (109, 40), (103, 33)], muzzle)
    pen.blob([(88, 4), (80, 6), (66, 26), (62, 44), (72, 44), (80, 24), (90, 10)], mane)
    pen.polygon([(85, 13), (88, 0), (96, 10)], coat)
    pen.ellipse(97, 17, 3, 3.6, INK)
    pen.ellipse(113, 31, 1.6, 1.6, INK)
