"""What others write as JSON: bounded in size, depth, digits, type and range."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.foreign_json import DEPTH_MAX, Field, lists_objects, read_json, shown

BRACKETS_IN_TEXT = '{"label": "' + "[" * 1_000 + '"}'
REFUSED = {
    "deep arrays": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep and cut off": "[" * 10_000_000,
    "deep after an escaped quote": '["\\"",' + "[" * 100_000,
    "a text that never ends": "[" * 100 + '"' + '\\"' * 500_000,
    "an exponent that fills the memory": "1e999990",
    "an exponent beyond decimals": "1e-99999999999999999999",
    "a number of 5,000 digits": "9" * 5_000,
    "a fraction of 5,000 digits": "0." + "9" * 5_000,
    "no number": "[NaN]",
    "infinity": "-Infinity",
    "nothing": "",
    "more than one": "{} {}",
    "no UTF-8": b'"\xff"',
}

# Whatever a document may hold, at a bounded depth.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_no_program_may_follow_is_refused_in_bounded_work(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- every kind of it
        read_json(text)


def test_size_is_bounded() -> None:
    with pytest.raises(ValueError, match="101 bytes are more than 100"):
        read_json(b'"' + b"x" * 99 + b'"', size_max=100)


def test_brackets_within_a_text_are_no_depth() -> None:
    assert read_json(BRACKETS_IN_TEXT) == {"label": "[" * 1_000}
    assert read_json("[" * DEPTH_MAX + "]" * DEPTH_MAX)


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    read = read_json(r'["\ud800", "\udfff\ud83d", "\\ud800", "\ud83d\ude00", "\u0041"]')

    assert read == ["�", "��", r"\ud800", "\U0001f600", "A"]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_json("\ufeff{}".encode()) == read_json("\ufeff{}") == {}


@given(DOCUMENTS)
def test_what_is_within_the_bounds_is_read_as_it_stands(document: object) -> None:
    text = json.dumps(document)

    assert read_json(text) == json.loads(text, parse_float=Decimal)


@given(SCALARS | DOCUMENTS)
def test_a_field_is_what_was_asked_for_or_refused_by_its_name(value: object) -> None:
    field = Field({"at": [read_json(json.dumps(value))]}, "answer")["at"][0]
    questions = (
        lambda: field.integer(0, 5),
        field.height,
        field.moment,
        field.flag,
        field.bitcoins,
        field.text,
        field.hash,
        lambda: field.bytes(10),
        lambda: list(field.items(3)),
        lambda: field["x"],
    )
    said: list[str] = []
    for ask in questions:
        try:
            ask()
        except ValueError as refusal:
            said.append(str(refusal))
    assert all(each.startswith("answer.at[0]") and each.isprintable() for each in said)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [], {}, -1, 2**64])
def test_a_height_is_a_whole_number_in_range(value: object) -> None:
    with pytest.raises(ValueError, match=r"^blocks is .*, not a whole number from 0 to"):
        Field(value, "blocks").height()


def test_a_missing_member_is_named_with_its_place() -> None:
    found = Field({"fees": {}}, "entry")
    with pytest.raises(ValueError, match=r"^entry\.fees\.ancestor is missing$"):
        found["fees"]["ancestor"]
    assert found["fees"].member("ancestor") is None


def test_a_control_sequence_in_a_value_is_shown_harmlessly() -> None:
    with pytest.raises(ValueError, match=r"^hash is '\\x1b\]0;") as refused:
        Field("\x1b]0;title\x07" * 100, "hash").hash()
    assert len(str(refused.value)) < 120


def test_bitcoins_become_satoshis_exactly() -> None:
    assert Field(Decimal("1e-06"), "relayfee").bitcoins() == 100
    assert Field(21_000_000, "x").bitcoins() == 21_000_000 * 10**8
    with pytest.raises(ValueError, match=r"relayfee is -1E-8, not a number from 0"):
        Field(Decimal("-1e-8"), "relayfee").bitcoins()


@pytest.mark.parametrize(
    ("value", "said"),
    [(1, "1"), (0, "0"), (True, "true"), (False, "false"), (None, "null"), ("1", "'1'")],
)
def test_a_foreign_value_is_said_as_what_it_is(value: object, said: str) -> None:
    assert shown(value) == said


def test_of_several_names_the_first_that_is_there_counts() -> None:
    found = Field({"a": None, "b": 1, "c": 2}, "it")
    assert found.first(("a", "c", "b")) == Field(2, "it.c")
    assert found.first(("a", "d")) is None


def test_a_members_text_may_be_missing_but_is_a_text_within_its_bound() -> None:
    found = Field({"a": "xy", "b": None, "c": 1}, "it")
    assert [found.text_of(name, 2) for name in "abd"] == ["xy", None, None]
    for name, most in (("a", 1), ("c", 2)):
        with pytest.raises(ValueError, match=f"it.{name} is .* not a text"):
            found.text_of(name, most)


@pytest.mark.parametrize(
    "value", [[{"a": 1}], [3, {"a": 1, "b": 2}], ["ab"], [], {"a": 1, "b": 2}, None]
)
def test_a_list_of_objects_is_told_by_its_first(value: object) -> None:
    assert lists_objects([{"a": 1, "b": None, "c": 3}, 4], "a", "b")
    assert not lists_objects(value, "a", "b")
