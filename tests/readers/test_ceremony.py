"""A vault whose cards lie on real readers: signed in parallel, one after the other, cut off."""

import sqlite3
import threading
import time
from pathlib import Path

from cards import pcsc
from cards.emulation import open_card
from tests.program import PIN, Asked, Program, run_program
from tests.readers.conftest import CARDS, PINS, Put, PutCard, reader


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


def test_two_of_three_readers_sign_in_parallel(asked: Asked, ceremony: str) -> None:
    words = ("spend", "sign", ceremony, "--pin-stdin", "--yes")
    done = asked(*words, stdin=PINS)
    assert {c["label"] for c in done["cards"]} == set(CARDS)
    assert [c["error"] for c in done["cards"]] == [None] * 3
    assert sorted((c["signatures"], c["not_needed"]) for c in done["cards"]) == [
        (0, True),
        (4, False),
        (4, False),
    ]
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
    done = run_program(home, "--json", *words, "--wait", "60", stdin=PINS)
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
    done = asked(*words, "--wait", "60", stdin=f"a={PIN}")
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
