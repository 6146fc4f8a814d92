"""BIP 322's own vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from psbt import consensus
from psbt.errors import PsbtError
from psbt.message import message_hash, to_sign, to_spend, verify_proof
from psbt.network import Network
from psbt.policy import parse_address
from tests.judges import judge

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "bip322_basic.json"
MISSING = [pytest.param({}, id="bip322", marks=pytest.mark.skip("no shared vectors here"))]
REASONS = {
    "base64": "neither smp nor base64",
    "signature too short": "bytes are announced",
    "invalid signature": "refused by consensus",
    "error decoding signature as base64": "bytes|base64",
    "error parsing signature as full variant": "a full proof is not",
}


def load(group: str) -> list[Any]:
    if not FILE.is_file():
        return MISSING
    vectors = json.loads(FILE.read_text())[group]
    return [pytest.param(v, id=v.get("description", v["message"])[:40]) for v in vectors]


def script_of(vector: dict[str, Any]) -> bytes:
    return parse_address(vector["address"], Network.MAINNET)


@pytest.mark.parametrize("vector", load("tx_hashes"))
def test_hashes(vector: dict[str, Any]) -> None:
    message, script = vector["message"], script_of(vector)
    assert message_hash(message).hex() == vector["message_hash"]
    assert to_spend(message, script).txid == vector["to_spend_tx_hash"]
    assert to_sign(message, script).txid == vector["to_sign_tx_hash"]


@pytest.mark.parametrize("vector", load("simple"))
def test_simple_proofs_are_accepted_with_and_without_their_prefix(vector: dict[str, Any]) -> None:
    judge("pbk")
    for proof in vector["bip322_signatures"]:
        for text in (proof, proof.removeprefix("smp")):
            verdict = verify_proof(text, vector["message"], script_of(vector))
            assert verdict == consensus.ACCEPTED


@pytest.mark.parametrize("vector", load("simple"))
def test_the_engine_is_only_needed_for_other_scripts_than_ours(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consensus, "engine_available", lambda: False)
    script = script_of(vector)
    for proof in vector["bip322_signatures"]:
        if vector["witness_script"]:
            assert verify_proof(proof, vector["message"], script) == consensus.OWN_CHECK
        else:
            with pytest.raises(PsbtError, match="cannot be judged without libbitcoinkernel"):
                verify_proof(proof, vector["message"], script)


@pytest.mark.parametrize("vector", load("simple"))
def test_another_message_is_refused(vector: dict[str, Any]) -> None:
    judge("pbk")
    for proof in vector["bip322_signatures"]:
        with pytest.raises(PsbtError, match="refused by consensus"):
            verify_proof(proof, vector["message"] + " ", script_of(vector))


@pytest.mark.parametrize("vector", load("error"))
def test_errors(vector: dict[str, Any]) -> None:
    judge("pbk")
    with pytest.raises(PsbtError, match=REASONS[vector["error_substr"]]):
        verify_proof(vector["signature"], vector["message"], script_of(vector))


GENERATED = FILE.parent / "interop" / "bips" / "bip-0322" / "generated-test-vectors.json"


def full(group: str) -> list[Any]:
    if not GENERATED.is_file():
        return MISSING
    vectors = json.loads(GENERATED.read_text())[group]
    found = [v for v in vectors if any(s.startswith("ful") for s in signatures_of(v))]
    return [pytest.param(v, id=v.get("description", v.get("type"))) for v in found]


def signatures_of(vector: dict[str, Any]) -> list[str]:
    return [*vector.get("bip322_signatures", []), vector.get("signature", "")]


@pytest.mark.parametrize("vector", full("full"))
@pytest.mark.parametrize("engine", [True, False])
def test_full_proofs_are_judged_where_a_multisig_unlocks(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, engine: bool
) -> None:
    judge("pbk")
    monkeypatch.setattr(consensus, "engine_available", lambda: engine)
    for proof in vector["bip322_signatures"]:
        if "multisig" in vector["type"]:
            assert verify_proof(proof, vector["message"], script_of(vector))
            continue
        with pytest.raises(PsbtError, match=r"cannot be judged|refused by consensus"):
            verify_proof(proof, vector["message"], script_of(vector))


@pytest.mark.parametrize("vector", full("error"))
def test_full_proofs_of_another_message_or_signer_are_refused(vector: dict[str, Any]) -> None:
    for proof in filter(None, signatures_of(vector)):
        with pytest.raises(PsbtError):
            verify_proof(proof, vector["message"], script_of(vector))
