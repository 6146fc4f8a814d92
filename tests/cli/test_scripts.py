"""What a card cannot sign for is refused when a vault is made, not when the money is stuck."""

import pytest

from tests.program import PIN, Asked, Program

CANNOT = [
    ("keycard", "3.1", "tr"),
    ("keycard", "3.2", "tr"),
    ("satochip", "0.12-0.6", "tr"),
    ("satochip", "0.16-0.0", "tr"),
    ("tangem", "6.33", "tr"),
    ("tapsigner", "1.0.3", "tr"),
]
CAN = [("keycard", "4.0", "tr"), ("keycard", "3.2", "sh-wsh"), ("tapsigner", "0.9.0", "sh-wsh")]


def create(asked: Asked, family: str, profile: str, script: str, check: int) -> dict:
    asked("init", "--network", "regtest")
    asked("emulate", "new", family, "x", "--profile", profile)
    asked("card", "enrol", "x", "--emulated", "x", "--pin-stdin", stdin=PIN)
    words = ("vault", "create", "v", "--threshold", "1", "--card", "x", "--script", script)
    refused: dict = asked(*words, check=check)["error"]
    assert asked("vault", "list")["vaults"] == []
    return refused


@pytest.mark.parametrize(("family", "profile", "script"), CANNOT)
def test_a_card_that_cannot_sign_for_the_script_is_named(
    asked: Asked, family: str, profile: str, script: str
) -> None:
    refused = create(asked, family, profile, script, 5)
    assert refused["code"] == "card_cannot_sign"
    assert (refused["label"], refused["script"]) == ("x", script)
    assert f"card x ({family} {profile}) cannot sign for {script}" in refused["message"]


@pytest.mark.parametrize(("family", "profile", "script"), CAN)
def test_a_card_that_can_is_not_the_reason(
    asked: Asked, family: str, profile: str, script: str
) -> None:
    refused = create(asked, family, profile, script, 2)
    assert "makes wsh vaults only" in refused["message"]


def test_an_unknown_script_is_refused(asked: Asked) -> None:
    assert "none of wsh, sh-wsh, tr" in create(asked, "keycard", "3.2", "p2pkh", 2)["message"]


@pytest.mark.parametrize(
    ("family", "profile", "others"),
    [
        ("keycard", "3.2", "Sparrow Wallet"),
        ("keycard", "4.0", "no other program"),
        ("tangem", "6.33", "no other program"),
        ("tapsigner", "1.0.3", "Nunchuk, Sparrow Wallet"),
    ],
)
def test_a_new_vault_says_who_else_can_sign(
    asked: Asked, program: Program, family: str, profile: str, others: str
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", family, "x", "--profile", profile)
    asked("card", "enrol", "x", "--emulated", "x", "--pin-stdin", stdin=PIN)
    made = program("vault", "create", "v", "--threshold", "1", "--card", "x").out
    assert f"can also sign with it: {others}" in made
