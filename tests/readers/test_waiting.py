"""One reader and several cards: the next one is asked for by name and place, whatever is done."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.program import PIN, Asked, run_program
from tests.readers.conftest import CARDS, PINS, Put, PutCard, reader

ROUNDS = 400


@pytest.fixture
def one_reader(put: Put, ceremony: str) -> str:
    """All cards out but the first; returns the payment's ceremony."""
    for number in (1, 2):
        put.readers[number].close()
    return ceremony


def rows(home: Path, table: str) -> int:
    database = sqlite3.connect(home / "cardquorum.db")
    (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    database.close()
    return int(count)


@pytest.fixture
def swapping(home: Path, put: Put, put_card: PutCard) -> Iterator[Callable[[str, str], None]]:
    """Put the next of some cards into the first reader each time a table has grown by a row."""
    hands: list[threading.Thread] = []

    def begin(table: str, labels: str) -> None:
        before = rows(home, table)

        def swap() -> None:
            for number, label in enumerate(labels, 1):
                for _ in range(ROUNDS):
                    if rows(home, table) >= before + number:
                        break
                    time.sleep(0.05)
                put.readers[0].close()
                put_card(0, label)

        hands.append(threading.Thread(target=swap))
        hands[-1].start()

    yield begin
    for hand in hands:
        hand.join()


def test_a_vault_is_verified_card_after_card(
    home: Path, one_reader: str, swapping: Callable[[str, str], None]
) -> None:
    assert one_reader
    swapping("verification", "bc")
    words = ("vault", "verify", "v", "--reader", reader(0), "--pin-stdin", "--wait", "20")
    done = run_program(home, "--json", *words, stdin=PINS)
    assert (done.document["verified"], done.document["mismatches"]) == (list(CARDS), [])
    first, second = [line for line in done.err.splitlines() if ": now " in line]
    assert first.endswith(
        "now the card labelled b, kept at at-b or the card labelled c, kept at at-c"
    )
    assert second.endswith("now the card labelled c, kept at at-c")


def test_a_drill_goes_on_with_the_cards_kept_in_the_same_place(
    asked: Asked, home: Path, one_reader: str, swapping: Callable[[str, str], None]
) -> None:
    assert one_reader
    asked("custody", "record", "card:b", "moved", "--at", "at-a")
    drill = asked("drill", "start", "v")["drill"]
    swapping("drill_proof", "b")
    words = ("drill", "sign", drill, "--reader", reader(0), "--pin-stdin", "--wait", "20")
    done = run_program(home, "--json", *words, stdin=PINS)
    assert [(card["label"], card["error"]) for card in done.document["cards"]] == [
        ("a", None),
        ("b", None),
    ]
    assert [line for line in done.err.splitlines() if ": now " in line] == [
        f"reader {reader(0)}: now the card labelled b, kept at at-a"
    ]


def test_nobody_waits_unless_it_is_wanted(asked: Asked, one_reader: str) -> None:
    words = ("--reader", reader(0), "--pin-stdin", "--wait", "0")
    assert asked("vault", "verify", "v", *words, stdin=PINS)["verified"] == ["a"]
    only = ("--reader", reader(0), "--pin-stdin")
    assert asked("vault", "verify", "v", *only, stdin=f"a={PIN}")["verified"] == ["a"]
    empty = ("--reader", reader(1), "--pin-stdin", "--wait", "0")
    assert asked("vault", "verify", "v", *empty, stdin=PINS, check=3)["error"]["code"] == (
        "card_removed"
    )
    assert one_reader


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
    change = "one=123456\none.new=246802"
    asked("card", "pin", "one", "--pin-stdin", stdin=change)
    assert asked("card", "check", "one", "--pin-stdin", stdin="one=246802")["key_matches"]
    assert asked("card", "check", "two", "--pin-stdin", stdin=f"two={PIN}")["key_matches"]
    put.readers[1].close()
    assert not asked("card", "check", "one", check=3)["present"]
    assert asked("card", "check", "two")["present"]
