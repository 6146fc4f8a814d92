"""A payment is prepared: coins chosen, PSBT built and reviewed, ceremony opened, coins reserved."""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit.acceptance import Accepted, require_policy
from coordinator.errors import UsageError
from coordinator.home import approvals
from coordinator.home.settings import Home
from coordinator.home.stored_policies import stored_policy
from coordinator.names import fresh_id
from coordinator.notices import Notice, Severity
from coordinator.payment.reviews import reviewed
from coordinator.payment.ripe_coins import ripe_coins
from coordinator.shown_text import Unit
from coordinator.vault.addresses import new_address
from coordinator.wallet import coins_left
from coordinator.wallet.coin_control import ANY, Choice, chosen
from coordinator.wallet.coins import (
    COINBASE_MATURITY,
    coin_holders,
    hold_coins,
    refusal,
    spendable,
    this_computer,
    tip_height,
)
from coordinator.wallet.coins_left import CoinsLeft
from psbt import codec, outline
from psbt.coins import Coin, Outpoint, Payment, Selection, Wish, inputs_max, select_coins
from psbt.creator import Creation
from psbt.creator import create as create_psbt
from psbt.errors import InsufficientFunds
from psbt.policy import CHANGE, PRIMARY, Policy, VaultScript, vault_script
from psbt.review import Review
from psbt.weight import input_weight, output_size, transaction_weight, vsize_of
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import labels as label_book
from storage import vaults as vault_book
from storage.model import Vault

RNG = random.SystemRandom()
EXPIRY_DAYS = 30
SNIPING_DEPTH = 100
MERGED_MIN = 2
SNIPING_CHANCE = 0.1
BLOCK_TIME = timedelta(minutes=10)
OWN_OUTPUT = b"\x00\x20" + bytes(32)
"""As long as the longest script of a vault."""


@dataclass(frozen=True)
class Order:
    """What is to be paid: feerate in sat/kvB; `drain` takes everything the coins leave.

    Beyond the coins named only those that fit the choice are taken, and of all only those that the
    branch can spend now. `unit` is the one that the amounts were typed in.
    """

    vault: str
    payments: tuple[Payment, ...]
    feerate: int
    drain: bytes | None = None
    coins: tuple[Outpoint, ...] = ()
    expires_days: int = EXPIRY_DAYS
    choice: Choice = ANY
    branch: str = PRIMARY
    unit: Unit = "sat"


class Draft(NamedTuple):
    """A payment as it would be signed."""

    psbt: codec.Psbt
    review: Review
    selection: Selection
    change: VaultScript | None
    paid_sats: int
    branch: str = PRIMARY

    def in_unit(self, unit: Unit) -> "Draft":
        """Return it with the unit that its amounts were typed in."""
        return self._replace(review=self.review._replace(unit=unit))


class Created(NamedTuple):
    """What `spend create` gives; a dry run has no ceremony.

    `left` is what stays where all was to go, None where nothing does, or coins were named.
    """

    ceremony: str | None
    state: str
    psbt: str
    review: Review
    expires: str | None
    left: CoinsLeft | None = None
    branch: str = PRIMARY


def create(
    home: Home,
    db: Session,
    order: Order,
    *,
    accepted: Accepted = None,
    dry_run: bool = False,
) -> Created:
    """Open a ceremony for the order, approve its payment and reserve its coins.

    A dry run returns what would be made and keeps nothing. Raises InsufficientFunds, CoinReserved,
    NotRipe, UsageError, PolicyError, NotAccepted or ApprovalMismatch; nothing is stored then.
    """
    vault = vault_book.vault_named(db, order.vault)
    require_policy(home, vault, accepted)
    selection = _select(db, vault, stored_policy(vault), order=order)
    payments = order.payments
    if order.drain is not None:
        spent_sats = sum(coin.value_sats for coin in selection.coins)
        paid_sats = sum(payment.value_sats for payment in payments)
        drained = Payment(order.drain, spent_sats - paid_sats - selection.fee_sats)
        payments = (*payments, drained)
    draft = drafted(db, vault, selection, payments=payments, branch=order.branch)
    draft = draft.in_unit(order.unit)
    left = None
    if order.drain is not None and not order.coins:
        spent = {coin.outpoint for coin in selection.coins}
        stays = coins_left.coins_left(db, vault, spent, branch=order.branch)
        left = stays if stays.coins else None
    if dry_run:
        psbt = codec.to_base64(draft.psbt)
        return Created(None, "dry_run", psbt, draft.review, None, left, order.branch)
    return opened(home, db, vault, draft=draft, expires_days=order.expires_days)._replace(left=left)


def opened(
    home: Home, db: Session, vault: Vault, *, draft: Draft, expires_days: int = EXPIRY_DAYS
) -> Created:
    """Open a ceremony for a draft, approve its payment, reserve its coins; raises CoinReserved."""
    now = clock.now()
    expires = now + timedelta(days=expires_days)
    ceremony = ceremony_book.add_ceremony(
        db,
        vault,
        public_id=fresh_id(),
        psbt=codec.to_bytes(draft.psbt),
        txid=codec.txid(draft.psbt),
        fee_sats=draft.selection.fee_sats,
        paid_sats=draft.paid_sats,
        created_at=now,
        expires_at=expires,
        opened_on=this_computer(),
        branch=draft.branch,
        unit=draft.review.unit,
    )
    if draft.change is not None:
        chain_book.issue_address(db, vault, draft.change, now=now)
    outpoints = [coin.outpoint for coin in draft.selection.coins]
    hold_coins(db, ceremony, outpoints, expires=expires, now=now)
    payment = outline.commitment(draft.psbt)
    ceremony_book.state_payment(db, "opened", ceremony, payment=payment, now=now)
    approvals.approve_payment(home, ceremony.public_id, payment)
    psbt = codec.to_base64(draft.psbt)
    return Created(
        ceremony.public_id,
        ceremony.state,
        psbt,
        draft.review,
        clock.text(expires),
        branch=draft.branch,
    )


class Consolidation(NamedTuple):
    """An order that merges coins, and how many such coins one transaction has no room for."""

    order: Order
    left: int

    @property
    def notices(self) -> list[Notice]:
        """Return what a person must know of it."""
        merged = len(self.order.coins)
        told = f"{merged} coins are seen to belong together from then on"
        found = [Notice("coins_linked", Severity.WARNING, told)]
        if self.left:
            told = f"{merged} coins fit into one transaction, {self.left} such coins are left"
            remedy = "run it again once this one is sent"
            found.append(Notice("coins_left", Severity.WARNING, told, remedy))
        return found


def consolidation(
    db: Session,
    vault_name: str,
    feerate: int,
    *,
    below_sats: int | None,
    branch: str = PRIMARY,
) -> Consolidation:
    """Return an order that merges the free confirmed coins, or those below so many satoshis.

    They go to a fresh address of the vault, the smallest first where they do not fit at once.
    Raises UsageError where there are less than two.
    """
    vault = vault_book.vault_named(db, vault_name)
    free = offered(db, vault, Order(vault_name, (), feerate, branch=branch))
    small = [
        coin
        for coin in free
        if coin.height is not None and (below_sats is None or coin.value_sats < below_sats)
    ]
    if len(small) < MERGED_MIN:
        raise UsageError(f"vault {vault_name} has {len(small)} such coins: nothing to merge")
    target = new_address(db, vault)
    wish = Wish((), feerate, target.script_pubkey)
    most = inputs_max(wish, stored_policy(vault).size_of(branch))
    merged = sorted(small, key=lambda coin: coin.value_sats)[:most]
    named = tuple(coin.outpoint for coin in merged)
    order = Order(vault_name, (), feerate, drain=target.script_pubkey, coins=named, branch=branch)
    return Consolidation(order, len(small) - len(merged))


def drafted(
    db: Session,
    vault: Vault,
    selection: Selection,
    *,
    payments: tuple[Payment, ...],
    branch: str = PRIMARY,
) -> Draft:
    """Build the PSBT of a selection and review it; change goes to the next change address."""
    policy = stored_policy(vault)
    change = vault_script(policy, CHANGE, chain_book.next_index(db, vault, CHANGE))
    creation = Creation(
        policy=policy,
        coins=selection.coins,
        payments=payments,
        change=(change, selection.change_sats) if selection.change_sats else None,
        locktime=_locktime(tip_height(db, vault), RNG),
        order=RNG,
        branch=branch,
    )
    previous = chain_book.raw_transactions(db, {coin.outpoint.txid for coin in selection.coins})
    psbt = create_psbt(creation, previous)
    review = reviewed(db, vault, policy, psbt=psbt, branch=branch)
    paid = sum(payment.value_sats for payment in payments)
    own = change if selection.change_sats else None
    return Draft(psbt, review, selection, own, paid, branch)


def vsize_to_ourselves(vault: Vault, inputs: int, branch: str) -> int:
    """Return the virtual bytes of a transaction with so many inputs and one output of ours."""
    each = input_weight(stored_policy(vault).size_of(branch))
    return vsize_of(transaction_weight(inputs, each, 1, outputs_size=output_size(OWN_OUTPUT)))


def _select(db: Session, vault: Vault, policy: Policy, *, order: Order) -> Selection:
    """Choose among confirmed coins; waiting ones only where those do not reach or are named."""
    coins = offered(db, vault, order)
    confirmed = [c for c in coins if c.height is not None or c.outpoint in order.coins]
    wish = Wish(order.payments, order.feerate, order.drain, frozenset(order.coins))
    size = policy.size_of(order.branch)
    if len(confirmed) < len(coins):
        with suppress(InsufficientFunds):
            return select_coins(confirmed, wish, size, rng=RNG)
    try:
        return select_coins(coins, wish, size, rng=RNG)
    except InsufficientFunds as failure:
        most = inputs_max(wish, size)
        raise coins_left.explained(db, vault, failure, most=most, branch=order.branch) from failure


def offered(db: Session, vault: Vault, order: Order) -> Sequence[Coin]:
    """Return the coins that may be spent; raises where a named one may not, or none is ripe."""
    held = coin_holders(db, clock.now())
    coins = spendable(db, vault)
    known = {coin.outpoint for coin in coins}
    frozen = label_book.frozen(db)
    for outpoint in order.coins:
        if outpoint in held:
            raise refusal(held[outpoint])
        if outpoint not in known:
            raise UsageError(f"coin {outpoint} {_unspendable(db, vault, outpoint)}")
        if str(outpoint) in frozen:
            raise UsageError(f"coin {outpoint} is frozen: cardquorum coin thaw {outpoint}")
    free = [coin for coin in coins if coin.outpoint not in held]
    unfrozen = [coin for coin in free if str(coin.outpoint) not in frozen]
    ripe = ripe_coins(db, vault, unfrozen, branch=order.branch, named=order.coins)
    return chosen(db, vault, ripe, choice=order.choice)


def _unspendable(db: Session, vault: Vault, outpoint: Outpoint) -> str:
    """Return why a coin that is named cannot be spent, and from when on it can."""
    coin, tip = chain_book.coin_at(db, *outpoint), chain_book.sync_state(db, vault)
    if coin is None:
        return f"is no spendable coin of vault {vault.name}: it was never seen; cardquorum sync"
    if coin.vault_id != vault.id:
        return f"is no spendable coin of vault {vault.name}: it is another vault's"
    if coin.spent_by is not None:
        where = "waits" if coin.spent_height is None else f"is in block {coin.spent_height}"
        return f"is spent: transaction {coin.spent_by} {where}"
    if coin.height is None or tip is None:
        return "is newly mined, and its block is gone"
    ripe = coin.height + COINBASE_MATURITY
    left = ripe - tip.height - 1
    about = clock.now() + left * BLOCK_TIME
    return (
        f"is newly mined: it can be spent from block {ripe} on,"
        f" {left} blocks after the newest, about {about:%Y-%m-%d %H:%M} UTC"
    )


def _locktime(tip: int, rng: random.Random) -> int:
    """Return the tip's height against fee sniping, now and then some blocks less as Core does."""
    earlier = rng.randrange(SNIPING_DEPTH) if rng.random() < SNIPING_CHANCE else 0
    return max(0, tip - earlier)
