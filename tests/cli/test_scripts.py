"""What a card cannot sign for is refused when a vault is made, not when the money is stuck."""

import pytest

from cards.family import CardFamily
from tests.program import PIN, Asked, Program

NEWEST = [("keycard", "4.0"), ("satochip", "0.16-0.0"), ("tangem", "6.33"), ("tapsigner", "1.0.3")]


def create(asked: Asked, family: str, profile: str, script: str, *, check: int) -> dict:
    asked("init", "--network", "regtest")
    asked("emulate", "new", family, "x", "--profile", profile)
    asked("card", "enrol", "x", "--emulated", "x", "--pin-stdin", stdin=PIN)
    words = ("vault", "create", "v", "--threshold", "1", "--card", "x", "--script", script)
    made: dict = asked(*words, check=check)
    return made


@pytest.mark.parametrize("script", ["sh-wsh", "sh"])
@pytest.mark.parametrize(("family", "profile"), NEWEST)
def test_a_card_that_cannot_sign_for_the_script_is_named(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, family: str, profile: str, script: str
) -> None:
    monkeypatch.setattr(CardFamily, "signs_at", lambda _family, _version: frozenset({"wsh"}))
    refused = create(asked, family, profile, script, check=5)["error"]
    assert refused["code"] == "card_cannot_sign"
    assert (refused["label"], refused["script"]) == ("x", script)
    assert f"card x ({family} {profile}) cannot sign for {script}" in refused["message"]
    assert asked("vault", "list")["vaults"] == []


@pytest.mark.parametrize("script", ["sh-wsh", "sh"])
@pytest.mark.parametrize(("family", "profile"), NEWEST)
def test_every_family_signs_for_each_script(
    asked: Asked, family: str, profile: str, script: str
) -> None:
    assert create(asked, family, profile, script, check=0)["total"] == 1


@pytest.mark.parametrize("script", ["p2pkh", "rawtr"])
def test_an_unknown_script_is_refused(asked: Asked, script: str) -> None:
    refused = create(asked, "keycard", "4.0", script, check=2)["error"]["message"]
    assert refused == f"unknown script {script!r}; expected one of wsh, sh-wsh, sh, tr"
    assert asked("vault", "list")["vaults"] == []


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
