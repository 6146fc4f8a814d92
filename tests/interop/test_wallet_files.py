"""Other wallets' own files: each is read, or refused, as the index beside them says."""

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import CoordinatorError
from coordinator.interop.recognition import read_bytes, read_keys
from coordinator.interop.wallet_file import WalletFile, address, first_address
from psbt.errors import PolicyError
from psbt.network import Network

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
WALLETS = {
    "BIP 388-like policy",
    "BSMS",
    "Caravan",
    "Coldcard multisig text",
    "Electrum wallet file",
    "Jade multisig registration",
    "Specter JSON",
    "Specter-DIY addwallet text",
    "descriptor text",
    "encrypted descriptor backup",
    "miniscript descriptor",
}
KEYS = {"Coldcard ccxp JSON"}
# Where a file is read otherwise than its index says, and why.
OTHERWISE = {
    "sparrow/descriptor-receive-change1.txt": "a single key",
    "sparrow/descriptor-receive.txt": "a single key",
    "jade/descriptor/descriptor_ss_liana_long_script.json": "a miniscript policy",
    "jade/descriptor/descriptor_ss_p2sh_example.json": "a miniscript policy",
    "jade/descriptor/descriptor_tr.json": "a taproot wallet",
    "jade/reg/multisig_reg_liquid_matches_ga_2of2.json": "for Liquid, not for Bitcoin",
    "jade/reg/multisig_reg_ss_liquid_1of2.json": "for Liquid, not for Bitcoin",
}
SCRIPTS = {"p2sh": "sh", "p2sh-p2wsh": "sh-wsh", "p2sh_p2wsh": "sh-wsh", "p2wsh": "wsh"}


def indexed(formats: set[str]) -> list[Any]:
    """Return the entries of these formats, or one that is skipped where no index is here."""
    if not (FOLDER / "index.json").exists():
        return [pytest.param({}, marks=pytest.mark.skip("no ../shared/vectors/interop here"))]
    entries = json.loads((FOLDER / "index.json").read_text())
    return [
        pytest.param(entry, id=entry["file"])
        for entry in entries
        if entry["format"] in formats and not entry.get("extracted")
    ]


def network_of(entry: dict[str, Any]) -> Network:
    """Return the network an entry's keys are for."""
    text = (FOLDER / entry["file"]).read_text("utf-8", "replace")
    return Network.TESTNET4 if any(p in text for p in ("tpub", "Upub", "Vpub")) else Network.MAINNET


def read(entry: dict[str, Any]) -> WalletFile:
    data = (FOLDER / entry["file"]).read_bytes()
    return read_bytes(data, network_of(entry), entry["file"])


@pytest.mark.parametrize("entry", indexed(WALLETS))
def test_a_wallets_file_is_read_as_its_index_says(entry: dict[str, Any]) -> None:
    expected = entry["expect"]
    if entry["file"] in OTHERWISE:
        with pytest.raises(PolicyError, match=OTHERWISE[entry["file"]]):
            read(entry)
    elif expected.get("accept") in (False, "watch", "other format"):
        with pytest.raises((PolicyError, CoordinatorError)):
            read(entry)
    elif expected.get("accept") == "peers differ":
        judge_either(entry)
    else:
        judge(read(entry), entry)


def judge_either(entry: dict[str, Any]) -> None:
    """Accept a refusal, or what the index says."""
    try:
        found = read(entry)
    except PolicyError:
        return
    judge(found, entry)


def judge(found: WalletFile, entry: dict[str, Any]) -> None:
    """Hold what was read against the index: quorum, order, script, addresses, what is odd."""
    expected, network = entry["expect"], network_of(entry)
    told = {
        "m": found.threshold,
        "n": len(found.keys),
        "sorted": found.sorted,
        "address0": first_address(found, network),
        "change0": address(found, 1, 0, network=network),
    }
    for name, value in told.items():
        assert expected.get(name, value) == value, name
    if "script" in expected:
        assert found.script == SCRIPTS[expected["script"].lower()]
    for keychain, index, given in jade_addresses(entry):
        assert address(found, keychain, index, network=network) == given
    codes = {each.code for each in found.warnings}
    assert ("private_material" in codes) == (expected.get("accept") == "warn")
    assert ("origin_differs" in codes) == any(
        "key has depth" in problem for problem in expected.get("problems", ())
    ) or "multideriv" in entry["file"]


def jade_addresses(entry: dict[str, Any]) -> list[tuple[int, int, str]]:
    """Return the addresses a Jade gives, by keychain and index."""
    if not entry["file"].startswith("jade/") or entry["file"].endswith(".dat"):
        return []
    tests = json.loads((FOLDER / entry["file"]).read_text())["address_tests"]
    return [
        (*(test["paths"][0] if "paths" in test else (test["branch"], test["pointer"])),
         test["expected_address"])
        for test in tests
    ]  # fmt: skip


@pytest.mark.parametrize("entry", indexed(KEYS))
def test_a_signers_key_file_is_read_as_its_index_says(entry: dict[str, Any]) -> None:
    data = (FOLDER / entry["file"]).read_bytes()
    found = read_keys(data, entry["file"])
    assert {each.script for each in found.keys} == {"wsh", "sh-wsh", "sh"}
    assert [each.warning for each in found.keys] == [None, None, None]
    told = entry["expect"]["keys"]
    depths = {
        SCRIPTS[name.replace("p2wsh_p2sh", "p2sh_p2wsh")]: each["depth"]
        for name, each in told.items()
    }
    assert {each.script: each.key.key.depth for each in found.keys} == depths
    with pytest.raises(PolicyError, match="the keys of one signer"):
        read_bytes(data, Network.TESTNET4, entry["file"])
