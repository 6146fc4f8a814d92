"""Rows that contradict what they follow from: a descriptor, a transaction, a signature.

None of it needs anybody's word, so it is asked of a home alone, too. What only a row says is held
against what operators stated of it (`coordinator.home.row_checks`), where several share a database.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.errors import VaultAltered
from coordinator.home import approvals
from coordinator.home.approvals import Standing
from coordinator.home.settings import Home
from coordinator.home.statement_checks import UNSENT
from coordinator.home.stored_policies import stored_policy
from coordinator.payment.progress import final_transaction, signed_psbt
from coordinator.vault import drills
from coordinator.wallet.coins import unspent
from coordinator.wallet.scripts import keychain_name, scripts_at
from psbt import outline
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.policy import PRIMARY, format_descriptor, policy_checksum
from psbt.transaction import parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import drills as drill_book
from storage import integrity
from storage import vaults as vault_book
from storage.errors import RowDamaged
from storage.lookup import batches
from storage.model import Address, Card, Carrier, Ceremony, Coin, Drill, Reservation, Vault

PAPER: Final = "compare it with its paper, or restore a backup"
AGAIN: Final = "cardquorum sync {} --rescan 0"
DRILL_AGAIN: Final = "drill it again"


def contradictions(home: Home, db: Session) -> Iterator[str]:
    """Yield a sentence on each row that cannot be what this program wrote.

    Where one refers to another that is gone, no other is looked at.
    """
    lost = integrity.dangling(db)
    yield from lost
    if lost:
        return
    for vault in vault_book.all_vaults(db):
        yield from _of_vault(home, db, vault)
    for record in ceremony_book.all_ceremonies(db):
        yield from _of_ceremony(db, record)
    for card in db.scalars(select(Card).order_by(Card.id)):
        thing = f"{card.item.kind}:{card.item.name}"
        if thing != f"card:{card.label}":
            yield f"card {card.id} is labelled {card.label}, the custody book knows it as {thing}"
        if card.forgotten_at != card.item.retired_at:
            yield f"card {card.label} and its thing {thing} were not retired at the same moment"


def _of_vault(home: Home, db: Session, vault: Vault) -> Iterator[str]:
    try:
        policy = stored_policy(vault)
    except VaultAltered as altered:
        yield f"{altered}: {PAPER}"
        return
    checksum = policy_checksum(policy)
    if vault.checksum != checksum:
        yield f"vault {vault.name} says #{vault.checksum}, its descriptor #{checksum}: {PAPER}"
    if vault.network != home.network:
        yield f"vault {vault.name} says {vault.network}, this home is for {home.network}"
    descriptor = format_descriptor(policy)
    if approvals.policy_standing(home, vault.name, descriptor) is Standing.DIFFERS:
        yield f"vault {vault.name} #{checksum} is not the one approved on this computer: {PAPER}"
    for branch in (PRIMARY, *(each.name for each in vault.recoveries)):
        for place in vault.keys_of(branch):
            if place.label != place.key.label:
                called = f"{place.label} in the {branch} branch of vault {vault.name}"
                yield f"key {place.key.label} is called {called}"
    try:
        unspent(db, vault)
    except (RowDamaged, PsbtError) as damaged:
        yield f"{damaged}: {AGAIN.format(vault.name)}"
    yield from _of_spent_coins(db, vault)
    yield from _of_addresses(db, vault)
    for drill in drill_book.drills_of(db, vault):
        yield from _of_drill(db, drill)


def _of_spent_coins(db: Session, vault: Vault) -> Iterator[str]:
    """Yield the coins that are said to be spent by what does not spend them."""
    own = (Coin.vault_id == vault.id, Coin.spent_by.is_not(None))
    for rows in batches(db.execute(select(Coin.txid, Coin.vout, Coin.spent_by).where(*own))):
        raws = chain_book.raw_transactions(db, {row.spent_by for row in rows})
        made = {txid: parse_transaction(raw) for txid, raw in raws.items()}
        for row in rows:
            by = made.get(row.spent_by)
            inputs = [each.outpoint for each in by.inputs] if by else []
            if Outpoint(row.txid, row.vout) not in inputs:
                coin = f"the coin {row.txid}:{row.vout} of vault {vault.name}"
                yield f"{coin} is not spent by {row.spent_by}: {AGAIN.format(vault.name)}"


def _of_addresses(db: Session, vault: Vault) -> Iterator[str]:
    """Yield what is wrong with addresses that somebody was given, or may be given."""
    own = select(Address).where(Address.vault_id == vault.id).order_by(Address.id)
    rows = db.scalars(own).all()
    derived = scripts_at(stored_policy(vault), [(row.keychain, row.index) for row in rows])
    for row in rows:
        if derived.get((row.keychain, row.index)) != row.script_pubkey:
            place = f"{keychain_name(row.keychain)} address {row.index} of vault {vault.name}"
            yield f"{place} is stored as another script than its keys make: pay none but a new one"


def _of_drill(db: Session, drill: Drill) -> Iterator[str]:
    name, vault = drill.public_id, drill.vault
    try:
        found = drills.progress(drill)
        named = drills.subject(vault.name, stored_policy(vault))
    except PsbtError as failure:
        yield f"drill {name} cannot be read: {failure}"
        return
    if not drill.message.startswith(named):
        yield f"drill {name} names another vault than {vault.name}: {DRILL_AGAIN}"
    key_ids = {place.label: place.key_id for place in vault.every_key}
    for proof, kept in zip(found.proofs, drill.proofs, strict=True):
        carries = select(Carrier.id).where(Carrier.item_id == kept.card.item_id)
        own = carries.where(Carrier.key_id == key_ids.get(proof.cosigner))
        if not proof.valid or db.scalar(own.limit(1)) is None:
            told = f"the proof of card {proof.card} in drill {name} is not one of its key"
            yield f"{told}: {DRILL_AGAIN}"


def _of_ceremony(db: Session, record: Ceremony) -> Iterator[str]:
    """Yield what is wrong with a payment, its signatures and the coins it reserves."""
    name = record.public_id
    try:
        psbt = signed_psbt(record)
        final_transaction(record, psbt)
        own = {(o.txid, o.vout) for o in outline.own_outpoints(psbt, stored_policy(record.vault))}
    except VaultAltered:
        return
    except PsbtError as failure:
        yield f"ceremony {name} is not what it was: {failure}"
        return
    kept = select(Reservation).where(Reservation.ceremony_id == record.id).order_by(Reservation.id)
    newest = {(row.txid, row.vout): row for row in db.scalars(kept)}
    for txid, vout in newest.keys() ^ own if newest else ():
        yield f"ceremony {name} does not reserve just what it spends: {txid}:{vout}"
    for row in newest.values():
        early = row.released_at is not None and row.released_at < row.expires_at
        if row.expires_at != record.expires_at or (early and record.state in UNSENT):
            yield f"ceremony {name} does not hold {row.txid}:{row.vout} for as long as it says"
