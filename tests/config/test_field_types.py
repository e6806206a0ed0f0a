import pytest

from speaq.config import load_config
from speaq.config.field_types import read_flag, read_integer, read_number, read_sequence, read_text
from speaq.config.ignored_keys import read_like
from speaq.errors import SpeaqError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        ("True", True),
        ("true", True),
        ("yes", True),
        ("ON", True),
        (" False ", False),
        ("no", False),
    ],
)
def test_read_flag(value, expected):
    assert read_flag(value) is expected


@pytest.mark.parametrize("value", [1, 0, "1", "", "maybe", None, [], {}, 1.0])
def test_read_flag_refuses(value):
    with pytest.raises(ValueError, match="expected True or False"):
        read_flag(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1e-4", 1e-4), ("-0.5", -0.5), (".5", 0.5), ("5.", 5.0), (3, 3.0), ("+2", 2.0), (" 1 ", 1.0)],
)
def test_read_number(value, expected):
    assert read_number(value) == expected


@pytest.mark.parametrize(
    "value", ["", "x", "nan", "inf", ".inf", "1e400", None, True, [1], {}, "1,2", 10**400, 1j]
)
def test_read_number_refuses(value):
    with pytest.raises(ValueError, match="expected a number"):
        read_number(value)


@pytest.mark.parametrize(
    ("value", "expected"), [("20", 20), (20, 20), ("1e5", 100_000), ("20.0", 20), ("-1", -1), (4.0, 4)]
)
def test_read_integer(value, expected):
    result = read_integer(value)
    assert result == expected
    assert type(result) is int


@pytest.mark.parametrize("value", ["1.5", 1.5, "x", "", None, True, [1], "nan", "9" * 5000])
def test_read_integer_refuses(value):
    with pytest.raises(ValueError, match="expected a whole number"):
        read_integer(value)


def test_read_text():
    assert [read_text(value) for value in ("a b", "1e-4", "007", None, "None", "null", "")] == [
        "a b", "1e-4", "007", "", "", "", "",
    ]  # fmt: skip
    assert read_text(7) == "7"
    for value in (True, 1.5, [], {}, "a\0b"):
        with pytest.raises(ValueError, match="expected text"):
            read_text(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("('VG_train',)", ["VG_train"]),
        ("('VG_train')", ["VG_train"]),
        ("('a', \"b\")", ["a", "b"]),
        ("(VG_train,)", ["VG_train"]),
        ("[res4, res5]", ["res4", "res5"]),
        ("VG_train", ["VG_train"]),
        ("VG_val,VG_test", ["VG_val", "VG_test"]),
        ("(480, 512)", [480, 512]),
        ("[-0.5, 1e-4]", [-0.5, 1e-4]),
        ("800", ["800"]),
        ("()", []),
        ("", []),
        (None, []),
        ("None", []),
        (("a",), ["a"]),
        (3, [3]),
        ("((1, 2), (3, 4))", [(1, 2), (3, 4)]),
    ],
)
def test_read_sequence(value, expected):
    assert read_sequence(value) == expected


def test_read_like_follows_the_type_of_the_default():
    assert read_like([[1.0, 2.0]], "((1, 2), (3, 4))") == [[1, 2], [3, 4]]
    assert read_like([True, True], ["no", "yes"]) == [False, True]
    assert (read_like(5, "0.5"), read_like(5, "7"), read_like(0.0, "1e-3")) == (0.5, 7, 0.001)
    assert (read_like(None, "None"), read_like(None, "0.1"), read_like("", "7")) == (None, "0.1", "7")
    assert read_like([], "[['bbox', 'AP', 38.5]]") == [["bbox", "AP", "38.5"]]
    with pytest.raises(ValueError, match="expected a value or a list"):
        read_like([], [{}])


@pytest.mark.parametrize("value", ["qwen2.5-vl=0.5, human=1", "('qwen2.5-vl=0.5', 'human=1')"])
def test_weights_of_relation_sources(value):
    key = "DATASETS.VISUAL_GENOME.RELATION_SOURCE_WEIGHTS"
    config = load_config(overrides=[key, value])
    assert config.datasets.visual_genome.source_weights == {"qwen2.5-vl": 0.5, "human": 1}
    for wrong in ("human", "human=-1", "=1", "human=x", "human=inf"):
        with pytest.raises(SpeaqError, match=f"{key} .*: expected NAME=WEIGHT with a weight from 0"):
            load_config(overrides=[key, wrong])
