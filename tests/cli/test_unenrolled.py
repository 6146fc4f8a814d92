"""A card that is not enrolled in a home may carry a key of its vault: said, mended when asked."""

import shutil
from pathlib import Path

import pytest

from tests.cli.terminal import at_terminal
from tests.program import PIN, Asked, asking, made_vault


@pytest.fixture
def heirs(asked: Asked, tmp_path: Path) -> Path:
    """A home that knows the vault alone, and in which the cards lie, and one more."""
    made_vault(asked, ("satochip", "tapsigner", "keycard"))
    descriptor = asked("vault", "export", "v")["descriptor"]
    (tmp_path / "vault").write_text(descriptor)
    home = tmp_path / "heirs"
    ask = asking(home)
    ask("init", "--network", "regtest")
    ask("vault", "import", str(tmp_path / "vault"), "--name", "family")
    ask("vault", "approve", "family", "--checksum", descriptor.partition("#")[2])
    shutil.copytree(tmp_path / "home" / "emulated", home / "emulated", dirs_exist_ok=True)
    ask("emulate", "new", "keycard", "other")
    return home


VERIFY = ("vault", "verify", "family")


@pytest.mark.parametrize("label", ["a", "b", "c"])
def test_it_is_named_with_the_command_that_enrols_it(heirs: Path, label: str) -> None:
    ask, number = asking(heirs), "abc".index(label) + 1
    refused = ask(*VERIFY, "--emulated", label, "--pin-stdin", stdin=PIN, check=3)["error"]
    assert refused["code"] == "card_not_enrolled"
    assert f"key {number} of family" in refused["message"]
    command = f"cardquorum card enrol LABEL --emulated '{label}'"
    assert refused["hint"] == f"enrol it: {command}"
    words = ("card", "enrol", "mine", "--emulated", label, "--pin-stdin")
    assert ask(*words, stdin=PIN)["vaults"] == [{"vault": "family", "number": number}]
    assert ask(*VERIFY, "--pin-stdin", stdin=f"mine={PIN}")["verified"]


def test_a_drill_names_it_too(heirs: Path) -> None:
    ask = asking(heirs)
    drill = ask("drill", "start", "family")["drill"]
    words = ("drill", "sign", drill, "--emulated", "c", "--pin-stdin")
    (card,) = ask(*words, stdin=PIN, check=3)["cards"]
    assert card["error"]["code"] == "card_not_enrolled"


def test_it_is_enrolled_where_a_person_says_so(heirs: Path) -> None:
    answers = [("Enrol it now, as", "heir"), ("PIN of card heir", PIN)]
    seen = at_terminal(heirs, (*VERIFY, "--emulated", "c"), answers)
    assert seen.status == 0, seen.screen
    assert "this is key 3 of family: enrolled as card heir" in seen.screen
    assert "proved: " in seen.screen
    assert asking(heirs)("card", "show", "heir")["family"] == "keycard"


def test_a_drill_enrols_it_and_has_it_sign(heirs: Path) -> None:
    ask = asking(heirs)
    drill = ask("drill", "start", "family")["drill"]
    answers = [("Enrol it now, as", "heir"), ("PIN of card heir", PIN)]
    seen = at_terminal(heirs, ("drill", "sign", drill.upper(), "--emulated", "c"), answers)
    assert seen.status == 0, seen.screen
    assert ask("drill", "show", drill)["have"] == 1


def test_nothing_typed_leaves_it(heirs: Path) -> None:
    seen = at_terminal(heirs, (*VERIFY, "--emulated", "c"), [("Enrol it now, as", "")])
    assert seen.status == 3
    assert "card enrol LABEL" in seen.screen
    assert asking(heirs)("card", "list")["cards"] == []


def test_a_card_that_carries_none_of_the_keys_is_not_enrolled(heirs: Path) -> None:
    answers = [("Enrol it now, as", "heir"), ("PIN of card heir", PIN)]
    seen = at_terminal(heirs, (*VERIFY, "--emulated", "other"), answers)
    assert seen.status == 3
    assert "carries no key of it" in seen.screen
    assert asking(heirs)("card", "list")["cards"] == []


def test_where_every_key_has_its_card_a_stranger_is_a_wrong_card(asked: Asked, heirs: Path) -> None:
    assert heirs
    asked("emulate", "new", "keycard", "other")
    words = ("vault", "verify", "v", "--emulated", "other", "--pin-stdin")
    refused = asked(*words, stdin=PIN, check=3)["error"]
    assert refused["code"] == "wrong_card"
    assert "not enrolled here" in refused["message"]


def test_a_card_that_is_enrolled_with_another_of_its_keys_is_named(
    asked: Asked, heirs: Path
) -> None:
    assert asked
    ask = asking(heirs)
    words = ("card", "enrol", "mine", "--emulated", "c", "--path", "48h/1h/7h/2h", "--pin-stdin")
    assert ask(*words, stdin=PIN)["vaults"] == []
    refused = ask(*VERIFY, "--emulated", "c", "--pin-stdin", stdin=f"mine={PIN}", check=3)["error"]
    assert refused["code"] == "card_not_enrolled"
    assert "key 3 of family" in refused["message"]
    assert "key 1" not in refused["message"]
    assert "card enrol mine" in refused["hint"]
    ask("card", "enrol", "mine", "--emulated", "c", "--pin-stdin", stdin=PIN)
    assert ask(*VERIFY, "--pin-stdin", stdin=f"mine={PIN}")["verified"]


@pytest.fixture
def tangem(asked: Asked, tmp_path: Path) -> Path:
    """A home in which the vault's Satochips are enrolled, and its Tangem is not."""
    made_vault(asked, ("satochip", "satochip", "tangem"))
    descriptor = asked("vault", "export", "v")["descriptor"]
    (tmp_path / "vault").write_text(descriptor)
    home = tmp_path / "heirs"
    ask = asking(home)
    ask("init", "--network", "regtest")
    ask("vault", "import", str(tmp_path / "vault"), "--name", "family")
    ask("vault", "approve", "family", "--checksum", descriptor.partition("#")[2])
    shutil.copytree(tmp_path / "home" / "emulated", home / "emulated", dirs_exist_ok=True)
    for label in "ab":
        ask("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    return home


def test_a_silent_card_of_another_family_than_those_enrolled_is_presented_no_pin(
    tangem: Path,
) -> None:
    ask = asking(tangem)
    drill = ask("drill", "start", "family")["drill"]
    here = ("--emulated", "c", "--pin-stdin")
    refused = ask(*VERIFY, *here, stdin="000000", check=3)["error"]
    (card,) = ask("drill", "sign", drill, *here, stdin="000000", check=3)["cards"]
    for error in (refused, card["error"]):
        assert error["code"] == "card_not_enrolled"
        assert "key 3 of family" in error["message"]


@pytest.mark.parametrize("command", ["verify", "drill"])
def test_a_silent_card_is_enrolled_where_a_person_says_so(tangem: Path, command: str) -> None:
    ask = asking(tangem)
    words = ("drill", "sign", ask("drill", "start", "family")["drill"])
    answers = [("Enrol it now, as", "heir"), ("PIN of card heir", PIN)]
    chosen = VERIFY if command == "verify" else words
    seen = at_terminal(tangem, (*chosen, "--emulated", "c"), answers)
    assert seen.status == 0, seen.screen
    assert "this is key 3 of family: enrolled as card heir" in seen.screen
    assert ask("card", "show", "heir")["family"] == "tangem"
