"""Uniform Resources (BCR-2020-005): a typed message in one code or in many, UR 2 and UR 1.

UR 1, in Bech32's letters and without fountain codes, is read and never written.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import cbor2

from coordinator.errors import UsageError
from coordinator.interop import bytewords, fountain

SCHEME: Final = "ur:"
SINGLE = re.compile(r"ur:([a-z0-9-]{1,40})/([a-z0-9]+)")
MULTI = re.compile(r"ur:([a-z0-9-]{1,40})/([0-9]{1,10})-([0-9]{1,10})/([a-z]+)")
MULTI_OF_1 = re.compile(r"ur:([a-z0-9-]{1,40})/([0-9]{1,4})of([0-9]{1,4})/([a-z0-9]+)/([a-z0-9]+)")
BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
BC32_MARK: Final = 0x3FFFFFFF
BC32_CHECKSUM: Final = 6
PART_MAX: Final = 8_192
FRAGMENT_SIZE: Final = 200
U32: Final = 1 << 32
CBOR_FAILURES: Final = (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError, OverflowError)


class Message(NamedTuple):
    """A message's type, as crypto-output, and its CBOR."""

    type: str
    cbor: bytes


def is_part(text: str) -> bool:
    """Tell whether a text begins as a UR does."""
    return text[: len(SCHEME)].lower() == SCHEME


def joined(texts: Iterable[str]) -> Message:
    """Put codes together, in any order and with repetitions; raises UsageError.

    The error says which are missing, or what does not belong.
    """
    given = list(dict.fromkeys(text.strip().lower() for text in texts if text.strip()))
    if not given:
        raise UsageError("there is no code to read")
    for text in given:
        if len(text) > PART_MAX and len(given) > 1:
            raise UsageError(f"a code of {len(text):,} characters; {PART_MAX:,} is the most")
    if len(given) == 1 and (matched := SINGLE.fullmatch(given[0])):
        return Message(matched[1], _single(matched[2]))
    if matched := MULTI_OF_1.fullmatch(given[0]):
        return _joined_of_1(given, matched)
    decoder, kind = fountain.Decoder(), ""
    for text in given:
        part, said = part_of(text), text[len(SCHEME) :].partition("/")[0]
        if kind and said != kind:
            raise UsageError(f"a code of type {said} among codes of type {kind}")
        kind = said
        decoder.take(part)
    return Message(kind, decoder.message())


def split(message: Message, size: int = FRAGMENT_SIZE, more: int = 0) -> list[str]:
    """Return the codes of a message in fragments of at most `size` bytes, and `more` mixed ones."""
    if len(message.cbor) <= size:
        return [f"{SCHEME}{message.type}/{bytewords.encode(message.cbor)}".upper()]
    return [
        f"{SCHEME}{message.type}/{part.number}-{part.fragments}/"
        f"{bytewords.encode(cbor2.dumps(list(part)))}".upper()
        for part in fountain.parts_of(message.cbor, size, more)
    ]


def decoded(cbor: bytes) -> object:
    """Return what CBOR says; raises UsageError."""
    try:
        found: object = cbor2.loads(cbor)
    except CBOR_FAILURES as failure:
        raise UsageError(f"a UR code holds no CBOR: {str(failure)[:100]}") from None
    return _plain(found)


def _plain(found: object) -> object:
    """Return a value with the arrays and maps inside a tag as lists and dicts, too."""
    if isinstance(found, cbor2.CBORTag):
        return cbor2.CBORTag(found.tag, _plain(found.value))
    if isinstance(found, Mapping):
        return {key: _plain(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_plain(each) for each in found]
    return found


def _single(body: str) -> bytes:
    """Decode one code: UR 2 where its checksum fits, else UR 1."""
    try:
        return bytewords.decode(body)
    except UsageError as failure:
        try:
            return _bc32(body)
        except UsageError:
            raise failure from None


def part_of(text: str) -> fountain.Part:
    """Return what one of several codes holds, in lower case; raises UsageError."""
    matched = MULTI.fullmatch(text)
    if not matched:
        raise UsageError(f"{text[:20]!r} is no part of a UR message in several codes")
    found = decoded(bytewords.decode(matched[4]))
    if not isinstance(found, list) or len(found) != len(fountain.Part._fields):
        raise UsageError("a UR code is no part: it does not hold five values")
    *numbers, data = found
    if not isinstance(data, bytes) or not all(
        isinstance(number, int) and 0 <= number < U32 for number in numbers
    ):
        raise UsageError("a UR code is no part: its values are not four numbers and bytes")
    if not numbers[0]:
        raise UsageError("a UR code has the number 0; they are counted from 1")
    number, fragments, length, checksum = numbers
    part = fountain.Part(number, fragments, length, checksum, data)
    if (part.number, part.fragments) != (int(matched[2]), int(matched[3])):
        raise UsageError(
            f"code {matched[2]}-{matched[3]} says inside {part.number}-{part.fragments}"
        )
    return part


def _joined_of_1(given: Sequence[str], first: re.Match[str]) -> Message:
    """Put the codes of UR 1 together."""
    parts: dict[int, str] = {}
    kind, _, count, digest, _ = first.groups()
    for text in given:
        matched = MULTI_OF_1.fullmatch(text)
        if not matched:
            raise UsageError(f"{text[:20]!r} is no part of a UR 1 message")
        _, number, total, _, body = matched.groups()
        if matched.group(1, 3, 4) != (kind, count, digest):
            raise UsageError(
                f"code {number} of {total} is of another message than the one before it"
            )
        if parts.setdefault(int(number), body) != body:
            raise UsageError(f"code {number} was read twice, with different content")
    wanted = range(1, int(count) + 1)
    if not 1 <= int(count) <= fountain.FRAGMENTS_MAX or set(parts) - set(wanted):
        raise UsageError(
            f"codes of a message of {count}; 1 to {fountain.FRAGMENTS_MAX} are a message"
        )
    missing = [str(number) for number in wanted if number not in parts]
    if missing:
        raise UsageError(f"of {count} UR codes these are missing: {', '.join(missing[:20])}")
    cbor = _bc32("".join(parts[number] for number in wanted))
    if _bc32(digest) != sha256(cbor).digest():
        raise UsageError("the UR codes do not fit together: the message's digest is wrong")
    return Message(kind, cbor)


def _bc32(text: str) -> bytes:
    """Decode Bech32's letters without a prefix (BCR-2020-004)."""
    values = [BECH32.find(letter) for letter in text]
    if len(text) > 2 * fountain.MESSAGE_MAX or -1 in values or _polymod(values) != BC32_MARK:
        raise UsageError("a UR code was misread: its checksum is wrong")
    bits = values[:-BC32_CHECKSUM]
    number = 0
    found = bytearray()
    held = 0
    for value in bits:
        number, held = (number << 5 | value) & 0xFFF, held + 5
        if held >= 8:
            held -= 8
            found.append(number >> held & 0xFF)
    return bytes(found)


def _polymod(values: Sequence[int]) -> int:
    check = 1
    for value in (0, *values):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(GENERATORS):
            check ^= generator if top >> bit & 1 else 0
    return check
