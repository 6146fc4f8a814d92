"""Text from elsewhere is decoded in one place, whatever its encoding and line ends."""

import codecs
import io
import sys
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator import files, foreign_text
from coordinator.errors import UsageError

TEXT = "wsh(sortedmulti(2,[fd49caa0/48h/1h/0h/2h]xpub))#n3f3t50w\nMüller, 😀\n"
MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
SAID = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.mark.parametrize("encoding", MARKED)
def test_a_marked_text_is_read_without_its_mark(encoding: str) -> None:
    assert foreign_text.decoded(MARKED[encoding] + TEXT.encode(encoding), "it") == TEXT


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_text_is_read_without_a_mark(encoding: str) -> None:
    assert foreign_text.decoded(TEXT.encode(encoding), "it") == TEXT


@given(SAID)
def test_what_is_utf_8_is_read_as_it_is(text: str) -> None:
    assert foreign_text.decoded(text.encode(), "it") == text.removeprefix("\ufeff")


@given(SAID, st.sampled_from(sorted(MARKED)))
def test_a_byte_order_mark_decides_the_encoding(text: str, encoding: str) -> None:
    text += "."
    data = MARKED[encoding] + text.encode(encoding)
    assert foreign_text.decoded(data, "it") == text.removeprefix("\ufeff")


@given(st.binary(), st.booleans())
def test_any_bytes_are_a_text_without_zeros_and_surrogates_or_refused(
    data: bytes,
    legacy: bool,  # noqa: FBT001 -- drawn
) -> None:
    try:
        text = foreign_text.decoded(data, "it", legacy=legacy)
    except UsageError:
        return
    assert "\0" not in text
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    "data",
    [
        "x\ud800".encode("utf-8", "surrogatepass"),
        codecs.BOM_UTF16_LE + "x\ud800".encode("utf-16-le", "surrogatepass"),
        b"Miete M\xfcller",
        b"psbt\xff\x01\x00",
        b"a\0b",
        codecs.BOM_UTF16_LE + b"x",
        codecs.BOM_UTF16_LE,
    ],
)
def test_what_is_no_text_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"labels\.txt is not a text file"):
        foreign_text.decoded(data, "labels.txt")


def test_a_batch_may_be_windows_1252() -> None:
    assert foreign_text.decoded(b"Miete M\xfcller \x80", "it", legacy=True) == "Miete Müller €"
    with pytest.raises(UsageError, match="not cp1252"):
        foreign_text.decoded(b"\xfc\x81", "it", legacy=True)


def test_lines_end_in_lf_crlf_or_cr_and_nothing_else() -> None:
    text = "a\u2028b\u0085c\x0bd\x0ce\x1cf"
    assert foreign_text.lines(f"{text}\n{text}\r\n{text}\r\r{text}") == [
        text,
        text,
        text,
        "",
        text,
    ]
    assert foreign_text.lines("a\n") == ["a"]
    assert foreign_text.lines("") == []


def test_json_lines_end_in_lf_unless_there_is_none() -> None:
    assert foreign_text.json_lines('{"a":\r1}\r\n{}\n') == ['{"a":\r1}\r', "{}"]
    assert foreign_text.json_lines("{}\r{}\r") == ["{}", "{}"]


def test_a_text_larger_than_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_text, "TEXT_MAX", 1 << 20)
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        foreign_text.decoded(bytes((1 << 20) + 1), "it")


def test_standard_input_and_files_are_read_alike(tmp_path: Path) -> None:
    data = codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")
    (tmp_path / "it").write_bytes(data)
    assert files.read_text(str(tmp_path / "it")) == TEXT
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(data))):
        assert files.read_text("-") == TEXT


def test_a_name_no_file_can_have_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be the name of a file"):
        files.read_text("a\0b")


def test_codes_stand_one_a_line_or_are_wrapped() -> None:
    text = "UR:A/1-2/xy\nur:a/2-2/\n zw\r\n  UR:b"
    assert foreign_text.codes_in(text, "ur:") == ["UR:A/1-2/xy", "ur:a/2-2/zw", "UR:b"]
    assert foreign_text.codes_in("xy zw", "ur:") == ["xyzw"]
    assert foreign_text.codes_in(" ", "ur:") == []
