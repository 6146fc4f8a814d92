"""A descriptor typed in from paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import UsageError
from coordinator.recovery import typed_lines

TEXT = "wsh(sortedmulti(2,[690a3c2f/48h/1h/0h/2h]tpubDEfHTixePhNwjfaJMMkMZr9/<0;1>/*))#g0rwfga9"
BLANKLESS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=400)


@given(BLANKLESS)
def test_what_is_printed_can_be_typed(text: str) -> None:
    printed = typed_lines.numbered(text)
    assert typed_lines.joined(printed) == text
    assert typed_lines.is_numbered("\n".join(printed))
    typed = ["", *reversed([line.replace("  ", " ") + " " for line in printed]), " "]
    assert typed_lines.joined(typed) == text


def test_a_line_has_a_number_eight_groups_and_a_check() -> None:
    first = typed_lines.numbered(TEXT)[0]
    number, *groups, check = first.split(" ")
    assert (number, len(groups), groups[0], len(check)) == ("01", 8, "wsh(s", 4)
    assert (
        typed_lines.joined([line[:-4] + line[-4:].upper() for line in typed_lines.numbered(TEXT)])
        == TEXT
    )
    joined_up = [
        f"{n} {''.join(g)} {c}" for n, *g, c in (x.split() for x in typed_lines.numbered(TEXT))
    ]
    assert typed_lines.joined(joined_up) == TEXT


@given(st.data())
def test_any_one_character_wrong_is_named(data: st.DataObject) -> None:
    printed = typed_lines.numbered(TEXT)
    row = data.draw(st.integers(0, len(printed) - 1))
    column = data.draw(st.integers(3, len(printed[row]) - 1))
    before = printed[row][column]
    if before == " ":
        return
    other = data.draw(st.sampled_from([c for c in "aA1)q7" if c.lower() != before.lower()]))
    printed[row] = printed[row][:column] + other + printed[row][column + 1 :]
    with pytest.raises(UsageError, match=f"line {row + 1} was mistyped"):
        typed_lines.joined(printed)


def test_lines_missing_doubled_swapped_or_of_something_else() -> None:
    first, second, third = typed_lines.numbered(TEXT)
    for typed, reason in (
        ([], "no line"),
        ([first, third], "line 2 of 3 is missing"),
        ([first, second], "line 3 of 3 is missing"),
        ([third], "line 1, 2 of 3 is missing"),
        ([first, second, third, second], "line 2 came twice"),
        ([first, second[:-1], third], "line 2 was mistyped"),
        ([first, second[:-5] + second[-4:], third], "line 2 was mistyped"),
        ([first, second.replace("02", "22", 1), third], "line 2 of 3 is missing; line 22 was mis"),
        ([first[:-1]], "line 1 was mistyped"),
        ([first, "02", third], "line 2 was mistyped"),
        ([first, second.replace("02", "03", 1), third.replace("03", "02", 1)], "line 2, 3 was mis"),
        ([first, "hello", third], "'hello' is no line"),
    ):
        with pytest.raises(UsageError, match=reason):
            typed_lines.joined(typed)
    assert typed_lines.is_numbered(f"{first}\n{second[:-1]}")
    assert not typed_lines.is_numbered(TEXT)
    assert not typed_lines.is_numbered("\n")


def test_most_lines_say_how_many_there_are() -> None:
    first, _, third = typed_lines.numbered(TEXT)
    strange = typed_lines.numbered(TEXT[:60])[1]
    with pytest.raises(UsageError, match=r"^line 2 was mistyped: its check code does not fit$"):
        typed_lines.joined([first, strange, third])
    with pytest.raises(UsageError, match=r"^line 2 was mistyped: its check code does not fit$"):
        typed_lines.joined([strange[:-1]])
    many = typed_lines.numbered(TEXT * 30)
    with pytest.raises(UsageError, match=r"^line 60 of 66 is missing$"):
        typed_lines.joined(many[:59] + many[60:])
    with pytest.raises(UsageError, match=r"^line 66 of 66 is missing$"):
        typed_lines.joined(many[:-1])


def test_a_wrong_line_is_known_at_once() -> None:
    first, second, third = typed_lines.numbered(TEXT)
    assert typed_lines.fits(first, [])
    assert typed_lines.fits(third, [first])
    assert not typed_lines.fits(
        second[:4] + ("x" if second[4] != "x" else "y") + second[5:], [first]
    )
    assert not typed_lines.fits(second[:-1], [first])
    assert not typed_lines.fits(typed_lines.numbered(TEXT + "x" * 40)[1], [first])
    given = (first, " 2 x", "3/4", "12x", "wsh(", "")
    assert [typed_lines.number_of(text) for text in given] == [1, 2, 3, None, None, None]
    assert typed_lines.are_whole([first, second, third])
    assert not typed_lines.are_whole([first, second])


def test_the_codes_are_fixed() -> None:
    """What is printed today must be readable for ever."""
    assert [line[-4:] for line in typed_lines.numbered(TEXT)] == ["kjfr", "46td", "ynf8"]
