"""A card that coins depend on is not erased by a mere --yes."""

from pathlib import Path

import pytest

from tests.program import PIN, Asked, Program

RESET = ("card", "reset", "a", "--yes")
ACCEPT = ("--accept", "card_in_use")


def refused(asked: Asked) -> str:
    error = asked(*RESET, check=5)["error"]
    assert error["codes"] == ["card_in_use"]
    assert "--accept card_in_use" in error["hint"]
    assert asked("card", "check", "a")["present"]
    message: str = error["message"]
    return message


def test_a_card_of_a_vault_with_coins_wants_its_own_accept(vault: Asked) -> None:
    told = refused(vault)
    assert "vault v holds 3000000 sat" in told
    assert "nothing else known carries its key" in told
    assert vault(*RESET, *ACCEPT)["vaults"] == ["v"]
    assert vault("card", "show", "a")["keys"] == []


def test_coins_that_nobody_looked_for_count_as_coins(asked: Asked) -> None:
    asked("init", "--network", "regtest", "--chain", "none:")
    for label in "ab":
        asked("emulate", "new", "satochip", label)
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    asked(*RESET[:2], "b", "--yes")
    asked("emulate", "new", "satochip", "c")
    asked("card", "enrol", "c", "--emulated", "c", "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "a", "--card", "c")
    told = refused(asked)
    assert "nobody looked yet whether vault v holds coins" in told


def test_a_vault_that_was_looked_at_and_is_empty_is_no_danger(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "a")
    asked("card", "enrol", "a", "--emulated", "a", "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "a")
    assert asked(*RESET)["vaults"] == ["v"]


def test_a_chain_out_of_reach_is_no_proof_that_there_are_no_coins(
    asked: Asked, tmp_path: Path
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "a")
    asked("card", "enrol", "a", "--emulated", "a", "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "a")
    asked("sync")
    settings = tmp_path / "home" / "settings.toml"
    closed = "bitcoind+http://127.0.0.1:1?cookie=/nowhere"
    settings.write_text(settings.read_text().replace("regtest:", closed))
    assert "nobody can look now whether vault v holds coins" in refused(asked)


def test_what_else_carries_the_key_is_named_unless_it_is_gone(vault: Asked) -> None:
    vault("carrier", "add", "card:a", "plate", "steel")
    assert "its key is on plate:steel too" in refused(vault)
    vault("custody", "record", "plate:steel", "destroyed")
    assert "nothing else known carries its key" in refused(vault)


@pytest.mark.parametrize("retired", [True, False])
def test_a_vault_out_of_use_counts_while_it_holds_coins(vault: Asked, retired: bool) -> None:  # noqa: FBT001 -- by name
    vault("sync")
    if retired:
        vault("vault", "retire", "v")
    assert "vault v holds" in refused(vault)


def test_a_card_that_is_to_get_a_vaults_coins_counts(vault: Asked) -> None:
    vault("sync")
    vault("emulate", "new", "satochip", "d")
    vault("card", "enrol", "d", "--emulated", "d", "--pin-stdin", stdin=PIN)
    vault("replace", "start", "v", "--card", "b", "--with", "d", "--feerate", "2")
    vault("sync")
    error = vault("card", "reset", "d", "--yes", check=5)["error"]
    assert "is to get the coins of vault v" in error["message"]


def test_help_names_the_code(program: Program) -> None:
    assert "card_in_use" in program("card", "reset", "--help").out
