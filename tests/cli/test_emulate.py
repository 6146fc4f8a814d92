"""Emulated cards: made, listed, removed; in use, damaged, and never on mainnet."""

import contextlib
import shutil
from pathlib import Path

import pytest

from cards.emulation import open_card
from cards.errors import CardError, NotGenuine
from cards.pin import Pin, Secret
from coordinator.enrolment import enrol, setup
from coordinator.home.settings import create_home
from coordinator.readers.slots import Slot, card_in
from storage.database import open_database
from tests.program import PIN, Asked


@pytest.fixture
def cards(asked: Asked, tmp_path: Path) -> Path:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    return next((tmp_path / "home").rglob("blue.card")).parent


def test_a_new_card_is_set_up_with_a_key_of_its_own(cards: Path, asked: Asked) -> None:
    made = asked("emulate", "new", "satochip", "red")
    assert made["emulated"]
    assert (made["name"], made["family"], made["initialised"]) == ("red", "satochip", True)
    found = asked("card", "enrol", "red", "--emulated", "red", "--pin-stdin", stdin=PIN)
    blue = asked("card", "show", "blue")
    assert found["card"]["emulated"]
    assert found["key"]["xpub"] != blue["keys"][0]["xpub"]
    assert [card["name"] for card in asked("emulate", "list")["cards"]] == ["blue", "red"]
    assert cards.joinpath("red.card").stat().st_mode & 0o777 == 0o600
    assert cards.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("new", "satochip", "blue"), 2, "blue exists already"),
        (("new", "satochip", "red", "--profile", "9.9"), 2, "0.12-0.6"),
        (("new", "nonsuch", "red"), 2, "satochip"),
        (("new", "satochip", "../red"), 2, "letters"),
        (("remove", "red"), 3, "no emulated card red"),
        (("remove", "../blue"), 2, "letters"),
    ],
)
def test_what_cannot_be_made_or_removed(
    cards: Path, asked: Asked, words: tuple[str, ...], status: int, said: str
) -> None:
    before = sorted(cards.iterdir())
    assert said in asked("emulate", *words, check=status)["error"]["message"]
    assert sorted(cards.iterdir()) == before


def test_removing_deletes_every_trace(cards: Path, asked: Asked) -> None:
    assert asked("emulate", "remove", "blue")["emulated"]
    assert list(cards.iterdir()) == []
    assert asked("emulate", "list")["cards"] == []


def test_a_card_in_use_is_refused_and_listed_as_such(cards: Path, asked: Asked) -> None:
    asked("emulate", "new", "satochip", "red")
    with contextlib.closing(open_card(cards / "blue.card")):
        busy = asked("card", "check", "blue", check=3)["error"]
        assert "in use" in busy["message"]
        listed = {card["name"]: card for card in asked("emulate", "list")["cards"]}
        assert "in use" in listed["blue"]["error"]
        assert listed["red"]["error"] is None
    assert asked("card", "check", "blue")["present"]


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_card_hurts_no_other(cards: Path, asked: Asked, damage: bytes | None) -> None:
    asked("emulate", "new", "satochip", "red")
    whole = (cards / "blue.card").read_bytes()
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    (cards / "blue.card").write_bytes(changed if damage is None else damage)
    assert asked("card", "check", "blue", check=3)["error"]["code"] == "card_error"
    listed = {card["name"]: card for card in asked("emulate", "list")["cards"]}
    assert "damaged" in listed["blue"]["error"]
    assert listed["red"]["attempts_left"] == 5
    asked("emulate", "remove", "blue")


@pytest.fixture
def mainnet(cards: Path, asked: Asked, tmp_path: Path) -> Path:
    """A home with an emulated card that became one of mainnet."""
    settings = tmp_path / "home" / "settings.toml"
    text = settings.read_text()
    settings.write_text(text.replace('"regtest"', '"mainnet"').replace('"regtest:"', '"none:"'))
    assert asked("status")["network"] == "mainnet"
    return cards


@pytest.mark.parametrize(
    "words",
    [
        ("emulate", "new", "satochip", "red"),
        ("emulate", "new", "nonsuch", "red"),
        ("emulate", "list"),
        ("emulate", "remove", "blue"),
        ("card", "enrol", "blue", "--emulated", "blue"),
        ("card", "setup", "blue", "--emulated", "blue", "--generate"),
        ("card", "check", "blue"),
        ("card", "check", "blue", "--emulated", "blue"),
        ("card", "pin", "blue"),
        ("card", "unblock", "blue"),
        ("card", "reset", "blue", "--yes"),
    ],
)
def test_no_command_touches_an_emulated_card_on_mainnet(
    mainnet: Path, asked: Asked, words: tuple[str, ...]
) -> None:
    before = (mainnet / "blue.card").read_bytes()
    assert "mainnet" in asked(*words, check=2)["error"]["message"]
    assert (mainnet / "blue.card").read_bytes() == before


class Silent:
    """Somebody who gives the PIN and nothing else."""

    def __getattr__(self, name: str) -> object:
        answers = {
            "pin_for": lambda *_: Pin(PIN.encode()),
            "new_pin_for": lambda *_: Pin(PIN.encode()),
            "secret_for": lambda _label, kind, **_: Secret(b"cd" * 32) if kind == "seed" else None,
        }
        return answers.get(name, lambda *_: None)


@pytest.fixture
def reader(cards: Path, asked: Asked, tmp_path: Path) -> Slot:
    """A slot that says it is a real reader and has an emulated card in it."""
    asked("emulate", "new", "satochip", "fresh", "--no-setup")
    for name in ("blue", "fresh"):
        shutil.copy(cards / f"{name}.card", tmp_path / f"{name}.card")
    return Slot("reader", emulated=False, connect=lambda: open_card(tmp_path / "blue.card"))


def test_a_test_root_is_refused_on_mainnet_whatever_the_transport(
    reader: Slot, tmp_path: Path
) -> None:
    home = create_home(tmp_path / "real", "mainnet", "none:")
    database = open_database(home.database_url)
    asked_for = enrol.CardAtSlot("blue", reader)
    with pytest.raises(NotGenuine, match="test root"):
        enrol.enrol(home, database, asked_for, attendant=Silent())
    fresh = Slot("reader", emulated=False, connect=lambda: open_card(tmp_path / "fresh.card"))
    with pytest.raises(NotGenuine, match="test root"):
        setup.set_up(home, database, setup.Setup("fresh", fresh, "seed"), attendant=Silent())
    with card_in(fresh) as session:
        assert not session.identity().initialised
    database.kw["bind"].dispose()


def test_a_card_of_no_family_is_let_go_of() -> None:
    class Stranger:
        closed = False

        def transmit(self, _: bytes) -> bytes:
            return b"\x6d\x00"

        def close(self) -> None:
            self.closed = True

    stranger = Stranger()
    with (
        pytest.raises(CardError, match="no family"),
        card_in(Slot("reader", emulated=False, connect=lambda: stranger)),
    ):
        pass
    assert stranger.closed


def test_the_same_card_is_taken_elsewhere(reader: Slot, tmp_path: Path) -> None:
    home = create_home(tmp_path / "real", "signet", "none:")
    database = open_database(home.database_url)
    found = enrol.enrol(home, database, enrol.CardAtSlot("blue", reader), attendant=Silent())
    assert (found.attestation.result, found.emulated) == ("test", False)
    database.kw["bind"].dispose()
