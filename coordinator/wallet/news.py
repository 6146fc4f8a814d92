"""What changed for the worse: the chain took back what it had told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from storage.chain_events import Noticed
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
        yield _event(
            VANISHED, txid, lost.get(txid), change_sats=what.change_sats, replaced_by=replaced_by
        )


def _event(
    code: str,
    txid: str,
    height: int | None,
    *,
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


def _told(db: Session, events: "Sequence[ChainEvent]") -> list[News]:
    ours = ceremony_book.ids_by_txid(db, (e.replaced_by for e in events if e.replaced_by))
    return [_sentence(event, ours.get(event.replaced_by or "")) for event in events]


def _sentence(event: "ChainEvent", own: str | None) -> News:
    """Say what an event means; `own` is the ceremony that did it on purpose."""
    if event.code == UNCONFIRMED:
        message = f"{event.txid} was confirmed in block {event.height}, now it waits again"
        return _news(Notice(UNCONFIRMED, Severity.WARNING, message), event.txid, event.vault)
    was = "" if event.height is None else f" was confirmed in block {event.height}, then"
    by = event.replaced_by
    if by is None:
        message = f"{event.txid}{was} vanished: it is no longer in the mempool or the chain"
        return _news(Notice(VANISHED, Severity.WARNING, message), event.txid, event.vault)
    severity = Severity.WARNING if own is None else Severity.INFO
    payment = "" if own is None else f", your payment {own}"
    message = f"{event.txid}{was} vanished: replaced by {by}{payment}"
    return _news(Notice("replaced", severity, message), event.txid, event.vault, by=by)


def _news(said: Notice, txid: str, vault: Vault, *, by: str | None = None) -> News:
    own = said.severity is Severity.INFO
    return News(
        said.code,
        said.severity,
        said.message,
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
            said = Notice("spent_elsewhere", Severity.WARNING, message)
            yield _news(said, ceremony.txid, vault, by=taker)
