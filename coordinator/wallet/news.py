"""What changed for the worse: the chain took back what it had told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.chain import ChainUpdate
from coordinator.notices import Notice, Severity
from psbt.transaction import parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import chain_events as event_book
from storage.chain import Gone
from storage.model import Vault

if TYPE_CHECKING:
    from storage.model import ChainEvent

FINAL_CONFIRMATIONS: Final = 6
"""A payment is final at this depth: who has a tenth of all mining power catches up six blocks less
than once in four thousand tries, and it is what most who are paid wait for."""

UNCONFIRMED, VANISHED = "unconfirmed", "vanished"


@dataclass(frozen=True)
class News(Notice):
    """A notice of a transaction; `own` where a payment of ours did it on purpose."""

    txid: str = field(kw_only=True)
    vault: str = field(kw_only=True)
    replaced_by: str | None = None
    own: bool = False


def keep(
    db: Session,
    vault: Vault,
    lost: Mapping[str, int],
    *,
    gone: Mapping[str, Gone],
    now: ChainUpdate,
) -> None:
    """Remember what an update took back: what left its block, and what is gone altogether."""
    waits = {seen.txid for seen in now.transactions if seen.height is None}
    note = partial(event_book.add_event, db, vault, clock.now())
    for txid in lost.keys() & waits:
        note(code=UNCONFIRMED, txid=txid, height=lost[txid], replaced_by=None, change_sats=0)
    spender = {
        each.outpoint: seen.txid
        for seen in (now.transactions if gone else ())
        for each in parse_transaction(seen.raw).inputs
    }
    for txid, what in gone.items():
        inputs = parse_transaction(what.raw).inputs if what.raw else ()
        taken = (spender.get(each.outpoint) for each in inputs)
        note(
            code=VANISHED,
            txid=txid,
            height=lost.get(txid),
            replaced_by=next((by for by in taken if by), None),
            change_sats=what.change_sats,
        )


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


def _told(db: Session, events: "Sequence[ChainEvent]") -> list[News]:
    ours = ceremony_book.ids_by_txid(db, (e.replaced_by for e in events if e.replaced_by))
    return [_sentence(event, ours.get(event.replaced_by or "")) for event in events]


def _sentence(event: "ChainEvent", own: str | None) -> News:
    """Say what an event means; `own` is the ceremony that did it on purpose."""
    if event.code == UNCONFIRMED:
        message = f"{event.txid} was confirmed in block {event.height}, now it waits again"
        return _news(UNCONFIRMED, message, event.vault, txid=event.txid)
    was = "" if event.height is None else f" was confirmed in block {event.height}, then"
    by = event.replaced_by
    if by is None:
        message = f"{event.txid}{was} vanished: it is no longer in the mempool or the chain"
        return _news(VANISHED, message, event.vault, txid=event.txid)
    payment = "" if own is None else f", your payment {own}"
    message = f"{event.txid}{was} vanished: replaced by {by}{payment}"
    return _news("replaced", message, event.vault, txid=event.txid, by=by, own=own is not None)


def _news(
    code: str, message: str, vault: Vault, *, txid: str, by: str | None = None, own: bool = False
) -> News:
    return News(
        code,
        Severity.INFO if own else Severity.WARNING,
        message,
        "" if own else f"cardquorum history {vault.name}",
        (f"vault:{vault.name}",),
        txid=txid,
        vault=vault.name,
        replaced_by=by,
        own=own,
    )


def _spent_elsewhere(db: Session, vault: Vault) -> Iterator[News]:
    """Yield the payments whose coins a transaction took lately that was not made here."""
    state = chain_book.sync_state(db, vault)
    final = (state.height if state else 0) - FINAL_CONFIRMATIONS + 1
    lost = ceremony_book.outspent(db, vault, above=final)
    ours = ceremony_book.ids_by_txid(db, (taker for _, taker in lost.values()))
    for ceremony, taker in lost.values():
        if taker not in ours:
            message = f"{taker}, not made here, spent the coins of payment {ceremony.public_id}"
            yield _news("spent_elsewhere", message, vault, txid=ceremony.txid, by=taker)
