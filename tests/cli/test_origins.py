"""Where a key was made is said only as far as somebody knows."""

import shutil
from pathlib import Path

import pytest

from cards.family import families
from tests.program import PIN, Asked, Program, asking

SEED = "ab" * 32
ORIGINS = {"keycard": "unknown", "satochip": "host", "tangem": "card", "tapsigner": "card"}
PROFILES = [(family.name, profile) for family in families() for profile in family.profiles]


def enrolled(asked: Asked, name: str) -> dict:
    return asked("card", "enrol", name, "--emulated", name, "--pin-stdin", stdin=PIN)


def set_up(asked: Asked, family: str, name: str, source: str) -> dict:
    asked("emulate", "new", family, name, "--no-setup")
    words = ("card", "setup", name, "--emulated", name, source, "--pin-stdin")
    return asked(*words, stdin=f"{name}={PIN}\n{name}.seed={SEED}\n")


def origin(asked: Asked, name: str) -> str:
    (key,) = asked("card", "show", name)["keys"]
    return key["created_on"]


@pytest.fixture
def other(asked: Asked, tmp_path: Path) -> Asked:
    """A second home, which never saw the cards of the first."""
    asked("init", "--network", "regtest")
    elsewhere = asking(tmp_path / "other")
    elsewhere("init", "--network", "regtest")
    elsewhere("emulate", "new", "satochip", "spare")
    return elsewhere


def carry(tmp_path: Path, name: str) -> None:
    """Take a card from the first home to the second."""
    (file,) = (tmp_path / "home").rglob(f"{name}.card")
    (folder,) = {spare.parent for spare in (tmp_path / "other").rglob("spare.card")}
    shutil.copy(file, folder)


@pytest.mark.parametrize(("family", "profile"), PROFILES)
def test_an_enrolled_key_has_the_origin_its_card_can_have(
    asked: Asked, family: str, profile: str
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", family, "x", "--profile", profile)
    assert enrolled(asked, "x")["created_on"] == ORIGINS[family]
    assert origin(asked, "x") == ORIGINS[family]


@pytest.mark.parametrize(
    ("source", "here", "there"), [("--seed", "host", "unknown"), ("--generate", "card", "unknown")]
)
def test_a_keycards_origin_is_known_where_it_was_set_up(
    asked: Asked, other: Asked, tmp_path: Path, source: str, here: str, there: str
) -> None:
    assert set_up(asked, "keycard", "x", source)["created_on"] == here
    assert enrolled(asked, "x")["created_on"] == here
    assert origin(asked, "x") == here
    carry(tmp_path, "x")
    assert enrolled(other, "x")["created_on"] == there


@pytest.mark.parametrize(("source", "told"), [("--seed", "host"), ("--generate", "card")])
def test_a_tangem_tells_its_keys_origin(
    asked: Asked, other: Asked, tmp_path: Path, source: str, told: str
) -> None:
    set_up(asked, "tangem", "x", source)
    carry(tmp_path, "x")
    assert enrolled(other, "x")["created_on"] == told


def test_a_seed_seen_on_this_machine_stays_seen(asked: Asked, other: Asked, tmp_path: Path) -> None:
    set_up(asked, "keycard", "x", "--seed")
    carry(tmp_path, "x")
    assert enrolled(other, "x")["created_on"] == "unknown"
    assert set_up(other, "satochip", "copy", "--seed")["created_on"] == "host"
    assert origin(other, "x") == "host"


def test_a_key_held_elsewhere_gets_an_origin_with_its_card(
    asked: Asked, other: Asked, tmp_path: Path
) -> None:
    asked("emulate", "new", "tapsigner", "x")
    expression = enrolled(asked, "x")["key"]["expression"]
    made = other("vault", "create", "v", "--threshold", "1", "--key", f"x={expression}")
    assert made["cosigners"][0]["created_on"] == "elsewhere"
    carry(tmp_path, "x")
    assert enrolled(other, "x")["created_on"] == "card"
    assert origin(other, "x") == "card"


def test_people_read_that_nobody_knows(asked: Asked, program: Program) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "keycard", "x")
    words = ("card", "enrol", "x", "--emulated", "x", "--pin-stdin")
    assert "key made on: unknown" in program(*words, stdin=PIN).out
    assert "of unknown origin" in program("card", "list").out
