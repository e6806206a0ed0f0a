"""The object classes and predicates that generated scenes are made of."""

from speaq.tools.scenes import creatures, landmarks, things
from speaq.tools.scenes.kind import Kind, Spot, Sprite

_ON_FURNITURE = ("cup", "ball", "cat", "bird", "basket", "lamp", "flower", "hat")

_PERSON = Kind(
    name="person",
    attribute="red",
    heights=(0.40, 0.48),
    colours=(
        ((228, 74, 46),),
        ((52, 74, 124),),
        ((250, 214, 180), (232, 184, 144), (190, 134, 96), (134, 88, 62)),
        ((90, 58, 36), (44, 36, 36), (220, 178, 92), (160, 82, 44)),
    ),
    sprites={
        "": Sprite(46, (creatures.draw_person,)),
        "holding": Sprite(70, (creatures.draw_person_holding,)),
        "carrying": Sprite(56, (creatures.draw_person_carrying,)),
        "riding": Sprite(44, (creatures.draw_person_riding,), foot=0.4),
    },
    spots=(
        Spot(
            predicate="holding",
            guests=("ball", "kite", "cup", "flower", "balloon"),
            across=(0.93, 0.96),
            down=(0.36, 0.38),
            band=(0.2, 0.5),
            depth="behind",
            host_is_subject=True,
            host_pose="holding",
        ),
        Spot(
            predicate="wearing",
            guests=("hat",),
            across=(0.49, 0.51),
            down=(0.10, 0.12),
            band=(-0.1, 0.25),
            room=(1.5, 9.0),
            host_is_subject=True,
        ),
        Spot(
            predicate="carrying",
            guests=("ball", "cup", "basket", "flower"),
            across=(0.48, 0.52),
            down=(0.03, 0.05),
            band=(-0.1, 0.12),
            depth="behind",
            room=(1.3, 9.0),
            host_is_subject=True,
            host_pose="carrying",
        ),
    ),
    hides=True,
    chance=2.0,
)

_TABLE = Kind(
    name="table",
    attribute="brown",
    heights=(0.30, 0.35),
    colours=(((164, 108, 62),), ((164, 108, 62),)),
    sprites={"": Sprite(144, (landmarks.draw_table,))},
    spots=(
        Spot(
            predicate="on",
            guests=_ON_FURNITURE,
            across=(0.18, 0.82),
            down=(0.08, 0.14),
            band=(-0.05, 0.25),
            room=(0.62, 9.0),
        ),
        Spot(
            predicate="under",
            guests=("ball", "cat", "dog", "basket", "cup", "bird", "hat"),
            across=(0.44, 0.56),
            down=(0.94, 0.98),
            band=(0.8, 1.04),
            room=(0.7, 0.64),
        ),
    ),
)

_BALL = Kind(
    name="ball",
    attribute="pink",
    heights=(0.18, 0.22),
    colours=(((234, 56, 132),), ((252, 206, 64),)),
    sprites={"": Sprite(100, (things.draw_ball,))},
)

_KITE = Kind(
    name="kite",
    attribute="purple",
    heights=(0.26, 0.34),
    colours=(((126, 70, 204),), ((252, 208, 70),)),
    sprites={"": Sprite(66, (things.draw_kite,), foot=0.53)},
    stands=False,
    flies="",
    outdoors=True,
    chance=2.0,
)

_TREE = Kind(
    name="tree",
    attribute="green",
    heights=(0.48, 0.58),
    colours=(((66, 146, 70),), ((122, 84, 54),)),
    sprites={"": Sprite(80, (landmarks.draw_tree, landmarks.draw_tree_leaves))},
    spots=(
        Spot(
            predicate="in",
            guests=("cat", "bird", "ball", "kite"),
            across=(0.46, 0.54),
            down=(0.5, 0.53),
            band=(0.2, 0.58),
            depth="inside",
            rim=0.46,
            room=(0.66, 0.52),
        ),
    ),
    hides=True,
    landmark=True,
    outdoors=True,
)

_CAT = Kind(
    name="cat",
    attribute="orange",
    heights=(0.19, 0.24),
    colours=(((242, 158, 66),), ((254, 238, 216),), ((202, 110, 40),)),
    sprites={"": Sprite(92, (creatures.draw_cat,), foot=0.46)},
    hides=True,
)

_BASKET = Kind(
    name="basket",
    attribute="tan",
    heights=(0.24, 0.28),
    colours=(((212, 166, 96),), ((152, 106, 54),)),
    sprites={"": Sprite(140, (things.draw_basket_inside, things.draw_basket))},
    spots=(
        Spot(
            predicate="in",
            guests=("ball", "cat", "bird", "flower", "dog"),
            across=(0.42, 0.58),
            down=(0.46, 0.56),
            band=(0.05, 0.5),
            depth="inside",
            rim=0.37,
            room=(0.72, 9.0),
        ),
    ),
)

_HOUSE = Kind(
    name="house",
    attribute="white",
    heights=(0.36, 0.45),
    colours=(((190, 62, 54),), ((250, 236, 208),), ((84, 124, 168), (96, 150, 110), (150, 96, 60))),
    sprites={"": Sprite(116, (landmarks.draw_house,))},
    spots=(
        Spot(
            predicate="on",
            guests=("cat", "bird", "ball"),
            across=(0.34, 0.5),
            down=(0.12, 0.15),
            band=(-0.05, 0.28),
            room=(0.6, 9.0),
        ),
    ),
    landmark=True,
    outdoors=True,
)

_CUP = Kind(
    name="cup",
    attribute="teal",
    heights=(0.18, 0.21),
    colours=(((58, 186, 186),), ((252, 250, 240),)),
    sprites={"": Sprite(116, (things.draw_cup,), foot=0.38)},
)

_BIRD = Kind(
    name="bird",
    attribute="blue",
    heights=(0.18, 0.22),
    colours=(((56, 112, 224),), ((236, 242, 252),), ((246, 170, 36),)),
    sprites={
        "": Sprite(120, (creatures.draw_bird,), foot=0.54),
        "flying": Sprite(136, (creatures.draw_bird_flying,)),
    },
    flies="flying",
)

_HORSE = Kind(
    name="horse",
    attribute="chestnut",
    heights=(0.38, 0.44),
    colours=(((150, 82, 50),), ((64, 42, 36),), ((216, 168, 134),)),
    sprites={"": Sprite(118, (creatures.draw_horse,))},
    spots=(
        Spot(
            predicate="riding",
            guests=("person",),
            across=(0.42, 0.48),
            down=(0.44, 0.46),
            band=(0.55, 1.02),
            seat=0.68,
            guest_pose="riding",
        ),
        Spot(
            predicate="on",
            guests=("bird", "cat"),
            across=(0.3, 0.45),
            down=(0.45, 0.47),
            band=(0.3, 0.52),
            room=(0.6, 9.0),
        ),
    ),
    outdoors=True,
)

_HAT = Kind(
    name="hat",
    attribute="yellow",
    heights=(0.14, 0.16),
    colours=(((238, 206, 108),), ((196, 54, 60),)),
    sprites={"": Sprite(165, (things.draw_hat,))},
)

_DOG = Kind(
    name="dog",
    attribute="grey",
    heights=(0.22, 0.26),
    colours=(((170, 162, 158),), ((244, 240, 234),), ((92, 84, 88),)),
    sprites={"": Sprite(118, (creatures.draw_dog,))},
    hides=True,
)

_CAR = Kind(
    name="car",
    attribute="golden",
    heights=(0.24, 0.28),
    colours=(((246, 194, 40),), ((246, 194, 40),)),
    sprites={"": Sprite(180, (landmarks.draw_car,))},
    spots=(
        Spot(
            predicate="on",
            guests=("cat", "bird", "basket"),
            across=(0.42, 0.54),
            down=(0.01, 0.04),
            band=(-0.05, 0.25),
            room=(0.75, 9.0),
        ),
    ),
    landmark=True,
    outdoors=True,
)

_UMBRELLA = Kind(
    name="umbrella",
    attribute="striped",
    heights=(0.46, 0.56),
    colours=(((224, 60, 62),), ((252, 248, 238),)),
    sprites={"": Sprite(104, (landmarks.draw_umbrella,))},
    spots=(
        Spot(
            predicate="under",
            guests=("ball", "cat", "dog", "basket", "cup", "bird", "flower"),
            across=(0.3, 0.7),
            down=(0.98, 1.02),
            band=(0.85, 1.06),
            room=(0.7, 0.5),
        ),
    ),
    outdoors=True,
)

_FLOWER = Kind(
    name="flower",
    attribute="rose",
    heights=(0.22, 0.27),
    colours=(((244, 116, 168),), ((252, 212, 80),), ((186, 96, 60),)),
    sprites={"": Sprite(58, (things.draw_flower,))},
)

_LAMP = Kind(
    name="lamp",
    attribute="glowing",
    heights=(0.24, 0.3),
    colours=(((252, 216, 96),), ((104, 92, 128),)),
    sprites={"": Sprite(70, (things.draw_lamp,))},
)

_BOAT = Kind(
    name="boat",
    attribute="navy",
    heights=(0.25, 0.29),
    colours=(((46, 76, 140),), ((196, 146, 94),)),
    sprites={"": Sprite(184, (landmarks.draw_boat_inside, landmarks.draw_boat))},
    spots=(
        Spot(
            predicate="in",
            guests=("person", "cat", "dog", "bird", "basket"),
            across=(0.35, 0.65),
            down=(0.48, 0.58),
            band=(0.05, 0.5),
            depth="inside",
            rim=0.38,
            room=(0.7, 9.0),
        ),
    ),
    outdoors=True,
)

_BALLOON = Kind(
    name="balloon",
    attribute="crimson",
    heights=(0.26, 0.32),
    colours=(((216, 30, 52),), ((96, 92, 96),)),
    sprites={"": Sprite(56, (things.draw_balloon,), foot=0.52)},
    stands=False,
    flies="",
)

_BENCH = Kind(
    name="bench",
    attribute="stone",
    heights=(0.2, 0.24),
    colours=(((150, 158, 172),), ((150, 158, 172),)),
    sprites={"": Sprite(190, (landmarks.draw_bench,))},
    spots=(
        Spot(
            predicate="on",
            guests=_ON_FURNITURE,
            across=(0.2, 0.8),
            down=(0.1, 0.2),
            band=(-0.05, 0.3),
            room=(0.62, 9.0),
        ),
    ),
)

# The first ones alone already make scenes with every predicate of the default vocabulary.
KINDS: tuple[Kind, ...] = (
    _PERSON, _TABLE, _BALL, _KITE, _TREE, _CAT, _BASKET, _HOUSE, _CUP, _BIRD,
    _HORSE, _HAT, _DOG, _CAR, _UMBRELLA, _FLOWER, _LAMP, _BOAT, _BALLOON, _BENCH,
)  # fmt: skip

# About from frequent to rare.
PREDICATES: tuple[str, ...] = (
    "on", "left of", "right of", "above", "in front of", "in", "under", "holding", "behind",
    "riding", "wearing", "carrying",
)  # fmt: skip

# Of two things side by side, or one before the other, the earlier one here is the subject, as people say
# "the cat left of the house" and not "the house right of the cat".
SUBJECT_ORDER: tuple[str, ...] = (
    "person", "dog", "cat", "bird", "horse", "kite", "balloon", "ball", "cup", "flower",
    "hat", "lamp", "basket", "umbrella", "table", "bench", "car", "boat", "tree", "house",
)  # fmt: skip
