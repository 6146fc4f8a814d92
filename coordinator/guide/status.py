"""The one screen a person opens first: what is there, what waits for whom, what to do next."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.audit.acceptance import all_dangers
from coordinator.audit.dangers import KEYS_UNPROVED, NO_COPY, POLICY_NOT_APPROVED
from coordinator.chain import ChainSource, Tip
from coordinator.custody import log as custody_log
from coordinator.errors import ChainUnreachable
from coordinator.guide.due import due
from coordinator.home.settings import EMBEDDED_CHAIN, OFFLINE, Home
from coordinator.notices import Notice
from coordinator.payment import ceremonies
from coordinator.vault.key_proofs import wanted_cards
from coordinator.vault.vaults import standing
from coordinator.wallet import news, scans
from coordinator.wallet.balance import Owned, balance
from coordinator.wallet.coins import tip_height
from coordinator.wallet.news import VANISHED, News
from coordinator.wallet.overview import CeremonyLine, ceremony_line
from psbt.errors import PsbtError
from storage import cards as card_book
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import custody as custody_book
from storage import vaults as vault_book
from storage.model import Ceremony, Vault

Database = sessionmaker[Session]

NEXT_VERB: Final = {"collecting": "sign", "complete": "finalize", "final": "broadcast"}
SETTLING: Final = frozenset({"broadcast", "confirmed"})
MENDS: Final = {
    POLICY_NOT_APPROVED: "cardquorum vault approve {}",
    KEYS_UNPROVED: "cardquorum vault verify {}",
    NO_COPY: "cardquorum kit {} --out DIR --location LOCATION",
}
NO_CARD: Final = "cardquorum card setup LABEL"
NO_VAULT: Final = "cardquorum vault create NAME --threshold M --card LABEL"


class WaitingFor(NamedTuple):
    """A card whose signature is missing: how a person is told of it, and where it lies."""

    label: str
    words: str
    place: str | None


@dataclass(frozen=True)
class Standing:
    """Where a payment stands, for which cards it waits, and the command that moves it on."""

    line: CeremonyLine
    have: int
    need: int
    waiting_for: list[WaitingFor]
    expired: bool
    next: str | None
    damaged: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the payment as `status --json` shows it."""
        own = {name: value for name, value in vars(self).items() if name != "line"}
        return {**self.line.document(), **own}


VaultDanger = tuple[str, Notice]


@dataclass(frozen=True)
class Status:
    """The one screen of `status`; `next` is the one command to run, where there is one."""

    network: str
    tip: Tip | None
    vaults: list[tuple[str, Owned]]
    ceremonies: list[Standing]
    news: list[News]
    due: list[Notice]
    next: str | None
    dangers: list[VaultDanger] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the fields of `status --json`."""
        return {
            "network": self.network,
            "tip": self.tip and self.tip._asdict(),
            "vaults": [
                {"name": name, **owned.amounts(), **owned.looked.document()}
                for name, owned in self.vaults
            ],
            "ceremonies": [each.document() for each in self.ceremonies],
            "news": self.news,
            "due": [each.sentence for each in self.due],
            "next": self.next,
            "dangers": [{"vault": name, **vars(found)} for name, found in self.dangers],
        }


def waits_for_cards(database: Database) -> bool:
    """Tell whether a payment waits for cards, so that names of places are wanted."""
    with database.begin() as db:
        return any(each.state == "collecting" for each in ceremony_book.all_ceremonies(db))


def status(home: Home, database: Database, open_chain: Callable[[], ChainSource]) -> Status:
    """Return the one screen; nobody outside this computer is asked for it."""
    with database.begin() as db:
        vaults = vault_book.all_vaults(db)
        owned = [
            (vault.name, Owned(balance(db, vault), scans.looked(db, vault))) for vault in vaults
        ]
        worse = [each for vault in vaults for each in news.unsettled(db, vault) if not each.own]
        gone = {each.txid for each in worse if each.code == VANISHED}
        payments = list(_payments(db, vaults, gone))
        dangerous = [(vault.name, e) for vault, found in all_dangers(home, db) for e in found]
        return Status(
            home.network,
            _tip(db, home, vaults, open_chain),
            owned,
            payments,
            worse,
            due(db),
            _next(payments, worse) or _look(home, owned) or _begin(db, vaults, owned, dangerous),
            dangerous,
        )


def _damaged(line: CeremonyLine, need: int, failure: PsbtError) -> Standing:
    """Return a payment whose row cannot be used: it stands in nobody else's way."""
    show = f"cardquorum spend abandon {line.id}"
    return Standing(line, 0, need, [], expired=False, next=show, damaged=str(failure))


def _payments(db: Session, vaults: Sequence[Vault], gone: set[str]) -> Iterator[Standing]:
    """Yield the payments that are not final yet, newest first."""
    tips = {vault.id: tip_height(db, vault) for vault in vaults}
    for found in ceremony_book.all_ceremonies(db):
        line = ceremony_line(found, tips[found.vault_id])
        if found.state in NEXT_VERB or (found.state in SETTLING and not line.final):
            yield _standing(db, found, line, vanished=found.txid in gone)


def _standing(db: Session, found: Ceremony, line: CeremonyLine, *, vanished: bool) -> Standing:
    need = found.vault.threshold
    have, wanted = need, list[WaitingFor]()
    if found.state == "collecting":
        try:
            seen = ceremonies.progress(found)
        except PsbtError as failure:
            return _damaged(line, need, failure)
        have, wanted = seen.have, list(_wanted(db, found.vault, seen.missing))
    verb = "broadcast" if vanished else NEXT_VERB.get(found.state)
    return Standing(
        line,
        have,
        need,
        wanted,
        found.state in NEXT_VERB and found.expires_at <= clock.now(),
        f"cardquorum spend {verb} {found.public_id}" if verb else None,
    )


def _wanted(db: Session, vault: Vault, missing: Sequence[str]) -> Iterator[WaitingFor]:
    """Yield the cards that may still sign, and the keys no card here carries."""
    for label in missing:
        cards = wanted_cards(db, vault, [label])
        for card in cards:
            item = card_book.card_named(db, card.label).item
            place = custody_log.whereabouts(custody_book.events_of(db, item)).location
            yield WaitingFor(card.label, card.words, place)
        if not cards:
            yield WaitingFor(label, _cannot_come(db, vault, label), None)


def _cannot_come(db: Session, vault: Vault, label: str) -> str:
    """Say why no card is asked for: none here carries the key, or those that do are gone."""
    keys = [each.key for each in vault.cosigners if each.label == label]
    gone = [
        f"its card {card.label} is recorded as {where.gone}"
        for key in keys
        for card in card_book.cards_with_key(db, key)
        if (where := custody_log.whereabouts(custody_book.events_of(db, card.item))).gone
    ]
    if gone:
        return f"the key {label}: {' and '.join(gone)}"
    return f"the key {label}, which no card here carries"


def _next(payments: Sequence[Standing], worse: Sequence[News]) -> str | None:
    """Return the one command to run: what is nearest to its end first, then what ends first."""
    nearest = ("broadcast", "final", "complete", "collecting")
    waiting = [each for each in payments if each.next]
    if waiting:
        return min(
            waiting, key=lambda each: (nearest.index(each.line.state), each.line.expires)
        ).next
    return f"cardquorum history {worse[0].vault}" if worse else None


def _look(home: Home, owned: Sequence[tuple[str, Owned]]) -> str | None:
    """Return the command that looks for a vault nobody looked for yet."""
    unknown = [name for name, each in owned if not each.looked.known and home.chain != OFFLINE]
    return scans.command_for(unknown[0], home.chain) if unknown else None


def _begin(
    db: Session,
    vaults: Sequence[Vault],
    owned: Sequence[tuple[str, Owned]],
    dangerous: Sequence[VaultDanger],
) -> str | None:
    """Return the command a home that owns nothing yet begins with: an address comes last."""
    if any(any(each.balance) for _, each in owned):
        return None
    if not vaults:
        return NO_VAULT if card_book.all_cards(db) else NO_CARD
    used = [vault.name for vault in vaults if standing(db, vault)["state"] == "active"]
    if not used:
        return None
    first = [MENDS[each.code] for name, each in dangerous if name == used[0] and each.code in MENDS]
    return (first[0] if first else "cardquorum address new {}").format(used[0])


def _tip(
    db: Session, home: Home, vaults: Sequence[Vault], open_chain: Callable[[], ChainSource]
) -> Tip | None:
    """Return the newest block; of a chain elsewhere the newest that a vault was synced to."""
    if home.chain == EMBEDDED_CHAIN:
        with suppress(ChainUnreachable):
            return open_chain().tip()
        return None
    known = (chain_book.sync_state(db, vault) for vault in vaults)
    return max((Tip(*state) for state in known if state), default=None)
