import base64
import random

import coincurve
import pytest
from embit.hashes import hash160
from hypothesis import given, settings
from hypothesis import strategies as st

from psbt import codec, consensus, fields
from psbt.combiner import combine
from psbt.errors import ConsensusRejected, NotOnlySignatures, PsbtError, SignaturesMissing
from psbt.extractor import extract
from psbt.fields import Maps
from psbt.finalizer import finalize
from psbt.message import (
    key_proved,
    message_psbt,
    signs_message,
    simple_proof,
    to_sign,
    to_spend,
    verify_proof,
)
from psbt.policy import CHANGE, RECEIVE, vault_script
from psbt.review import Context, review
from psbt.sighash import p2wsh
from psbt.signature import ORDER, compact_from_partial, der_from_compact
from psbt.signer import signing_requests, with_signatures
from psbt.transaction import NULL_OUTPOINT, Transaction, parse_transaction, sized, vector
from psbt.updater import input_fields
from tests.judges import judge
from tests.psbt.soft_vault import SoftVault, quorum, soft_vault

VAULT = soft_vault(2, 3)
SCRIPT = vault_script(VAULT.policy, RECEIVE, 0)
MESSAGE = "vault savings 2026-05-01"
ASKED = message_psbt(MESSAGE, VAULT.policy, SCRIPT)
SIGNED = VAULT.sign(VAULT.sign(ASKED, 2), 0)
PROOF = simple_proof(SIGNED, VAULT.policy)


def proof_of(vault: SoftVault, message: str, cosigners: tuple[int, ...], index: int = 0) -> str:
    script = vault_script(vault.policy, RECEIVE, index)
    psbt = message_psbt(message, vault.policy, script)
    for cosigner in cosigners:
        psbt = vault.sign(psbt, cosigner)
    return simple_proof(psbt, vault.policy)


def witness_of(proof: str) -> list[bytes]:
    raw = base64.b64decode(proof.removeprefix("smp"))
    unsigned = to_sign(MESSAGE, SCRIPT.script_pubkey)
    head, tail = unsigned.stripped[:4], unsigned.stripped[4:]
    signed = head + b"\x00\x01" + tail[:-4] + raw + tail[-4:]
    return list(parse_transaction(signed).inputs[0].witness)


def with_witness(items: list[bytes]) -> str:
    return "smp" + base64.b64encode(vector(items, sized)).decode()


@pytest.fixture(params=[consensus.ACCEPTED, consensus.OWN_CHECK])
def verdict(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Verify with the engine, then without."""
    if request.param == consensus.ACCEPTED:
        judge("pbk")
    else:
        monkeypatch.setattr(consensus, "engine_available", lambda: False)
    return str(request.param)


@pytest.mark.parametrize("pair", [(0, 1), (2, 0), (1, 2), (0, 1, 2)])
def test_any_quorum_proves_the_vault(verdict: str, pair: tuple[int, ...]) -> None:
    assert verify_proof(proof_of(VAULT, MESSAGE, pair), MESSAGE, SCRIPT.script_pubkey) == verdict


@pytest.mark.parametrize(("threshold", "total"), [(1, 1), (8, 15), (15, 15)])
def test_every_size_of_policy_proves(verdict: str, threshold: int, total: int) -> None:
    vault = soft_vault(threshold, total)
    proof = proof_of(vault, MESSAGE, tuple(range(threshold)), index=3)
    script = vault_script(vault.policy, RECEIVE, 3)
    assert verify_proof(proof, MESSAGE, script.script_pubkey) == verdict


@pytest.mark.usefixtures("verdict")
def test_a_proof_is_for_one_message_and_one_address() -> None:
    other = vault_script(VAULT.policy, CHANGE, 0)
    for message, script in ((MESSAGE + "\n", SCRIPT), ("", SCRIPT), (MESSAGE, other)):
        with pytest.raises(ConsensusRejected):
            verify_proof(PROOF, message, script.script_pubkey)


def test_less_than_a_quorum_proves_its_keys_only() -> None:
    one = VAULT.sign(ASKED, 1)
    assert quorum(one, VAULT.policy) == (1, 2)
    with pytest.raises(SignaturesMissing):
        simple_proof(one, VAULT.policy)
    for cosigner in range(3):
        ((request, signature),) = VAULT.answers(ASKED, cosigner)
        assert request.path[-2:] == (RECEIVE, 0)
        assert request.pubkey == SCRIPT.pubkeys[cosigner]
        assert key_proved(MESSAGE, SCRIPT, request.pubkey, signature=signature)
        assert not key_proved(MESSAGE + "!", SCRIPT, request.pubkey, signature=signature)
        neighbour = SCRIPT.pubkeys[(cosigner + 1) % 3]
        assert not key_proved(MESSAGE, SCRIPT, neighbour, signature=signature)
        elsewhere = vault_script(VAULT.policy, RECEIVE, 1)
        assert not key_proved(MESSAGE, elsewhere, request.pubkey, signature=signature)
        assert not key_proved(MESSAGE, SCRIPT, request.pubkey, signature=signature[:-1] + b"\x00")


def test_a_key_outside_the_vault_proves_nothing() -> None:
    stranger = soft_vault(4, 4)
    psbt = message_psbt(MESSAGE, stranger.policy, vault_script(stranger.policy, RECEIVE, 0))
    key = stranger.masters[3].at((*stranger.policy.keys[3].path, RECEIVE, 0))
    digest = signing_requests(ASKED, VAULT.policy, VAULT.policy.keys[0])[0].digest
    assert not key_proved(MESSAGE, SCRIPT, key.pubkey, signature=key.sign(digest))
    assert stranger.sign(psbt, 3).inputs[0].partial_sigs


def test_the_psbt_says_what_a_signer_elsewhere_needs() -> None:
    back = codec.parse(codec.to_base64(ASKED))
    assert codec.to_bytes(back) == codec.to_bytes(ASKED)
    assert back.unknown == {fields.GLOBAL_SIGNED_MESSAGE: MESSAGE.encode()}
    (asked,) = back.inputs
    assert asked.witness_script.data == SCRIPT.witness_script
    assert codec.previous_transaction(asked) == to_spend(MESSAGE, SCRIPT.script_pubkey)
    assert {key.sec() for key in asked.bip32_derivations} == set(SCRIPT.pubkeys)
    assert len(back.xpubs) == 3
    assert codec.unsigned_transaction(back) == to_sign(MESSAGE, SCRIPT.script_pubkey)


def test_the_key_of_the_message_is_one_byte() -> None:
    raw = codec.to_bytes(ASKED)
    own = sized(fields.GLOBAL_SIGNED_MESSAGE) + sized(MESSAGE.encode())
    longer = raw.replace(own, sized(fields.GLOBAL_SIGNED_MESSAGE + b"\x00") + own[2:])
    with pytest.raises(PsbtError, match="should be one byte"):
        codec.parse(longer)


def test_peers_read_sign_and_finalize_the_same() -> None:
    wally, bdk = judge("wallycore"), judge("bdkpython")
    text = codec.to_base64(SIGNED)
    theirs = wally.psbt_from_base64(text, 0)
    unsigned = wally.tx_from_bytes(to_sign(MESSAGE, SCRIPT.script_pubkey).stripped, 0)
    digest = signing_requests(ASKED, VAULT.policy, VAULT.policy.keys[0])[0].digest
    script = SCRIPT.witness_script
    flags = wally.WALLY_TX_FLAG_USE_WITNESS
    hashed = wally.tx_get_btc_signature_hash(unsigned, 0, script, 0, 1, flags)
    assert bytes(hashed) == digest
    wally.psbt_finalize(theirs, 0)
    signed = parse_transaction(bytes(wally.tx_to_bytes(wally.psbt_extract(theirs, 0), 1)))
    assert list(signed.inputs[0].witness) == witness_of(PROOF)
    finished = bytes(bdk.Psbt(text).finalize().psbt.extract_tx().serialize())
    assert finished == signed.raw


def test_what_comes_back_from_elsewhere_is_combined_like_a_payment() -> None:
    assert codec.to_bytes(combine(ASKED, SIGNED, VAULT.policy)) == codec.to_bytes(SIGNED)
    other = message_psbt("pay mallory", VAULT.policy, SCRIPT)
    with pytest.raises(NotOnlySignatures):
        combine(ASKED, VAULT.sign(other, 0), VAULT.policy)


def test_it_spends_what_cannot_exist() -> None:
    made, signed = to_spend(MESSAGE, SCRIPT.script_pubkey), to_sign(MESSAGE, SCRIPT.script_pubkey)
    assert made.inputs[0].outpoint == NULL_OUTPOINT
    assert [output.value_sats for output in (*made.outputs, *signed.outputs)] == [0, 0]
    assert signed.inputs[0].outpoint == (made.txid, 0)
    for transaction in (made, signed):
        assert (transaction.version, transaction.locktime) == (0, 0)
        assert [tx_in.sequence for tx_in in transaction.inputs] == [0]


def test_a_signed_message_is_never_sent() -> None:
    final = finalize(SIGNED, VAULT.policy)
    with pytest.raises(PsbtError, match="signs a message"):
        extract(final)
    codes = [caution.code for caution in review(SIGNED, VAULT.policy, Context()).warnings]
    assert "unknown_script" in codes


def test_a_payment_is_no_proof() -> None:
    payment = VAULT.spend([50_000], 40_000, 0)
    signed = VAULT.sign(VAULT.sign(payment, 0), 1)
    assert not signs_message(codec.unsigned_transaction(signed))
    with pytest.raises(PsbtError, match="a payment, not a message"):
        simple_proof(signed, VAULT.policy)


def test_a_message_beside_a_coin_is_no_simple_proof() -> None:
    script = SCRIPT.script_pubkey
    made = [to_spend(message, script) for message in (MESSAGE, "another")]
    inputs = tuple(to_sign(message, script).inputs[0] for message in (MESSAGE, "another"))
    both = Transaction(inputs, to_sign(MESSAGE, script).outputs, version=0)
    asked = tuple(
        input_fields(VAULT.policy, SCRIPT, one.outputs[0], previous=one.raw) for one in made
    )
    psbt = codec.assemble(Maps({fields.GLOBAL_UNSIGNED_TX: both.stripped}, asked, ({},)))
    signed = VAULT.sign(VAULT.sign(psbt, 0), 1)
    with pytest.raises(PsbtError, match="not a message"):
        simple_proof(signed, VAULT.policy)
    with pytest.raises(PsbtError, match="signs a message"):
        extract(finalize(signed, VAULT.policy))


def test_a_signature_of_a_payment_does_not_prove_its_key() -> None:
    payment = VAULT.spend([50_000], 40_000, 0)
    ((request, signature),) = VAULT.answers(payment, 0)
    assert request.pubkey == SCRIPT.pubkeys[0]
    assert not key_proved(MESSAGE, SCRIPT, request.pubkey, signature=signature)


def high_s(value: bytes) -> bytes:
    low = compact_from_partial(value)
    s = (ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    return der_from_compact(low[:32] + s) + b"\x01"


def test_a_high_s_is_refused_though_consensus_allows_it(verdict: str) -> None:
    assert verdict
    items = witness_of(PROOF)
    proof = with_witness([items[0], high_s(items[1]), *items[2:]])
    with pytest.raises(PsbtError, match="high S"):
        verify_proof(proof, MESSAGE, SCRIPT.script_pubkey)


def one_key_witness(kind: str, sighash: int) -> tuple[bytes, list[bytes]]:
    """Sign MESSAGE by one key with another program, with a type of sighash that BIP 322 forbids."""
    wally = judge("wallycore")
    key = coincurve.PrivateKey(b"\x07" * 32)
    pubkey = key.public_key.format()
    if kind == "p2tr":
        script = b"\x51\x20" + pubkey[1:]
        unsigned = wally.tx_from_bytes(to_sign(MESSAGE, script).stripped, 0)
        scripts = wally.map_init(1, None)
        wally.map_add_integer(scripts, 0, script)
        digest = wally.tx_get_btc_taproot_signature_hash(
            unsigned, 0, scripts, [0], None, 0, 0xFFFFFFFF, None, sighash, 0
        )
        return script, [key.sign_schnorr(bytes(digest)) + bytes([sighash] if sighash else [])]
    hashed = hash160(pubkey)
    script = b"\x00\x14" + hashed
    unsigned = wally.tx_from_bytes(to_sign(MESSAGE, script).stripped, 0)
    code = b"\x76\xa9\x14" + hashed + b"\x88\xac"
    flags = wally.WALLY_TX_FLAG_USE_WITNESS
    digest = wally.tx_get_btc_signature_hash(unsigned, 0, code, 0, sighash, flags)
    return script, [key.sign(bytes(digest), hasher=None) + bytes([sighash]), pubkey]


@pytest.mark.parametrize(
    ("kind", "sighash", "allowed"),
    [
        ("p2tr", 0, True),
        ("p2tr", 1, True),
        ("p2tr", 2, False),
        ("p2tr", 0x81, False),
        ("p2wpkh", 1, True),
        ("p2wpkh", 3, False),
        ("p2wpkh", 0x81, False),
    ],
)
def test_a_signature_must_cover_all(kind: str, sighash: int, *, allowed: bool) -> None:
    judge("pbk")
    script, items = one_key_witness(kind, sighash)
    if allowed:
        assert verify_proof(with_witness(items), MESSAGE, script) == consensus.ACCEPTED
        return
    with pytest.raises(PsbtError, match="not that of ALL"):
        verify_proof(with_witness(items), MESSAGE, script)


@pytest.mark.usefixtures("verdict")
def test_a_broken_witness_is_refused() -> None:
    items = witness_of(PROOF)
    none = items[1][:-1] + b"\x02"
    for broken in ([], items[1:], [items[0], none, *items[2:]], [*items[:2], items[1], items[3]]):
        with pytest.raises(ConsensusRejected):
            verify_proof(with_witness(broken), MESSAGE, SCRIPT.script_pubkey)


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        ("ful" + PROOF[3:], "not the base64 of a transaction"),
        ("pof" + PROOF[3:], "starts with pof"),
        ("smp" + PROOF[3:-4], "announced"),
        (with_witness([b""])[:-2] + "AA", "follow the end|base64|announced"),
        ("smp" + "ü", "base64"),
        ("", "announced"),
    ],
)
def test_what_is_no_proof_is_named(proof: str, reason: str) -> None:
    with pytest.raises(PsbtError, match=reason):
        verify_proof(proof, MESSAGE, SCRIPT.script_pubkey)


def test_something_after_the_witness_is_refused() -> None:
    longer = base64.b64encode(base64.b64decode(PROOF[3:]) + b"\x00").decode()
    with pytest.raises(PsbtError, match="1 bytes follow the end"):
        verify_proof("smp" + longer, MESSAGE, SCRIPT.script_pubkey)


def test_scripts_that_cannot_be_judged_are_named() -> None:
    judge("pbk")
    legacy = b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"
    with pytest.raises(PsbtError, match="not for p2pkh"):
        verify_proof(PROOF, MESSAGE, legacy)
    with pytest.raises(PsbtError, match="script of its own kind"):
        verify_proof(with_witness([b"\x51"]), MESSAGE, p2wsh(b"\x51"))


def test_half_a_character_is_no_message() -> None:
    with pytest.raises(PsbtError, match="half a character"):
        message_psbt("\ud800", VAULT.policy, SCRIPT)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60), st.integers(0, 1), st.integers(0, 2**31 - 1))
def test_every_message_for_every_address(message: str, keychain: int, index: int) -> None:
    script = vault_script(VAULT.policy, keychain, index)
    psbt = message_psbt(message, VAULT.policy, script)
    pair = random.Random(index).sample(range(3), 2)
    for cosigner in pair:
        psbt = VAULT.sign(psbt, cosigner)
    assert verify_proof(simple_proof(psbt, VAULT.policy), message, script.script_pubkey)


def test_our_psbt_is_not_changed() -> None:
    before = codec.to_bytes(ASKED)
    with_signatures(ASKED, VAULT.answers(ASKED, 0))
    simple_proof(SIGNED, VAULT.policy)
    assert codec.to_bytes(ASKED) == before
