"""What the next steps follow from: gathered once, in a number of queries that cards do not raise.

Nothing here asks a chain or a reader; what the vaults hold is as of their last sync.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.orm import Session

from cards.errors import CardError
from coordinator import clock
from coordinator.audit.acceptance import all_dangers
from coordinator.audit.dangers import VAULT_ALTERED
from coordinator.audit.facts import BANK, CarrierFacts, VaultFacts
from coordinator.audit.gathering import Book, book, carrier_facts, key_facts, with_money
from coordinator.custody import log as custody_log
from coordinator.custody.card_secrets import STEM_MAX, WORDS
from coordinator.guide.payments import Standing, payments
from coordinator.home.settings import Home
from coordinator.home.stored_policies import stored_policy
from coordinator.incident.step import State, Step
from coordinator.notices import Notice, Severity
from coordinator.recovery.letter_dates import stale_letters
from coordinator.wallet import news, scans
from coordinator.wallet.balance import Owned
from coordinator.wallet.news import VANISHED, News
from psbt.errors import PsbtError
from psbt.policy import RECEIVE, addresses
from storage import cards as card_book
from storage import chain as chain_book
from storage import custody as custody_book
from storage import drills as drill_book
from storage import sealing
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.errors import RowDamaged
from storage.lookup import first_free

if TYPE_CHECKING:
    from storage.model import Carrier, Succession, Vault

DRILL_OPEN: Final = timedelta(days=90)
"""How long a drill goes on: each card signs where it lies, on its own day."""


class SecretFact(NamedTuple):
    """A secret of a card of which nobody said yet who knows it or where it is written."""

    kind: str
    label: str


class CardFact(NamedTuple):
    """A card that is known here; `untold` are the secrets whose custody is not recorded.

    `papers` are the things besides cards that were said to bring its key back, `free` tells that
    its key is in no vault.
    """

    carrier: CarrierFacts
    fingerprint: str | None = None
    made_on_host: bool = False
    papers: tuple[CarrierFacts, ...] = ()
    free: bool = True
    untold: tuple[SecretFact, ...] = ()

    @property
    def label(self) -> str:
        """Return what the card is called."""
        return self.carrier.name


@dataclass(frozen=True)
class VaultStanding:
    """A vault that is not retired: what the audit looks at, and how far its owner came with it.

    `address` was given out and is not paid, `drill` is open, `undrilled` are the keys whose cards
    never signed in a drill, `due` is what the calendar of its later branches asks for, `replacing`
    what is left to do where a successor took its place.
    """

    facts: VaultFacts
    dangers: tuple[Notice, ...] = ()
    received: bool = False
    spent: bool = False
    looked: bool = True
    address: str | None = None
    drill: str | None = None
    undrilled: tuple[str, ...] = ()
    due: tuple[Notice, ...] = ()
    replacing: tuple[Step, ...] | None = None

    @property
    def name(self) -> str:
        """Return the vault's name."""
        return self.facts.name

    @property
    def in_use(self) -> bool:
        """Tell whether no other vault took its place."""
        return self.replacing is None

    @property
    def altered(self) -> bool:
        """Tell whether its rows do not hold together: then nothing else is known of it."""
        return any(each.code == VAULT_ALTERED for each in self.dangers)

    def severity_at(self, place: str) -> Severity:
        """Return how grave it is how things lie at a place: a danger only where the audit says so.

        What lies at one place alone, or together, is a danger where its loss or theft is one.
        """
        grave = any(f"location:{place}" in each.subjects for each in self.dangers)
        return Severity.DANGER if grave else Severity.WARNING


class Emulator(NamedTuple):
    """An emulated card of the home that is not enrolled, and whether it has a PIN already."""

    name: str
    set_up: bool


@dataclass(frozen=True)
class GuideFacts:
    """All that the next steps follow from; without a `network` there is no home yet.

    `banks` are the places that may be shut when they are needed, `emulated` tells that cards here
    are of software.
    """

    network: str | None = None
    chain: str = ""
    writable: bool = True
    cards: tuple[CardFact, ...] = ()
    places: tuple[str, ...] = ()
    banks: frozenset[str] = frozenset()
    vaults: tuple[VaultStanding, ...] = ()
    payments: tuple[Standing, ...] = ()
    news: tuple[News, ...] = ()
    emulator: Emulator | None = None
    emulated: bool = False
    scrubbed: bool = True
    late_clock: Notice | None = None
    now: datetime = field(default_factory=clock.now)

    @property
    def vaults_in_use(self) -> list[VaultStanding]:
        """Return the vaults that no other took the place of."""
        return [vault for vault in self.vaults if vault.in_use]

    @property
    def cards_left(self) -> list[CardFact]:
        """Return the cards that are not lost, stolen or destroyed."""
        return [card for card in self.cards if card.carrier.gone is None]


def gather(
    home: Home,
    db: Session,
    *,
    writable: bool,
    said: Book | None = None,
    owned: Mapping[str, Owned] | None = None,
) -> GuideFacts:
    """Gather the facts of a home.

    `said` is the book and `owned` what the vaults hold, where that was read already.
    """
    said = said or book(db, vault_book.all_vaults(db))
    vaults, places = said.vaults, custody_book.all_locations(db)
    worse = [each for vault in vaults for each in news.unsettled(db, vault) if not each.own]
    gone = {each.txid for each in worse if each.code == VANISHED}
    return GuideFacts(
        home.network,
        home.chain,
        writable,
        tuple(_cards(home, db, said, vaults=vaults)),
        tuple(place.name for place in places),
        frozenset(place.name for place in places if place.kind == BANK),
        tuple(_vaults(home, db, said, owned=owned or {})),
        tuple(payments(home, db, vaults, gone=gone)),
        tuple(worse),
        _strange_emulator(home, said),
        any(card.emulator_name for card in said.cards.values()),
        sealing.is_scrubbed(db),
        custody_log.behind_clock(db, said.now),
        said.now,
    )


def _cards(home: Home, db: Session, said: Book, *, vaults: "Sequence[Vault]") -> Iterator[CardFact]:
    """Yield the cards that carry a key of this network."""
    used = {each.key_id for vault in vaults for each in vault.every_key}
    carriers = [each for each in card_book.all_carriers(db) if each.key.network == home.network]
    papers = [each for each in carriers if each.item.kind != "card"]
    for carrier in carriers:
        key = carrier.key
        if carrier.item.kind == "card" and carrier.item_id in said.cards:
            yield CardFact(
                carrier_facts(carrier, said),
                key.fingerprint.hex() if any(key.fingerprint) else None,
                key.created_on == "host",
                tuple(carrier_facts(each, said) for each in papers if each.key_id == key.id),
                key.id not in used,
                tuple(_untold(carrier, said)),
            )


def _untold(carrier: "Carrier", said: Book) -> Iterator[SecretFact]:
    """Yield the card's PIN, and whatever else it turned out to have, where nobody said of it."""
    card = said.cards[carrier.item_id]
    secrets = {each.kind: each for each in said.secrets.get(card.id, ())}
    taken = {each.label for known in said.secrets.values() for each in known}
    for kind in WORDS:
        known = secrets.get(kind)
        if known is not None and not known.known_by and not known.written_at:
            yield SecretFact(kind, known.label)
        elif known is None and kind == "pin":
            yield SecretFact(kind, first_free(f"{card.label[:STEM_MAX]}-{kind}", taken))


def _vaults(
    home: Home, db: Session, said: Book, *, owned: Mapping[str, Owned]
) -> Iterator[VaultStanding]:
    successions = {each.vault_id: each for each in succession_book.all_successions(db)}
    money = chain_book.money_seen(db)
    for vault, dangerous, keys in all_dangers(home, db, said):
        standing = VaultStanding(
            VaultFacts(vault.name, vault.threshold, ()),
            tuple(dangerous),
            received=vault.id in money,
            spent=money.get(vault.id, False),
            replacing=_replacing(db, successions.get(vault.id)),
        )
        with suppress(PsbtError, RowDamaged):  # rows that disagree: a danger says so
            standing = _counted(
                db,
                vault,
                standing,
                keys=keys or key_facts(db, vault, said),
                known=owned.get(vault.name),
                now=said.now,
            )
        yield standing


def _counted(
    db: Session,
    vault: "Vault",
    before: VaultStanding,
    *,
    keys: VaultFacts,
    known: Owned | None,
    now: datetime,
) -> VaultStanding:
    facts = with_money(db, vault, keys, known=known)
    if facts.altered is not None:
        return replace(before, facts=facts)
    proved, undrilled = drill_book.cards_proved(db, vault), []
    for cosigner in facts.cosigners:
        cards = [each for each in cosigner.carriers if each.card is not None and not each.gone]
        if cards and not any(each.name in proved for each in cards):
            undrilled.append(cosigner.label)
    unpaid, address = chain_book.unpaid_address(db, vault), None
    if unpaid is not None:
        only = range(unpaid.index, unpaid.index + 1)
        (address,) = addresses(stored_policy(vault), RECEIVE, only)
    return replace(
        before,
        facts=facts,
        looked=(known.looked if known else scans.looked(db, vault)).known,
        address=address,
        drill=_open_drill(db, vault, now),
        undrilled=tuple(undrilled),
        due=(*facts.due, *stale_letters(db, vault)),
    )


def _open_drill(db: Session, vault: "Vault", now: datetime) -> str | None:
    """Return the newest drill where keys are missing in it and it is not too old to go on with."""
    newest = next(iter(drill_book.drills_of(db, vault)), None)
    if newest is None or now - newest.started_at > DRILL_OPEN:
        return None
    proofs = drill_book.primary_proofs(newest)
    return newest.public_id if len(proofs) < len(vault.cosigners) else None


def _replacing(db: Session, succession: "Succession | None") -> tuple[Step, ...] | None:
    if succession is None:
        return None
    from coordinator.incident import replacement  # noqa: PLC0415 -- seldom, costs 5 ms

    steps = replacement.show(db, succession.vault.name).steps
    return tuple(each for each in steps if each.state is State.OPEN and each.words)


def _strange_emulator(home: Home, said: Book) -> Emulator | None:
    """Return the first emulated card that no card enrolled here is."""
    if home.network == "mainnet":
        return None
    known = {card.emulator_name for card in said.cards.values() if card.forgotten_at is None}
    strange = next((name for name in home.emulated_names() if name not in known), None)
    if strange is not None:
        from coordinator.readers import emulated  # noqa: PLC0415 -- seldom, costs 15 ms

        with suppress(CardError):
            return Emulator(strange, emulated.is_set_up(home, strange))
    return None
