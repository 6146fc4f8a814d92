"""A Keycard from setup to being forgotten, as a shell sees it."""

from pathlib import Path

import pytest

from cards.detection import detect
from cards.emulation import open_card
from cards.family import Surroundings
from cards.keycard.emulator import KeycardEmulator, revive
from coordinator.readers.slots import FolderMemory
from tests.program import Asked, Program

SEED = "ab" * 32
PROFILES = ("3.1", "3.2", "4.0")
PAIRED = ("3.1", "3.2")


def set_up(asked: Asked, *more: str, profile: str = "4.0", check: int = 0) -> dict:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "keycard", "blue", "--no-setup", "--profile", profile)
    words = ("card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin")
    given = ("blue=246802", "blue.puk=850273619482", f"blue.seed={SEED}", *more)
    return asked(*words, stdin="\n".join(given), check=check)


def card(home: Path) -> KeycardEmulator:
    """Return the card as its file has it."""
    reader = open_card(next(home.rglob("blue.card")))
    state = reader._card.state()
    reader.close()
    return revive(state)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_keycard_from_setup_to_reset(asked: Asked, profile: str) -> None:
    done = set_up(asked, profile=profile)
    assert (done["card"]["version"], done["created_on"]) == (profile, "host")
    check = ("card", "check", "blue", "--pin-stdin", "--last-attempt")
    assert asked(*check, stdin="246802")["key_matches"]
    asked("card", "pin", "blue", "--pin-stdin", stdin="blue=246802\nblue.new=135791")
    for left in (2, 1, 0):
        assert asked(*check, stdin="246802", check=4)["error"]["attempts_left"] == left
    unblock = ("card", "unblock", "blue", "--pin-stdin")
    freed = asked(*unblock, stdin="blue.puk=850273619482\nblue.new=135791")
    assert freed["attempts_left"] == 3
    assert asked(*check, stdin="135791")["key_matches"]
    asked("card", "reset", "blue", "--yes")
    assert asked("card", "show", "blue")["keys"] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_a_keycard_makes_its_own_key(asked: Asked, profile: str) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "keycard", "blue", "--no-setup", "--profile", profile)
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    given = "blue=246802\nblue.puk=850273619482\n"
    assert asked(*words, stdin=given)["created_on"] == "card"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_duress_pin_is_set(asked: Asked, tmp_path: Path, profile: str) -> None:
    set_up(asked, "blue.duress=777777", profile=profile)
    assert card(tmp_path).flash.duress.value == b"777777"


def test_a_duress_pin_is_refused_where_the_card_has_none(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue", "--no-setup")
    words = ("card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin")
    given = f"blue=2468\nblue.puk=12345678\nblue.seed={SEED}\nblue.duress=7777\n"
    refused = asked(*words, stdin=given, check=3)
    assert "duress" in refused["error"]["message"]
    assert not asked("emulate", "list")["cards"][0]["initialised"]


@pytest.mark.parametrize("profile", PAIRED)
def test_a_home_keeps_one_slot_and_gives_it_back(
    asked: Asked, tmp_path: Path, profile: str
) -> None:
    card_id = set_up(asked, profile=profile)["card"]["card_id"]
    for _ in range(6):
        asked("card", "check", "blue", "--pin-stdin", stdin="246802")
    assert set(card(tmp_path).flash.pairings) == {0}
    forget = ("card", "forget", "blue", "--yes", "--pin-stdin")
    assert asked(*forget, stdin="blue=246802")["unpaired"] is True
    assert card(tmp_path).flash.pairings == {}
    assert not list(tmp_path.rglob("*.memory"))
    assert card_id


def test_a_slot_stays_taken_without_the_pin_and_the_card_is_forgotten(
    program: Program, asked: Asked, tmp_path: Path
) -> None:
    set_up(asked, profile="3.2")
    assert len(list(tmp_path.rglob("*.memory"))) == 1
    ended = program("--json", "card", "forget", "blue", "--yes")
    assert ended.document["unpaired"] is False
    assert "keeps its pairing slot" in ended.err
    assert not list(tmp_path.rglob("*.memory"))
    assert set(card(tmp_path).flash.pairings) == {0}


def test_a_slot_stays_taken_where_another_card_lies_in_the_reader(
    program: Program, asked: Asked
) -> None:
    set_up(asked, profile="3.2")
    asked("emulate", "new", "keycard", "other")
    words = ("card", "forget", "blue", "--yes", "--emulated", "other", "--pin-stdin")
    ended = program("--json", *words, stdin="246802")
    assert ended.document["unpaired"] is False
    assert "expected card blue" in ended.err
    assert asked("card", "list")["cards"] == []


def test_a_card_that_is_gone_is_forgotten_all_the_same(asked: Asked) -> None:
    set_up(asked, profile="3.2")
    asked("emulate", "remove", "blue")
    assert asked("card", "forget", "blue", "--yes")["unpaired"] is False


@pytest.mark.parametrize("pin", ["135791", "1"])
def test_a_wrong_pin_forgets_nothing(asked: Asked, tmp_path: Path, pin: str) -> None:
    set_up(asked, profile="3.2")
    asked("card", "forget", "blue", "--yes", "--pin-stdin", stdin=f"blue={pin}", check=4)
    assert len(asked("card", "list")["cards"]) == 1
    assert len(list(tmp_path.rglob("*.memory"))) == 1


def test_the_last_attempt_is_not_spent_on_forgetting(asked: Asked, tmp_path: Path) -> None:
    set_up(asked, profile="3.2")
    for _ in range(2):
        asked("card", "check", "blue", "--pin-stdin", stdin="111111", check=4)
    words = ("card", "forget", "blue", "--yes", "--pin-stdin")
    assert asked(*words, stdin="246802")["unpaired"] is False
    assert card(tmp_path).flash.pairings


def test_a_card_without_pairing_is_forgotten_without_its_pin(asked: Asked) -> None:
    set_up(asked, profile="4.0")
    assert asked("card", "forget", "blue", "--yes")["unpaired"] is None


def test_a_lost_home_leaves_the_card_within_reach(asked: Asked, tmp_path: Path) -> None:
    set_up(asked, profile="3.2")
    reader = open_card(next(tmp_path.rglob("blue.card")))
    session = detect(reader, Surroundings(memory=FolderMemory(tmp_path / "elsewhere")))
    assert session.identity().attempts_left == 3
    session.close()
