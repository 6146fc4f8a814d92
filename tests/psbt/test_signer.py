from dataclasses import replace

import coincurve
import pytest

from psbt import codec
from psbt.codec import Psbt
from psbt.errors import PolicyError, PsbtError, SignatureInvalid
from psbt.keys import HARDENED
from psbt.policy import vault_script
from psbt.sighash import p2wsh
from psbt.signature import (
    ORDER,
    compact_from_der,
    compact_from_partial,
    der_from_compact,
    partial_from_compact,
    verifies,
)
from psbt.signer import (
    SigningRequest,
    sighashes,
    signature_valid,
    signing_requests,
    with_signatures,
)
from tests.judges import judge
from tests.psbt.soft_vault import SoftVault, soft_vault

VAULT = soft_vault(2, 3)
SPEND = VAULT.spend([50_000, 60_000, 70_000], 100_000, 70_000)
ACCOUNT = (48 + HARDENED, 1 + HARDENED, HARDENED, 2 + HARDENED)


def changed(psbt: Psbt, **values: object) -> Psbt:
    twin = codec.copy(psbt)
    for name, value in values.items():
        setattr(twin.inputs[1], name, value)
    return twin


def high(signature: bytes) -> bytes:
    s = ORDER - int.from_bytes(signature[32:], "big")
    return signature[:32] + s.to_bytes(32, "big")


@pytest.mark.parametrize(("threshold", "total"), [(1, 1), (2, 3), (11, 15), (15, 15)])
def test_sighashes_are_libwallys(threshold: int, total: int) -> None:
    wally = judge("wallycore")
    psbt = soft_vault(threshold, total).spend([50_000] * 5, 100_000, 70_000)
    transaction = wally.tx_from_bytes(codec.unsigned_transaction(psbt).raw, 0)
    for index, (psbt_in, digest) in enumerate(
        zip(psbt.inputs, sighashes(psbt).values(), strict=True)
    ):
        script, value = psbt_in.witness_script.data, psbt_in.witness_utxo.value
        how = (wally.WALLY_SIGHASH_ALL, wally.WALLY_TX_FLAG_USE_WITNESS)
        assert digest == wally.tx_get_btc_signature_hash(transaction, index, script, value, *how)


def test_what_the_caller_verified_is_not_asked_for() -> None:
    key = VAULT.policy.keys[1]
    every = signing_requests(SPEND, VAULT.policy, key)
    known = {(every[0].input_index, every[0].pubkey)}
    assert signing_requests(SPEND, VAULT.policy, key, verified=known) == every[1:]


def test_requests_name_input_key_and_path() -> None:
    requests = signing_requests(SPEND, VAULT.policy, VAULT.policy.keys[1])
    assert [r.input_index for r in requests] == [0, 1, 2]
    assert [r.digest for r in requests] == list(sighashes(SPEND).values())
    for request in requests:
        *account, keychain, index = request.path
        assert tuple(account) == ACCOUNT
        assert request.pubkey == vault_script(VAULT.policy, keychain, index).pubkeys[1]


def test_what_is_signed_is_not_asked_for_again() -> None:
    first = VAULT.answers(SPEND, 1)[:1]
    signed = with_signatures(SPEND, first)
    requests = signing_requests(signed, VAULT.policy, VAULT.policy.keys[1])
    assert [r.input_index for r in requests] == [1, 2]
    assert len(signing_requests(signed, VAULT.policy, VAULT.policy.keys[0])) == 3
    assert signing_requests(VAULT.sign(signed, 1), VAULT.policy, VAULT.policy.keys[1]) == []


@pytest.mark.parametrize("damage", [b"", b"\x30\x00\x01", None])
def test_a_signature_that_does_not_verify_is_asked_for_again(damage: bytes | None) -> None:
    signed = VAULT.sign(SPEND, 1)
    other = signed.inputs[0].partial_sigs
    (pubkey,) = signed.inputs[1].partial_sigs
    wrong = next(iter(other.values())) if damage is None else damage
    damaged = changed(signed, partial_sigs={pubkey: wrong})
    requests = signing_requests(damaged, VAULT.policy, VAULT.policy.keys[1])
    assert [r.input_index for r in requests] == [1]


def test_a_fingerprint_does_not_make_a_key() -> None:
    key = VAULT.policy.keys[0]
    stranger = soft_vault(2, 4).policy.keys[3]
    other_chain = key._replace(key=key.key._replace(chain_code=bytes(32)))
    other_point = key._replace(key=key.key._replace(public_key=stranger.key.public_key))
    for wrong in (stranger._replace(fingerprint=key.fingerprint), other_chain, other_point):
        with pytest.raises(PolicyError, match=key.fingerprint.hex()):
            signing_requests(SPEND, VAULT.policy, wrong)
    renamed = key._replace(fingerprint=bytes(4))
    assert len(signing_requests(SPEND, VAULT.policy, renamed)) == 3


def test_the_inputs_of_another_vault_are_refused() -> None:
    other = soft_vault(1, 3).policy
    with pytest.raises(PsbtError, match="no input spends a coin of this policy"):
        signing_requests(SPEND, other, other.keys[0])


def test_derivations_only_say_where_to_look() -> None:
    lying = codec.copy(SPEND)
    first, second = lying.inputs[0], lying.inputs[1]
    first.bip32_derivations, second.bip32_derivations = (
        second.bip32_derivations,
        first.bip32_derivations,
    )
    asked = signing_requests(lying, VAULT.policy, VAULT.policy.keys[0])
    assert [request.input_index for request in asked] == [2]
    both = codec.copy(SPEND)
    both.inputs[0].bip32_derivations |= SPEND.inputs[1].bip32_derivations
    assert len(signing_requests(both, VAULT.policy, VAULT.policy.keys[0])) == 3


@pytest.mark.parametrize("tail", [(), (0,), (2, 0), (0, HARDENED), (HARDENED, 0)])
def test_odd_derivations_are_no_hint(tail: tuple[int, ...]) -> None:
    odd = codec.copy(SPEND)
    for pubkey in SPEND.inputs[0].bip32_derivations:
        origin = codec._derivation(bytes(4) + b"".join(i.to_bytes(4, "little") for i in tail))
        odd.inputs[0].bip32_derivations[pubkey] = origin
    asked = signing_requests(odd, VAULT.policy, VAULT.policy.keys[0])
    assert [request.input_index for request in asked] == [1, 2]


def test_signatures_are_kept_verified_and_as_der() -> None:
    before = codec.to_bytes(SPEND)
    answers = VAULT.answers(SPEND, 2)
    signed = with_signatures(SPEND, answers)
    assert codec.to_bytes(SPEND) == before
    for request, signature in answers:
        kept = signed.inputs[request.input_index].partial_sigs
        assert {key.sec(): value for key, value in kept.items()} == {
            request.pubkey: partial_from_compact(signature)
        }
        assert signature_valid(request, signature)
    assert codec.to_bytes(codec.parse(codec.to_bytes(signed))) == codec.to_bytes(signed)


def test_only_a_multisig_is_signed() -> None:
    request, signature = VAULT.answers(SPEND, 0)[1]
    spent = SPEND.inputs[1].witness_utxo
    script = type(spent.script_pubkey)
    other = type(spent)(spent.value, script(p2wsh(b"\x51")))
    values = {"witness_utxo": other, "witness_script": script(b"\x51"), "non_witness_utxo": None}
    with pytest.raises(PsbtError, match="input 1 is not for the key"):
        with_signatures(changed(SPEND, **values), [(request, signature)])


def test_no_invalid_signature_is_kept() -> None:
    answers = VAULT.answers(SPEND, 2)
    (request, good), (_, foreign) = answers[1], answers[0]
    flipped = bytes([good[0] ^ 1]) + good[1:]
    for wrong in (foreign, flipped, high(good), good[:63], good + b"\x01", b"", bytes(64)):
        assert not signature_valid(request, wrong)
        with pytest.raises(SignatureInvalid) as refusal:
            with_signatures(SPEND, [answers[0], (request, wrong)])
        assert (refusal.value.input_index, refusal.value.pubkey) == (1, request.pubkey)


def test_a_request_is_held_against_the_psbt() -> None:
    other = VAULT.spend([50_000, 60_000, 70_000], 100_001, 69_999)
    with pytest.raises(SignatureInvalid):
        with_signatures(SPEND, VAULT.answers(other, 0))
    request, signature = VAULT.answers(SPEND, 0)[0]
    for index in (-1, 3):
        with pytest.raises(PsbtError, match=f"input {index} of 3"):
            with_signatures(SPEND, [(request._replace(input_index=index), signature)])
    stranger = coincurve.PrivateKey(b"\x07" * 32)
    der = stranger.sign(request.digest, hasher=None)
    foreign = SigningRequest(0, stranger.public_key.format(), (), request.digest)
    assert signature_valid(foreign, compact_from_der(der))
    with pytest.raises(PsbtError, match="input 0 is not for the key"):
        with_signatures(SPEND, [(foreign, compact_from_der(der))])


@pytest.mark.parametrize("sighash_type", [0, 2, 3, 0x81])
def test_only_sighash_all_is_signed(sighash_type: int) -> None:
    with pytest.raises(PsbtError, match=f"input 1: sighash_type is {sighash_type}"):
        sighashes(changed(SPEND, sighash_type=sighash_type))
    assert sighashes(changed(SPEND, sighash_type=1)) == sighashes(SPEND)


def test_what_an_input_spends_is_held_against_its_previous_transaction() -> None:
    spent = SPEND.inputs[1].witness_utxo
    assert spent is not None
    made = codec.previous_transaction(SPEND.inputs[1])
    assert made is not None
    richer = type(spent)(spent.value + 1, spent.script_pubkey)
    moved = type(spent)(spent.value, type(spent.script_pubkey)(b"\x51"))
    cases = {
        "witness_utxo says": {"witness_utxo": richer},
        "another script": {"witness_utxo": moved},
        "is not the transaction it spends": {"txid": bytes(32)},
        "not the transaction": {"vout": len(made.outputs)},
        "no witness_script": {"witness_script": None},
        "witness_script is not that of": {"witness_script": spent.script_pubkey},
        "says nothing": {"witness_utxo": None, "non_witness_utxo": None},
    }
    for sentence, values in cases.items():
        with pytest.raises(PsbtError, match=f"input 1.*{sentence}"):
            sighashes(changed(SPEND, **values))
    for field in ("witness_utxo", "non_witness_utxo"):
        assert sighashes(changed(SPEND, **{field: None})) == sighashes(SPEND)


def test_der_is_strict_and_s_becomes_low() -> None:
    for number in range(40):
        key = coincurve.PrivateKey.from_int(number + 1)
        digest = bytes([number]) * 32
        der = key.sign(digest, hasher=None)
        signature = compact_from_der(der)
        assert der_from_compact(signature) == der
        assert compact_from_der(der_from_compact(high(signature))) == signature
        assert verifies(key.public_key.format(), digest, signature)
        assert compact_from_partial(der + b"\x01") == signature
        assert len(partial_from_compact(signature)) <= 72
    for wrong in (
        b"",
        der[:3],
        der[:-1],
        der + b"\x00",
        b"\x31" + der[1:],
        der[:1] + b"\x00" + der[2:],
    ):
        with pytest.raises(PsbtError):
            compact_from_der(wrong)
    for kind in (b"", b"\x00", b"\x02", b"\x81"):
        with pytest.raises(PsbtError, match="ALL"):
            compact_from_partial(der + kind if kind else b"")
    padded = b"\x30" + bytes([len(der) - 1, 2, der[3] + 1, 0]) + der[4:]
    with pytest.raises(PsbtError, match="DER"):
        compact_from_der(padded)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("number", [0, ORDER, ORDER + 1, 1 << 256])
def test_numbers_out_of_range_are_no_signature(place: int, number: int) -> None:
    for value, accepted in ((ORDER - 1, True), (1, True), (number, False)):
        parts = [7, 7]
        parts[place] = value
        body = b""
        for part in parts:
            encoded = part.to_bytes(part.bit_length() // 8 + 1, "big")
            body += bytes([2, len(encoded)]) + encoded
        der = bytes([0x30, len(body)]) + body
        if accepted:
            assert len(compact_from_der(der)) == 64
        else:
            with pytest.raises(PsbtError, match="range"):
                compact_from_der(der)


def test_signing_many_at_once_is_signing_one_by_one() -> None:
    vault: SoftVault = replace(VAULT)
    answers = vault.answers(SPEND, 0) + vault.answers(SPEND, 2)
    one_by_one = SPEND
    for answer in answers:
        one_by_one = with_signatures(one_by_one, [answer])
    assert codec.to_bytes(one_by_one) == codec.to_bytes(with_signatures(SPEND, answers))
