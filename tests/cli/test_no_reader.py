"""No reader can be had: what is missing, and what to do about it, never "put the card back"."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from cards import pcsc, pcscd
from cards.emulation import open_card
from coordinator.readers import real_readers
from tests.program import PIN, Asked


def refusing(code: int) -> SimpleNamespace:
    """A PC/SC library whose service answers every greeting with a code."""
    return SimpleNamespace(
        SCARD_SCOPE_USER=0,
        SCARD_SHARE_SHARED=2,
        SCARD_PROTOCOL_T0=1,
        SCARD_PROTOCOL_T1=2,
        SCardEstablishContext=lambda _scope: (0 if code == pcsc.NOT_SHARED else code, 1),
        SCardReleaseContext=lambda _context: 0,
        SCARD_STATE_INUSE=256,
        SCARD_STATE_EXCLUSIVE=128,
        SCardListReaders=lambda *_: (0, ["one"]),
        SCardGetStatusChange=lambda *_: (0, [("one", 32, [])]),
        SCardConnect=lambda *_: (code, 0, 0),
    )


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (0x8010001D, "does not run", "apt install pcscd"),
        (0x8010001E - (1 << 32), "does not run", "start pcscd"),
        (0x8010006A, "may not use PC/SC", "polkit"),
    ],
)
def test_a_service_that_is_missing_or_refuses(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, code: int, message: str, hint: str
) -> None:
    asked("init", "--network", "regtest")
    monkeypatch.setattr(pcsc, "_scard", lambda: refusing(code))
    error = asked("reader", "list", check=3)["error"]
    assert error["code"] == "out_of_reach"
    assert message in error["message"]
    assert hint in error["hint"] + error["message"]
    assert error["hint"] == error["remedy"] != ""
    nothing = asked("card", "enrol", "a", "--pin-stdin", stdin=PIN, check=2)["error"]
    assert message in nothing["message"]
    assert error["remedy"] in nothing["message"]


def test_a_reader_another_program_keeps(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked("init", "--network", "regtest")
    monkeypatch.setattr(pcsc, "_scard", lambda: refusing(pcsc.NOT_SHARED))
    hasty = partial(real_readers._called, wait_seconds=0.2)
    monkeypatch.setattr(real_readers, "_called", hasty)
    words = ("card", "enrol", "a", "--reader", "one", "--pin-stdin")
    error = asked(*words, stdin=PIN, check=3)["error"]
    assert "keeps reader one" in error["message"]
    assert error["hint"].startswith("close the other program")


@pytest.fixture
def without_pyscard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pcsc._scard.cache_clear()
    monkeypatch.setitem(sys.modules, "smartcard", None)
    yield
    pcsc._scard.cache_clear()


@pytest.mark.usefixtures("without_pyscard")
def test_without_pyscard_the_hint_says_how_to_install_it(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    error = asked("reader", "list", check=3)["error"]
    assert "pyscard" in error["message"]
    assert "pip install" in error["hint"]


def test_without_pcscd_what_is_missing_is_named(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    monkeypatch.setattr(pcscd, "NEEDED", (Path("/nonexistent/pcscd"),))
    error = asked("emulate", "serve", "blue", check=3)["error"]
    assert "/nonexistent/pcscd" in error["message"]
    assert "apt install" in error["hint"]


def test_a_card_in_use_and_one_that_is_not_there(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    words = ("card", "enrol", "blue", "--pin-stdin", "--emulated")
    held = open_card(tmp_path / "home" / "emulated" / "blue.card")
    busy = asked(*words, "blue", stdin=PIN, check=3)["error"]
    held.close()
    assert "in use" in busy["message"]
    assert "other command" in busy["hint"]
    gone = asked(*words, "red", stdin=PIN, check=3)["error"]
    assert (gone["code"], "emulate list" in gone["hint"]) == ("reader_not_found", True)


def test_a_card_that_was_lost_is_put_back(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    asked("emulate", "fault", "blue", "tear", "2", "before")
    words = ("card", "enrol", "blue", "--pin-stdin", "--emulated", "blue")
    assert "put the card back" in asked(*words, stdin=PIN, check=3)["error"]["hint"]
