"""Text of others as it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from gdws._util.visible_text import visible, visible_value


@pytest.mark.parametrize("text", ["", "dense, batch 1", "−0.4 % – é 网络 \U0001f600"])
def test_what_is_only_read_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),  # a colour
        ("\x9b2J", r"\x9b2J"),  # the same as one character
        ("a\rPASS", r"a\rPASS"),  # writes over the line
        ("a\nPASS", r"a\nPASS"),  # begins one
        ("a\u2028b", r"a\u2028b"),
        ("\u202eSSAP", r"\u202eSSAP"),  # turns the order
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),  # nothing to be seen
        ("\x7f\x00\ud800\uffff", r"\x7f\x00\ud800\uffff"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_are_kept_where_asked_for() -> None:
    assert visible("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_the_outcome_can_be_printed_and_encoded(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown


def test_markup_of_ours_and_numbers_pass_a_page_as_they_are() -> None:
    svg = Markup("<svg>\x1b</svg>")
    assert visible_value(svg) is svg
    assert visible_value(3) == 3
    assert visible_value("a\nb\x1b") == "a\nb\\x1b"
