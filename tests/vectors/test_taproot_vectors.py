"""Taproot's published vectors (BIP 340, 341, 387, Liana's), read where they lie."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import NotImportable
from coordinator.interop.descriptors import WIF_IN
from coordinator.interop.recognition import read_text
from psbt.address import p2tr
from psbt.keys import child, parse_xpub
from psbt.network import Network
from psbt.policy import checksum
from psbt.signature import verifies_taproot
from psbt.taproot import (
    EVEN,
    NUMS,
    branch_hash,
    committed_key,
    leaf_hash,
    output_key,
    sorted_leaf,
    tree_root,
    unspendable_key,
)
from psbt.transaction import sized

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
ABSENT = not (FOLDER / "index.json").is_file()
pytestmark = pytest.mark.skipif(ABSENT, reason="no shared vectors here")
DIGEST = 32
SORTED = re.compile(r"tr\(([0-9a-f]{64}),sortedmulti_a\((\d),(.*)\)\)")


def loaded(name: str) -> Any:  # noqa: ANN401 -- JSON
    return {"scriptPubKey": []} if ABSENT else json.loads((FOLDER / name).read_text())


WALLET = loaded("bips/bip-0341/wallet-test-vectors.json")["scriptPubKey"]


def leaves(tree: Any, depth: int = 0) -> list[tuple[int, int, bytes]]:  # noqa: ANN401 -- JSON
    """Return depth, version and script of each leaf, depth first."""
    if isinstance(tree, dict):
        return [(depth, tree["leafVersion"], bytes.fromhex(tree["script"]))]
    return [leaf for branch in tree for leaf in leaves(branch, depth + 1)]


@pytest.mark.parametrize("case", WALLET, ids=lambda case: case["given"]["internalPubkey"][:8])
def test_trees_roots_output_keys_and_control_blocks_are_bip_341s(case: dict[str, Any]) -> None:
    given, between, wanted = case["given"], case["intermediary"], case["expected"]
    internal = bytes.fromhex(given["internalPubkey"])
    found = [] if given["scriptTree"] is None else leaves(given["scriptTree"])
    written = b"".join(bytes([depth, version]) + sized(script) for depth, version, script in found)
    root = tree_root(written) or b""
    assert root.hex() == (between["merkleRoot"] or "")
    hashes = [leaf_hash(script, version).hex() for _, version, script in found]
    assert hashes == between.get("leafHashes", [])
    made = output_key(internal, root)
    assert made.x.hex() == between["tweakedPubkey"]
    assert p2tr(made.x).hex() == wanted["scriptPubKey"]
    for (_, _, script), block in zip(found, wanted.get("scriptPathControlBlocks", []), strict=True):
        control = bytes.fromhex(block)
        assert committed_key(control, script) == made.x
        assert committed_key(bytes([control[0] ^ 1]) + control[1:], script) is None
        assert committed_key(control, script + b"\x51") != made.x


def test_a_branch_does_not_know_left_from_right() -> None:
    one, other = bytes(32), b"\1" * 32
    assert branch_hash(one, other) == branch_hash(other, one)


@pytest.mark.parametrize("tree", ["", "01c00151", "00c0015100c00151", "02c0015102c00151"])
def test_a_tree_that_is_not_whole_has_no_root(tree: str) -> None:
    assert tree_root(bytes.fromhex(tree)) is None


def test_signatures_are_judged_as_bip_340_does() -> None:
    text = (FOLDER / "bips/bip-0340/test-vectors.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    read = [row for row in rows if len(row["message"]) == 2 * DIGEST]
    assert len(read) > 14
    for row in read:
        key, message, signature = (
            bytes.fromhex(row[name]) for name in ("public key", "message", "signature")
        )
        said = verifies_taproot(EVEN + key, message, signature)
        assert said == (row["verification result"] == "TRUE"), row["index"]


def test_a_sorted_leaf_is_bip_387s() -> None:
    """Those of public keys: for each index the script that stands behind the descriptor."""
    texts = [each["text"] for each in loaded("bips/bip387.json")]
    checked = 0
    for at, text in enumerate(texts):
        matched = SORTED.fullmatch(text)
        if not matched or "xprv" in text:
            continue
        for index, script in enumerate(texts[at + 1 : at + 4]):
            points = []
            for key in matched[3].split(","):
                xpub, *steps = key.split("/")
                found = parse_xpub(xpub, Network.MAINNET)
                for step in steps:
                    found = child(found, index if step == "*" else int(step))
                points.append(found.public_key)
            code = sorted_leaf(int(matched[2]), points)
            assert p2tr(output_key(bytes.fromhex(matched[1]), leaf_hash(code)).x).hex() == script
            checked += 1
    assert checked == 3


@pytest.mark.parametrize("number", [386, 387, 390])
def test_what_else_taproot_may_be_is_refused_by_its_name(number: int) -> None:
    """BIP 386's single keys and trees, BIP 387's open keys, BIP 390's MuSig2, valid or not."""
    texts = [each["text"] for each in loaded(f"bips/bip{number}.json")]
    expressions = [text for text in texts if "(" in text and "()" not in text]
    assert len(expressions) > 9
    for text in expressions:
        with pytest.raises(NotImportable) as refused:
            read_text(text, Network.MAINNET)
        told = str(refused.value)
        if "prv" in text or WIF_IN.search(text):
            assert "private key" in told, text
        elif number == 390:
            assert "a wallet of MuSig2, which no card signs for" in told, text
        else:
            assert re.search("taproot|form that is not known|without branches", told), text
        assert "prv" not in told


def test_the_key_that_is_nobodys_is_lianas() -> None:
    checked = 0
    for each in loaded("liana/descriptors.json"):
        if each["kind"] != "descriptor" or not each["text"].startswith("tr("):
            continue
        body, _, given = each["text"].partition("#")
        assert not given or checksum(body) == given
        first = body.removeprefix("tr(").rpartition("tr(")[2].partition("/")[0]
        if first.startswith("["):
            continue
        network = Network.MAINNET if first.startswith("xpub") else Network.SIGNET
        internal = parse_xpub(first, network)
        if internal.public_key != EVEN + NUMS:
            continue
        named = [part.partition("/")[0] for part in body.split("]")[1:]]
        cosigners = [parse_xpub(name, network).public_key for name in named]
        assert unspendable_key(cosigners) == internal
        checked += 1
    assert checked >= 5
