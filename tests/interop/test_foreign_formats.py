"""Each format by itself: what contradicts, is missing or is odd is named by field or line."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from coordinator.errors import NotImportable
from coordinator.interop import writing
from coordinator.interop.recognition import read_bytes, read_text
from coordinator.interop.wallet_file import (
    WalletFile,
    first_address,
    is_same_wallet,
    key_expression,
    wallet_of,
)
from psbt.errors import PolicyError
from psbt.keys import format_xpub
from psbt.network import Network
from tests.psbt.soft_vault import soft_vault

POLICY = soft_vault(2, 3).policy
HERE = POLICY.network
WALLET = wallet_of(POLICY, "family", ("a", "b", "c"))
XPUBS = [format_xpub(key.key, HERE) for key in POLICY.keys]
JADE: dict[str, Any] = {
    "network": "localtest",
    "multisig_name": "family",
    "descriptor": {
        "variant": "wsh(multi(k))",
        "sorted": True,
        "threshold": 2,
        "signers": [
            {
                "fingerprint": key.fingerprint.hex(),
                "derivation": list(key.path),
                "xpub": xpub,
                "path": [],
            }
            for key, xpub in zip(POLICY.keys, XPUBS, strict=True)
        ],
    },
}
Change = Callable[[dict[str, Any]], object]


def written(format_: str) -> str:
    return writing.write(WALLET, HERE, format_)[0]


def changed(format_: str, change: Change) -> str:
    """Return a JSON format after a change."""
    document = json.loads(written(format_)) if format_ != "jade" else json.loads(json.dumps(JADE))
    change(document)
    return json.dumps(document)


def put(*path: object) -> Change:
    """Return the change that puts the last of these at the place that those before it name."""

    def change(document: dict[str, Any]) -> None:
        *places, name, value = path
        inner: Any = document
        for place in places:
            inner = inner[place]
        inner[name] = value

    return change


def codes(found: WalletFile) -> list[str]:
    return [each.code for each in (*found.warnings, *found.repairs)]


@pytest.mark.parametrize(
    ("format_", "change", "told"),
    [
        ("caravan", put("quorum", "requiredSigners", 0), "says 0 of 3 keys"),
        ("caravan", put("quorum", "requiredSigners", "2"), "requiredSigners is '2'"),
        ("caravan", put("quorum", "totalSigners", 2), "totalSigners 2, and holds 3"),
        ("caravan", put("addressType", "P2TR"), "a taproot wallet"),
        ("caravan", put("network", "liquid"), "network is 'liquid'"),
        ("caravan", put("network", "mainnet"), "for mainnet, and its keys are for regtest"),
        ("caravan", put("extendedPublicKeys", 1, "xpub", XPUBS[0]), "keys 1 and 2 .* same key"),
        ("caravan", put("extendedPublicKeys", 1, "xfp", "xyz"), "no fingerprint"),
        ("caravan", put("extendedPublicKeys", 1, "bip32Path", "m/x"), "no step of a derivation"),
        ("electrum", put("wallet_type", "3of2"), "is 3of2"),
        ("electrum", put("wallet_type", "2of2"), "holds more keys than that"),
        ("electrum", put("wallet_type", "2of4"), "x4/ is missing"),
        ("electrum", put("wallet_type", "standard"), "of a single key"),
        ("electrum", put("wallet_type", "2fa"), "second factor"),
        ("electrum", put("seed_version", 11), "before 2.7"),
        ("electrum", put("x1/", "xpub", XPUBS[0]), "no one script type"),
        ("electrum", put("addresses", {"receiving": ["bcrt1qqqq"]}), "cannot be read"),
        ("jade", put("descriptor", "variant", "tr(k)"), "unknown variant 'tr.k.'"),
        ("jade", put("descriptor", "threshold", 4), "says 4 of 3 keys"),
        ("jade", put("descriptor", "master_blinding_key", "00"), "for Liquid"),
        ("jade", put("network", "localtest-liquid"), "for Liquid"),
        ("jade", put("descriptor", "signers", 0, "path", [1 << 31]), "need the private key"),
        ("jade", put("descriptor", "signers", 0, "derivation", ["48h"]), "whole number"),
        ("specter", put("descriptor", 7), "no wallet format known|not a text"),
        ("specter", put("blockheight", -1), "blockheight is -1"),
    ],
)
def test_what_contradicts_is_refused_by_field(format_: str, change: Change, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        read_text(changed(format_, change), HERE)


@pytest.mark.parametrize(
    ("format_", "change", "code"),
    [
        ("caravan", put("extendedPublicKeys", 0, "xfp", "Unknown"), "origin_unknown"),
        ("caravan", put("extendedPublicKeys", 0, "bip32Path", "Unknown"), "origin_unknown"),
        ("caravan", put("extendedPublicKeys", 0, "bip32Path", "m/45'"), "origin_differs"),
        ("caravan", put("startingAddressIndex", 5), "starting_index"),
        ("caravan", put("network", "testnet"), "other_test_network"),
        ("electrum", put("x1/", "xprv", "anything"), "private_material"),
        ("electrum", put("seed", "some words"), "private_material"),
        ("electrum", put("x1/", "root_fingerprint", None), "origin_unknown"),
        ("jade", put("descriptor", "signers", 0, "fingerprint", "00000000"), "origin_unknown"),
    ],
)
def test_what_is_odd_is_a_warning_and_the_wallet_the_same(
    format_: str, change: Change, code: str
) -> None:
    found = read_text(changed(format_, change), HERE)
    assert code in codes(found)
    assert is_same_wallet(found, WALLET)
    assert all("anything" not in each.message for each in found.warnings)


def test_keys_of_another_network_are_written_anew_where_the_file_is_for_this_one() -> None:
    document = json.loads(written("caravan"))
    for key, each in zip(document["extendedPublicKeys"], POLICY.keys, strict=True):
        key["xpub"] = format_xpub(each.key, Network.MAINNET)
    found = read_text(json.dumps(document), HERE)
    assert [each.code for each in found.repairs] == ["rewrite_network"]
    assert first_address(found, HERE) == first_address(WALLET, HERE)
    del document["network"]
    with pytest.raises(PolicyError, match="is for mainnet, not for regtest"):
        read_text(json.dumps(document), HERE)
    document["extendedPublicKeys"][0]["xpub"] = XPUBS[0]
    with pytest.raises(PolicyError, match="mixes keys of two networks: tpub, xpub"):
        read_text(json.dumps(document), HERE)


def test_a_coldcards_fingerprint_in_electrum_is_a_number_last_byte_first() -> None:
    def coldcard(document: dict[str, Any]) -> None:
        for number, key in enumerate(POLICY.keys, 1):
            document[f"x{number}/"]["root_fingerprint"] = None
            document[f"x{number}/"]["ckcc_xfp"] = int.from_bytes(key.fingerprint, "little")

    found = read_text(changed("electrum", coldcard), HERE)
    assert [key.fingerprint for key in found.keys] == [key.fingerprint for key in POLICY.keys]


def test_electrums_own_first_address_is_held_against_its_keys() -> None:
    told = {"receiving": [first_address(WALLET, HERE)], "change": []}
    assert read_text(changed("electrum", put("addresses", told)), HERE).first_address


def test_a_jade_registration_is_read_alone_and_as_a_message() -> None:
    for document in (JADE, {"id": "1", "method": "register_multisig", "params": JADE}):
        found = read_text(json.dumps(document), HERE)
        assert is_same_wallet(found, WALLET)
        assert found.name == "family"
    unsorted = read_text(changed("jade", put("descriptor", "sorted", False)), HERE)
    assert unsorted.form == "wsh(multi(2 of 3))"


COLDCARD = written("coldcard")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Policy: 2 of 3", "Policy: 2 of 2", "2 of 2 by its policy, and holds 3 keys"),
        ("Policy: 2 of 3", "Policy: two", "line 3 .* 'two' is no policy M of N"),
        ("Policy: 2 of 3", "", "a threshold must not be guessed"),
        ("Policy: 2 of 3", "Policy: 2 of 3\nPolicy: 2 of 3", "line 4 .* which line 3 says already"),
        ("Format: P2WSH", "Format: P2TR", "a taproot wallet"),
        ("Format: P2WSH", "Format: P2XX", "unknown format 'P2XX'; expected one of P2SH"),
        ("Format: P2WSH", "Format: P2WSH\nSorted: maybe", "sorted is 'maybe'"),
        ("Format: P2WSH", "seed: abandon abandon", "holds a seed"),
        ("Format: P2WSH", "only words", "no label: value"),
        (XPUBS[0], "tprv8" + XPUBS[0][5:], "a private key"),
        (XPUBS[0], "abandon abandon about", "words where a public key belongs"),
        (XPUBS[0], XPUBS[0][:-1], "110 characters"),
        (XPUBS[0], XPUBS[0] + "/0/*", "behind it"),
        (XPUBS[1], XPUBS[0], "keys 1 and 2 .* the same key"),
        ("m/48'/1'/0'/2'", "m/" + "1/" * 22 + "1", "has 23 steps, the key has depth 4"),
    ],
)
def test_a_coldcards_text_that_is_wrong_is_refused_by_line(old: str, new: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        read_text(COLDCARD.replace(old, new, 1), HERE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Policy: 2 of 3", "POLICY : 2/3"),
        ("Policy: 2 of 3", "policy:2-of-3"),
        ("Format: P2WSH", "format: p2wsh"),
        ("\n", "\r\n"),
        ("\n", "\r"),
        ("# Multisig", "\ufeff# Multisig"),
        ("'", "h"),
        ("Name: family", "# no name"),
    ],
)
def test_dialects_of_coldcards_text_are_the_same_wallet(old: str, new: str) -> None:
    found = read_bytes(COLDCARD.replace(old, new).encode(), HERE, "the file")
    assert is_same_wallet(found, WALLET)
    assert codes(found) == []


def test_one_derivation_stands_for_all_keys_that_follow() -> None:
    first, *others = COLDCARD.split("Derivation: m/48'/1'/0'/2'\n")
    text = first + "Derivation: m/48'/1'/0'/2'\n" + "".join(others)
    assert [key_expression(key) for key in read_text(text, HERE).keys] == list(POLICY.keys)


def test_a_coldcards_text_without_a_format_is_p2sh_and_says_so() -> None:
    found = read_text(COLDCARD.replace("Format: P2WSH", ""), HERE)
    assert (found.script, codes(found)[-1]) == ("sh", "format_assumed")
    assert "path_of_other_script" in codes(found)


def test_specters_own_file_has_both_keychains() -> None:
    receive, change = written("pair").splitlines()
    document = {"name": "w", "recv_descriptor": receive, "change_descriptor": change, "keys": []}
    found = read_text(json.dumps({**document, "blockheight": 7}), HERE)
    assert (found.name, found.birthday_height, codes(found)) == ("w", 7, [])
    other = replace(WALLET, threshold=1)
    document["change_descriptor"] = writing.write(other, HERE, "pair")[0].splitlines()[1]
    with pytest.raises(PolicyError, match=r"two wallets|keychains 1"):
        read_text(json.dumps(document), HERE)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"psbt\xff\x01", "a PSBT"),
        (b"cHNidP8BAA==", "a PSBT"),
        (b"70736274ff01", "a PSBT"),
        (b"%PDF-1.4", "a PDF"),
        (b"BEB\x00", "before BIP 138"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"H:2,block:", "Sparrow's own"),
        (b"SQLite format 3\x00", "a database"),
        (b"QklFMQORsaKx", "encrypted Electrum"),
        (b"{'seed_version': 11, 'seed': 'x'}", "before 2.7"),
        (XPUBS[0].encode(), "one key"),
    ],
)
def test_another_kind_of_file_is_named_with_what_to_do(data: bytes, told: str) -> None:
    with pytest.raises(NotImportable, match=told) as refused:
        read_bytes(data, HERE, "the file")
    assert refused.value.remedy
