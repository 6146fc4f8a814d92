from itertools import combinations

import pytest

from psbt import codec
from psbt.combiner import combine
from psbt.errors import PsbtError, SignaturesMissing
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.multisig import Multisig, read_multisig, write_multisig
from psbt.signature import partial_from_compact
from psbt.transaction import parse_transaction
from psbt.weight import WEIGHT_MAX
from tests.judges import judge
from tests.psbt.soft_vault import quorum, soft_vault

VAULT = soft_vault(2, 3)
SPEND = VAULT.spend([50_000, 60_000, 70_000], 100_000, 70_000)
BOTH = VAULT.sign(VAULT.sign(SPEND, 2), 0)
QUORUMS = [(1, 1, (0,)), (1, 2, (1,)), (10, 15, tuple(range(5, 15))), (15, 15, tuple(range(15)))]
QUORUMS += [(2, 3, pair) for pair in combinations((2, 1, 0), 2)]


@pytest.mark.parametrize(("threshold", "total", "cosigners"), QUORUMS)
def test_peers_finalize_to_the_same_transaction(
    threshold: int, total: int, cosigners: tuple[int, ...]
) -> None:
    wally, bdk = judge("wallycore"), judge("bdkpython")
    vault = soft_vault(threshold, total)
    psbt = vault.spend([50_000, 60_000, 70_000], 100_000, 70_000)
    for cosigner in cosigners:
        psbt = vault.sign(psbt, cosigner)
    ours = extract(finalize(psbt, vault.policy))

    text = codec.to_base64(psbt)
    assert bytes(bdk.Psbt(text).finalize().psbt.extract_tx().serialize()) == ours
    theirs = wally.psbt_from_base64(text, 0)
    wally.psbt_finalize(theirs, 0)
    assert bytes(wally.tx_to_bytes(wally.psbt_extract(theirs, 0), 1)) == ours


def test_a_finalized_psbt_is_what_peers_read() -> None:
    wally, bdk = judge("wallycore"), judge("bdkpython")
    final = finalize(BOTH, VAULT.policy)
    text = codec.to_base64(final)
    assert codec.to_base64(codec.parse(text)) == text
    assert bytes(bdk.Psbt(text).extract_tx().serialize()) == extract(final)
    assert wally.psbt_is_finalized(wally.psbt_from_base64(text, 0))


def test_only_what_was_spent_stays_beside_the_witness() -> None:
    before = codec.to_bytes(BOTH)
    kept = {"txid", "vout", "sequence", "non_witness_utxo", "witness_utxo", "final_scriptwitness"}
    for psbt_in in finalize(BOTH, VAULT.policy).inputs:
        assert {name for name, value in vars(psbt_in).items() if value} | {"vout"} == kept
    assert codec.to_bytes(BOTH) == before


def test_exactly_the_threshold_is_used_in_script_order() -> None:
    all_three = VAULT.sign(BOTH, 1)
    transaction = parse_transaction(extract(finalize(all_three, VAULT.policy)))
    for tx_in, psbt_in in zip(transaction.inputs, all_three.inputs, strict=True):
        held = {key.sec(): value for key, value in psbt_in.partial_sigs.items()}
        multisig = read_multisig(psbt_in.witness_script.data)
        first_two = [held[pubkey] for pubkey in multisig.pubkeys[:2]]
        assert list(tx_in.witness) == [b"", *first_two, psbt_in.witness_script.data]


def test_the_poorest_input_decides() -> None:
    missing = codec.copy(BOTH)
    missing.inputs[2].partial_sigs.popitem()
    for psbt, have in ((SPEND, 0), (missing, 1)):
        with pytest.raises(SignaturesMissing) as refusal:
            finalize(psbt, VAULT.policy)
        assert (refusal.value.have, refusal.value.need) == (have, 2)


def test_without_inputs_nothing_is_counted() -> None:
    vault = soft_vault(1, 1)
    empty = codec.copy(vault.spend([50_000], 40_000, 0))
    empty.inputs = []
    for ask in (finalize, quorum):
        with pytest.raises(PsbtError, match="0 inputs and 1 outputs is no payment"):
            ask(empty, vault.policy)


def test_an_invalid_signature_does_not_count() -> None:
    broken = codec.copy(BOTH)
    (request, signature), *_ = VAULT.answers(SPEND, 0)
    wrong = partial_from_compact(signature[:63] + bytes([signature[63] ^ 1]))
    broken.inputs[request.input_index].partial_sigs[codec.public_key(request.pubkey)] = wrong
    with pytest.raises(SignaturesMissing, match="1 of 2"):
        finalize(broken, VAULT.policy)
    mended = combine(broken, VAULT.sign(SPEND, 0), VAULT.policy)
    assert extract(finalize(mended, VAULT.policy)) == extract(finalize(BOTH, VAULT.policy))


def test_a_signature_of_another_type_does_not_count() -> None:
    single = codec.copy(BOTH)
    for key, value in BOTH.inputs[1].partial_sigs.items():
        single.inputs[1].partial_sigs[key] = value[:-1] + b"\x03"
    with pytest.raises(SignaturesMissing, match="0 of 2"):
        finalize(single, VAULT.policy)


def test_what_is_final_is_left_alone() -> None:
    with pytest.raises(PsbtError, match="input 0 is final already"):
        finalize(finalize(BOTH, VAULT.policy), VAULT.policy)


def test_one_input_that_is_final_is_named() -> None:
    some = codec.copy(BOTH)
    some.inputs[1].final_scriptwitness = finalize(BOTH, VAULT.policy).inputs[1].final_scriptwitness
    with pytest.raises(PsbtError, match="input 1 is final already"):
        finalize(some, VAULT.policy)


def test_only_a_final_psbt_is_extracted() -> None:
    half = finalize(BOTH, VAULT.policy)
    half.inputs[1].final_scriptwitness = None
    with pytest.raises(PsbtError, match="input 1 is not final"):
        extract(half)


def test_sizes_and_id_are_those_of_the_network() -> None:
    wally = judge("wallycore")
    raw = extract(finalize(BOTH, VAULT.policy))
    signed, theirs = parse_transaction(raw), wally.tx_from_bytes(raw, 1)
    assert signed.weight == wally.tx_get_weight(theirs)
    assert signed.vsize == wally.tx_get_vsize(theirs)
    assert signed.txid == bytes(wally.tx_get_txid(theirs))[::-1].hex()
    assert signed.txid == codec.txid(SPEND)


def test_what_nodes_do_not_relay_is_not_extracted(monkeypatch: pytest.MonkeyPatch) -> None:
    final = finalize(BOTH, VAULT.policy)
    exact = parse_transaction(extract(final)).weight
    assert exact <= WEIGHT_MAX
    monkeypatch.setattr("psbt.extractor.WEIGHT_MAX", exact)
    extract(final)
    monkeypatch.setattr("psbt.extractor.WEIGHT_MAX", exact - 1)
    with pytest.raises(PsbtError, match=f"{exact} is above {exact - 1}"):
        extract(final)


@pytest.mark.parametrize(("threshold", "total"), [(1, 1), (2, 3), (1, 15), (15, 15)])
def test_multisig_scripts_are_read_as_written(threshold: int, total: int) -> None:
    script = soft_vault(threshold, total).spend([1_000], 1_000, 0).inputs[0].witness_script.data
    found = read_multisig(script)
    assert found is not None
    assert (found.threshold, len(found.pubkeys)) == (threshold, total)
    assert write_multisig(found) == script


def test_other_scripts_are_no_multisig() -> None:
    pubkeys = (b"\x02" + bytes(32), b"\x03" + bytes(32))
    good = write_multisig(Multisig(2, pubkeys))
    assert read_multisig(good) == (2, pubkeys)
    sixteen = write_multisig(Multisig(1, pubkeys * 8))
    bad = [b"", b"\x51\xae", good[:-1], good + b"\xae", b"\x53" + good[1:], b"\x50" + good[1:]]
    bad += [good[:-2] + b"\x53\xae", good[:-1] + b"\xad", good[:1] + b"\x20" + good[2:], sixteen]
    assert [read_multisig(script) for script in bad] == [None] * len(bad)
