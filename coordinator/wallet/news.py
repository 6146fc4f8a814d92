"""What changed for the worse: the chain took back what it had told."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.chain import ChainUpdate
from psbt.transaction import parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import chain_events as event_book
from storage.chain import Gone
from storage.chain_events import Noticed
from storage.model import ChainEvent, Vault

FINAL_CONFIRMATIONS: Final = 6
"""A payment is final at this depth: who has a tenth of all mining power catches up six blocks less
than once in four thousand tries, and it is what most who are paid wait for."""

UNCONFIRMED, VANISHED = "unconfirmed", "vanished"


class News(NamedTuple):
    """One sentence about a transaction; `own` where a payment of ours did it on purpose."""

    code: str
    message: str
    txid: str
    vault: str
    replaced_by: str | None = None
    own: bool = False


def keep(
    db: Session, vault: Vault, lost: Mapping[str, int], gone: Mapping[str, Gone], now: ChainUpdate
) -> None:
    """Remember what an update took back: what left its block, and what is gone altogether."""
    for noticed in _noticed(lost, gone, now):
        event_book.add_event(db, vault, clock.now(), **noticed)


def _noticed(
    lost: Mapping[str, int], gone: Mapping[str, Gone], now: ChainUpdate
) -> Iterator[Noticed]:
    waits = {seen.txid for seen in now.transactions if seen.height is None}
    for txid in lost.keys() & waits:
        yield _event(UNCONFIRMED, txid, lost[txid])
    spender = _spenders(now) if gone else {}
    for txid, what in gone.items():
        inputs = parse_transaction(what.raw).inputs if what.raw else ()
        taken = (spender.get(each.outpoint) for each in inputs)
        replaced_by = next((by for by in taken if by), None)
        yield _event(VANISHED, txid, lost.get(txid), what.change_sats, replaced_by)


def _event(
    code: str,
    txid: str,
    height: int | None,
    change_sats: int = 0,
    replaced_by: str | None = None,
) -> Noticed:
    return Noticed(
        code=code, txid=txid, height=height, replaced_by=replaced_by, change_sats=change_sats
    )


def _spenders(update: ChainUpdate) -> dict[object, str]:
    """Return which of the transactions told spends what."""
    return {
        each.outpoint: seen.txid
        for seen in update.transactions
        for each in parse_transaction(seen.raw).inputs
    }


def since(db: Session, event_id: int) -> list[News]:
    """Return what was noticed after an event."""
    return _told(db, event_book.events_after(db, event_id))


def unsettled(db: Session, vault: Vault) -> list[News]:
    """Return what was taken back and did not come again, and payments whose coins went elsewhere.

    The latter are told of until the transaction that took the coins is final.
    """
    found = _told(db, event_book.unsettled(db, vault))
    known = {each.txid for each in found}
    return [*found, *(each for each in _spent_elsewhere(db, vault) if each.txid not in known)]


def _told(db: Session, events: Sequence[ChainEvent]) -> list[News]:
    ours = ceremony_book.ids_by_txid(db, (e.replaced_by for e in events if e.replaced_by))
    return [_sentence(event, ours.get(event.replaced_by or "")) for event in events]


def _sentence(event: ChainEvent, own: str | None) -> News:
    """Say what an event means; `own` is the ceremony that did it on purpose."""
    vault, txid = event.vault.name, event.txid
    if event.code == UNCONFIRMED:
        message = f"{txid} was confirmed in block {event.height}, now it waits again"
        return News(UNCONFIRMED, message, txid, vault)
    was = "" if event.height is None else f" was confirmed in block {event.height}, then"
    if event.replaced_by is None:
        return News(VANISHED, f"{txid}{was} vanished: the chain knows it no more", txid, vault)
    by = f"{event.replaced_by}{f', your payment {own}' if own else ''}"
    message = f"{txid}{was} vanished: replaced by {by}"
    return News("replaced", message, txid, vault, event.replaced_by, own is not None)


def _spent_elsewhere(db: Session, vault: Vault) -> Iterator[News]:
    """Yield the payments whose coins a transaction took lately that was not made here."""
    state = chain_book.sync_state(db, vault)
    final = (state.height if state else 0) - FINAL_CONFIRMATIONS + 1
    lost = ceremony_book.outspent(db, vault, above=final)
    ours = ceremony_book.ids_by_txid(db, (taker for _, taker in lost.values()))
    for ceremony, taker in lost.values():
        if taker not in ours:
            message = f"{taker}, not made here, spent the coins of payment {ceremony.public_id}"
            yield News("spent_elsewhere", message, ceremony.txid, vault.name, taker)
