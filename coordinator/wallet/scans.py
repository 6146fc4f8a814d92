"""From which block to which a vault was looked for, and what is said where nobody looked yet."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.chain import UNKNOWN, Birthday, Tip, first_block
from coordinator.chain.block_dates import BLOCK_TIME, date_or_height
from coordinator.chain.url import CORE, FILTERS, OFFLINE
from coordinator.errors import NotLooked, UsageError
from coordinator.home.settings import Home
from storage import chain as chain_book
from storage import scans as scan_book
from storage import vaults as vault_book
from storage.model import Vault

CHEAP_BLOCKS: Final = 2_016
LONG_BLOCKS: Final = 10_000
BITCOIN_BEGUN: Final = datetime(2009, 1, 3, tzinfo=UTC)
LATE_BLOCKS: Final = 100
FASTEST_BLOCKS: Final = timedelta(minutes=8)
"""No network whose blocks take work was this fast over years."""
KEYCHAINS: Final = ("receive", "change")


class Look(NamedTuple):
    """What a person asks of a sync besides what is new: blocks to look through again, addresses."""

    rescan: Birthday | None = None
    reach: int = 0


class Looked(NamedTuple):
    """How far a vault was looked for; `known` where anybody said at all what it holds.

    `looked_from` is the first block of the keychain that was looked for least. `reach` counts the
    addresses of each keychain that were looked for. It is `whole` from the first block on that can
    pay the vault.
    """

    known: bool
    looked_from: int | None = None
    tip: Tip | None = None
    reach: dict[str, int] | None = None
    earlier_unknown: bool = False
    whole: bool = False


def looked(db: Session, vault: Vault) -> Looked:
    """Return how far a vault was looked for."""
    state = chain_book.sync_state(db, vault)
    tip = Tip(*state) if state else None
    scans = scan_book.scans_of(db, vault)
    if len(scans) < len(KEYCHAINS):
        # Coins that came by file are known, though no chain was asked for them.
        return Looked(tip is not None or chain_book.has_coins(db, vault), tip=tip)
    start = max(scan.from_height for scan in scans.values())
    return Looked(
        True,
        start,
        tip,
        {name: scans[keychain].reach for keychain, name in enumerate(KEYCHAINS)},
        any(scan.earlier_unknown for scan in scans.values()),
        start <= first_block(vault.network, vault.descriptor),
    )


def looked_for(db: Session, name: str) -> Looked:
    """Return how far the vault of this name was looked for; raises NotFound."""
    return looked(db, vault_book.vault_named(db, name))


def together(several: Iterable[Looked]) -> Looked:
    """Return how far several vaults were looked for: what holds for each of them."""
    found = list(several)
    starts = [each.looked_from for each in found if each.looked_from is not None]
    tips = [each.tip for each in found if each.tip is not None]
    return Looked(
        known=all(each.known for each in found),
        looked_from=max(starts) if found and len(starts) == len(found) else None,
        tip=min(tips) if tips and len(tips) == len(found) else None,
        earlier_unknown=any(each.earlier_unknown for each in found),
        whole=all(each.whole for each in found),
    )


def said(vault: str, seen: Looked, chain: str) -> str:
    """Return how far a vault was looked for, for people, and how to look where nobody did."""
    command = command_for(vault, chain)
    if not seen.known:
        return f"not looked yet: {command}"
    if seen.tip is None:
        return "as files told it; no chain was asked"
    if seen.looked_from is None:
        return f"looked up to block {seen.tip.height}, from which on is not known: {command}"
    earlier = ", earlier coins unknown" if seen.earlier_unknown else ""
    return f"looked from block {seen.looked_from} to block {seen.tip.height}{earlier}"


def command_for(vault: str, chain: str) -> str:
    """Return the command that looks for a vault's coins."""
    if chain.partition(":")[0] == OFFLINE:
        return f"cardquorum coin import {vault} FILE"
    return f"cardquorum sync {vault}"


def refuse_not_looked(db: Session, home: Home, vault: str) -> None:
    """Raise NotLooked where nobody looked for a vault's coins."""
    if not looked_for(db, vault).known:
        raise NotLooked(vault, command_for(vault, home.chain))


def is_cheap(home: Home, vault: Vault, tip: Tip) -> bool:
    """Tell whether a vault never looked for is looked for in a moment."""
    scheme = home.chain.partition(":")[0]
    if scheme == FILTERS:
        return home.network == "regtest"
    return scheme != CORE or _blocks(home, vault, tip) <= CHEAP_BLOCKS


def effort(home: Home, vault: Vault, seen: Looked, *, tip: Tip, look: Look) -> str | None:
    """Say what a long look through old blocks takes, and how it is made shorter; else None."""
    begun = seen.looked_from is not None and look.rescan is None
    if begun or home.chain.partition(":")[0] not in {CORE, FILTERS}:
        return None
    if home.chain.partition(":")[0] == FILTERS:
        # Peers are asked for every filter, whatever the birthday.
        if home.network == "regtest":
            return None
        first = first_block(home.network, vault.descriptor)
        return f"vault {vault.name}: every block from {first} on is looked at, which may take hours"
    blocks = _blocks(home, vault, tip, start=look.rescan)
    if blocks < LONG_BLOCKS:
        return None
    return (
        f"vault {vault.name}: {blocks} blocks, from {tip.height - blocks} on, are looked through, "
        "which may take hours; if it is cut off, the next sync goes on. Shorter, where it is known "
        f"when the vault was first used: cardquorum vault birthday {vault.name} DATE"
    )


def _blocks(home: Home, vault: Vault, tip: Tip, *, start: Birthday | None = None) -> int:
    """Return about how many blocks there are since a vault's birthday, or since a start."""
    since = start or Birthday(vault.birthday, vault.birthday_height)
    most = max(0, tip.height - first_block(home.network, vault.descriptor))
    if since.moment is not None:
        return min(most, max(0, (clock.now() - since.moment) // BLOCK_TIME))
    return min(most, max(0, tip.height - (since.height or 0)))


def parse_birthday(text: str, tip: Tip | None, network: str) -> Birthday:
    """Read a date or a block height; raises UsageError for neither, and for what is to come.

    `tip` is the newest block that is known.
    """
    typed = date_or_height(text)
    birthday = Birthday(height=typed) if isinstance(typed, int) else Birthday(typed)
    return checked_birthday(birthday, tip, network)


def checked_birthday(birthday: Birthday, tip: Tip | None, network: str) -> Birthday:
    """Return a birthday; raises UsageError where it is still to come."""
    moment, height = birthday
    if height is not None:
        if tip is not None and height > tip.height:
            raise UsageError(
                f"block {height} is not mined yet, as far as is known here (up to {tip.height}); "
                "where it is: cardquorum sync"
            )
        if network != "regtest" and height > (clock.now() - BITCOIN_BEGUN) // FASTEST_BLOCKS:
            raise UsageError(f"block {height} cannot be mined yet; a date is written YYYY-MM-DD")
    if moment is not None and moment > clock.now():
        raise UsageError(f"{clock.text(moment)} is still to come: no vault was used by then")
    return birthday


def newest_known(db: Session, network: str) -> Tip | None:
    """Return the newest block any vault was looked for up to, with those mined since, at most."""
    found = chain_book.newest_sync(db)
    if found is None:
        return None
    (height, block), when = found
    since = max(timedelta(), clock.now() - when)
    later = 0 if network == "regtest" else since // FASTEST_BLOCKS + LATE_BLOCKS
    return Tip(height + later, block)


def is_earlier(one: Birthday, other: Birthday, tip: Tip | None) -> bool:
    """Tell whether a birthday is before another, as far as can be told; unknown is before any."""
    if UNKNOWN in {one, other}:
        return other != UNKNOWN
    if one.height is not None and other.height is not None:
        return one.height < other.height
    dates = _date(one, tip), _date(other, tip)
    return dates[0] is not None and dates[1] is not None and dates[0] < dates[1]


def _date(birthday: Birthday, tip: Tip | None) -> datetime | None:
    """Return a birthday's date, of a height about: None where no block is known to count from."""
    moment, height = birthday
    if moment is not None or height is None or tip is None:
        return moment
    return clock.now() - (tip.height - height) * BLOCK_TIME


def birthday_text(moment: datetime | None, height: int | None) -> str:
    """Return a birthday for people."""
    if moment is not None:
        return clock.text(moment).partition("T")[0]
    return "unknown" if height is None else f"block {height}"
