"""How far the wait of a vault's later branches has run, and when its coins are due to be moved.

Moving a coin to the vault itself starts its wait anew. That is due once half of the wait has run
for the oldest coin, warned of at three quarters, alarmed at nine tenths; an owner may want it more
often than that. A wait for a height is none that could be started anew.
"""

from calendar import monthrange
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from coordinator.chain.block_dates import ChainClock
from coordinator.notices import Notice, Severity
from coordinator.wallet.branches import Opening, chain_clock, dated
from storage import chain as chain_book
from storage.model import Vault

DUE, WARN, ALARM = 50, 75, 90
"""How much of the wait has run, in per cent."""
CODE: Final = "refresh_due"


class Level(StrEnum):
    """How pressing a refresh is; `open` means that it came too late for the oldest coin."""

    LATER = "later"
    DUE = "due"
    WARNING = "warning"
    ALARM = "alarm"
    OPEN = "open"


class RefreshState(NamedTuple):
    """How old a vault's oldest coin is against its shortest wait, and what is due when.

    `percent` is how much of the wait has run, None for a vault that is refreshed by its owner's
    rhythm alone.
    """

    level: Level
    oldest: str
    height: int
    wait: int | None
    percent: int | None
    due: Opening
    warning: Opening | None
    alarm: Opening | None
    opens: Opening | None
    every_months: int | None
    newest_block: int


def refresh_state(db: Session, vault: Vault) -> RefreshState | None:
    """Return what is due when; None without a wait or rhythm, a confirmed coin or a chain."""
    waits = [each.blocks for each in vault.recoveries if each.blocks is not None]
    if not (waits or vault.refresh_months):
        return None
    coins = [coin for coin in chain_book.unspent_coins(db, vault) if coin.height is not None]
    seen = chain_clock(db, vault)
    if seen is None or not coins:
        return None
    oldest = min(coins, key=lambda coin: (coin.height or 0, coin.txid, coin.vout))
    height, wait = oldest.height or 0, min(waits, default=None)
    wanted = _wanted(db, oldest.txid, height, months=vault.refresh_months, seen=seen)

    def at(percent: int) -> Opening | None:
        return None if wait is None else dated(height + -(-wait * percent // 100), seen)

    due = min((each for each in (wanted, at(DUE)) if each), key=lambda each: each.height)
    percent = None if wait is None else max(0, seen.height + 1 - height) * 100 // wait
    level = Level.DUE if seen.height + 1 >= due.height else Level.LATER
    for least, pressing in ((WARN, Level.WARNING), (ALARM, Level.ALARM), (100, Level.OPEN)):
        level = pressing if percent is not None and percent >= least else level
    return RefreshState(
        level,
        f"{oldest.txid}:{oldest.vout}",
        height,
        wait,
        percent,
        due,
        at(WARN),
        at(ALARM),
        at(100),
        vault.refresh_months,
        seen.height,
    )


def _wanted(
    db: Session, txid: str, height: int, *, months: int | None, seen: ChainClock
) -> Opening | None:
    """Return about which block comes so many months after a coin did."""
    if months is None:
        return None
    told = next((each.block_time for each in chain_book.transactions(db, [txid])), None)
    expected = seen.expected(height)
    came = told or (expected.date if expected is not None else seen.now)
    moment = months_after(came, months)
    return Opening(max(height + 1, seen.height_at(moment)), moment)


def months_after(moment: datetime, months: int) -> datetime:
    """Return the same day so many months later, or the last day of a shorter month."""
    years, month = divmod(moment.month - 1 + months, 12)
    year = moment.year + years
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def refresh_notice(name: str, state: RefreshState) -> Notice | None:
    """Return what is due, in dates; None where nothing is, or the branch is open already."""
    severity = {
        Level.DUE: Severity.INFO,
        Level.WARNING: Severity.WARNING,
        Level.ALARM: Severity.DANGER,
    }.get(state.level)
    if severity is None:
        return None
    opens = f"; later keys can spend from about {day_of(state.opens)} on" if state.opens else ""
    return Notice(
        CODE,
        severity,
        f"the coins of vault {name} are due to be moved to itself since {day_of(state.due)}{opens}",
        f"cardquorum spend refresh {name}",
        (f"vault:{name}",),
    )


def day_of(opening: Opening) -> str:
    """Write about when a block comes."""
    return f"{opening.date:%-d %B %Y}" if opening.date else f"block {opening.height}"
