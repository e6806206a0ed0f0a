import logging

import pytest

from speaq.graph.colours import INK
from speaq.visualize.text import (
    FONT,
    Text,
    clean,
    families,
    row_size,
    shortened,
    text_width,
    with_score,
    wrapped,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cup", "cup"),
        (" two\n lines\t", "two lines"),
        ("bell\x07\ud800\x9f", "bell\ufffd\ufffd\ufffd"),
        ("<b>$x$ & 컵", "<b>$x$ & 컵"),
        ("", ""),
    ],
)
def test_clean_replaces_invisible_characters(name, shown):
    assert clean(name) == shown


def test_shortened_and_wrapped_limit_the_length():
    assert shortened("umbrella", 8) == "umbrella"
    assert shortened("a big umbrella", 7) == "a big…"
    assert wrapped("man in a red shirt", 10) == "man in a\nred shirt"
    assert wrapped("x" * 25, 10) == "xxxxxxxxxx\nxxxxxxxxxx\nxxxxx"
    long = wrapped("word " * 20, 10)
    assert [len(line) <= 10 for line in long.split("\n")] == [True] * 3
    assert long.endswith("…")
    assert wrapped("", 10) == ""


def test_text_width_grows_with_text_size_and_weight():
    assert text_width("", 10) == 0
    assert text_width("mmm", 10) == pytest.approx(3 * text_width("m", 10), rel=0.05)
    assert text_width("mmm", 20) == pytest.approx(2 * text_width("mmm", 10), rel=1e-3)
    assert text_width("mm\nm", 10) == text_width("mm", 10) < text_width("mm", 10, bold=True)
    assert text_width("$_^$", 10) > 3 * text_width("$", 10) / 2  # no formula


def test_row_size_adds_gaps_and_counts_lines():
    texts = with_score(Text("left of", 10, INK), 0.5, INK)
    assert texts[1] == Text("0.50", 8, INK)
    assert with_score(texts[0], None, INK) == texts[:1]
    width = texts[0].width + 4 + texts[1].width
    assert row_size(texts) == (pytest.approx(width), 1)
    assert row_size([*texts, Text("two\nlines", 10, INK)])[1] == 2
    assert Text("m", 10, INK, bold=True).width > Text("m", 10, INK).width


def test_families_adds_fonts_for_missing_letters():
    assert families("Straße, чашка, κύπελλο") == (FONT,)
    chosen = families("a\u1d81")  # DejaVu Sans has not got it, but another font that comes with matplotlib
    assert len(chosen) == 2
    assert chosen[0] == FONT


def test_letters_that_no_font_has_are_logged_once(caplog):
    with caplog.at_level(logging.WARNING):
        assert families("a\U000e1234b") == (FONT,)
        families("c\U000e1234")
    assert len(caplog.records) == 1
    assert "no installed font has the letters \U000e1234" in caplog.text
