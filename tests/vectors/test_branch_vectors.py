"""Policies with branches of other wallets, read where they lie: some may not be copied."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from psbt.errors import PolicyError
from psbt.forms import quorums_of
from psbt.miniscript import Node, parse, script
from psbt.network import Network
from psbt.policy import addresses, format_descriptor, parse_descriptor, policy_checksum

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
ABSENT = not (FOLDER / "index.json").is_file()
pytestmark = pytest.mark.skipif(ABSENT, reason="no shared vectors here")

LIANA_READ = {0, 2, 4, 5, 6, 8, 9, 18, 20, 22, 24, 26, 30, 34, 35, 39, 45}
LIANA_REFUSED = {
    13: r"not recognised is andor\(pk\(@0\),older\(10000\),pk\(@1\)\): expected a form",
    14: r"not recognised is pk\(@0\): expected and_v",
    15: r"not recognised is andor",
    16: r"not recognised is andor",
    17: r"not recognised is andor",
    28: r"recognised are 2 of 3 keys and 1 of 2 keys after 1678 blocks and .*: 3 recovery branches",
    46: r"not recognised is c:or_i\(…\): expected multi, pk or pkh as the primary branch",
}


def loaded(name: str) -> Any:  # noqa: ANN401 -- JSON
    return [] if ABSENT else json.loads((FOLDER / name).read_text())


def inside(text: str) -> str:
    return text.partition("#")[0].removeprefix("wsh(").removesuffix(")")


LIANA = {
    each["id"]: inside(each["text"])
    for each in loaded("liana/descriptors.json")
    if each["kind"] == "descriptor" and each["text"].startswith("wsh(")
}


@pytest.mark.parametrize("number", LIANA)
def test_each_of_lianas_descriptors_is_read_or_refused_by_name(number: int) -> None:
    if number in LIANA_READ:
        primary, *late = quorums_of(parse(LIANA[number]).node)
        assert primary.wait is None
        assert all(quorum.wait and quorum.wait.blocks for quorum in late)
        return
    with pytest.raises(PolicyError, match=LIANA_REFUSED[number]):
        quorums_of(parse(LIANA[number]).node)


def test_lianas_two_stages_are_told_apart() -> None:
    if not LIANA:
        pytest.skip("no shared vectors here")
    primary, first, second = quorums_of(parse(LIANA[39]).node)
    found = [
        (q.threshold, len(q.places), q.wait and q.wait.blocks) for q in (primary, first, second)
    ]
    assert found == [(3, 3, None), (2, 3, 3), (3, 3, 6)]


POLICIES = [
    pytest.param(each["expect"], id=each["file"])
    for each in loaded("index.json")
    if each["file"].startswith("jade/descriptor/descriptor_ss_liana")
]


@pytest.mark.parametrize("expect", POLICIES)
def test_addresses_are_those_a_signer_publishes(expect: dict[str, Any]) -> None:
    if "or_i(" in expect["descriptor"]:
        with pytest.raises(PolicyError, match="recovery branches"):
            parse_descriptor(expect["descriptor"], Network.TESTNET4)
        return
    policy = parse_descriptor(expect["descriptor"], Network.TESTNET4)
    for keychain, index, address in expect["peer_addresses"]:
        assert list(addresses(policy, keychain, [index])) == [address]


def test_lianas_own_file_is_read_with_its_address() -> None:
    (expect,) = (e["expect"] for e in loaded("index.json") if e["file"].endswith("jz5sm0xn.txt"))
    text = (FOLDER / "liana" / "liana-jz5sm0xn.txt").read_text()
    policy = parse_descriptor(text, Network.TESTNET4)
    assert list(addresses(policy, 0, [0])) == [expect["descriptors"][0]["address0"]]
    assert format_descriptor(policy).endswith("older(52596))))#" + policy_checksum(policy))
    assert [branch.name for branch in policy.branches] == ["primary", "recovery"]
    assert len(policy.all_keys) == 1


SCRIPTS = [
    pytest.param(each["miniscript"], each["p2wsh_script"], id=str(number))
    for number, each in enumerate(loaded("btclib/miniscript_fixed_tests.json"))
    if each["valid"] and each["p2wsh_script"]
]


@pytest.mark.parametrize(("text", "wanted"), SCRIPTS)
def test_scripts_are_those_of_cores_tests(text: str, wanted: str) -> None:
    """Those of the fragments known here; what else Core knows is not written wrongly."""
    try:
        parsed = parse(text)
    except PolicyError:
        return
    if known(parsed.node):
        points = [bytes.fromhex(key) for key in parsed.keys]
        assert script(parsed.node, points).hex() == wanted


def known(node: Node) -> bool:
    leaf = node.name in ("pk", "pkh", "multi", "older", "after")
    return bool(leaf or node.arguments) and all(map(known, node.arguments))


BIP388 = [
    pytest.param(each, id=each["title"])
    for each in loaded("bips/bip388.json")
    if each.get("valid") and re.search(r"older|after", each["template"])
]


@pytest.mark.parametrize("vector", BIP388)
def test_policies_of_bip388_are_read_or_refused_by_name(vector: dict[str, Any]) -> None:
    text = vector["descriptor"]
    if not text.startswith("wsh("):
        with pytest.raises(PolicyError, match="kinds known here"):
            parse_descriptor(text, Network.MAINNET)
        return
    policy = parse_descriptor(text, Network.MAINNET)
    assert len(policy.recoveries) == 1
    assert format_descriptor(policy).partition("#")[0] == text.replace("'", "h")
