"""Readers by name: what fits, what may fit several, and what pyscard cannot say or raises."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from cards import pcsc
from cards.errors import CardError, OutOfReach, ReaderNotFound, ReadersUnlisted, TransportError
from coordinator.errors import Ambiguous
from coordinator.home.settings import Home
from coordinator.readers import real_readers

DIGITS = ["ACS ACR122U 00 00", "ACS ACR122U 01 00"]
TWO_SLOTS = ["Duo 00 00", "Duo 00 01"]
WINDOWS = ["Contactless Reader 10", "Contactless Reader 11", "Contactless Reader 1"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return SimpleNamespace(card_memory=tmp_path)  # type: ignore[return-value]


def named(monkeypatch: pytest.MonkeyPatch, home: Home, known: list[str], name: str) -> str:
    monkeypatch.setattr(pcsc, "reader_names", lambda: known)
    return real_readers.slot(home, name).name


@pytest.mark.parametrize("known", [DIGITS, TWO_SLOTS, WINDOWS[:2]])
def test_a_part_of_several_names_lists_them(
    monkeypatch: pytest.MonkeyPatch, home: Home, known: list[str]
) -> None:
    part = known[0][:6]
    with pytest.raises(Ambiguous) as caught:
        named(monkeypatch, home, known, part)
    assert caught.value.candidates == tuple(f"reader:{each}" for each in known)


def test_of_the_slots_of_one_reader_the_only_one_with_a_card_is_meant(
    monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    for full in TWO_SLOTS:
        monkeypatch.setattr(real_readers, "_is_occupied", full.__eq__)
        assert named(monkeypatch, home, TWO_SLOTS, TWO_SLOTS[0][:6]) == full
    monkeypatch.setattr(real_readers, "_is_occupied", DIGITS[0].__eq__)
    with pytest.raises(Ambiguous):
        named(monkeypatch, home, DIGITS, DIGITS[0][:6])


@pytest.mark.parametrize("known", [DIGITS, TWO_SLOTS, WINDOWS])
def test_a_whole_name_is_that_reader(
    monkeypatch: pytest.MonkeyPatch, home: Home, known: list[str]
) -> None:
    for name in known:
        assert named(monkeypatch, home, known, name) == name
        assert named(monkeypatch, home, known, name.upper()) == name
        assert named(monkeypatch, home, known, f"reader:{name}") == name


def test_a_name_without_its_numbers_is_the_reader_of_just_that_name(
    monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    known = ["blue 00 00", "blue two 01 00"]
    assert named(monkeypatch, home, known, "blue") == "blue 00 00"
    assert named(monkeypatch, home, known, "two") == "blue two 01 00"
    with pytest.raises(Ambiguous):
        named(monkeypatch, home, known, "blu")


def test_no_reader_of_that_name_lists_those_there_are(
    monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    with pytest.raises(ReaderNotFound, match="there is ACS"):
        named(monkeypatch, home, DIGITS, "elsewhere")


class Raising(Exception):
    """What a library may come to raise one day."""


def undecodable() -> Exception:
    failure = SystemError("returned a result with an exception set")
    failure.__cause__ = UnicodeDecodeError("utf-8", b"\xe4", 0, 1, "invalid")
    return failure


KINDS = (
    Raising("x"), SystemError("x"), TypeError("x"), OverflowError("x"), MemoryError("x"),
    RuntimeError("x"), OSError("x"), LookupError("x"), ValueError("x"), AttributeError("x"),
)  # fmt: skip
CALLS = (
    "SCardEstablishContext", "SCardListReaders", "SCardGetStatusChange", "SCardConnect",
    "SCardBeginTransaction", "SCardReconnect", "SCardTransmit", "SCardEndTransaction",
    "SCardDisconnect",
)  # fmt: skip


CONSTANTS = (
    "SCARD_SCOPE_USER", "SCARD_SHARE_SHARED", "SCARD_PROTOCOL_T0", "SCARD_PROTOCOL_T1",
    "SCARD_PCI_T0", "SCARD_PCI_T1", "SCARD_RESET_CARD", "SCARD_LEAVE_CARD", "SCARD_UNPOWER_CARD",
)  # fmt: skip


def fake(monkeypatch: pytest.MonkeyPatch, call: str, failure: Exception | None) -> None:
    """Put a PC/SC service of one reader in the place of pyscard, with one call that raises."""

    def raising(*_: object) -> object:
        assert failure is not None
        raise failure

    scard = SimpleNamespace(
        **dict.fromkeys(CONSTANTS, 1),
        SCARD_STATE_PRESENT=32, SCARD_STATE_INUSE=256, SCARD_STATE_EXCLUSIVE=128,
        SCardEstablishContext=lambda _: (0, 1),
        SCardReleaseContext=lambda _: 0,
        SCardListReaders=lambda *_: (0, ["one"]),
        SCardGetStatusChange=lambda *_: (0, [("one", 32, [])]),
        SCardConnect=lambda *_: (0, 7, 1),
        SCardBeginTransaction=lambda _: 0,
        SCardReconnect=lambda *_: (0, 1),
        SCardTransmit=lambda *_: (0, [0x90, 0]),
        SCardEndTransaction=lambda *_: 0,
        SCardDisconnect=lambda *_: 0,
        SCardGetErrorMessage=str,
    )  # fmt: skip
    if failure is not None:
        setattr(scard, call, raising)
    monkeypatch.setattr(pcsc, "_scard", lambda: scard)


def used() -> bytes:
    """Use a reader from its name to its end."""
    (name,) = pcsc.reader_names()
    assert pcsc.arrival(name, pcsc.ANY_CARD, 0) is not None
    card = pcsc.ReaderTransport(name)
    answer = card.transmit(b"\x00\xa4\x04\x00")
    card.close()
    return answer


def test_the_fake_service_works(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "", None)
    assert used() == b"\x90\x00"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("failure", KINDS, ids=lambda each: type(each).__name__)
def test_whatever_the_library_raises_is_an_error_of_the_card(
    monkeypatch: pytest.MonkeyPatch, call: str, failure: Exception
) -> None:
    fake(monkeypatch, call, failure)
    with pytest.raises(TransportError, match=type(failure).__name__):
        used()


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_code_is_an_error_of_the_card(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    fake(monkeypatch, call, None)
    scard = pcsc._scard()
    answer = {
        "SCardConnect": (0x80100001 - (1 << 32), 0, 0),
        "SCardBeginTransaction": 0x80100001 - (1 << 32),
    }.get(call, (0x80100001 - (1 << 32), []))
    if call in {"SCardEndTransaction", "SCardDisconnect"}:
        return
    monkeypatch.setattr(scard, call, lambda *_: answer)
    with pytest.raises(CardError):
        used()


def test_a_name_that_is_no_text_is_said_and_the_others_are_usable_by_name(
    monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    fake(monkeypatch, "SCardListReaders", undecodable())
    with pytest.raises(ReadersUnlisted, match="no text") as caught:
        pcsc.reader_names()
    assert isinstance(caught.value, OutOfReach)
    assert "--reader" in caught.value.remedy
    assert real_readers.slot(home, "one").name == "one"


def test_a_name_that_status_takes_no_name_of_is_tried_as_if_occupied(
    monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    name = "Lesegerät"
    failure = UnicodeEncodeError("ascii", name, 7, 8, "not in range")
    fake(monkeypatch, "SCardGetStatusChange", failure)
    monkeypatch.setattr(pcsc, "reader_names", lambda: [name])
    assert [each.name for each in real_readers.occupied(home)] == [name]
    card = pcsc.ReaderTransport(name)
    assert card.transmit(b"\x00\xa4\x04\x00") == b"\x90\x00"
    card.close()
