"""Consent is given to what was seen: what was typed before it counts for nothing."""

from pathlib import Path

import pytest

from cards.detection import detect
from cards.emulation import open_card
from cards.errors import CardError
from cards.family import Surroundings
from coordinator.readers.slots import FolderMemory
from tests.cli.terminal import at_terminal, in_a_shell
from tests.program import PIN, Asked, made_vault

TO = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:2500000"


@pytest.fixture
def payment(asked: Asked) -> str:
    made_vault(asked)
    return str(asked("spend", "create", "v", "--to", TO, "--feerate", "5")["ceremony"])


@pytest.mark.parametrize(("answer", "status"), [("n", 5), ("y", 0)])
def test_what_is_typed_before_the_review_is_no_consent(
    tmp_path: Path, asked: Asked, payment: str, answer: str, status: int
) -> None:
    line = f"echo ready; cardquorum spend sign {payment} --emulated a; echo ended $?"
    answers = [("ready", "y"), (r"Sign this transaction\? \[y/N\]", answer), ("PIN of card", PIN)]
    seen = in_a_shell(tmp_path / "home", line, answers)
    assert f"ended {status}" in seen.screen
    assert asked("spend", "show", payment)["have"] == (0 if status else 1)


def test_a_label_typed_before_is_no_consent_to_a_reset(tmp_path: Path, asked: Asked) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "keycard", "blue")
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    line = "echo ready; cardquorum card reset blue; echo ended $?"
    seen = in_a_shell(tmp_path / "home", line, [("ready", "blue"), ("type the card's label", "no")])
    assert "ended 5" in seen.screen
    assert asked("card", "check", "blue")["present"]


def test_ids_are_taken_in_any_case(asked: Asked, payment: str) -> None:
    assert asked("spend", "show", payment.upper())["ceremony"] == payment
    drill = asked("drill", "start", "v")["drill"]
    assert asked("drill", "show", drill.upper())["drill"] == drill
    assert asked("spend", "abandon", payment.upper())["ceremony"] == payment


@pytest.fixture
def repaired(asked: Asked, tmp_path: Path) -> Path:
    """A home whose Keycard 3.2 does not know the pairing that was kept any more."""
    asked("init", "--network", "regtest")
    asked("emulate", "new", "keycard", "blue", "--profile", "3.2")
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "blue")
    for file in (tmp_path / "home" / "pairings").glob("*.memory"):
        kept = file.read_bytes()
        file.write_bytes(kept[:1] + bytes(len(kept) - 1))
    return tmp_path / "home"


VERIFY = ("vault", "verify", "v", "--pin-stdin")
AGREE = ("--accept", "pairing_refused")


def test_a_known_card_is_not_paired_anew_in_silence(asked: Asked, repaired: Path) -> None:
    before = {file: file.read_bytes() for file in (repaired / "pairings").iterdir()}
    for words in (VERIFY, ("card", "check", "blue", "--pin-stdin"), ("card", "check", "blue")):
        error = asked(*words, stdin=f"blue={PIN}" * ("--pin-stdin" in words), check=5)["error"]
        assert (error["code"], error["codes"]) == ("pairing_refused", ["pairing_refused"])
        assert "could read the PIN" in error["message"]
        assert "--accept pairing_refused" in error["hint"]
    assert {file: file.read_bytes() for file in (repaired / "pairings").iterdir()} == before


def test_a_script_accepts_a_new_pairing(asked: Asked, repaired: Path) -> None:
    assert repaired
    assert asked(*VERIFY, *AGREE, stdin=f"blue={PIN}")["verified"] == ["blue"]
    assert asked(*VERIFY, stdin=f"blue={PIN}")["verified"] == ["blue"]


@pytest.mark.parametrize(("answer", "status"), [("n", 5), ("y", 0)])
def test_a_person_accepts_a_new_pairing(
    asked: Asked, repaired: Path, answer: str, status: int
) -> None:
    seen = at_terminal(
        repaired, ("card", "check", "blue"), [("could read the PIN.* Go on", answer)]
    )
    assert seen.status == status
    assert asked("card", "check", "blue", check=status)


def test_a_list_of_readers_pairs_nothing(asked: Asked, repaired: Path) -> None:
    memory = FolderMemory(repaired / "pairings")
    around = Surroundings(memory=memory, look_only=True)
    with pytest.raises(CardError, match="refuses the pairing"):
        detect(open_card(repaired / "emulated" / "blue.card"), around).identity()
    assert asked("emulate", "list")["cards"]
