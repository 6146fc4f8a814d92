"""What nobody sees, or a terminal obeys, stands as an escape."""

import logging
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator import shown_text
from coordinator.audit.html import _readable
from coordinator.cli import log

ATTACKS = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]0;owned\x07": r"\x1b]0;owned\x07",
    "\x9b2J": r"\x9b2J",
    "a\nb\rc\td": r"a\x0ab\x0dc\x09d",
    "\u202eevil\u2066x\u2069": r"\u202eevil\u2066x\u2069",
    "a\u200eb\u200fc\u061c": r"a\u200eb\u200fc\u061c",
    "a\u200bb\u200dc\ufeffd\u2060e\u00ad": r"a\u200bb\u200dc\ufeffd\u2060e\xad",
    "a\u2028b\u2029c\x85": r"a\u2028b\u2029c\x85",
    "\U000e0041": r"\U000e0041",
    "\udcff\ud800": r"\udcff\ud800",
    "\u3164\u115f\u2800": r"\u3164\u115f\u2800",
}


@pytest.mark.parametrize(("text", "shown"), ATTACKS.items())
def test_what_is_not_seen_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert shown_text.visible(text) == shown


def test_every_control_and_direction_character_is_shown() -> None:
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        category, direction = unicodedata.category(sign), unicodedata.bidirectional(sign)
        embedding = direction in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        if category in {"Cc", "Cs", "Zl", "Zp"} or direction in {"BN", "B"} or embedding:
            assert shown_text.visible(sign) != sign, hex(code)


@pytest.mark.parametrize("text", ["Müller", "😀", "漢字", "1\u00a0000 sat", "❤️", "שלום", r"\x1b"])
def test_what_is_seen_stays(text: str) -> None:
    assert shown_text.visible(text) == text


@given(st.text())
def test_what_is_shown_is_one_line_in_any_encoding_and_stays_so(text: str) -> None:
    shown = shown_text.visible(text)
    assert shown.encode().decode() == shown
    assert len(shown.splitlines()) <= 1
    assert shown_text.visible(shown) == shown


@given(st.text(st.characters()))
def test_a_whole_text_has_no_half_pairs(text: str) -> None:
    assert shown_text.whole(text + "\ud800").encode().decode()[-1] == "\ufffd"


def test_the_page_shows_no_control_characters() -> None:
    assert _readable("a\u202eb") == r"a\u202eb"
    assert _readable(3) == 3


def test_a_log_line_is_one_line() -> None:
    record = logging.LogRecord("chain", 30, "", 0, "it said %s", ("\x1b[2J\nWARNING x: y",), None)
    line = log.VisibleFormatter("%(levelname)s %(message)s").format(record)
    assert line == r"WARNING it said \x1b[2J\x0aWARNING x: y"
