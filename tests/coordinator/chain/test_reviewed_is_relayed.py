"""What a review finds nothing against, the embedded chain takes; all else it refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.chain.regtest import RegtestChain
from coordinator.errors import TransactionRejected
from psbt.codec import Psbt
from psbt.coins import Coin, Outpoint, Payment
from psbt.creator import Creation, create
from psbt.errors import PsbtError
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.policy import RECEIVE, vault_script
from psbt.relay import CoinAge, NodeView, WaitingTransaction
from psbt.review import Context, Severity, review
from psbt.transaction import parse_transaction
from tests.psbt.soft_vault import soft_vault

VAULT = soft_vault(2, 3)
OWN = vault_script(VAULT.policy, RECEIVE, 0).script_pubkey
VALUE = 3_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = b"\x02" + b"\x11" * 32
RELAYED_OR_NOT = frozenset(
    {
        "nonstandard_version", "too_heavy", "too_small", "version_3_rules", "too_much_data",
        "nonstandard_output", "dust", "too_many_checks", "below_relay_minimum", "locked",
        "coin_locked", "immature_coin", "long_chain",
    }
)  # fmt: skip
ESTIMATED = frozenset({"below_relay_minimum", "too_heavy", "coin_locked"})
"""Sizes are those of the longest signatures; of a coin's age only its own block's time is known."""


class Clock:
    """Ten minutes from block to block."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=10)
        return self.now


@dataclass(frozen=True)
class World:
    """A chain with coins of the vault: old, young, newly mined and waiting."""

    chain: RegtestChain
    coins: Mapping[str, Coin]
    previous: Mapping[str, bytes]
    view: NodeView


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    chain = RegtestChain(tmp_path_factory.mktemp("chain"), now=Clock())
    chain.mine(1, OWN)
    chain.mine(101)
    chain.mine(1, OWN)
    (old,) = chain.fund(OWN, VALUE)
    chain.mine(20)
    (young,) = chain.fund(OWN, VALUE)
    chain.mine(2)
    (waiting,) = chain.fund(OWN, VALUE)
    ledger = chain.ledger()
    made = {height: block.transactions[0] for height, block in chain.blocks()}
    names = {
        "ripe": made[1].txid,
        "new": made[103].txid,
        "old": old,
        "young": young,
        "waiting": waiting,
    }
    previous = {txid: chain.transaction(txid) or b"" for txid in names.values()}
    coins, ages = {}, {}
    for name, txid in names.items():
        outputs = parse_transaction(previous[txid]).outputs
        vout = next(n for n, output in enumerate(outputs) if output.script_pubkey == OWN)
        found = ledger.confirmed.get(txid)
        height = found.height if found else None
        coins[name] = Coin(Outpoint(txid, vout), outputs[vout].value_sats, RECEIVE, 0, height)
        since = ledger.time(height) if height is not None else None
        ages[coins[name].outpoint] = CoinAge(height, since, coinbase=name in {"ripe", "new"})
    parent = parse_transaction(previous[waiting])
    line = {waiting: WaitingTransaction(parent.version, parent.vsize, frozenset())}
    told = chain.relay()
    return World(chain, coins, previous, NodeView(told.rules, told.median_time, ages, line))


SCRIPTS = {
    "p2wpkh": b"\x00\x14" + b"\x22" * 20,
    "p2tr": b"\x51\x20" + b"\x22" * 32,
    "anchor": bytes.fromhex("51024e73"),
    "later witness": b"\x60\x02ab",
    "p2pk": b"\x21" + KEY + b"\xac",
    "multisig of 3": b"\x51" + (b"\x21" + KEY) * 3 + b"\x53\xae",
    "multisig of 4": b"\x51" + (b"\x21" + KEY) * 4 + b"\x54\xae",
    "no data": b"\x6a",
    "data": b"\x6a\x04note",
    "data cut off": b"\x6a\x05note",
    "much data": b"\x6a\x4e" + (90_000).to_bytes(4, "little") + bytes(90_000),
    "more data": b"\x6a\x4d" + (11_000).to_bytes(2, "little") + bytes(11_000),
    "anyone": b"\x51",
    "witness 0 of 30 bytes": b"\x00\x1e" + bytes(30),
}


def mostly(usual: int, odd: Sequence[int]) -> st.SearchStrategy[int]:
    """Draw what is usual most of the time: one fault in a payment hides the next."""
    return st.sampled_from([usual] * 3 * len(odd) + list(odd))


VALUES = mostly(1_000, [0, 239, 240, 293, 294, 330, 575, 576])
LOCKS = mostly(0, [1, 125, 126, 127, 500_000_000, 1_767_300_000, 0xFFFFFFFF])
SEQUENCES = mostly(
    0xFFFFFFFD,
    [
        0, 1, 3, 4, 24, 65_535, 1 << 22, 1 << 22 | 1, 1 << 22 | 30, 1 << 22 | 65_535,
        0xFFFFFFFE, 0xFFFFFFFF,
    ],
)  # fmt: skip
STANDARD = sorted(SCRIPTS.keys() - {"multisig of 4", "data cut off", "much data", "anyone"})


def refusal(chain: RegtestChain, psbt: Psbt) -> str | None:
    """Sign a payment and return why the pool would not take it; it is not put there."""
    for cosigner in range(2):
        psbt = VAULT.sign(psbt, cosigner)
    try:
        raw = extract(finalize(psbt, VAULT.policy))
        chain.pool().admit(parse_transaction(raw))
    except (TransactionRejected, PsbtError) as failure:
        return str(failure)
    return None


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(
        st.sampled_from(["ripe", "new", "old", "old", "young", "young", "waiting"]),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    payments=st.lists(
        st.tuples(st.sampled_from(STANDARD * 4 + sorted(SCRIPTS)), VALUES), min_size=1, max_size=3
    ),
    fee=mostly(20_000, [*range(0, 60, 3)]),
    version=mostly(2, [1, 3, 0, 4, 0xFFFFFFFF]),
    locktime=LOCKS,
    sequences=st.lists(SEQUENCES, min_size=3, max_size=3),
)
def test_what_a_review_lets_pass_is_relayed_and_what_it_calls_refused_is_not(
    world: World,
    names: list[str],
    payments: list[tuple[str, int]],
    fee: int,
    version: int,
    locktime: int,
    sequences: list[int],
) -> None:
    coins = tuple(world.coins[name] for name in names)
    left = sum(coin.value_sats for coin in coins) - fee - sum(value for _, value in payments)
    paid = (*(Payment(SCRIPTS[name], value) for name, value in payments), Payment(OWN, left))
    plan = Creation(VAULT.policy, coins, paid, None, locktime, Random(1))
    psbt = create(plan, world.previous)
    psbt.tx_version = version
    for psbt_in, sequence in zip(psbt.inputs, sequences, strict=False):
        psbt_in.sequence = sequence
    context = Context(tip_height=world.chain.tip().height, node=world.view)
    found = review(psbt, VAULT.policy, context).warnings
    said = {
        caution.code for caution in found if caution.severity is Severity.DANGER
    } & RELAYED_OR_NOT
    refused = refusal(world.chain, psbt)
    if not said:
        assert refused is None
    if refused is None:
        assert said <= ESTIMATED


def test_every_lock_is_open_where_the_review_says(world: World) -> None:
    """The height named for a coin's relative lock is the first at which it is taken."""
    coin = world.coins["young"]
    plan = Creation(VAULT.policy, (coin,), (Payment(OWN, VALUE - 500),), None, 0, Random(1))
    psbt = create(plan, world.previous)
    psbt.inputs[0].sequence = 4
    tip = world.chain.tip().height
    view = world.view._replace(median_time=None)
    (caution,) = (
        each
        for each in review(psbt, VAULT.policy, Context(tip_height=tip, node=view)).warnings
        if each.code == "coin_locked"
    )
    assert caution.message.endswith(f"until block {(coin.height or 0) + 4}")
    assert (refusal(world.chain, psbt) or "").endswith("non-BIP68-final")
