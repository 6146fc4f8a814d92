"""Coins and payments by file, to and from a home that asks no chain."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock, foreign_text
from coordinator.audit.acceptance import Accepted, require_policy
from coordinator.chain import SeenTransaction
from coordinator.errors import CeremonyError, UsageError
from coordinator.home.settings import OFFLINE, Home
from coordinator.home.stored_policies import stored_policy
from coordinator.payment import ceremonies, creation, psbt_file
from coordinator.payment.ceremonies import may_be_sent
from coordinator.payment.creation import Created
from coordinator.payment.delivery import OPEN
from coordinator.payment.progress import signed_psbt
from coordinator.payment.reviews import reviewed, reviewed_again
from coordinator.wallet import sync as wallet_sync
from coordinator.wallet.coins import coin_holders, refusal, unspent
from coordinator.wallet.scripts import own_places
from psbt import codec, combiner, fields, outline
from psbt.coins import Coin, Outpoint, Selection
from psbt.errors import PsbtError
from psbt.fields import Maps
from psbt.ownership import own_inputs
from psbt.partial_signatures import valid_signatures
from psbt.policy import PRIMARY, Policy
from psbt.timelocks import psbt_branches
from psbt.transaction import Transaction, check_amounts, parse_transaction
from psbt.updater import OwnCoin, completed
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage.model import Ceremony, Vault
from storage.model import Coin as KnownCoin

LINE = re.compile(r"([0-9a-fA-F]+)(?:,([0-9]{1,9}),([0-9a-fA-F]{64}))?")


class Imported(NamedTuple):
    """The ceremony opened, how many new signatures came with it, and what it is to replace.

    `replaces` are ceremonies, `replaced_txids` payments that wait. One that was open before is
    `known`.
    """

    created: Created
    signatures: int
    replaces: list[str]
    replaced_txids: list[str]
    known: bool = False


def lines(db: Session, vault: Vault) -> list[str]:
    """Return the transactions that made the vault's coins: hex, height and block, a line each."""
    txids = {coin.txid for coin in unspent(db, vault)}
    found = sorted(chain_book.transactions(db, txids), key=lambda seen: seen.txid)
    places = (f",{each.height},{each.block_hash}" if each.block_hash else "" for each in found)
    return [each.raw.hex() + place for each, place in zip(found, places, strict=True)]


def require_no_chain(home: Home) -> None:
    """Raise UsageError where a chain tells of coins: nobody vouches for those of a file."""
    if home.chain != OFFLINE:
        raise UsageError(f"this home asks {home.chain} for its coins: cardquorum sync")


def take(home: Home, db: Session, vault: Vault, *, data: bytes) -> int:
    """Learn coins from a file of such lines, or from the coins a PSBT spends; returns how many.

    Raises UsageError that names the line.
    """
    require_no_chain(home)
    if not psbt_file.holds_psbt(data):
        try:
            text = foreign_text.decoded(data, "it")
        except UsageError as failure:
            raise UsageError("the file is neither a PSBT nor lines of transactions") from failure
        told = enumerate(map(str.strip, foreign_text.lines(text)), 1)
        return _learnt(db, vault, [_line(number, line) for number, line in told if line])
    psbt = psbt_file.read_psbt(data)
    for number, psbt_in in enumerate(psbt.inputs):
        if codec.previous_transaction(psbt_in) is None:
            raise UsageError(f"input {number} of the PSBT lacks its previous transaction")
    return learn_from(db, vault, psbt)


def learn_from(db: Session, vault: Vault, psbt: codec.Psbt) -> int:
    """Learn the coins that a PSBT spends from the transactions in it; returns how many.

    In which blocks they are nobody said.
    """
    every = (codec.previous_transaction(psbt_in) for psbt_in in psbt.inputs)
    found = {each.txid: SeenTransaction(each.txid, each.raw) for each in every if each is not None}
    return _learnt(db, vault, tuple(found.values()))


def open_payment(
    home: Home,
    db: Session,
    vault: Vault,
    *,
    data: bytes,
    branch: str | None = None,
    accepted: Accepted = None,
) -> Imported:
    """Open a ceremony for a PSBT that was built elsewhere; its coins are reserved here.

    Every coin of the vault in it must be free, or spent by a payment that only waits: then this one
    is to replace it. Others may spend theirs beside it, and their inputs stay as they are. What
    the PSBT leaves out and the home knows is filled in, and valid signatures in it are kept. A
    payment that is open here takes what is new. Nothing is stored where it cannot be opened.
    """
    require_policy(home, vault, accepted)
    given = psbt_file.read_psbt(data)
    record = _open_already(db, vault, codec.unique_id(given))
    if record is not None:
        return _another_round(home, db, record, data=data, accepted=accepted)
    if home.chain == OFFLINE:
        learn_from(db, vault, given)
    policy = stored_policy(vault)
    rows = _own_rows(db, vault, given)
    psbt = _completed(db, vault, policy, raw=codec.to_bytes(given), rows=list(rows.values()))
    txid, own = codec.txid(psbt), own_inputs(psbt, policy)
    _refuse_unknown(psbt, own, rows, vault=vault.name)
    replaced = _replaced(db, txid, list(rows))
    branch = meant_branch(psbt, policy, branch)
    review = reviewed(db, vault, policy, psbt=psbt, branch=branch)
    coins = [
        Coin(outpoint, row.value_sats, row.keychain, row.index, row.height)
        for outpoint, row in rows.items()
    ]
    change = sum(output.value_sats for output in review.outputs if output.own)
    paid = sum(output.value_sats for output in review.outputs) - change
    if len(own) < len(psbt.inputs):
        paid = max(0, review.net_sats)
    selection = Selection(tuple(coins), review.fee_sats, change, review.vsize)
    for old in replaced:
        ceremony_book.release(db, old, clock.now())
    bare = codec.copy(psbt)
    for index in own:  # each signature is verified before it is kept
        codec.drop_signatures(bare.inputs[index])
    draft = creation.Draft(bare, review, selection, None, paid, branch)
    created = creation.opened(home, db, vault, draft=draft)
    record = ceremony_book.ceremony_named(db, str(created.ceremony))
    asked = signed_psbt(record)
    taken = ceremonies.take_signatures(db, record, psbt, asked=asked)
    created = created._replace(state=record.state)
    waiting = sorted(chain_book.waiting_takers(db, list(rows)) - {txid})
    return Imported(created, taken, [old.public_id for old in replaced], waiting)


def meant_branch(psbt: codec.Psbt, policy: Policy, named: str | None = None) -> str:
    """Return the branch by which a payment made elsewhere spends: the one named, or that signed.

    Without either it is the one whose wait its sequences ask for, which nobody does by chance;
    a lock time alone means nothing. Raises PolicyError for a branch that there is not.
    """
    if named is not None:
        return policy.branch(named).name
    allowed = psbt_branches(psbt, policy)
    if len(allowed) == 1:
        return PRIMARY
    for name in reversed(allowed):
        if any(valid_signatures(psbt, policy, branch=name).values()):
            return name
    asked = [name for name in allowed if (wait := policy.branch(name).wait) and wait.blocks]
    return asked[-1] if asked else PRIMARY


def _open_already(db: Session, vault: Vault, unique_id: str) -> Ceremony | None:
    """Return the vault's open ceremony for the same payment; its sequences may differ."""
    for record in ceremony_book.ceremonies_of(db, vault):
        if record.state not in OPEN:
            continue
        try:
            known = fields.unique_id(codec.transaction_of(record.psbt))
        except PsbtError:
            continue  # whoever asks for that ceremony is told
        if known == unique_id:
            return record
    return None


def _another_round(
    home: Home, db: Session, record: Ceremony, *, data: bytes, accepted: Accepted
) -> Imported:
    """Take the new signatures of a payment that was imported or made here before."""
    taken = ceremonies.added(home, db, record, data=data, accepted=accepted)
    psbt = signed_psbt(record)
    policy = stored_policy(record.vault)
    review = reviewed_again(db, record, policy, psbt=psbt)
    text, expires = codec.to_base64(psbt), clock.text(record.expires_at)
    created = Created(record.public_id, record.state, text, review, expires, branch=record.branch)
    return Imported(created, taken, [], [], known=True)


def _own_rows(db: Session, vault: Vault, psbt: codec.Psbt) -> dict[Outpoint, KnownCoin]:
    """Return the vault's coins that a payment spends, in input order.

    Raises CeremonyError where there is none, or one that it may not spend.
    """
    outpoints, txid = outline.outpoints(psbt), codec.txid(psbt)
    if not outpoints:
        raise PsbtError("a transaction of 0 inputs is no payment")
    found = {outpoint: chain_book.coin_at(db, *outpoint) for outpoint in outpoints}
    rows = {
        outpoint: row
        for outpoint, row in found.items()
        if row is not None and row.vault_id == vault.id
    }
    for outpoint, row in rows.items():
        if row.spent_by == txid:
            where = f"in block {row.spent_height}" if row.spent_height is not None else "waiting"
            raise CeremonyError(f"the payment {txid} is {where} already")
        if row.spent_height is not None:
            raise CeremonyError(
                f"coin {outpoint} is no free coin of vault {vault.name}:"
                f" {row.spent_by} spent it in block {row.spent_height}"
            )
    if not rows:
        first, more = outpoints[0], len(outpoints) - 1
        raise CeremonyError(
            f"coin {first} does not belong to vault {vault.name} as far as is known here,"
            f"{f' nor do {more} others:' if more else ''} so this PSBT does not spend a coin of it"
        )
    return rows


def _refuse_unknown(
    psbt: codec.Psbt, own: Collection[int], rows: Collection[Outpoint], *, vault: str
) -> None:
    """Raise CeremonyError where an input is the vault's by its script, and its coin is not known.

    Nobody could tell whether it is spent, and what the vault pays in all.
    """
    for index, outpoint in enumerate(outline.outpoints(psbt)):
        if index in own and outpoint not in rows:
            raise CeremonyError(
                f"input {index} spends coin {outpoint} at an address of vault {vault},"
                " but nobody told this home of that coin"
            )


def _replaced(db: Session, txid: str, outpoints: list[Outpoint]) -> list[Ceremony]:
    """Return the open ceremonies whose coins this payment takes over, as their replacement.

    Only payments that somebody may have sent give way; raises CoinReserved for any other.
    """
    holders = coin_holders(db, clock.now())
    found: dict[str, Ceremony] = {}
    for held in (holders[outpoint] for outpoint in outpoints if outpoint in holders):
        old = ceremony_book.ceremony_named(db, held.ceremony)
        if old.txid == txid or not may_be_sent(old):
            raise refusal(held)
        found[old.public_id] = old
    return list(found.values())


def _completed(
    db: Session, vault: Vault, policy: Policy, *, raw: bytes, rows: list[KnownCoin]
) -> codec.Psbt:
    """Return the PSBT with what it leaves out about the vault's own coins and outputs."""
    known = chain_book.raw_transactions(db, {row.txid for row in rows})
    made: dict[str, Transaction] = {txid: parse_transaction(each) for txid, each in known.items()}
    coins = {
        Outpoint(row.txid, row.vout): OwnCoin((row.keychain, row.index), made[row.txid])
        for row in rows
        if row.txid in made and made[row.txid].txid == row.txid
    }
    maps = codec.read_maps(raw)
    paid = {output.script_pubkey for output in codec.transaction_of(raw).outputs}
    places = own_places(db, vault, policy, paid=paid)
    whole = codec.assemble(completed(maps, policy, coins, places=places))
    spent = outline.outpoints(whole)
    empty = Maps(
        {fields.GLOBAL_UNSIGNED_TX: maps.globals[fields.GLOBAL_UNSIGNED_TX]},
        tuple(
            {} if outpoint in coins else given
            for outpoint, given in zip(spent, maps.inputs, strict=True)
        ),
        tuple({} for _ in maps.outputs),
    )
    own = codec.assemble(completed(empty, policy, coins, places=places))
    return combiner.without_excess(own, whole)


def _learnt(db: Session, vault: Vault, told: Sequence[SeenTransaction]) -> int:
    before = len(unspent(db, vault))
    wallet_sync.learn(db, vault, told)
    return len(unspent(db, vault)) - before


def _line(number: int, line: str) -> SeenTransaction:
    matched = LINE.fullmatch(line)
    if not matched:
        raise UsageError(f"line {number} is not HEX or HEX,HEIGHT,BLOCK")
    try:
        transaction = parse_transaction(bytes.fromhex(matched[1]))
        check_amounts(transaction)
    except (ValueError, PsbtError) as failure:
        raise UsageError(f"line {number} holds no transaction: {failure}") from failure
    if matched[2] is None:
        return SeenTransaction(transaction.txid, transaction.raw)
    place = int(matched[2]), matched[3].lower()
    return SeenTransaction(transaction.txid, transaction.raw, *place)
