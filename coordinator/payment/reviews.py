"""What a person must see of a payment before a card signs it, from all that is remembered."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.home.statement_checks import UNSENT
from coordinator.home.stored_policies import stored_policy
from coordinator.payment.progress import Progress, progress_with, signed_psbt
from coordinator.shown_text import Unit
from coordinator.vault.addresses import closed
from coordinator.wallet import node_rules
from coordinator.wallet.coins import outputs_of, spendable
from coordinator.wallet.scripts import last_looked_at, own_places, vaults_of
from psbt import codec, outline
from psbt.address import optional_address
from psbt.coins import Outpoint
from psbt.errors import AmountContradicted, PsbtError
from psbt.policy import PRIMARY, Policy
from psbt.relay import CoinAge, NodeView, WaitingTransaction
from psbt.replacement import Rival
from psbt.review import Context, KnownVault, Review
from psbt.review import review as review_psbt
from psbt.transaction import Transaction, parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import labels as label_book
from storage import node_rules as rule_book
from storage import vaults as vault_book
from storage.model import Ceremony, Vault

MEDIAN_TIME_LAG = 3_600
"""How far the median time of blocks lies behind the clock, in seconds: five or six blocks."""
RECENT_PAYMENTS = 100


class PaymentSeen(NamedTuple):
    """Where a payment stands and what it pays; where that cannot be told, `fault` says why."""

    progress: Progress
    review: Review | None
    fault: str | None = None


def seen_again(db: Session, record: Ceremony) -> PaymentSeen:
    """Return a payment that was made before as it is now; cautions are for one not sent yet.

    Raises PsbtError where its rows contradict one another.
    """
    policy, psbt = stored_policy(record.vault), signed_psbt(record)
    progress = progress_with(record, policy, psbt)
    try:
        review = reviewed_again(db, record, policy, psbt=psbt)
    except PsbtError as failure:
        return PaymentSeen(progress, None, str(failure))
    open_still = record.state in UNSENT
    return PaymentSeen(progress, review if open_still else review._replace(warnings=()))


def reviewed_again(db: Session, record: Ceremony, policy: Policy, *, psbt: codec.Psbt) -> Review:
    """Return what a person must see of the PSBT of a ceremony; raises PsbtError."""
    review = reviewed(db, record.vault, policy, psbt=psbt, branch=record.branch)
    return review._replace(unit=unit_of(record))


def unit_of(record: Ceremony) -> Unit:
    """Return the unit that a ceremony's amounts were typed in, satoshis where nobody knows."""
    return "btc" if record.unit == "btc" else "sat"


def reviewed(
    db: Session, vault: Vault, policy: Policy, *, psbt: codec.Psbt, branch: str = PRIMARY
) -> Review:
    """Return what a person must see of a PSBT, in the light of all that is remembered.

    Payments that spend one of its coins are no history: at most one of them comes to be.
    """
    refuse_contradictions(db, psbt)
    spent = outline.outpoints(psbt)
    coins, tip = spendable(db, vault), chain_book.sync_state(db, vault)
    holding = ceremony_book.holding(db, spent)
    earlier = [record for record in ceremony_book.sent(db, vault) if record.id not in holding]
    paid = {output.script_pubkey for output in outline.outputs(psbt)}
    scripts = paid | {script for script, _ in outline.spent(psbt)}
    context = Context(
        tip_height=tip.height if tip else None,
        reach=last_looked_at(db, vault),
        own_scripts=own_places(db, vault, policy, paid=scripts),
        vaults={
            script: KnownVault(other.name, closed(db, other))
            for script, other in vaults_of(db, paid, besides=vault)
        },
        labels=_labels(db, paid, policy),
        coin_vaults=_other_vaults(db, vault, spent),
        used_scripts=frozenset(chain_book.used_scripts(db, vault)),
        recent_addresses=frozenset(_recent_addresses(earlier, policy)),
        usual_amount_sats=max((record.paid_sats for record in earlier), default=None),
        unconfirmed=frozenset(coin.outpoint for coin in coins if coin.height is None),
        spends_all={coin.outpoint for coin in coins} <= set(spent),
        rivals=tuple(rivals(db, spent, codec.txid(psbt))),
        node=node_view(db, spent),
    )
    return review_psbt(psbt, policy, context, branch=branch)


def refuse_contradictions(db: Session, psbt: codec.Psbt) -> None:
    """Raise AmountContradicted where a PSBT and the transactions known here disagree."""
    outpoints, spent = outline.outpoints(psbt), outline.spent(psbt)
    made = outputs_of(db, {outpoint.txid for outpoint in outpoints})
    for outpoint, (script, said_sats) in zip(outpoints, spent, strict=True):
        outputs = made.get(outpoint.txid)
        if not outputs:
            continue
        if outpoint.vout >= len(outputs):
            raise PsbtError(f"transaction {outpoint.txid} has no output {outpoint.vout}")
        known = outputs[outpoint.vout]
        if known.value_sats != said_sats:
            raise AmountContradicted(
                "the PSBT", str(outpoint), said_sats, known_sats=known.value_sats
            )
        if known.script_pubkey != script:
            raise PsbtError(f"the PSBT names another script for coin {outpoint} than it has")


def _other_vaults(db: Session, vault: Vault, spent: Collection[Outpoint]) -> dict[Outpoint, str]:
    """Return which coins are those of other vaults of this home, and of which."""
    names = {each.id: each.name for each in vault_book.all_vaults(db) if each.id != vault.id}
    rows = {outpoint: chain_book.coin_at(db, *outpoint) for outpoint in spent} if names else {}
    return {
        outpoint: names[row.vault_id]
        for outpoint, row in rows.items()
        if row is not None and row.vault_id in names
    }


def _labels(db: Session, paid: Collection[bytes], policy: Policy) -> dict[bytes, str]:
    """Return what the scripts that are paid are called here, by their address."""
    addresses = {script: optional_address(script, policy.network) for script in paid}
    called = label_book.called(db, "addr", [text for text in addresses.values() if text])
    return {script: called[text] for script, text in addresses.items() if text in called}


def _recent_addresses(earlier: Sequence[Ceremony], policy: Policy) -> Iterator[str]:
    """Yield the addresses that earlier payments paid, newest first."""
    for record in earlier[:RECENT_PAYMENTS]:
        try:
            outputs = codec.transaction_of(record.psbt).outputs
        except PsbtError:
            continue  # its row cannot be read any more
        for output in outputs:
            address = optional_address(output.script_pubkey, policy.network)
            if address is not None:
                yield address


def rivals(db: Session, spent: Collection[Outpoint], txid: str) -> Iterator[Rival]:
    """Yield the payments that wait and spend one of these coins, but for the payment itself."""
    takers = chain_book.waiting_takers(db, spent) - {txid}
    raws = chain_book.raw_transactions(db, takers)
    for taker in sorted(takers & raws.keys()):
        transaction = parse_transaction(raws[taker])
        fees = descendants_fee(db, taker)
        yield Rival(taker, transaction.vsize, _fee(db, transaction), fees)


def _fee(db: Session, transaction: Transaction) -> int | None:
    """Return what a transaction pays; None where it spends coins that are not known here."""
    known = ceremony_book.fees_of(db, [transaction.txid])
    if known:
        return known[0]
    coins = [chain_book.coin_at(db, *tx_in.outpoint) for tx_in in transaction.inputs]
    values = [coin.value_sats for coin in coins if coin is not None]
    if len(values) < len(coins):
        return None
    return sum(values) - sum(output.value_sats for output in transaction.outputs)


def descendants_fee(db: Session, txid: str) -> int:
    """Return what the waiting payments pay that spend what a payment made for a vault."""
    family, fees = [txid], 0
    for parent in family:
        children = chain_book.waiting_children(db, parent) - set(family)
        family += sorted(children)
        fees += sum(ceremony_book.fees_of(db, children))
    return fees


def node_view(db: Session, coins: Sequence[Outpoint]) -> NodeView:
    """Return what a payment that spends these coins is held against."""
    kept = rule_book.kept(db)
    median_time = kept.median_time if kept is not None else None
    if median_time is None:
        median_time = int(clock.now().timestamp()) - MEDIAN_TIME_LAG
    return NodeView(node_rules.rules(db), median_time, _ages(db, coins), _waiting(db, coins))


def _ages(db: Session, coins: Sequence[Outpoint]) -> dict[Outpoint, CoinAge]:
    """Return when each coin came; its block's own time is a little later than what counts."""
    times = {
        made.txid: int(made.block_time.timestamp()) if made.block_time else None
        for made in chain_book.transactions(db, {coin.txid for coin in coins})
    }
    ages = {}
    for coin in coins:
        row = chain_book.coin_at(db, *coin)
        if row is not None:
            ages[coin] = CoinAge(row.height, times.get(coin.txid), row.coinbase)
    return ages


def _waiting(db: Session, coins: Sequence[Outpoint]) -> dict[str, WaitingTransaction]:
    """Return what waits before a payment, as far as it is known here."""
    waiting: dict[str, WaitingTransaction] = {}
    ahead = {coin.txid for coin in coins}
    while ahead:
        known = chain_book.transactions(db, ahead)
        ahead = set()
        for found in known:
            if found.height is None:
                parsed = parse_transaction(found.raw)
                parents = frozenset(item.outpoint.txid for item in parsed.inputs)
                waiting[found.txid] = WaitingTransaction(parsed.version, parsed.vsize, parents)
                ahead |= parents - waiting.keys()
    return waiting
