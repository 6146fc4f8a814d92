"""Faults told to an emulated card: kept beside it, met by whoever has it open, then gone."""

from pathlib import Path

import pytest

from cards.errors import CardRemoved
from coordinator.home.settings import Home, open_home
from coordinator.readers import emulated
from tests.program import PIN, Asked, Program

SELECT = bytes.fromhex("00a404000953617461436869700000")[:-1]


@pytest.fixture
def home(asked: Asked, tmp_path: Path) -> Home:
    """A home with an emulated card that is known."""
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    return open_home(tmp_path / "home")


def fault(asked: Asked, words: str, check: int = 0) -> dict:
    return asked("emulate", "fault", "blue", *words.split(), check=check)


def waiting(home: Home) -> Path:
    return home.emulated_cards / "blue.faults"


def test_an_ejected_card_is_gone_until_it_is_inserted(asked: Asked, home: Home) -> None:
    answer = fault(asked, "eject")
    assert answer == {"name": "blue", "faults": ["eject"], "emulated": True}
    assert not emulated.present(home, "blue")
    assert waiting(home).stat().st_mode & 0o777 == 0o600
    looked = asked("card", "check", "blue", check=3)
    assert (looked["present"], looked["differences"]) == (
        False,
        ["the emulated card blue is ejected"],
    )
    assert fault(asked, "insert")["faults"] == []
    assert emulated.present(home, "blue")
    assert asked("card", "check", "blue")["present"]
    assert not waiting(home).exists()


def test_a_tear_happens_once_and_the_card_is_usable_again(asked: Asked, home: Home) -> None:
    assert fault(asked, "tear 2 after")["faults"] == ["tear 2 after"]
    looked = asked("card", "check", "blue", check=3)
    assert looked["differences"] == ["the card lost power; put it on the reader again"]
    assert not waiting(home).exists()
    assert asked("card", "check", "blue", "--pin-stdin", stdin=PIN)["key_matches"]


def test_commands_are_counted_through_every_opening(asked: Asked, home: Home) -> None:
    fault(asked, "tear 3 before")
    for left in ("tear 2 before", "tear 1 before"):
        reader = emulated.slot(home, "blue").connect()
        reader.transmit(SELECT)
        reader.close()
        assert waiting(home).read_text() == left + "\n"
    reader = emulated.slot(home, "blue").connect()
    with pytest.raises(CardRemoved):
        reader.transmit(SELECT)
    emulated.slot(home, "blue").connect().close()


def test_who_has_the_card_open_meets_what_is_told_later(asked: Asked, home: Home) -> None:
    reader = emulated.slot(home, "blue").connect()
    whole = reader.transmit(SELECT)
    fault(asked, "truncate 1")
    assert reader.transmit(SELECT) == whole[:1]
    fault(asked, "sw 6f00 2")
    assert reader.transmit(SELECT) == whole
    assert reader.transmit(SELECT) == b"\x6f\x00"
    fault(asked, "flip 7")
    fault(asked, "clear")
    assert reader.transmit(SELECT) == whole
    fault(asked, "eject")
    with pytest.raises(CardRemoved, match="ejected"):
        reader.transmit(SELECT)
    assert fault(asked, "delay 0")["faults"] == ["eject", "delay 0"]


@pytest.mark.parametrize("words", ["melt", "tear 0 after", "sw zz", "flip", "insert now"])
def test_a_fault_nobody_knows_is_refused(asked: Asked, home: Home, words: str) -> None:
    error = fault(asked, words, check=2)["error"]
    assert error["code"] == "usage_error"
    assert "is no fault" in error["message"]
    assert not waiting(home).exists()


@pytest.mark.usefixtures("home")
def test_a_fault_of_no_card_is_refused(asked: Asked) -> None:
    asked("emulate", "fault", "green", "eject", check=3)


def test_faults_go_with_their_card(asked: Asked, home: Home) -> None:
    fault(asked, "eject")
    asked("emulate", "remove", "blue")
    assert list(home.emulated_cards.iterdir()) == []
    assert not emulated.present(home, "blue")


def test_damaged_faults_are_said(asked: Asked, home: Home) -> None:
    waiting(home).write_text("melt\n")
    error = asked("card", "check", "blue", check=3)["error"]
    assert "blue.faults cannot be read" in error["message"]


@pytest.mark.usefixtures("home")
def test_a_person_is_told_what_waits(program: Program) -> None:
    assert program("emulate", "fault", "blue", "tear", "2", "after", "CB").out == (
        "blue: tear 2 after cb\n"
    )
    assert "nothing is to go wrong" in program("emulate", "fault", "blue", "clear").out
