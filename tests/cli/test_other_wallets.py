"""Wallets come in from other programs' files, and go out to them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.interop import bsms, descriptors, writing
from coordinator.interop.wallet_file import first_address, wallet_of
from psbt.policy import checksum, format_descriptor
from tests.program import PIN, Asked, asking
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


def test_an_annotation_ahead_of_the_chain_does_not_stop_the_import(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    brought(asked, DESCRIPTOR)
    asked("sync", "v")
    other = descriptors.multipath(replace(WALLET, threshold=1), POLICY.network)
    body = f"{other.partition('#')[0]}?bh=840000"
    made = brought(asked, f"{body}#{checksum(body)}", "--name", "later")
    assert made["birthday_height"] is None
    assert [each["code"] for each in made["warnings"]] == ["birthday_ahead"]


def test_format_and_wallet_are_chosen_by_name(home: Asked) -> None:
    assert brought(home, DESCRIPTOR, "--format", "descriptor")["known"] is False
    error = brought(home, DESCRIPTOR, "--format", "sealed", check=2)["error"]
    assert "expected one of bsms" in error["message"]
    error = brought(home, DESCRIPTOR, "--wallet", "other", check=2)["error"]
    assert "no one wallet 'other'" in error["message"]


@pytest.mark.parametrize("script", ["wsh", "sh-wsh", "sh"])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_every_script_and_order_comes_in_and_goes_out(
    home: Asked, script: str, *, is_sorted: bool
) -> None:
    wallet = replace(WALLET, script=script, sorted=is_sorted)
    made = brought(home, descriptors.multipath(wallet, POLICY.network))
    assert made["script"] == script
    assert made["first_address"] == first_address(wallet, POLICY.network)
    for format_ in ("core", "bsms", "specter", "bip388", "ur"):
        text = home("vault", "export", "v", "--format", format_)["text"]
        assert brought(home, text)["known"]


def test_the_same_keys_under_another_script_or_order_are_another_vault(home: Asked) -> None:
    turned = replace(WALLET, keys=WALLET.keys[::-1])
    names = []
    for wallet in (
        WALLET,
        turned,
        replace(WALLET, script="sh-wsh"),
        replace(WALLET, sorted=False),
        replace(turned, sorted=False),
    ):
        text = descriptors.multipath(wallet, POLICY.network)
        names.append(brought(home, text, "--name", f"v{len(names)}")["name"])
    assert names == ["v0", "v0", "v2", "v3", "v4"]


def test_other_keychains_are_another_vault_and_are_kept(home: Asked) -> None:
    pairs = ((0, 1), (2, 3), (0, 1))
    keys = tuple(k._replace(keychains=p) for k, p in zip(WALLET.keys, pairs, strict=True))
    wallet = replace(WALLET, keys=keys)
    brought(home, DESCRIPTOR, "--name", "usual")
    made = brought(home, descriptors.multipath(wallet, POLICY.network))
    assert (made["known"], made["name"]) == (False, "v")
    assert made["policy"] == "wsh(sortedmulti(2,@0/**,@1/<2;3>/*,@2/**))"
    assert made["first_address"] == first_address(wallet, POLICY.network)
    for format_ in ("descriptor", "pair", "core", "bip388", "ur", "json"):
        text = home("vault", "export", "v", "--format", format_)["text"]
        assert brought(home, text)["known"]
    error = home("vault", "export", "v", "--format", "coldcard", check=2)["error"]
    assert "key usual-2 has 2 and 3" in error["message"]


def watched(tmp_path: Path, descriptor: str) -> Asked:
    """Return a home that watches a descriptor, in which the cards of the vault lie."""
    heirs = tmp_path / "heirs"
    asked = asking(heirs)
    asked("init", "--network", "regtest")
    shutil.copytree(tmp_path / "home" / "emulated", heirs / "emulated", dirs_exist_ok=True)
    asked("vault", "import", "-", "--name", "w", stdin=descriptor)
    return asked


def without_origins(vault: Asked) -> str:
    """Return the vault's descriptor with no key's origin."""
    return re.sub(r"\[[^\]]*\]", "", vault("vault", "show", "v")["descriptor"].partition("#")[0])


ENROL = ("card", "enrol", "mine", "--emulated", "a", "--pin-stdin")


def test_a_card_that_is_enrolled_later_puts_its_keys_origin_right(
    vault: Asked, tmp_path: Path
) -> None:
    shown = vault("vault", "show", "v")
    home = watched(tmp_path, without_origins(vault))
    before = home("vault", "show", "w")
    assert before["first_address"] == shown["first_address"]
    enrolled = home(*ENROL, stdin=PIN)
    assert enrolled["origin"] == {"mended": ["w"], "kept": []}
    after = home("vault", "show", "w")
    assert after["cosigners"][0]["key"] == shown["cosigners"][0]["key"]
    assert after["cosigners"][0]["carriers"] == ["card:mine"]
    assert after["cosigners"][1] == before["cosigners"][1]
    assert after["first_address"] == shown["first_address"]
    assert after["checksum"] != before["checksum"]
    assert home("vault", "verify", "w", "--pin-stdin", stdin=f"mine={PIN}")["verified"]
    assert home(*ENROL, stdin=PIN)["origin"] == {"mended": [], "kept": []}


def test_an_approved_vault_keeps_the_origin_that_was_approved(vault: Asked, tmp_path: Path) -> None:
    home = watched(tmp_path, without_origins(vault))
    before = home("vault", "approve", "w", "--checksum", home("vault", "show", "w")["checksum"])
    assert home(*ENROL, stdin=PIN)["origin"] == {"mended": [], "kept": ["w"]}
    after = home("vault", "show", "w")
    assert (after["descriptor"], after["approved"]) == (before["descriptor"], True)


@pytest.mark.parametrize(
    "words",
    [
        "vault import FILE --name w",
        "recover FILE --name w",
        "key import FILE --name k",
        "spend import v FILE",
        "tx broadcast FILE",
        "coin import v FILE",
        "label import FILE",
        "spend create v --csv FILE --feerate 2",
    ],
)
def test_a_refusal_names_the_file(home: Asked, tmp_path: Path, words: str) -> None:
    made = brought(home, DESCRIPTOR)
    home("vault", "approve", "v", "--checksum", str(made["checksum"]))
    file = tmp_path / "found.txt"
    for text in ("nothing of use", '{"of": "no format"}', "cHNidP8B", "wsh(sortedmulti(2,"):
        file.write_text(text)
        given = [str(file) if word == "FILE" else word for word in words.split()]
        message = home(*given, check=None)["error"]["message"]
        assert message.startswith(f"{file}: ")
        assert message.count(file.name) == 1
