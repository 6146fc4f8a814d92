import pytest

from coordinator.chain.regtest import RegtestChain
from coordinator.chain.regtest import policy as relay
from coordinator.errors import TransactionRejected
from psbt.coins import Outpoint
from psbt.transaction import (
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
)
from tests.coordinator.chain.purse import Coins, Purse

FINAL = 0xFFFFFFFF
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def refusal(chain: RegtestChain, transaction: Transaction) -> str:
    with pytest.raises(TransactionRejected) as caught:
        chain.broadcast(transaction.raw)
    return caught.value.reason


def test_a_transaction_waits_then_confirms(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    payment = purse.spend(funded[:2])
    assert chain.broadcast(payment.raw) == payment.txid
    assert chain.mempool() == [payment.txid]
    chain.mine(1)
    assert chain.mempool() == []
    assert chain.transaction(payment.txid) == payment.raw


def test_sending_again_changes_nothing(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    payment = purse.spend(funded[:1])
    assert chain.broadcast(payment.raw) == chain.broadcast(payment.raw) == payment.txid
    assert chain.mempool() == [payment.txid]
    chain.mine(1)
    assert chain.broadcast(payment.raw) == payment.txid
    assert chain.mempool() == []


def test_a_family_confirms_in_one_block(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    parent = purse.spend(funded[:1])
    child = purse.spend(purse.coins(parent.raw))
    assert refusal(chain, child) == "bad-txns-inputs-missingorspent"
    chain.broadcast(parent.raw)
    chain.broadcast(child.raw)
    assert chain.mempool() == [parent.txid, child.txid]
    chain.mine(1)
    assert chain.mempool() == []


def test_spent_and_unknown_coins_are_refused(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    chain.broadcast(purse.spend(funded[:1]).raw)
    chain.mine(1)
    again = purse.spend(funded[:1], fee_sats=2_000)
    unknown = purse.spend([(Outpoint("11" * 32, 0), 50_000)])
    assert refusal(chain, again) == "bad-txns-inputs-missingorspent"
    assert refusal(chain, unknown) == "bad-txns-inputs-missingorspent"


def test_a_bad_signature_is_refused(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    payment = purse.spend(funded[:1])
    tampered = payment.raw.replace(
        payment.outputs[0].value_sats.to_bytes(8, "little"),
        (payment.outputs[0].value_sats - 1).to_bytes(8, "little"),
    )
    reason = refusal(chain, parse_transaction(tampered))
    assert reason.startswith("mandatory-script-verify-flag-failed (input 0")


def test_more_than_was_there_is_refused(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    assert refusal(chain, purse.spend(funded[:1], fee_sats=-1)) == "bad-txns-in-belowout"


def test_a_fee_below_the_relay_minimum_is_refused(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    least = -(-purse.spend(funded[:1]).vsize // 10)
    assert refusal(chain, purse.spend(funded[:1], fee_sats=least - 1)) == "min relay fee not met"
    chain.broadcast(purse.spend(funded[:1], fee_sats=least).raw)


def test_dust_and_unknown_scripts_are_refused(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    _, value = funded[0]
    assert refusal(chain, purse.spend(funded[:1], fee_sats=value - 329)) == "dust"
    assert refusal(chain, purse.spend(funded[:1], to=b"\x51")) == "scriptpubkey"
    assert refusal(chain, purse.spend(funded[:1], to=b"\x6a")) == "tx-size-small"
    assert refusal(chain, purse.spend(funded[:1], to=b"\x51" * 9)) == "scriptpubkey"
    assert refusal(chain, purse.spend(funded[:1], version=4)) == "version"
    chain.broadcast(purse.spend(funded[:1], to=b"\x6a\x04note").raw)
    chain.broadcast(purse.spend(funded[1:2], fee_sats=value - 330).raw)


def test_what_is_too_heavy_is_refused(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    coin, value = funded[0]
    outputs = (TransactionOutput(330, purse.script_pubkey),) * 2_400
    heavy = Transaction(purse.spend([(coin, value)]).inputs, outputs)
    assert refusal(chain, purse.sign(heavy, [value])) == "tx-size"


def test_a_high_s_is_valid_but_not_relayed(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    payment = purse.spend(funded[:1])
    _, der, script = payment.inputs[0].witness
    r_end = 4 + der[3]
    s = ORDER - int.from_bytes(der[r_end + 2 : -1], "big")
    body = der[2:r_end] + b"\x02\x21" + s.to_bytes(33, "big")
    high = b"\x30" + bytes((len(body),)) + body + b"\x01"
    item = payment.inputs[0]._replace(witness=(b"", high, script))
    assert refusal(chain, Transaction((item,), payment.outputs)) == relay.HIGH_S


def test_any_waiting_transaction_may_be_replaced(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    chain.broadcast(purse.spend(funded[:1], sequence=FINAL).raw)
    rival = purse.spend(funded[:1], fee_sats=50_000)
    chain.broadcast(rival.raw)
    assert chain.mempool() == [rival.txid]


def test_a_replacement_builds_on_nothing_new_that_waits(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    parent = purse.spend(funded[1:2])
    chain.broadcast(parent.raw)
    chain.broadcast(purse.spend(funded[:1]).raw)
    rival = purse.spend([*funded[:1], *purse.coins(parent.raw)], fee_sats=50_000)
    assert refusal(chain, rival) == "replacement-adds-unconfirmed"


def test_a_replacement_must_pay_for_all_it_removes(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    first = purse.spend(funded[:1], fee_sats=1_000)
    child = purse.spend(purse.coins(first.raw), fee_sats=5_000)
    chain.broadcast(first.raw)
    chain.broadcast(child.raw)
    least = 6_000 + -(-purse.spend(funded[:1]).vsize // 10)
    cheap = purse.spend(funded[:1], fee_sats=least - 1)
    assert refusal(chain, cheap) == "insufficient fee"
    assert chain.mempool() == [first.txid, child.txid]
    bumped = purse.spend(funded[:1], fee_sats=least)
    chain.broadcast(bumped.raw)
    assert chain.mempool() == [bumped.txid]


def test_a_replacement_must_raise_the_rate(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    chain.broadcast(purse.spend(funded[:1], fee_sats=10_000).raw)
    wide = purse.spend(funded, fee_sats=11_000)
    assert refusal(chain, wide) == "insufficient fee"


def test_lock_times_wait_for_their_height(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    height = chain.tip().height
    early = purse.spend(funded[:1], locktime=height + 1)
    assert refusal(chain, early) == "non-final"
    chain.broadcast(purse.spend(funded[1:2], locktime=height).raw)
    chain.broadcast(purse.spend(funded[2:3], locktime=height + 9, sequence=FINAL).raw)
    chain.mine(1)
    chain.broadcast(early.raw)
    chain.mine(1)
    assert chain.mempool() == []


def test_lock_times_wait_for_their_hour(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    early = purse.spend(funded[:1], locktime=4_000_000_000)
    assert refusal(chain, early) == "non-final"
    chain.broadcast(purse.spend(funded[:1], locktime=1_300_000_000).raw)
    chain.mine(1)
    assert chain.mempool() == []


def test_a_relative_lock_is_refused_until_it_opens(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    assert refusal(chain, purse.spend(funded[:1], sequence=2)) == "non-BIP68-final"
    assert refusal(chain, purse.spend(funded[:1], sequence=1 << 22 | 2)) == "non-BIP68-final"
    chain.broadcast(purse.spend(funded[1:2], sequence=2, version=1).raw)
    chain.mine(1)
    chain.broadcast(purse.spend(funded[:1], sequence=2).raw)
    chain.mine(1)
    assert chain.mempool() == []


def test_young_coinbases_are_refused(chain: RegtestChain, purse: Purse) -> None:
    chain.mine(100, purse.script_pubkey)
    blocks = [block for _, block in chain._ledger.blocks_above(0)]
    coins = [purse.coins(block.transactions[0].raw)[0] for block in blocks]
    assert refusal(chain, purse.spend(coins[1:2])) == "bad-txns-premature-spend-of-coinbase"
    chain.broadcast(purse.spend(coins[:1]).raw)
    chain.mine(1)
    assert chain.mempool() == []


def test_bytes_that_are_no_transaction_are_refused(chain: RegtestChain) -> None:
    with pytest.raises(TransactionRejected, match="TX decode failed"):
        chain.broadcast(b"\x00")


def test_a_coinbase_is_not_relayed(chain: RegtestChain) -> None:
    chain.mine(1)
    (_, block), *_ = chain._ledger.blocks_above(0)
    fake = Transaction(block.transactions[0].inputs, block.transactions[0].outputs, locktime=7)
    assert refusal(chain, fake) == "coinbase"


def test_what_does_not_fit_waits_for_the_next_block(
    chain: RegtestChain, purse: Purse, funded: Coins, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = purse.spend(funded[:1])
    child = purse.spend(purse.coins(parent.raw))
    other = purse.spend(funded[1:2])
    for transaction in (parent, child, other):
        chain.broadcast(transaction.raw)
    limit = 4_000 + parent.weight + other.weight - 1
    monkeypatch.setattr("coordinator.chain.regtest.node.MAX_BLOCK_WEIGHT", limit)
    chain.mine(1)
    assert chain.mempool() == [child.txid, other.txid]
    chain.mine(2)
    assert chain.mempool() == []


def test_a_child_waits_for_a_parent_that_does_not_fit(
    chain: RegtestChain, purse: Purse, funded: Coins, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = purse.spend(funded)
    child = purse.spend(purse.coins(parent.raw))
    chain.broadcast(parent.raw)
    chain.broadcast(child.raw)
    limit = 4_000 + child.weight
    with monkeypatch.context() as small:
        small.setattr("coordinator.chain.regtest.node.MAX_BLOCK_WEIGHT", limit)
        chain.mine(1)
    assert chain.mempool() == [parent.txid, child.txid]
    chain.mine(1)
    assert chain.mempool() == []


KEY = b"\x21\x02" + b"\x11" * 32
RELAYED = {
    "p2pk": KEY + b"\xac",
    "bare multisig of three": b"\x51" + KEY * 3 + b"\x53\xae",
    "anchor beside change": bytes.fromhex("51024e73"),
    "later witness": b"\x60\x28" + bytes(40),
    "100,000 bytes of data": b"\x6a\x4e" + (90_000).to_bytes(4, "little") + bytes(90_000),
}


@pytest.mark.parametrize("script", RELAYED.values(), ids=RELAYED)
def test_what_core_relays_is_taken(
    chain: RegtestChain, purse: Purse, funded: Coins, script: bytes
) -> None:
    (coin, value), *_ = funded
    outputs = [(1_000, script), (0, b"\x6a\x04note"), (0, b"\x6a"), (800_000, purse.script_pubkey)]
    made = tuple(TransactionOutput(*each) for each in outputs)
    payment = purse.sign(Transaction(purse.spend([(coin, value)]).inputs, made), [value])
    assert chain.broadcast(payment.raw) == payment.txid
    chain.mine(1)
    assert chain.mempool() == []


def test_an_anchor_takes_no_witness_and_a_later_witness_is_not_spent(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    anchor = purse.spend(funded[:1], to=RELAYED["anchor beside change"], locktime=0)
    assert refusal(chain, anchor) == "tx-size-small"
    (coin, value), *_ = funded
    scripts = [RELAYED["anchor beside change"], RELAYED["later witness"]]
    made = tuple(TransactionOutput(400_000, script) for script in scripts)
    parent = purse.sign(Transaction(purse.spend([(coin, value)]).inputs, made), [value])
    chain.broadcast(parent.raw)
    paid = (TransactionOutput(300_000, purse.script_pubkey),)
    for vout, witness, reason in (
        (1, (), "bad-txns-nonstandard-inputs"),
        (0, (b"\x01",), "bad-witness-nonstandard"),
    ):
        item = TransactionInput(Outpoint(parent.txid, vout), witness=witness)
        assert refusal(chain, Transaction((item,), paid)) == reason


def test_signature_checks_weigh_in_the_least_fee(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    (coin, value), *_ = funded
    many = [TransactionOutput(1_000, RELAYED["bare multisig of three"])] * 20
    change = TransactionOutput(value - 20_000 - 500, purse.script_pubkey)
    inputs = purse.spend([(coin, value)]).inputs
    payment = purse.sign(Transaction(inputs, (*many, change)), [value])
    assert payment.vsize < 5_000
    assert refusal(chain, payment) == "min relay fee not met"


def test_a_line_of_waiting_transactions_ends_at_25(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    last = purse.spend(funded[:1])
    chain.broadcast(last.raw)
    for _ in range(24):
        last = purse.spend(purse.coins(last.raw))
        chain.broadcast(last.raw)
    assert refusal(chain, purse.spend(purse.coins(last.raw))) == "too-long-mempool-chain"


def test_version_3_waits_with_one_small_child(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    (coin, value), *_ = funded
    made = (TransactionOutput(400_000, purse.script_pubkey),) * 2
    inputs = purse.spend([(coin, value)]).inputs
    parent = purse.sign(Transaction(inputs, made, version=3), [value])
    chain.broadcast(parent.raw)
    first, second = purse.coins(parent.raw)
    assert refusal(chain, purse.spend([first])) == "TRUC-violation"
    child = purse.spend([first], version=3)
    chain.broadcast(child.raw)
    assert refusal(chain, purse.spend([second], version=3)) == "TRUC-violation"
    grandchild = purse.spend(purse.coins(child.raw), version=3)
    assert refusal(chain, grandchild) == "TRUC-violation"
