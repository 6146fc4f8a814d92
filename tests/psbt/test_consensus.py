from collections.abc import Callable
from dataclasses import replace

import pytest

from psbt import consensus
from psbt.digests import digests
from psbt.errors import ConsensusRejected
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.sighash import p2wsh, spent_outputs
from psbt.signature import ORDER, compact_from_partial, der_from_compact, partial_from_compact
from psbt.transaction import Transaction, parse_transaction
from tests.judges import judge
from tests.psbt.soft_vault import soft_vault

VAULT = soft_vault(2, 3)
SPEND = VAULT.spend([50_000, 60_000, 70_000], 100_000, 70_000)
FINAL = finalize(VAULT.sign(VAULT.sign(SPEND, 2), 0), VAULT.policy)
RAW = extract(FINAL)
SPENT = [(spent.script_pubkey, spent.value_sats) for spent in spent_outputs(FINAL)]
PARSED = parse_transaction(RAW)


@pytest.fixture(params=[consensus.ACCEPTED, consensus.OWN_CHECK])
def verdict(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Check with the engine, then without."""
    if request.param == consensus.ACCEPTED:
        judge("pbk")
    else:
        monkeypatch.setattr(consensus, "engine_available", lambda: False)
    return str(request.param)


def with_witness(index: int, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """Change the witness of one input."""
    inputs = list(PARSED.inputs)
    witness = tuple(change(list(inputs[index].witness)))
    inputs[index] = inputs[index]._replace(witness=witness)
    return replace(PARSED, inputs=tuple(inputs)).raw


def test_our_transaction_is_accepted(verdict: str) -> None:
    assert consensus.check(RAW, SPENT) == verdict


@pytest.mark.parametrize(("threshold", "total"), [(1, 1), (11, 15), (15, 15)])
def test_every_size_of_policy_is_accepted(verdict: str, threshold: int, total: int) -> None:
    vault = soft_vault(threshold, total)
    psbt = vault.spend([50_000, 60_000], 100_000, 0)
    for cosigner in range(threshold):
        psbt = vault.sign(psbt, cosigner)
    spent = [(out.script_pubkey, out.value_sats) for out in spent_outputs(psbt)]
    assert consensus.check(extract(finalize(psbt, vault.policy)), spent) == verdict


def flipped(place: int) -> Callable[[list[bytes]], list[bytes]]:
    def change(items: list[bytes]) -> list[bytes]:
        item = bytearray(items[place])
        item[len(item) // 2] ^= 1
        return [*items[:place], bytes(item), *items[place + 1 :]]

    return change


BAD_WITNESSES = {
    "first signature flipped": flipped(1),
    "second signature flipped": flipped(2),
    "script flipped": flipped(3),
    "no witness": lambda _: [],
    "no dummy": lambda items: items[1:],
    "another dummy": lambda items: [b"\x01", *items[1:]],
    "signatures swapped": lambda items: [items[0], items[2], items[1], items[3]],
    "one signature twice": lambda items: [items[0], items[1], items[1], items[3]],
    "a signature missing": lambda items: [items[0], items[1], items[3]],
    "a signature too many": lambda items: [items[0], items[1], *items[1:]],
    "an empty signature": lambda items: [items[0], b"", *items[2:]],
    "sighash type NONE": lambda items: [items[0], items[1][:-1] + b"\x02", *items[2:]],
    "a script for anybody": lambda _: [b"\x51"],
}


@pytest.mark.usefixtures("verdict")
@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("change", BAD_WITNESSES.values(), ids=BAD_WITNESSES)
def test_a_bad_witness_is_refused_with_its_input(
    index: int, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    with pytest.raises(ConsensusRejected) as refusal:
        consensus.check(with_witness(index, change), SPENT)
    assert refusal.value.input_index == index


@pytest.mark.usefixtures("verdict")
def test_the_signatures_commit_to_amounts_scripts_and_outputs() -> None:
    script, value = SPENT[1]
    for wrong in ((script, value + 1), (SPENT[0][0], value)):
        with pytest.raises(ConsensusRejected) as refusal:
            consensus.check(RAW, [SPENT[0], wrong, SPENT[2]])
        assert refusal.value.input_index == 1
    first = PARSED.outputs[0]
    outputs = (first._replace(value_sats=first.value_sats - 1), *PARSED.outputs[1:])
    with pytest.raises(ConsensusRejected):
        consensus.check(replace(PARSED, outputs=outputs).raw, SPENT)


@pytest.mark.usefixtures("verdict")
@pytest.mark.parametrize("spent", [[], SPENT[:2], [*SPENT, SPENT[0]]])
def test_counts_are_checked_before_the_engine_is_asked(spent: list[tuple[bytes, int]]) -> None:
    with pytest.raises(ConsensusRejected, match=f"3 inputs spend {len(spent)} outputs"):
        consensus.check(RAW, spent)


@pytest.mark.usefixtures("verdict")
def test_what_the_scripts_do_not_say_is_checked() -> None:
    poor = [(script, 1) for script, _ in SPENT]
    huge = [(SPENT[0][0], 2_100_000_000_000_000), *SPENT[1:]]
    twice = replace(PARSED, inputs=(PARSED.inputs[0], *PARSED.inputs[:2]))
    empty = replace(PARSED, outputs=())
    for raw, spent in ((RAW, poor), (RAW, huge), (twice.raw, SPENT), (empty.raw, SPENT)):
        with pytest.raises(ConsensusRejected) as refusal:
            consensus.check(raw, spent)
        assert refusal.value.input_index is None
    all_there_is = 2_100_000_000_000_000 - sum(value for _, value in SPENT[1:])
    with pytest.raises(ConsensusRejected) as refusal:
        consensus.check(RAW, [(SPENT[0][0], all_there_is), *SPENT[1:]])
    assert refusal.value.input_index == 0
    for junk in (b"", RAW[:-1], RAW + b"\x00"):
        with pytest.raises(ConsensusRejected, match="the transaction is refused"):
            consensus.check(junk, SPENT)


def signed(value: int) -> tuple[Transaction, list[tuple[bytes, int]]]:
    """Spend all of what the inputs have: no fee, which consensus allows."""
    outputs = (PARSED.outputs[0]._replace(value_sats=value),)
    unsigned = replace(PARSED, outputs=outputs)
    scripts = [tx_in.witness[-1] for tx_in in PARSED.inputs]
    inputs = []
    for tx_in, psbt_in, digest in zip(
        unsigned.inputs,
        SPEND.inputs,
        digests(unsigned, scripts, [v for _, v in SPENT]),
        strict=True,
    ):
        keychain_index = next(iter(psbt_in.bip32_derivations.values())).derivation
        keys = sorted(
            (key.at(tuple(keychain_index)) for key in VAULT.masters), key=lambda key: key.pubkey
        )
        sigs = [partial_from_compact(key.sign(digest)) for key in keys[:2]]
        inputs.append(tx_in._replace(witness=(b"", *sigs, tx_in.witness[-1])))
    return replace(unsigned, inputs=tuple(inputs)), SPENT


def test_the_outputs_may_be_worth_the_inputs_and_no_more(verdict: str) -> None:
    total = sum(value for _, value in SPENT)
    transaction, spent = signed(total)
    assert consensus.check(transaction.raw, spent) == verdict
    transaction, spent = signed(total + 1)
    with pytest.raises(ConsensusRejected, match=f"{total + 1} sats come from {total}"):
        consensus.check(transaction.raw, spent)


def test_a_high_s_is_consensus_though_not_policy(verdict: str) -> None:
    def high(items: list[bytes]) -> list[bytes]:
        low = compact_from_partial(items[1])
        s = (ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
        return [items[0], der_from_compact(low[:32] + s) + b"\x01", *items[2:]]

    assert consensus.check(with_witness(1, high), SPENT) == verdict


def test_the_own_check_knows_the_forms_of_vaults_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consensus, "engine_available", lambda: False)
    anybody = [(p2wsh(b"\x51\x75\x51"), SPENT[0][1]), *SPENT[1:]]
    with pytest.raises(ConsensusRejected, match=r"input 0 .* of no form known here"):
        consensus.check(with_witness(0, lambda _: [b"\x51\x75\x51"]), anybody)
    with_script_sig = PARSED.inputs[0]._replace(script_sig=b"\x00")
    raw = replace(PARSED, inputs=(with_script_sig, *PARSED.inputs[1:])).raw
    with pytest.raises(ConsensusRejected, match="input 0"):
        consensus.check(raw, SPENT)


def test_the_engine_is_there_if_installed() -> None:
    judge("pbk")
    assert consensus.engine_available()
