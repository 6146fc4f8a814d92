from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import combinations, pairwise, permutations

import pytest
from embit.bip32 import HDKey
from hypothesis import given
from hypothesis import strategies as st

from psbt import codec
from psbt.codec import Psbt
from psbt.coins import Payment
from psbt.combiner import (
    ADDED_MAX,
    combine,
    new_signatures,
    with_additions,
    without_excess,
)
from psbt.creator import create
from psbt.errors import NotOnlySignatures, PsbtError, SignatureInvalid
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.partial_signatures import standing
from psbt.review import Context, review
from psbt.sighash import p2wsh
from psbt.signature import ORDER, compact_from_partial, der_from_compact, partial_from_compact
from psbt.signer import with_signatures
from psbt.transaction import parse_transaction
from tests.psbt.soft_vault import quorum, soft_vault

VAULT = soft_vault(2, 3)
POLICY = VAULT.policy
SPEND = VAULT.spend([50_000, 60_000, 70_000], 100_000, 70_000)
SIGNED = [VAULT.sign(SPEND, cosigner) for cosigner in range(3)]
ANSWERS = [answer for cosigner in range(3) for answer in VAULT.answers(SPEND, cosigner)]
PUBKEY = VAULT.answers(SPEND, 1)[1][0].pubkey
FINAL = [
    extract(finalize(combine(SIGNED[a], SIGNED[b], POLICY), POLICY))
    for a, b in combinations(range(3), 2)
]


def returned(psbt: Psbt, change: Callable[[Psbt], object]) -> Psbt:
    """Let somebody else change a PSBT and send it back."""
    twin = codec.parse(codec.to_bytes(psbt))
    change(twin)
    return codec.parse(codec.to_bytes(twin))


def test_new_signatures_are_those_not_held() -> None:
    arrived = new_signatures(SIGNED[0], combine(SIGNED[0], SIGNED[1], POLICY), POLICY)
    assert arrived == [(r.input_index, r.pubkey, sig) for r, sig in VAULT.answers(SPEND, 1)]
    assert new_signatures(SIGNED[1], SIGNED[1], POLICY) == []


def test_nothing_given_is_changed() -> None:
    before = [codec.to_bytes(psbt) for psbt in SIGNED]
    both = combine(SIGNED[0], SIGNED[1], POLICY)
    after = codec.to_bytes(both)
    finalize(both, POLICY)
    assert [codec.to_bytes(psbt) for psbt in SIGNED] == before
    assert codec.to_bytes(both) == after


def test_combining_twice_is_combining_once() -> None:
    both = combine(SIGNED[0], SIGNED[1], POLICY)
    for other in (SIGNED[0], SIGNED[1], both, SPEND):
        assert codec.to_bytes(combine(both, other, POLICY)) == codec.to_bytes(both)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_of_psbts_does_not_matter(order: tuple[int, ...]) -> None:
    every = reduce(lambda a, b: combine(a, b, POLICY), (SIGNED[i] for i in order), SPEND)
    assert quorum(every, POLICY) == (3, 2)
    first_two_of_the_script = extract(finalize(every, POLICY))
    assert first_two_of_the_script == extract(finalize(with_signatures(SPEND, ANSWERS), POLICY))


@given(st.permutations(ANSWERS), st.lists(st.integers(0, 9), max_size=4))
def test_the_order_of_signatures_does_not_matter(order: list, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(order)]
    parts = [with_signatures(SPEND, order[a:b]) for a, b in pairwise(edges)]
    every = reduce(lambda a, b: combine(a, b, POLICY), parts)
    expected = extract(finalize(with_signatures(SPEND, ANSWERS), POLICY))
    assert extract(finalize(every, POLICY)) == expected


@given(st.sets(st.sampled_from(range(len(ANSWERS)))))
def test_the_quorum_is_that_of_the_poorest_input(chosen: set[int]) -> None:
    psbt = with_signatures(SPEND, [ANSWERS[place] for place in chosen])
    per_input = [sum(ANSWERS[place][0].input_index == i for place in chosen) for i in range(3)]
    assert quorum(psbt, POLICY) == (min(per_input), 2)
    per_cosigner = {c: sum(place // 3 == c for place in chosen) for c in range(3)}
    assert standing(psbt, POLICY).counts == per_cosigner


def test_dropped_fields_are_fine() -> None:
    def drop(psbt: Psbt) -> None:
        psbt.xpubs = {}
        for psbt_in in psbt.inputs:
            psbt_in.non_witness_utxo = psbt_in.witness_utxo = psbt_in.witness_script = None
            psbt_in.bip32_derivations = {}
        for psbt_out in psbt.outputs:
            psbt_out.bip32_derivations, psbt_out.witness_script = {}, None

    bare = returned(SIGNED[1], drop)
    both = combine(SIGNED[0], bare, POLICY)
    assert codec.to_bytes(both) == codec.to_bytes(combine(SIGNED[0], SIGNED[1], POLICY))


def test_sighash_all_may_be_said_aloud() -> None:
    def say(psbt: Psbt) -> None:
        psbt.inputs[1].sighash_type = 1

    both = combine(SIGNED[0], returned(SIGNED[1], say), POLICY)
    assert both.inputs[1].sighash_type is None


def test_the_signatures_of_a_finished_psbt_are_taken() -> None:
    for cosigners, raw in zip(combinations(range(3), 2), FINAL, strict=True):
        other = finalize(combine(SIGNED[cosigners[0]], SIGNED[cosigners[1]], POLICY), POLICY)
        other = codec.parse(codec.to_bytes(other))
        arrived = combine(SPEND, other, POLICY)
        assert standing(arrived, POLICY).counts == {c: 3 * (c in cosigners) for c in range(3)}
        assert extract(finalize(arrived, POLICY)) == raw


def high_s(psbt: Psbt) -> None:
    key, value = next(iter(psbt.inputs[1].partial_sigs.items()))
    low = compact_from_partial(value)
    s = (ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    psbt.inputs[1].partial_sigs[key] = der_from_compact(low[:32] + s) + b"\x01"


def test_a_high_s_is_made_low() -> None:
    other = returned(SIGNED[1], high_s)
    assert codec.to_bytes(other) != codec.to_bytes(SIGNED[1])
    both = combine(SIGNED[0], other, POLICY)
    assert codec.to_bytes(both) == codec.to_bytes(combine(SIGNED[0], SIGNED[1], POLICY))


def test_our_own_invalid_signature_gives_way() -> None:
    broken = codec.copy(SIGNED[1])
    pubkey = codec.public_key(PUBKEY)
    broken.inputs[1].partial_sigs[pubkey] = partial_from_compact(ANSWERS[0][1])
    assert quorum(broken, POLICY) == (0, 2)
    assert codec.to_bytes(combine(broken, SIGNED[1], POLICY)) == codec.to_bytes(SIGNED[1])


def put(name: str, value: object) -> Callable[[Psbt], None]:
    return lambda psbt: setattr(psbt.inputs[1], name, value)


def spending(name: str, value: object) -> Callable[[Psbt], None]:
    """Spend something else; a previous transaction that does not fit is refused when read."""

    def change(psbt: Psbt) -> None:
        setattr(psbt.inputs[1], name, value)
        psbt.inputs[1].non_witness_utxo = None

    return change


def richer(psbt: Psbt) -> None:
    psbt.inputs[1].witness_utxo.value += 1


def another_previous(psbt: Psbt) -> None:
    psbt.inputs[1].non_witness_utxo = next(
        i.non_witness_utxo for i in psbt.inputs if i.txid != psbt.inputs[1].txid
    )


def test_a_previous_transaction_that_made_another_coin_is_refused_when_read() -> None:
    with pytest.raises(PsbtError, match=r"inputs\[1\].non_witness_utxo is .* not the transaction"):
        returned(SIGNED[1], another_previous)
    with pytest.raises(PsbtError, match=r"inputs\[1\].vout is 5, .* has 1 outputs"):
        returned(SIGNED[1], put("vout", 5))


def signature_of(kind: int) -> Callable[[Psbt], None]:
    def change(psbt: Psbt) -> None:
        for key, value in psbt.inputs[1].partial_sigs.items():
            psbt.inputs[1].partial_sigs[key] = value[:-1] + bytes([kind])

    return change


def stranger(psbt: Psbt) -> None:
    (value,) = psbt.inputs[1].partial_sigs.values()
    psbt.inputs[1].partial_sigs[codec.public_key(VAULT.masters[0].pubkey)] = value


def moved_derivation(psbt: Psbt) -> None:
    keys = list(psbt.inputs[1].bip32_derivations)
    theirs = psbt.inputs[1].bip32_derivations
    theirs[keys[0]], theirs[keys[1]] = theirs[keys[1]], theirs[keys[0]]


def swap_outputs(psbt: Psbt) -> None:
    psbt.outputs.reverse()


def output_value(psbt: Psbt) -> None:
    psbt.outputs[1].value -= 1


def output_script(psbt: Psbt) -> None:
    script = psbt.outputs[0].script_pubkey
    psbt.outputs[0].script_pubkey = type(script)(b"\x00\x14" + b"\x22" * 20)


def less_inputs(psbt: Psbt) -> None:
    psbt.inputs.pop()


def less_outputs(psbt: Psbt) -> None:
    psbt.outputs.pop()


def output_witness_script(psbt: Psbt) -> None:
    payment = next(o for o in psbt.outputs if o.witness_script is None)
    payment.witness_script = psbt.inputs[0].witness_script


def whole(name: str, value: object) -> Callable[[Psbt], None]:
    return lambda psbt: setattr(psbt, name, value)


PAID = next(i for i, o in enumerate(SPEND.outputs) if o.witness_script is None)
SIGNATURE = f"inputs[1].partial_sigs[{PUBKEY.hex()}]"
XPUB = HDKey.from_seed(bytes(32)).to_public()
SCRIPT = type(SPEND.inputs[0].witness_script)
WITNESS = type(
    finalize(combine(SIGNED[0], SIGNED[1], POLICY), POLICY).inputs[0].final_scriptwitness
)
TAMPERED = {
    "another transaction": (spending("txid", bytes(32)), "inputs[1].txid"),
    "another output spent": (spending("vout", 5), "inputs[1].vout"),
    "another sequence": (put("sequence", 0), "inputs[1].sequence"),
    "an input less": (less_inputs, "inputs"),
    "an output less": (less_outputs, "outputs"),
    "outputs swapped": (swap_outputs, "outputs[0].value"),
    "another value": (output_value, "outputs[1].value"),
    "another script": (output_script, "outputs[0].script_pubkey"),
    "another version": (whole("tx_version", 1), "tx_version"),
    "another lock time": (whole("locktime", 0), "locktime"),
    "a claim to be change": (output_witness_script, f"outputs[{PAID}].witness_script"),
    "another amount": (richer, "inputs[1].witness_utxo"),
    "another witness script": (put("witness_script", SCRIPT(b"Q")), "inputs[1].witness_script"),
    "a redeem script": (put("redeem_script", SCRIPT(b"Q")), "inputs[1].redeem_script"),
    "other derivations": (moved_derivation, "inputs[1].bip32_derivations"),
    "sighash type NONE": (put("sighash_type", 2), "inputs[1].sighash_type"),
    "sighash type 0": (put("sighash_type", 0), "inputs[1].sighash_type"),
    "a signature for SINGLE": (signature_of(3), SIGNATURE),
    "a signature for nothing": (signature_of(0), SIGNATURE),
    "a key outside the policy": (
        stranger,
        f"inputs[1].partial_sigs[{VAULT.masters[0].pubkey.hex()}]",
    ),
    "a script_sig": (put("final_scriptsig", SCRIPT(b"Q")), "inputs[1].final_scriptsig"),
    "a witness of nothing": (
        put("final_scriptwitness", WITNESS([])),
        "inputs[1].final_scriptwitness",
    ),
}


@pytest.mark.parametrize(("change", "field"), TAMPERED.values(), ids=TAMPERED)
def test_what_is_not_a_signature_is_refused_by_name(
    change: Callable[[Psbt], None], field: str
) -> None:
    other = returned(SIGNED[1], change)
    for act in (combine, new_signatures):
        with pytest.raises(NotOnlySignatures) as refusal:
            act(SIGNED[0], other, POLICY)
        assert refusal.value.field == field
        assert field in str(refusal.value)


def test_the_sighash_type_that_is_wanted_is_named() -> None:
    for vault, name in ((VAULT, "ALL"), (soft_vault(2, 3, "tr"), "DEFAULT")):
        spend = vault.spend([50_000, 60_000], 100_000, 0)
        other = returned(spend, put("sighash_type", 2))
        with pytest.raises(NotOnlySignatures, match=f"is 2, not {name}"):
            new_signatures(spend, other, vault.policy)


@pytest.mark.parametrize(
    ("script", "fault"),
    [("wsh", "is not empty"), ("sh-wsh", "is not that of the output it spends")],
)
def test_a_script_sig_that_is_not_the_scripts_is_refused_with_its_reason(
    script: str, fault: str
) -> None:
    vault = soft_vault(1, 1, script)
    spend = vault.spend([50_000, 60_000], 100_000, 0)
    other = returned(vault.sign(spend, 0), put("final_scriptsig", SCRIPT(b"Q")))
    with pytest.raises(NotOnlySignatures, match=f"final_scriptsig {fault}"):
        new_signatures(spend, other, vault.policy)


def test_the_same_change_before_sending_is_refused_by_input() -> None:
    broken = codec.copy(SIGNED[0])
    spent = broken.inputs[1].witness_utxo
    broken.inputs[1].witness_utxo = type(spent)(spent.value + 1, spent.script_pubkey)
    with pytest.raises(PsbtError, match="input 1: witness_utxo says"):
        combine(broken, broken, POLICY)


def test_an_invalid_signature_is_refused_with_its_key() -> None:
    def swap(psbt: Psbt) -> None:
        psbt.inputs[1].partial_sigs[codec.public_key(PUBKEY)] = partial_from_compact(ANSWERS[0][1])

    with pytest.raises(SignatureInvalid) as refusal:
        combine(SIGNED[0], returned(SIGNED[1], swap), POLICY)
    assert (refusal.value.input_index, refusal.value.pubkey) == (1, PUBKEY)


def finished(change: Callable[[list[bytes]], list[bytes]]) -> Psbt:
    def apply(psbt: Psbt) -> None:
        items = psbt.inputs[1].final_scriptwitness.items
        psbt.inputs[1].final_scriptwitness = WITNESS(change(items))

    return returned(finalize(combine(SIGNED[0], SIGNED[1], POLICY), POLICY), apply)


def test_an_empty_script_sig_and_a_single_signature_are_fine() -> None:
    def empty(psbt: Psbt) -> None:
        psbt.inputs[0].final_scriptsig = SCRIPT(b"")

    single = soft_vault(1, 2)
    psbt = single.spend([50_000], 40_000, 0)
    signed = single.sign(psbt, 1)
    other = returned(finalize(signed, single.policy), empty)
    assert codec.to_bytes(combine(psbt, other, single.policy)) == codec.to_bytes(signed)


BAD_WITNESSES = {
    "no signature": lambda items: [b"", items[3]],
    "no dummy": lambda items: items[1:],
    "a dummy that is not empty": lambda items: [b"\x00", *items[1:]],
    "no script": lambda items: items[:-1],
    "another script": lambda items: [*items[:-1], b"\x51"],
    "signatures in the wrong order": lambda items: [b"", items[2], items[1], items[3]],
    "one signature twice": lambda items: [b"", items[1], items[1], items[3]],
    "no DER": lambda items: [b"", items[1], b"\x01", items[3]],
}


@pytest.mark.parametrize("change", BAD_WITNESSES.values(), ids=BAD_WITNESSES)
def test_a_bad_witness_is_refused(change: Callable[[list[bytes]], list[bytes]]) -> None:
    with pytest.raises(NotOnlySignatures) as refusal:
        combine(SPEND, finished(change), POLICY)
    assert refusal.value.field == "inputs[1].final_scriptwitness"


@pytest.mark.parametrize(("threshold", "total"), [(1, 1), (3, 4), (10, 15), (15, 15)])
def test_every_size_of_policy_comes_together(threshold: int, total: int) -> None:
    vault = soft_vault(threshold, total)
    psbt = vault.spend([50_000, 60_000], 100_000, 0)
    for have, cosigner in enumerate(reversed(range(total - threshold, total))):
        assert quorum(psbt, vault.policy) == (have, threshold)
        psbt = combine(
            psbt, vault.sign(vault.spend([50_000, 60_000], 100_000, 0), cosigner), vault.policy
        )
    assert quorum(psbt, vault.policy) == (threshold, threshold)


def adding(name: str, fields: dict) -> Callable[[Psbt], None]:
    def change(psbt: Psbt) -> None:
        for scope in (psbt, *psbt.inputs, *psbt.outputs):
            if hasattr(scope, name):
                setattr(scope, name, {**getattr(scope, name), **fields})

    return change


def test_unknown_and_proprietary_fields_are_passed_over_and_kept() -> None:
    added = {b"\xf0x": b"unknown", b"\xfc\x03abc\x00": b"proprietary"}
    both = combine(SIGNED[0], returned(SIGNED[1], adding("unknown", added)), POLICY)
    assert quorum(both, POLICY) == (2, 2)
    for scope in (both, *both.inputs, *both.outputs):
        assert scope.unknown == added
    finalize(codec.parse(codec.to_bytes(both)), POLICY)


def test_an_unknown_field_of_ours_stays_as_it_is() -> None:
    ours, theirs = codec.copy(SIGNED[0]), codec.copy(SIGNED[1])
    ours.inputs[1].unknown[b"\xfc\x01a\x00"] = b"ours"
    theirs.inputs[1].unknown[b"\xfc\x01a\x00"] = b"theirs"
    assert combine(ours, theirs, POLICY).inputs[1].unknown == {b"\xfc\x01a\x00": b"ours"}


def test_what_is_said_about_a_payee_is_kept_and_does_not_make_it_change() -> None:
    origin = type(next(iter(SPEND.inputs[0].bip32_derivations.values())))
    script = bytes.fromhex("5121") + PUBKEY + bytes.fromhex("51ae")
    plan, previous = VAULT.creation([50_000, 60_000], 40_000, 69_000)
    paid = (Payment(p2wsh(script), 40_000),)
    ours = create(replace(plan, payments=paid), previous)

    def describe(psbt: Psbt) -> None:
        theirs = next(out for out in psbt.outputs if out.value == 40_000)
        theirs.witness_script = SCRIPT(script)
        theirs.bip32_derivations[codec.public_key(PUBKEY)] = origin(b"\xde\xad\xbe\xef", [0, 7])
        psbt.xpubs[XPUB] = origin(b"\xde\xad\xbe\xef", [1 << 31])

    both = combine(ours, returned(VAULT.sign(ours, 1), describe), POLICY)
    payee = next(out for out in both.outputs if out.value == 40_000)
    assert payee.witness_script.data == script
    assert len(payee.bip32_derivations) == 1
    assert len(both.xpubs) == 4
    assert [w.code for w in review(both, POLICY, Context(tip_height=800_000)).warnings] == []


def test_a_derivation_that_would_make_a_payee_look_like_change_is_not_kept() -> None:
    def claim(psbt: Psbt) -> None:
        theirs = next(out for out in psbt.outputs if not out.bip32_derivations)
        theirs.bip32_derivations = dict(psbt.inputs[0].bip32_derivations)

    both = combine(SIGNED[0], returned(SIGNED[1], claim), POLICY)
    assert quorum(both, POLICY) == (2, 2)
    assert not both.outputs[PAID].bip32_derivations


def test_what_was_left_out_before_may_come_back_if_it_is_true() -> None:
    ours = codec.copy(SIGNED[0])
    for psbt_in in ours.inputs:
        psbt_in.witness_utxo = None
    assert quorum(combine(ours, SIGNED[1], POLICY), POLICY) == (2, 2)
    for change in (richer_alone, moved_alone):
        with pytest.raises(NotOnlySignatures, match=r"inputs\[1\].witness_utxo"):
            combine(ours, returned(codec.copy(SIGNED[1]), change), POLICY)


def richer_alone(psbt: Psbt) -> None:
    """Say another amount, and nothing that proves it."""
    leave_unproved(psbt)
    stated = psbt.inputs[1].witness_utxo
    psbt.inputs[1].witness_utxo = type(stated)(stated.value + 1, stated.script_pubkey)


def moved_alone(psbt: Psbt) -> None:
    """Say another script, and nothing that proves it."""
    leave_unproved(psbt)
    stated = psbt.inputs[1].witness_utxo
    psbt.inputs[1].witness_utxo = type(stated)(stated.value, SCRIPT(b"\x51"))


def leave_unproved(psbt: Psbt) -> None:
    for psbt_in in psbt.inputs:
        psbt_in.non_witness_utxo = None


def test_additions_without_end_are_passed_over_and_the_signatures_taken() -> None:
    many = {b"\xf0" + number.to_bytes(2): bytes(1000) for number in range(300)}
    both = combine(SIGNED[0], returned(SIGNED[1], adding("unknown", many)), POLICY)
    assert codec.to_bytes(both) == codec.to_bytes(combine(SIGNED[0], SIGNED[1], POLICY))


@pytest.mark.parametrize("more", [0, 1])
def test_additions_are_taken_up_to_their_limit_and_not_a_byte_more(more: int) -> None:
    added = {b"\xf0": bytes(ADDED_MAX - 1 + more)}

    def say(psbt: Psbt) -> None:
        psbt.unknown.update(added)

    both = combine(SIGNED[0], returned(SIGNED[1], say), POLICY)
    assert both.unknown == ({} if more else added)
    assert quorum(both, POLICY) == (2, 2)


def test_of_a_psbt_that_says_too_much_beside_ours_its_signatures_are_left() -> None:
    many = {b"\xf0" + number.to_bytes(2): bytes(1000) for number in range(300)}
    signed = SIGNED[1]
    assert without_excess(SPEND, signed) is signed
    bare = without_excess(SPEND, returned(signed, adding("unknown", many)))
    assert codec.to_bytes(bare) == codec.to_bytes(signed)


@pytest.mark.parametrize("more", [0, 1])
def test_a_psbt_is_kept_whole_up_to_a_limit_and_not_a_byte_more(more: int) -> None:
    signed = len(codec.to_bytes(SIGNED[1])) - len(codec.to_bytes(SPEND))
    framed = 1 + 1 + 5  # a key's length, a key and a value's length
    added = {b"\xf0": bytes(ADDED_MAX - signed - framed + more)}

    def say(psbt: Psbt) -> None:
        psbt.unknown.update(added)

    whole = returned(SIGNED[1], say)
    assert (without_excess(SPEND, whole) is whole) == (not more)


def finished_by_its_owner() -> tuple[Psbt, Psbt, int]:
    """Return ours, and theirs in which an input of somebody else is final: 3 and 16 bytes."""
    theirs = codec.copy(SPEND)
    codec.finish_input(theirs.inputs[0], bytes(3), (bytes(10), bytes(6)))
    return SPEND, theirs, 3 + 16


def signed_by_its_owner() -> tuple[Psbt, Psbt, int]:
    """Return ours, and theirs that has signatures of inputs of somebody else, and a script."""
    ours, script = codec.copy(SPEND), SPEND.inputs[0].witness_script.data
    ours.inputs[0].witness_script = None
    signatures = [each for scope in SIGNED[1].inputs for each in scope.partial_sigs.items()]
    size = sum(len(key.serialize()) + len(signature) for key, signature in signatures)
    return ours, codec.copy(SIGNED[1]), size + len(script)


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("unlocked", [finished_by_its_owner, signed_by_its_owner])
def test_what_unlocks_the_inputs_of_others_counts_as_an_addition(
    unlocked: Callable[[], tuple[Psbt, Psbt, int]], more: int
) -> None:
    ours, theirs, size = unlocked()
    theirs.unknown[b"\xf0"] = bytes(ADDED_MAX - 1 - size + more)
    wider = with_additions(ours, theirs, POLICY, own={})
    taken = codec.to_bytes(wider) != codec.to_bytes(ours)
    assert taken == (not more)


@pytest.mark.parametrize("cosigners", list(combinations(range(3), 2)))
def test_the_signatures_of_a_finished_transaction_are_taken(cosigners: tuple[int, int]) -> None:
    final = finalize(combine(SIGNED[cosigners[0]], SIGNED[cosigners[1]], POLICY), POLICY)
    came_back = codec.final_psbt(parse_transaction(extract(final)))
    arrived = combine(SPEND, came_back, POLICY)
    assert standing(arrived, POLICY).counts == {c: 3 * (c in cosigners) for c in range(3)}
    assert extract(finalize(arrived, POLICY)) == extract(final)


def test_a_finished_transaction_of_another_payment_is_refused() -> None:
    other = parse_transaction(FINAL[0])
    outputs = tuple(out._replace(value_sats=out.value_sats - 1) for out in other.outputs)
    with pytest.raises(NotOnlySignatures):
        combine(SPEND, codec.final_psbt(replace(other, outputs=outputs)), POLICY)
    with pytest.raises(NotOnlySignatures):
        combine(SPEND, codec.final_psbt(replace(other, locktime=1)), POLICY)
