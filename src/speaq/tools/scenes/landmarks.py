"""Pictures of furniture, vehicles, plants and buildings, in sprite units (see ``pen``)."""

from speaq.tools.scenes.creatures import INK
from speaq.tools.scenes.kind import Colours
from speaq.tools.scenes.pen import Pen, shade, smooth

GLASS = (172, 216, 236)


def draw_table(pen: Pen, colours: Colours) -> None:
    """A table seen a little from above, its surface from y = 0 to 20; 144 wide."""
    wood, _ = colours
    for x in (23, 121):
        pen.box(x - 4, 26, x + 4, 88, shade(wood, 0.55))
    pen.polygon([(14, 0), (130, 0), (144, 20), (0, 20)], shade(wood, 1.3))
    pen.line([(20, 8), (124, 8)], 1.4, shade(wood, 1.1))
    pen.line([(14, 14), (110, 14)], 1.4, shade(wood, 1.1))
    for x in (10, 134):
        pen.box(x - 6, 24, x + 6, 100, shade(wood, 0.9), 2)
    pen.box(0, 19, 144, 30, wood, 3)


def draw_bench(pen: Pen, colours: Colours) -> None:
    """A stone bench, its surface from y = 0 to 26; 190 wide."""
    stone, _ = colours
    for x in (38, 152):
        pen.polygon([(x - 18, 44), (x + 18, 44), (x + 14, 100), (x - 14, 100)], shade(stone, 0.75))
    pen.polygon([(14, 0), (176, 0), (190, 26), (0, 26)], shade(stone, 1.4))
    pen.box(0, 25, 190, 52, stone, 5)


def draw_tree(pen: Pen, colours: Colours) -> None:
    """A round tree with a hollow in its crown; 80 wide."""
    leaves, bark = colours
    pen.blob([(33, 60), (47, 60), (47, 86), (58, 100), (40, 98), (22, 100), (33, 86)], bark)
    pen.line([(40, 78), (54, 62)], 5, bark)
    dark = shade(leaves, 0.8)
    for x, y, r in ((20, 50, 19), (60, 50, 19), (40, 56, 17)):
        pen.ellipse(x, y, r, r * 0.92, dark)
    for x, y, r in ((17, 34, 17), (63, 34, 17), (40, 20, 20), (26, 20, 15), (55, 19, 15), (40, 40, 24)):
        pen.ellipse(x, y, r, r, leaves)
    for x, y, r in ((26, 14, 7), (14, 30, 6), (54, 12, 6)):
        pen.ellipse(x, y, r, r * 0.8, shade(leaves, 1.22))
    pen.ellipse(40, 34, 25, 17, shade(leaves, 0.62))


def draw_tree_leaves(pen: Pen, colours: Colours) -> None:
    """The leaves in front of the hollow, from y = 41 down; 80 wide."""
    leaves, _ = colours
    for x, y, r in ((20, 50, 9), (31, 53, 10), (44, 53, 11), (58, 50, 10)):
        pen.ellipse(x, y, r, r * 0.9, leaves)
    for x, y in ((19, 47), (33, 49), (47, 48)):
        pen.ellipse(x, y, 4, 3, shade(leaves, 1.22))


def draw_house(pen: Pen, colours: Colours) -> None:
    """A house with its ridge at y = 10 and a chimney at the right; 116 wide."""
    roof, wall, door = colours
    pen.box(78, 2, 92, 34, shade(roof, 0.7))
    pen.box(75, 0, 95, 7, shade(roof, 0.85), 1)
    pen.box(9, 42, 107, 100, wall)
    pen.polygon([(9, 46), (107, 46), (107, 54), (9, 54)], shade(wall, 0.82))
    pen.polygon([(22, 10), (94, 10), (116, 48), (0, 48)], roof)
    for row, y in enumerate((21, 31, 40)):
        pen.line([(25 - y * 0.45, y), (91 + y * 0.45, y)], 1.6, shade(roof, 0.8))
        for x in range(24 + 6 * (row % 2), 98, 12):
            pen.line([(x, y - 8), (x, y)], 1.4, shade(roof, 0.8))
    pen.box(24, 62, 46, 100, shade(door, 0.7), 2)
    pen.box(26.5, 64.5, 43.5, 100, door, 2)
    pen.ellipse(40, 83, 1.8, 1.8, (250, 220, 120))
    pen.box(62, 60, 94, 86, (255, 255, 255), 2)
    pen.box(65, 63, 91, 83, GLASS)
    pen.box(76.8, 62, 79.2, 84, (255, 255, 255))
    pen.box(64, 72, 92, 74, (255, 255, 255))


def draw_car(pen: Pen, colours: Colours) -> None:
    """A car, its roof from x = 58 to 118; 180 wide."""
    paint, _ = colours
    pen.blob([(34, 48), (52, 6), (62, 0), (112, 0), (124, 8), (148, 48), (90, 60)], paint)
    pen.polygon([(48, 42), (60, 12), (84, 12), (84, 42)], GLASS)
    pen.polygon([(91, 42), (91, 12), (112, 12), (132, 42)], GLASS)
    pen.blob([(0, 60), (14, 44), (88, 42), (160, 46), (179, 60), (178, 80), (90, 84), (2, 80)], paint)
    pen.ellipse(170, 58, 6, 7, (255, 240, 170))
    pen.box(0, 72, 180, 80, shade(paint, 0.6), 3)
    pen.box(80, 52, 94, 56, shade(paint, 0.6), 2)
    for x in (42, 138):
        pen.ellipse(x, 78, 22, 22, INK)
        pen.ellipse(x, 78, 11, 11, (200, 204, 210))


def draw_umbrella(pen: Pen, colours: Colours) -> None:
    """A parasol on a foot, the cloth down to y = 42; 104 wide."""
    main, other = colours
    pen.box(50, 6, 54, 96, (236, 236, 236))
    pen.box(36, 93, 68, 100, (120, 124, 132), 3)
    spread = (0, 21, 42, 62, 83, 104)
    for x in (10.5, 31.5, 52, 72.5, 93.5):
        pen.ellipse(x, 37, 10.6, 6, shade(main, 0.7))
    pen.slice(52, 38, 52, 35, 180, 360, main)
    for i in (1, 3):
        left, right = spread[i], spread[i + 1]
        lean = (52 - (left + right) / 2) * 0.16
        pen.blob([(left, 38), (left + lean, 22), (52, 3.5), (right + lean, 22), (right, 38)], other)
    pen.ellipse(52, 3, 3, 3, (236, 236, 236))


def draw_boat_inside(pen: Pen, colours: Colours) -> None:
    """The far side and the inside of the boat; 184 wide."""
    paint, wood = colours
    pen.ellipse(92, 22, 86, 22, shade(paint, 0.75))
    pen.ellipse(92, 25, 74, 15, shade(wood, 0.6))


def draw_boat(pen: Pen, colours: Colours) -> None:
    """The near side of the boat, whose edge hangs down to y = 42 in the middle; 184 wide."""
    paint, wood = colours
    edge = smooth([(0, 12), (27, 33), (62, 41), (92, 42), (122, 41), (157, 33), (184, 12)])
    pen.polygon([*edge, *smooth([(168, 64), (140, 94), (92, 100), (44, 94), (16, 64)])], paint)
    stripe = [*smooth([(17, 66), (92, 80), (167, 66)]), *smooth([(158, 79), (92, 91), (26, 79)])]
    pen.polygon(stripe, (250, 250, 250))
    pen.line(smooth([(4.5, 16), (27, 34), (62, 41), (92, 42), (122, 41), (157, 34), (179.5, 16)]), 9, wood)
