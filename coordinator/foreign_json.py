"""JSON that others wrote, a node, a server or a file: bounded before anything of it is used.

`read_json` reads it, `Field` takes it apart: each value is asked for with its type and range,
and what is not so is named with the place where it stands. Both raise ValueError.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from math import ceil
from typing import Final, NoReturn

SIZE_MAX: Final = 64 * 1024 * 1024
DEPTH_MAX: Final = 64
DIGITS_MAX: Final = 20
FRACTION_DIGITS_MAX: Final = 40
EXPONENT_MAX: Final = 308
HEIGHT_MAX: Final = 2**31 - 1
TIME_MAX: Final = 2**32 - 1
SATS_PER_BTC: Final = 100_000_000
SUPPLY_SATS: Final = 21_000_000 * SATS_PER_BTC
SHOWN_MAX: Final = 60
SENTENCE_MAX: Final = 1_000

# One that does not end is taken to the end: looking for the next would be quadratic.
STRINGS = re.compile(r'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
BRACKETS = re.compile(r"[\[\]{}]")
STEPS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
ESCAPES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
HASH = re.compile(r"[0-9a-f]{64}")
HEX = re.compile(r"(?:[0-9a-fA-F]{2})*+")


def read_json(
    raw: bytes | str, *, size_max: int = SIZE_MAX, depth_max: int = DEPTH_MAX, unique: bool = False
) -> object:
    """Return what JSON says; numbers with a point or exponent are Decimal.

    Raises ValueError for what is too large, too deep, holds a number no double holds, is not
    UTF-8 or not JSON, and with `unique` for an object that says a member twice: readers differ in
    which one counts. Half a surrogate pair is read as the replacement character.
    """
    if len(raw) > size_max:
        raise ValueError(f"{len(raw):,} bytes are more than {size_max:,}")
    text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
    if text.count("[") + text.count("{") > depth_max:
        # The reader below would follow any nesting with its own stack.
        bare = STRINGS.sub("", text)
        for depth in accumulate(STEPS[found[0]] for found in BRACKETS.finditer(bare)):
            if depth > depth_max:
                raise ValueError(f"it is nested more than {depth_max} deep")
    if "\\u" in text:
        text = ESCAPES.sub(lambda found: "\\ufffd" if found[1] else found[0], text)
    try:
        return json.loads(
            text,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_no_number,
            object_pairs_hook=_unique if unique else None,
        )
    except json.JSONDecodeError as failure:
        raise ValueError(
            f"the JSON is damaged or cut off at line {failure.lineno}, column {failure.colno}:"
            f" {failure.msg[:1].lower()}{failure.msg[1:]}"
        ) from failure


@dataclass(frozen=True, slots=True)
class Field:
    """A value in JSON that others wrote, and the name of the place where it stands."""

    value: object
    name: str = "it"

    def __getitem__(self, key: str | int) -> "Field":
        """Return a member of an object by name, or of an array by number; it must be there."""
        name = f"{self.name}.{key}" if isinstance(key, str) else f"{self.name}[{key}]"
        if isinstance(key, str):
            members = self._as_object()
            if key not in members:
                raise ValueError(f"{name} is missing")
            return Field(members[key], name)
        listed = self._as_array()
        if key >= len(listed):
            raise ValueError(f"{name} is missing")
        return Field(listed[key], name)

    def member(self, key: str) -> "Field | None":
        """Return a member of an object, or None where it is not there or null."""
        found = self._as_object().get(key)
        return None if found is None else Field(found, f"{self.name}.{key}")

    def first(self, keys: Sequence[str]) -> "Field | None":
        """Return the first member that is there of several names for one thing."""
        return next(filter(None, map(self.member, keys)), None)

    def text_of(self, key: str, most: int) -> str | None:
        """Return a member's text, or None where it is not there or null."""
        found = self.member(key)
        return None if found is None else found.text(most)

    def items(self, most: int) -> "Iterator[Field]":
        """Yield the members of an array of at most so many."""
        listed = self._as_array()
        if len(listed) > most:
            raise ValueError(f"{self.name} holds {len(listed)} items, more than {most}")
        return (Field(each, f"{self.name}[{place}]") for place, each in enumerate(listed))

    def integer(self, least: int, most: int) -> int:
        """Return a whole number in a range; true and 1.0 are none."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.refuse(f"a whole number from {least} to {most}")
        return value

    def height(self) -> int:
        """Return the height of a block."""
        return self.integer(0, HEIGHT_MAX)

    def moment(self) -> int:
        """Return a block's time in seconds."""
        return self.integer(0, TIME_MAX)

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.refuse("true or false")
        return self.value

    def number(self, least: int, most: int) -> Decimal:
        """Return a number in a range."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.refuse(f"a number from {least} to {most}")
        if not least <= value <= most:
            self.refuse(f"a number from {least} to {most}")
        return Decimal(value)

    def bitcoins(self) -> Decimal:
        """Return an amount or a fee rate in satoshis, of bitcoins; parts of one are kept."""
        return self.number(0, SUPPLY_SATS // SATS_PER_BTC) * SATS_PER_BTC

    def feerate(self) -> int:
        """Return a fee rate in sat/kvB, of bitcoins per kvB, rounded up; at most one."""
        return ceil(self.number(0, 1) * SATS_PER_BTC)

    def text(self, most: int = SENTENCE_MAX) -> str:
        """Return a text of at most so many characters."""
        if not isinstance(self.value, str) or len(self.value) > most:
            self.refuse(f"a text of at most {most} characters")
        return self.value

    def hash(self) -> str:
        """Return a transaction's or block's name: 64 hex digits in small letters."""
        if not isinstance(self.value, str) or not HASH.fullmatch(self.value):
            self.refuse("64 hex digits")
        return self.value

    def bytes(self, most: int) -> bytes:
        """Return at most so many bytes, written in hex."""
        if (
            not isinstance(self.value, str)
            or len(self.value) > 2 * most
            or not HEX.fullmatch(self.value)
        ):
            self.refuse(f"at most {most} bytes in hex")
        return bytes.fromhex(self.value)

    def refuse(self, expected: str) -> NoReturn:
        """Raise ValueError that names the field, its value and what was expected."""
        raise ValueError(f"{self.name} is {shown(self.value)}, not {expected}")

    def _as_object(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            self.refuse("an object")
        return self.value

    def _as_array(self) -> Sequence[object]:
        if not isinstance(self.value, list):
            self.refuse("an array")
        return self.value


def shown(value: object) -> str:
    """Return a foreign value for a sentence: short, and nothing a terminal acts on."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, str):
        text = ascii(value[: SHOWN_MAX + 1])
    elif value is None or isinstance(value, bool):
        text = json.dumps(value)
    else:
        text = str(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def lists_objects(value: object, *names: str) -> bool:
    """Tell whether a value is an array whose first member is an object with these names."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and set(names) <= first.keys()


def _unique(members: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object; raises ValueError where it says a member twice."""
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object of the JSON says {shown(twice)} twice")
    return found


def _integer(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise ValueError(f"a number has {len(text)} digits, more than {DIGITS_MAX}")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > FRACTION_DIGITS_MAX:
        raise ValueError(f"a number is written in {len(text)} characters")
    try:
        number = Decimal(text)
    except InvalidOperation as failure:
        raise ValueError(f"the number {text} is beyond every range") from failure
    if number and abs(number.adjusted()) > EXPONENT_MAX:
        raise ValueError(f"the number {text} is beyond every range")
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
