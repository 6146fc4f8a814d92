"""A vault whose cards lie on real readers: signed in parallel, one after the other, cut off."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cards import pcsc
from cards.emulation import open_card
from tests.program import PIN, Asked, Program, run_program
from tests.readers.conftest import NAMES, Put

PutCard = Callable[[int, str], str]
CARDS = {"a": "satochip", "b": "tapsigner", "c": "keycard"}
PINS = "".join(f"{label}={PIN}\n" for label in CARDS)


def reader(number: int) -> str:
    return f"{NAMES[number]} 00 00"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def put_card(put: Put, home: Path) -> PutCard:
    """Put the card of that name into a reader."""

    def insert(number: int, label: str) -> str:
        return put(number, lambda: open_card(home / "emulated" / f"{label}.card"))

    return insert


@pytest.fixture
def ceremony(asked: Asked, put_card: PutCard) -> str:
    """A 2-of-3 of three makers, enrolled through readers 0 to 2, with a payment to sign."""
    asked("init", "--network", "regtest")
    for number, (label, family) in enumerate(CARDS.items()):
        asked("emulate", "new", family, label)
        put_card(number, label)
        words = ("card", "enrol", label, "--reader", reader(number), "--pin-stdin")
        assert not asked(*words, stdin=PIN)["card"]["emulated"]
        asked("location", "add", f"at-{label}", "--kind", "home")
        asked("custody", "record", f"card:{label}", "placed", "--at", f"at-{label}")
    cards = [word for label in CARDS for word in ("--card", label)]
    asked("vault", "create", "v", "--threshold", "2", *cards)
    proved = asked("vault", "verify", "v", "--pin-stdin", stdin=PINS)
    assert (proved["verified"], proved["missing"]) == (list(CARDS), [])
    address = asked("address", "new", "v")["address"]
    asked("regtest", "fund", address, "1000000", "--coins", "4")
    asked("regtest", "mine", "1")
    to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:3500000"
    return str(asked("spend", "create", "v", "--to", to, "--feerate", "5")["ceremony"])


def finished(asked: Asked, ceremony: str) -> bool:
    final = asked("spend", "finalize", ceremony)
    asked("spend", "broadcast", ceremony)
    asked("regtest", "mine", "1")
    return (
        final["consensus"] in {"accepted", "own-check"}
        and asked("spend", "show", ceremony)["state"] == "confirmed"
    )


def test_the_readers_are_listed_and_told_apart(
    asked: Asked, ceremony: str, put_card: PutCard
) -> None:
    assert ceremony
    asked("emulate", "new", "satochip", "stranger")
    put_card(5, "stranger")
    found = {r["name"]: r for r in asked("reader", "list")["readers"]}
    known = [found[reader(n)]["card"] for n in range(3)]
    assert [(c["label"], c["family"], c["known"]) for c in known] == [
        (label, family, True) for label, family in CARDS.items()
    ]
    assert known[0]["attempts_left"] == 5
    stranger = found[reader(5)]["card"]
    assert (stranger["family"], stranger["label"], stranger["known"]) == ("satochip", None, False)
    assert (found[reader(4)]["card"], found[reader(4)]["error"]) == (None, None)


def test_three_readers_sign_in_parallel(asked: Asked, ceremony: str) -> None:
    words = ("spend", "sign", ceremony, "--pin-stdin", "--yes")
    done = asked(*words, stdin=PINS)
    assert {(c["label"], c["signatures"], c["error"]) for c in done["cards"]} == {
        (label, 4, None) for label in CARDS
    }
    assert finished(asked, ceremony)


def test_one_reader_and_cards_that_are_swapped(
    asked: Asked, home: Path, ceremony: str, put: Put, put_card: PutCard
) -> None:
    for number in (0, 1):
        put.readers[number].close()
    put_card(0, "a")

    def swap() -> None:
        while signatures(home) < 4:
            time.sleep(0.05)
        put.readers[0].close()
        put_card(0, "b")

    hand = threading.Thread(target=swap)
    hand.start()
    words = ("spend", "sign", ceremony, "--reader", reader(0), "--pin-stdin", "--yes")
    done = run_program(home, "--json", *words, "--wait", "20", stdin=PINS)
    hand.join()
    assert "now the card labelled b, kept at at-b" in done.err
    cards = done.document["cards"]
    assert [(c["label"], c["signatures"]) for c in cards] == [("a", 4), ("b", 4)]
    assert finished(asked, ceremony)


def signatures(home: Path) -> int:
    database = sqlite3.connect(home / "cardquorum.db")
    (count,) = database.execute("SELECT count(*) FROM signature").fetchone()
    database.close()
    return int(count)


def test_a_card_torn_out_within_a_command_goes_on(
    asked: Asked, home: Path, ceremony: str, put: Put
) -> None:
    before = asked("card", "check", "a")["attempts_left"]
    put.readers[0].close()
    sent: list[int] = []

    class Torn:
        """Loses power at its 14th command, once."""

        def __init__(self) -> None:
            self.inner = open_card(home / "emulated" / "a.card")

        def transmit(self, apdu: bytes) -> bytes:
            sent.append(1)
            answer = self.inner.transmit(apdu)
            if len(sent) == 14:
                raise pcsc.CardRemoved("torn")
            return answer

        def power_cycle(self) -> None:
            self.inner.power_cycle()

        def close(self) -> None:
            self.inner.close()

    put(0, Torn)
    words = ("spend", "sign", ceremony, "--reader", reader(0), "--pin-stdin", "--yes")
    done = asked(*words, "--wait", "20", stdin=f"a={PIN}")
    assert [(c["label"], c["signatures"], c["error"]) for c in done["cards"]] == [("a", 4, None)]
    assert len(sent) > 17
    assert asked("card", "check", "a")["attempts_left"] == before


def test_a_card_known_by_reader_is_found_by_its_identity(
    asked: Asked, program: Program, ceremony: str, put: Put
) -> None:
    assert ceremony
    assert asked("card", "check", "b")["present"]
    put.readers[1].close()
    gone = asked("card", "check", "b", check=3)
    assert not gone["present"]
    wrong = asked("card", "check", "a", "--reader", reader(2), check=3)
    assert wrong["error"]["code"] == "wrong_card"
    assert "virtual" in program("card", "check", "a", "--reader", "virtual", check=2).err
