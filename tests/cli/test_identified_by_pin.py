"""Cards that say nothing before their PIN, in a home that has forgotten them."""

from pathlib import Path

import pytest

from tests.program import PIN, Asked, Program


@pytest.fixture
def silent(asked: Asked, tmp_path: Path) -> Asked:
    """A vault of one Tangem, enrolled as blue in slot one; another lies in slot two."""
    asked("init", "--network", "regtest")
    for name in ("one", "two"):
        asked("emulate", "new", "tangem", name)
    asked("card", "enrol", "blue", "--emulated", "one", "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "blue")
    _forget_chips(tmp_path)
    return asked


def _forget_chips(tmp_path: Path) -> None:
    for memory in tmp_path.rglob("*.memory"):
        memory.unlink()


def test_a_check_says_so_asks_and_compares(silent: Asked, program: Program) -> None:
    refused = silent("card", "check", "blue", check=4)["error"]
    assert "tells nothing without it" in refused["message"]
    assert "--pin" in refused["message"]
    checked = program("--json", "card", "check", "blue", "--pin-stdin", stdin=f"blue={PIN}")
    assert checked.document["key_matches"]
    assert "tells nothing without it" in checked.err
    assert silent("card", "check", "blue")["present"]


def test_another_card_is_found_out_once_it_is_unlocked(silent: Asked) -> None:
    words = ("card", "check", "blue", "--emulated", "two", "--pin-stdin")
    assert silent(*words, stdin="blue=000000", check=4)["error"]["code"] == "pin_incorrect"
    assert silent(*words, stdin=f"blue={PIN}", check=3)["error"]["code"] == "wrong_card"
    assert silent(*words, stdin="blue=000000", check=3)["error"]["code"] == "wrong_card"


def test_a_vault_is_verified_by_the_label_of_its_slot(silent: Asked) -> None:
    words = ("vault", "verify", "v", "--pin-stdin")
    assert silent(*words, stdin=f"blue={PIN}")["verified"] == ["blue"]


def test_a_vault_is_not_verified_by_another_card(silent: Asked) -> None:
    silent("card", "enrol", "red", "--emulated", "two", "--pin-stdin", stdin=PIN)
    words = ("vault", "verify", "v", "--emulated", "two", "--pin-stdin")
    assert silent(*words, stdin=f"red={PIN}", check=3)["error"]["code"] == "wrong_card"


def test_a_pin_is_changed_and_a_card_reset(silent: Asked, tmp_path: Path) -> None:
    silent("card", "pin", "blue", "--pin-stdin", stdin=f"blue={PIN}\nblue.new=246802")
    _forget_chips(tmp_path)
    words = ("card", "reset", "blue", "--yes", "--pin-stdin")
    assert silent(*words, check=4)["error"]["code"] == "pin_missing"
    assert silent(*words, stdin="blue=246802")["reset"]
    assert silent("card", "show", "blue")["keys"] == []


def test_nothing_is_left_of_a_card_that_is_forgotten(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    for name in ("one", "two"):
        asked("emulate", "new", "tangem", name)
        asked("card", "enrol", name, "--emulated", name, "--pin-stdin", stdin=PIN)
    kept = {*tmp_path.rglob("*.memory")}
    asked("card", "forget", "one", "--yes")
    assert len({*tmp_path.rglob("*.memory")}) * 2 == len(kept)
    asked("card", "forget", "two", "--yes")
    assert not [*tmp_path.rglob("*.memory")]
    asked("card", "forget", "two", "--yes", check=None)


def test_a_card_that_is_recognised_is_reset_with_its_pin_too(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tangem", "blue")
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    words = ("card", "reset", "blue", "--yes", "--pin-stdin")
    assert asked(*words, check=4)["error"]["code"] == "pin_missing"
    assert asked(*words, stdin=PIN)["reset"]
