"""Coins are held for a ceremony, so that two open payments never spend one coin."""

import platform
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from coordinator.errors import CoinReserved
from psbt.coins import Outpoint
from storage import ceremonies as ceremony_book
from storage.ceremonies import Held
from storage.errors import CoinTaken
from storage.model import Ceremony


def this_computer() -> str:
    """Return this computer's name: whoever shares a home is told by it, not by a person's."""
    return platform.node() or "unknown"


def hold(
    db: Session, ceremony: Ceremony, outpoints: Iterable[Outpoint], expires: datetime, now: datetime
) -> None:
    """Hold coins for a ceremony until `expires`; raises CoinReserved where another holds one."""
    try:
        ceremony_book.reserve(db, ceremony, outpoints, expires, now)
    except CoinTaken as taken:
        outpoint = f"{taken.txid}:{taken.vout}"
        raise CoinReserved(outpoint, taken.ceremony, taken.until, taken.opened_on) from taken


def holders(db: Session, now: datetime) -> dict[Outpoint, Held]:
    """Return who holds which coin at a moment."""
    return {Outpoint(held.txid, held.vout): held for held in ceremony_book.reserved(db, now)}


def refusal(held: Held) -> CoinReserved:
    """Return what to raise for a coin that is held."""
    outpoint = str(Outpoint(held.txid, held.vout))
    return CoinReserved(outpoint, held.ceremony, held.until, held.opened_on)
