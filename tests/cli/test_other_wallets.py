"""Wallets come in from other programs' files, and go out to them."""

import json
from pathlib import Path

import pytest

from coordinator.interop import bsms, descriptors, writing
from coordinator.interop.wallet_file import wallet_of
from psbt.policy import format_descriptor
from tests.program import Asked, asking
from tests.psbt.soft_vault import soft_vault

POLICY = soft_vault(2, 3).policy
DESCRIPTOR = format_descriptor(POLICY)
WALLET = wallet_of(POLICY, "family", ("aunt", "uncle", "cousin"))
TOKEN = "a54044308ceac9b7"
FORMATS = [*writing.FORMATS, "json"]


@pytest.fixture
def home(tmp_path: Path) -> Asked:
    """Return a watch-only home."""
    asked = asking(tmp_path / "home")
    asked("init", "--network", "regtest", "--chain", "none:")
    return asked


def brought(home: Asked, text: str, *words: str, check: int = 0) -> dict[str, object]:
    """Import a text as vault v, unless the words name it otherwise."""
    named = () if "--name" in words else ("--name", "v")
    return home("vault", "import", "-", *named, *words, stdin=text, check=check)


def test_an_export_of_every_format_is_the_same_vault_again(home: Asked) -> None:
    made = brought(home, DESCRIPTOR)
    assert (made["known"], made["approved"], made["warnings"]) == (False, False, [])
    for format_ in FORMATS:
        shown = home("vault", "export", "v", "--format", format_)
        assert shown["text"] == "\n".join(shown["parts"])
        again = brought(home, shown["text"], "--name", format_)
        assert (again["known"], again["name"], again["checksum"]) == (True, "v", made["checksum"])


def test_the_format_is_told_and_the_cosigners_keep_their_names(home: Asked) -> None:
    made = brought(home, writing.write(WALLET, POLICY.network, "caravan")[0])
    assert made["format"] == "Caravan wallet"
    assert [each["label"] for each in made["cosigners"]] == ["aunt", "uncle", "cousin"]
    assert [each["carriers"] for each in made["cosigners"]] == [[], [], []]


def test_what_is_odd_is_a_warning_and_the_vault_is_there(home: Asked) -> None:
    made = brought(home, descriptors.pair(WALLET, POLICY.network)[0])
    assert [each["code"] for each in made["warnings"]] == ["change_assumed"]
    assert made["descriptor"] == DESCRIPTOR


def test_a_repair_needs_its_own_accept(home: Asked) -> None:
    bare = descriptors.without_children(WALLET, POLICY.network)
    error = brought(home, bare, check=5)["error"]
    assert error["codes"] == ["add_children"]
    assert "--accept add_children" in error["hint"]
    assert home("vault", "list")["vaults"] == []
    made = brought(home, bare, "--accept", "add_children")
    assert made["descriptor"] == DESCRIPTOR
    assert made["first_address"] in made["warnings"][0]["message"]


def test_an_encrypted_record_asks_for_its_token(home: Asked) -> None:
    record = bsms.encrypted(bsms.write(WALLET, POLICY.network), bytes.fromhex(TOKEN))
    error = brought(home, record, check=5)["error"]
    assert (error["code"], "--token" in error["hint"]) == ("not_importable", True)
    assert "another" not in brought(home, record, "--token", "0" * 16, check=5)["error"]["hint"]
    assert brought(home, record, "--token", TOKEN)["descriptor"] == DESCRIPTOR


def test_a_file_ahead_of_the_chain_does_not_stop_the_import(home: Asked) -> None:
    text = json.loads(writing.write(WALLET, POLICY.network, "specter")[0])
    text["blockheight"] = 2**31 - 1
    made = brought(home, json.dumps(text))
    assert made["birthday_height"] in (None, 2**31 - 1)


def test_format_and_wallet_are_chosen_by_name(home: Asked) -> None:
    assert brought(home, DESCRIPTOR, "--format", "descriptor")["known"] is False
    error = brought(home, DESCRIPTOR, "--format", "sealed", check=2)["error"]
    assert "expected one of bsms" in error["message"]
    error = brought(home, DESCRIPTOR, "--wallet", "other", check=2)["error"]
    assert "no one wallet 'other'" in error["message"]
