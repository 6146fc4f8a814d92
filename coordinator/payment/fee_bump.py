"""Raise or cancel a pending payment (RBF), or pay for one with a child (CPFP)."""

from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit.acceptance import Accepted, require_policy
from coordinator.chain import ChainSource, PackageSource
from coordinator.errors import CeremonyError, FeerateTooLow, NotRipe, UsageError
from coordinator.home.settings import Home
from coordinator.home.stored_policies import stored_policy
from coordinator.payment import creation
from coordinator.payment.ceremonies import may_be_sent
from coordinator.payment.creation import Created, Draft, vsize_to_ourselves
from coordinator.payment.reviews import descendants_fee, unit_of
from coordinator.shown_text import sat_per_vbyte
from coordinator.wallet import coins_left, node_rules
from coordinator.wallet.branches import chain_clock, opening
from coordinator.wallet.scripts import watched
from psbt import codec, outline
from psbt.coins import Coin, Outpoint, Selection, Wish, inputs_max, select_coins
from psbt.errors import InsufficientFunds
from psbt.policy import CHANGE, PRIMARY, vault_script
from psbt.replacement import Ancestors, Replaced, child_fee, least_feerate, most_feerate
from psbt.review import Context, review
from psbt.transaction import parse_transaction
from psbt.weight import dust_limit_sats, fee_at
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import vaults as vault_book
from storage.model import Ceremony, Vault

ENDED = {"confirmed": "is in a block already", "replaced": "was replaced already"}


class Acceleration(NamedTuple):
    """A waiting transaction, the rate wanted (sat/kvB), and further coins that help to pay.

    The child is spent by the branch.
    """

    txid: str
    feerate: int
    coins: tuple[Outpoint, ...] = ()
    branch: str = PRIMARY


class BumpedPayment(NamedTuple):
    """A new ceremony, and what it does to the old payment.

    `old_fee_sats` is what the old payment pays, or the waiting ancestors together;
    `package_feerate` (sat/kvB) is what ancestors and child pay together.
    """

    created: Created
    replaces: str | None
    old_fee_sats: int
    package_feerate: int | None = None


def bump(
    home: Home,
    db: Session,
    ceremony_id: str,
    *,
    feerate: int,
    shrink: bool = False,
    accepted: Accepted = None,
) -> BumpedPayment:
    """Pay the same again at a higher rate, from the same coins.

    The change pays; where it is too little, further confirmed coins do, or with `shrink` the one
    who is paid. The new ceremony takes the coins over; whichever gets into a block ends the other.
    """
    old = _replaceable(db, ceremony_id)
    require_policy(home, old.vault, accepted)
    if old.state == "abandoned":
        raise CeremonyError(f"ceremony {ceremony_id} was abandoned: cancel it, or pay anew")
    psbt = codec.parse(old.psbt)
    scripts = watched(db, old.vault, stored_policy(old.vault))
    places = [(each, scripts.get(each.script_pubkey)) for each in outline.outputs(psbt)]
    payments = tuple(each for each, own in places if own is None or own.keychain != CHANGE)
    if not payments:
        raise UsageError(f"ceremony {ceremony_id} pays nobody else: cancel it at a higher rate")
    coins = _coins_of(db, old, psbt)
    others = len(outline.outpoints(psbt)) - len(coins)
    if others:
        raise UsageError(
            f"others spend their coins in the payment of ceremony {ceremony_id} too ({others} of"
            f" {others + len(coins)}): only all together can raise its fee"
        )
    named = frozenset(coin.outpoint for coin in coins)
    wish = Wish(payments, feerate, None, named)
    if shrink:
        if len(payments) > 1:
            raise UsageError(f"--shrink needs exactly one payee; this payment has {len(payments)}")
        wish = Wish((), feerate, payments[0].script_pubkey, named)
    selection = _selected(db, old, coins, wish=wish)
    if shrink:
        left = sum(coin.value_sats for coin in selection.coins) - selection.fee_sats
        payments = (payments[0]._replace(value_sats=left),)
    draft = creation.drafted(db, old.vault, selection, payments=payments, branch=old.branch)
    return _replacing(home, db, old, draft=draft, feerate=feerate)


def cancel(
    home: Home,
    db: Session,
    ceremony_id: str,
    *,
    feerate: int,
    accepted: Accepted = None,
) -> BumpedPayment:
    """Pay the coins of a payment to the vault itself, so that the payment can never be."""
    old = _replaceable(db, ceremony_id)
    require_policy(home, old.vault, accepted)
    coins = _coins_of(db, old, codec.parse(old.psbt))
    fee_sats = fee_at(feerate, vsize_to_ourselves(old.vault, len(coins), old.branch))
    draft = _to_ourselves(db, old.vault, coins, fee_sats=fee_sats, branch=old.branch)
    return _replacing(home, db, old, draft=draft, feerate=feerate)


def accelerate(
    home: Home,
    db: Session,
    wanted: Acceleration,
    *,
    chain: ChainSource,
    accepted: Accepted = None,
) -> BumpedPayment:
    """Spend what a waiting transaction paid us, so that both together pay the rate.

    A later branch can where it waits for a height that has come: one that counts blocks from the
    coin's own cannot spend a coin in no block yet. Raises NotRipe and UsageError.
    """
    if not isinstance(chain, PackageSource):
        raise UsageError("this chain source does not tell what waiting transactions pay")
    txid, feerate = wanted.txid, wanted.feerate
    vault, parents = _paid_to_us(db, txid)
    require_policy(home, vault, accepted)
    _require_open(db, vault, wanted)
    package = chain.package(txid)
    ancestors = Ancestors(package.vsize, package.fee_sats)
    chosen = parents
    if wanted.coins:
        order = creation.Order(vault.name, (), 0, coins=wanted.coins, branch=wanted.branch)
        offered = creation.offered(db, vault, order)
        chosen = [*parents, *(coin for coin in offered if coin.outpoint in wanted.coins)]
    vsize = vsize_to_ourselves(vault, len(chosen), wanted.branch)
    value = sum(coin.value_sats for coin in chosen)
    # A child is relayed by itself: never below the minimum.
    fee_sats = max(
        child_fee(ancestors, vsize, feerate), fee_at(node_rules.rules(db).minimum, vsize)
    )
    target = _own_script(db, vault)
    if ancestors.fee_sats * 1_000 >= feerate * ancestors.vsize:
        pays = ancestors.fee_sats * 1_000 // ancestors.vsize
        raise UsageError(f"transaction {txid} pays {sat_per_vbyte(pays)} sat/vB already")
    if value - fee_sats < dust_limit_sats(target):
        most = most_feerate(ancestors, vsize, value, script_pubkey=target)
        raise UsageError(
            f"coins of {value} sats cannot bring transaction {txid} to {sat_per_vbyte(feerate)}"
            f" sat/vB, at most to {sat_per_vbyte(most)}; add coins with --coin"
        )
    draft = _to_ourselves(db, vault, chosen, fee_sats=fee_sats, branch=wanted.branch)
    together = (ancestors.fee_sats + fee_sats) * 1_000 // (ancestors.vsize + vsize)
    return BumpedPayment(
        creation.opened(home, db, vault, draft=draft), None, ancestors.fee_sats, together
    )


def _replaceable(db: Session, ceremony_id: str) -> Ceremony:
    old = ceremony_book.ceremony_named(db, ceremony_id)
    if old.state in ENDED:
        raise CeremonyError(f"the payment of ceremony {ceremony_id} {ENDED[old.state]}")
    return old


def _coins_of(db: Session, old: Ceremony, psbt: codec.Psbt) -> list[Coin]:
    """Return the coins of a payment, which nothing but it and what builds on it may spend."""
    coins = []
    for outpoint in outline.own_outpoints(psbt, stored_policy(old.vault)):
        row = chain_book.coin_at(db, outpoint.txid, outpoint.vout)
        if row is None or row.spent_height is not None or row.spent_by not in {None, old.txid}:
            raise CeremonyError(f"coin {outpoint} of ceremony {old.public_id} is spent or gone")
        coins.append(Coin(outpoint, row.value_sats, row.keychain, row.index, row.height))
    return coins


def _selected(db: Session, old: Ceremony, coins: list[Coin], *, wish: Wish) -> Selection:
    """Pay from the coins of the old payment, and from confirmed ones where those do not reach."""
    vault = old.vault
    size = stored_policy(vault).size_of(old.branch)
    try:
        return select_coins(coins, wish, size, rng=creation.RNG)
    except InsufficientFunds:
        if wish.drain is not None:
            raise
    order = creation.Order(vault.name, wish.payments, wish.feerate, branch=old.branch)
    try:
        free = creation.offered(db, vault, order)
    except NotRipe:
        free = ()
    # Not one that waits: nodes refuse a replacement with new unconfirmed coins (BIP 125).
    others = [c for c in free if c.height is not None and c.outpoint not in wish.must_spend]
    try:
        return select_coins([*coins, *others], wish, size, rng=creation.RNG)
    except InsufficientFunds as failure:
        most, named = inputs_max(wish, size), wish.must_spend
        raise coins_left.explained(
            db, vault, failure, most=most, spent=named, branch=old.branch
        ) from failure


def _to_ourselves(
    db: Session, vault: Vault, coins: list[Coin], *, fee_sats: int, branch: str
) -> Draft:
    """Return a draft that pays coins to a fresh change address, less the fee."""
    value = sum(coin.value_sats for coin in coins) - fee_sats
    if value < dust_limit_sats(_own_script(db, vault)):
        raise InsufficientFunds(value + fee_sats, fee_sats)
    vsize = vsize_to_ourselves(vault, len(coins), branch)
    selection = Selection(tuple(coins), fee_sats, value, vsize)
    return creation.drafted(db, vault, selection, payments=(), branch=branch)


def _replacing(
    home: Home, db: Session, old: Ceremony, *, draft: Draft, feerate: int
) -> BumpedPayment:
    """Open the ceremony that takes the place of an old one, if nodes will let it."""
    vsize = draft.review.vsize
    if old.final_tx is not None:
        old_vsize = parse_transaction(old.final_tx).vsize
    else:
        psbt, policy = codec.parse(old.psbt), stored_policy(old.vault)
        old_vsize = review(psbt, policy, Context(), branch=old.branch).vsize
    fees, step = descendants_fee(db, old.txid), node_rules.rules(db).replacement_step
    replaced = Replaced(old.fee_sats, old_vsize, fees, step)
    if _may_be_about(old) and draft.selection.fee_sats < replaced.least_fee(vsize):
        least = least_feerate(replaced, vsize)
        raise FeerateTooLow(
            f"{sat_per_vbyte(feerate)} sat/vB do not replace the payment of ceremony"
            f" {old.public_id}: it takes {sat_per_vbyte(least)} sat/vB or more",
            least,
        )
    ceremony_book.release(db, old, clock.now())
    created = creation.opened(home, db, old.vault, draft=draft.in_unit(unit_of(old)))
    if not _may_be_about(old):
        ceremony_book.abandon(db, old, clock.now())
    return BumpedPayment(created, old.public_id, old.fee_sats)


def _may_be_about(old: Ceremony) -> bool:
    """Tell whether somebody could send the old payment, or did."""
    return bool(old.signatures) or may_be_sent(old)


def _own_script(db: Session, vault: Vault) -> bytes:
    policy = stored_policy(vault)
    return vault_script(policy, CHANGE, chain_book.next_index(db, vault, CHANGE)).script_pubkey


def _paid_to_us(db: Session, txid: str) -> tuple[Vault, list[Coin]]:
    """Return the vault that a waiting transaction pays, and the coins it made there."""
    for vault in vault_book.all_vaults(db):
        order = creation.Order(vault.name, (), 0)
        found = [coin for coin in creation.offered(db, vault, order) if coin.outpoint.txid == txid]
        if found and found[0].height is not None:
            raise UsageError(f"transaction {txid} is in block {found[0].height} already")
        if found:
            return vault, found
    raise UsageError(f"transaction {txid} pays no vault a coin that is free to spend")


def _require_open(db: Session, vault: Vault, wanted: Acceleration) -> None:
    """Raise where a branch cannot spend a coin that is in no block yet."""
    branch, seen = stored_policy(vault).branch(wanted.branch), chain_clock(db, vault)
    if branch.wait is None:
        return
    opens = opening(branch, (), seen)
    if opens is None:
        raise UsageError(
            f"branch {branch.name} waits {branch.wait} for each coin, so it cannot spend one that"
            f" waits itself: raise the fee of transaction {wanted.txid} instead, or use the primary"
        )
    if seen is None or opens.height > seen.tip + 1:
        about = seen.about(opens.height) if seen is not None else ""
        raise NotRipe(
            f"vault {vault.name}", branch.name, height=opens.height, date=opens.date, about=about
        )
