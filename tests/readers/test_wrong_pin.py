"""A wrong PIN or a wrong card on a reader: said at once, presented once, nobody is waited for."""

import time
from pathlib import Path

import pytest

from cards.emulation import open_card
from tests.cli.terminal import at_terminal
from tests.patience import SECONDS
from tests.program import PIN, UNPROVED, Asked, Ended, run_program
from tests.readers.conftest import PINS, Put, PutCard, reader

WRONG = "000000"


def alone(put: Put, *numbers: int) -> None:
    for number in numbers:
        put.readers[number].close()


def timed(home: Path, *words: str, stdin: str, check: int) -> Ended:
    before = time.monotonic()
    ended = run_program(home, "--json", *words, stdin=stdin, check=check)
    assert time.monotonic() - before < SECONDS
    return ended


@pytest.mark.parametrize("command", ["spend", "drill"])
@pytest.mark.parametrize(("number", "label"), [(0, "a"), (1, "b"), (2, "c")])
def test_a_wrong_pin_is_presented_once_and_ends_the_wait(
    asked: Asked, home: Path, ceremony: str, put: Put, command: str, number: int, label: str
) -> None:
    before = asked("card", "check", label)["attempts_left"]
    alone(put, *{0, 1, 2} - {number})
    what = ceremony if command == "spend" else asked("drill", "start", "v")["drill"]
    words = (command, "sign", what, "--reader", reader(number), "--pin-stdin", "--wait", "300")
    yes = ("--yes",) if command == "spend" else ()
    ended = timed(home, *words, *yes, stdin=f"{label}={WRONG}", check=4)
    (card,) = ended.document["cards"]
    assert (card["label"], card["signatures"]) == (label, 0)
    assert card["error"]["code"] == "pin_incorrect"
    left = None if before is None else before - 1
    assert card["error"]["attempts_left"] == left
    assert f"card {label}: the card refused the PIN" in ended.err
    assert "now the card" not in ended.err
    assert asked("card", "check", label)["attempts_left"] == left


def test_a_vault_is_not_verified_with_a_wrong_pin(
    asked: Asked, home: Path, ceremony: str, put: Put
) -> None:
    assert ceremony
    alone(put, 1, 2)
    words = ("vault", "verify", "v", "--reader", reader(0), "--pin-stdin", "--wait", "300")
    ended = timed(home, *words, stdin=f"a={WRONG}", check=4)
    assert ended.document["error"]["attempts_left"] == 4
    assert asked("card", "check", "a")["attempts_left"] == 4


def test_the_cards_that_sign_already_end_first(asked: Asked, home: Path, ceremony: str) -> None:
    pins = PINS.replace(f"a={PIN}", f"a={WRONG}")
    words = ("spend", "sign", ceremony, "--pin-stdin", "--yes", "--wait", "300")
    ended = timed(home, *words, stdin=pins, check=4)
    found = {card["label"]: card for card in ended.document["cards"]}
    assert found["a"]["error"]["code"] == "pin_incorrect"
    assert [found[label]["signatures"] for label in "bc"] == [4, 4]
    assert ended.document["complete"]
    assert asked("card", "check", "a")["attempts_left"] == 4


def test_a_card_of_another_family_is_presented_no_pin(
    asked: Asked, home: Path, put: Put, put_card: PutCard
) -> None:
    asked("init", "--network", "regtest")
    families = {"s": "satochip", "t": "tangem"}
    for number, (label, family) in enumerate(families.items()):
        asked("emulate", "new", family, label)
        put_card(number, label)
        if label == "s":
            words = ("card", "enrol", label, "--reader", reader(number), "--pin-stdin")
            asked(*words, stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "s")
    asked("regtest", "fund", asked("address", "new", "v", *UNPROVED)["address"], "100000")
    asked("regtest", "mine", "1")
    to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:50000"
    payment = asked("spend", "create", "v", "--to", to, "--feerate", "5")["ceremony"]
    alone(put, 0, 1)
    for memory in home.rglob("*.memory"):  # its chip was never seen here
        memory.unlink()
    sent: list[bytes] = []

    class Heard:
        """Notes what reaches the Tangem."""

        def __init__(self) -> None:
            self.inner = open_card(home / "emulated" / "t.card")

        def transmit(self, apdu: bytes) -> bytes:
            sent.append(apdu)
            return self.inner.transmit(apdu)

        def power_cycle(self) -> None:
            self.inner.power_cycle()

        def close(self) -> None:
            self.inner.close()

    put(0, Heard)
    here = ("--reader", reader(0), "--pin-stdin")
    drill = asked("drill", "start", "v")["drill"]
    looked = 0
    for words in (
        ("reader", "list"),
        ("spend", "sign", payment, "--yes", "--wait", "0", *here),
        ("drill", "sign", drill, *here),
        ("vault", "verify", "v", "--wait", "0", *here),
        ("card", "check", "s", *here),
        ("card", "pin", "s", *here),
        ("card", "unblock", "s", *here),
        ("card", "reset", "s", "--yes", "--accept", "card_in_use", *here),
        ("card", "enrol", "s", *here),
    ):
        sent.clear()
        if words == ("reader", "list"):
            asked(*words)
            looked = len(sent)
            continue
        document = asked(*words, stdin=f"s={PIN}\n", check=3)
        errors = [document.get("error"), *(card["error"] for card in document.get("cards", ()))]
        assert {each["code"] for each in errors if each} == {"wrong_card"}, words
        assert len(set(sent)) <= looked, words  # a pause is asked for with the same bytes

    put.readers[0].close()
    put_card(0, "t")
    put_card(1, "s")
    done = asked("spend", "sign", payment, "--yes", "--pin-stdin", stdin=f"s={PIN}")
    assert [card["label"] for card in done["cards"]] == ["s"]


def test_at_a_terminal_other_cards_are_waited_for_and_the_one_that_lies_there_is_not(
    asked: Asked, home: Path, ceremony: str, put: Put
) -> None:
    alone(put, 1, 2)
    words = ("spend", "sign", ceremony, "--reader", reader(0), "--yes", "--wait", "2")
    seen = at_terminal(home, words, [("PIN of card a", WRONG)])
    assert seen.status == 4
    said = seen.screen.find("card a: the card refused the PIN; attempts: 4 left")
    assert -1 < said < seen.screen.find(f"reader {reader(0)}: now the card labelled b")
    assert "now the card labelled a" not in seen.screen
    assert asked("card", "check", "a")["attempts_left"] == 4


def test_a_card_laid_down_again_is_presented_another_pin_that_is_typed(
    asked: Asked, home: Path, ceremony: str, put: Put, put_card: PutCard
) -> None:
    alone(put, 1, 2)

    def lift() -> str:
        put.readers[0].close()
        put_card(0, "a")
        return ""

    words = ("spend", "sign", ceremony, "--reader", reader(0), "--yes", "--wait", "6")
    typed = [("PIN of card a", WRONG), ("now the card labelled b", lift), ("PIN of card a", PIN)]
    seen = at_terminal(home, words, typed)
    assert "card a: 4 of 4 signatures" in seen.screen
    assert asked("spend", "show", ceremony)["signed_by"] == ["a"]
