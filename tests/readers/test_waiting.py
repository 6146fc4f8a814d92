"""One reader and several cards: each is asked for by name and place, and goes on when it comes."""

import sqlite3
import sys
import threading
import time
from pathlib import Path

from tests.patience import SECONDS
from tests.program import PIN, Asked, run_program
from tests.readers.conftest import PINS, Put, PutCard, reader

COUNTS = {
    "verification": "SELECT count(*) FROM verification",
    "drill_proof": "SELECT count(*) FROM drill_proof",
}


def rows(home: Path, table: str) -> int:
    database = sqlite3.connect(home / "cardquorum.db")
    (count,) = database.execute(COUNTS[table]).fetchone()
    database.close()
    return int(count)


class Hand:
    """Somebody who swaps the card in reader 0 for the next one when the one in it is done."""

    def __init__(self, home: Path, put: Put, put_card: PutCard) -> None:
        self.home = home
        self.put = put
        self.put_card = put_card

    def swap(self, table: str, *labels: str) -> threading.Thread:
        before = rows(self.home, table)

        def swapping() -> None:
            for done, label in enumerate(labels, 1):
                while rows(self.home, table) < before + done:
                    time.sleep(0.05)
                self.put.readers[0].close()
                self.put_card(0, label)

        thread = threading.Thread(target=swapping)
        thread.start()
        return thread


def until_told(words: str) -> None:
    """Wait until the program, which runs in this process, has said that."""
    deadline = time.monotonic() + SECONDS
    while words not in getattr(sys.stderr, "getvalue", str)() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_vault_is_verified_on_one_reader(
    home: Path, ceremony: str, put: Put, put_card: PutCard
) -> None:
    assert ceremony
    for number in (1, 2):
        put.readers[number].close()
    hand = Hand(home, put, put_card).swap("verification", "b", "c")
    words = ("vault", "verify", "v", "--reader", reader(0), "--pin-stdin", "--wait", "60")
    done = run_program(home, "--json", *words, stdin=PINS)
    hand.join()
    assert done.document["verified"] == ["a", "b", "c"]
    assert "now the card labelled b, kept at at-b or the card labelled c, kept at at-c" in done.err
    assert "now the card labelled c, kept at at-c, on reader" in done.err


def test_a_stranger_is_told_of_and_passed_over(
    asked: Asked, home: Path, ceremony: str, put: Put, put_card: PutCard
) -> None:
    assert ceremony
    asked("emulate", "new", "satochip", "stranger")
    for number in (0, 1, 2):
        put.readers[number].close()

    def hand() -> None:
        until_told("now the card labelled b")
        put_card(0, "stranger")
        until_told("a card of vault v")
        put.readers[0].close()
        put_card(0, "b")

    person = threading.Thread(target=hand)
    person.start()
    words = ("vault", "verify", "v", "--reader", reader(0), "--pin-stdin", "--wait", "60")
    done = run_program(home, "--json", *words, stdin=f"b={PIN}")
    person.join()
    assert done.document["verified"] == ["b"]
    assert f"reader {reader(0)}: " in done.err
    assert "a card of vault v" in done.err


def test_a_drill_waits_where_it_is_told_to(
    asked: Asked, home: Path, ceremony: str, put: Put, put_card: PutCard
) -> None:
    assert ceremony
    drill = asked("drill", "start", "v")["drill"]
    words = ("drill", "sign", drill, "--reader", reader(0), "--pin-stdin")
    one = asked(*words, stdin=PINS)
    assert (one["have"], [card["label"] for card in one["cards"]]) == (1, ["a"])
    for number in (0, 1, 2):
        put.readers[number].close()
    put_card(0, "b")
    hand = Hand(home, put, put_card).swap("drill_proof", "c")
    rest = run_program(home, "--json", *words, "--wait", "60", stdin=PINS)
    hand.join()
    assert rest.document["state"] == "complete"
    assert "now the card labelled c, kept at at-c" in rest.err


def test_two_cards_of_one_family_are_told_apart_by_identity(
    asked: Asked, put: Put, put_card: PutCard
) -> None:
    asked("init", "--network", "regtest")
    for number, label in enumerate(("one", "two")):
        asked("emulate", "new", "satochip", label)
        put_card(number, label)
        words = ("card", "enrol", label, "--reader", reader(number), "--pin-stdin")
        asked(*words, stdin=PIN)
    for number in (0, 1):
        put.readers[number].close()
    for number, label in enumerate(("two", "one")):
        put_card(number, label)
    wrong = asked("card", "check", "one", "--pin-stdin", stdin="one=000000", check=4)["error"]
    assert wrong["attempts_left"] == 4
    seen = {label: asked("card", "check", label) for label in ("one", "two")}
    assert [seen[label]["attempts_left"] for label in ("one", "two")] == [4, 5]
    listed = {r["name"]: r["card"] for r in asked("reader", "list")["readers"]}
    assert [listed[reader(n)]["label"] for n in (0, 1)] == ["two", "one"]
    change = f"one={PIN}\none.new=246802"
    asked("card", "pin", "one", "--pin-stdin", stdin=change)
    assert asked("card", "check", "one", "--pin-stdin", stdin="one=246802")["key_matches"]
    assert asked("card", "check", "two", "--pin-stdin", stdin=f"two={PIN}")["key_matches"]
    put.readers[1].close()
    assert not asked("card", "check", "one", check=3)["present"]
    assert asked("card", "check", "two")["present"]
