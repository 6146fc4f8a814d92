"""A factory-fresh card gets its PIN, its PUK and its key, and is enrolled at once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.errors import CardNotInitialised, NotSupported, ProtocolError
from cards.family import family_named
from cards.pin import Secret
from cards.session import (
    BackupExporter,
    CardIdentity,
    CardSession,
    Initialiser,
    KeyGenerator,
    OriginTeller,
    PinUnblocker,
    SeedLoader,
)
from coordinator import carriers, enrol, knowledge, seeds
from coordinator.attendant import Attendant
from coordinator.errors import PinMissing
from coordinator.files import refuse_unwritable, write_private
from coordinator.settings import Home
from coordinator.slots import Company, Slot, card_in, checked_name, unlock, unlock_silent
from storage import cards as card_book
from storage import knowledge as knowledge_book

BESIDES = ("duress", "pairing")
BACKUP_INSTEAD = (
    "loading another card's seed; its copy is an encrypted backup: --copies 1 --backup-out FILE, "
    "or later: card backup"
)
KEY_KEPT = (
    "came with a key of its own: it is kept and no other is made; whoever had the card before its "
    "PIN was set could sign with it"
)
SEED_BESIDES = "a seed beside the key it came with (--generate keeps that)"
LOADED_ELSEWHERE = "taking over a key that was loaded elsewhere; reset it with its maker's app"


@dataclass(frozen=True)
class Setup:
    """What is asked for; `source` is generate, words or seed.

    `backup_out` is the file for the encrypted backup of a card that makes its key and tells it to
    nobody else.
    """

    label: str
    slot: Slot
    source: str
    path: str | None = None
    words_out: Path | None = None
    backup_out: Path | None = None
    last_attempt: bool = False


def set_up(
    home: Home, database: sessionmaker[Session], wanted: Setup, attendant: Attendant
) -> enrol.Enrolled:
    """Set PIN and PUK, make or load the key, read it back and compare, and enrol the card.

    A set-up that was cut off before the key goes on with the PIN the card has, and a key that a
    card without a PIN came with is kept, if it was made there. A seed made or
    typed here never reaches a card that is not genuine, and is wiped in any case.
    """
    return set_up_copies(home, database, [wanted], attendant)[0]


def set_up_copies(
    home: Home, database: sessionmaker[Session], wanted: Sequence[Setup], attendant: Attendant
) -> list[enrol.Enrolled]:
    """Give the same key to several cards, one after the other, each read back and compared.

    They become carriers of one Key. A key that is to have copies cannot be made on a card; one
    card alone makes its key itself where it can.
    """
    with ExitStack() as wiped:
        made: list[enrol.Enrolled] = []
        source: Source | None = None
        for each in wanted:
            with card_in(each.slot, Company(attendant, each.label)) as session:
                silent = unlock_silent(session, each.label, attendant)
                _check(database, each, session)
                _check_copies(each, session, len(wanted))
                own = len(wanted) == 1 and _makes_its_own(session, each)
                if source is None and not own:
                    source = _source(each, attendant, wiped)
                giving = Giving(session, source, attendant, silent)
                made.append(_give_key(home, database, each, giving))
            if source is not None:
                source = source._replace(words=None)
        return made


class Source(NamedTuple):
    """The seed the cards are to get, and its words where somebody has yet to see them."""

    seed: Secret
    words: Secret | None


class Giving(NamedTuple):
    """A card on the reader, where its key comes from (None: it makes it), and the person.

    `unlocked` tells of a card that had to be before it said who it is.
    """

    session: CardSession
    source: Source | None
    attendant: Attendant
    unlocked: bool


def _check(database: sessionmaker[Session], wanted: Setup, session: CardSession) -> None:
    identity = session.identity()
    enrol.refuse_another_label(database, checked_name(wanted.label), identity)
    if identity.initialised:
        raise NotSupported(identity.family, f"a second set-up; run: card enrol {wanted.label}")


def _check_copies(wanted: Setup, session: CardSession, count: int) -> None:
    """Refuse a second card where the family has a backup instead, and a backup where it has none.

    Raises UsageError where the backup could not be written.
    """
    exporter = isinstance(session, BackupExporter)
    if count > 1 and exporter and not isinstance(session, SeedLoader):
        raise NotSupported(session.family, BACKUP_INSTEAD)
    if wanted.backup_out is not None:
        if not exporter or not _makes_its_own(session, wanted):
            raise NotSupported(session.family, "an encrypted backup of a key made on it")
        refuse_unwritable(wanted.backup_out)


def _makes_its_own(session: CardSession, wanted: Setup) -> bool:
    return wanted.source == "generate" and isinstance(session, KeyGenerator)


def _give_key(
    home: Home, database: sessionmaker[Session], wanted: Setup, giving: Giving
) -> enrol.Enrolled:
    """Set the PIN, have the key made or load the seed, compare, and remember card and key."""
    session, source, attendant, _ = giving
    path = enrol.account_path(home.network, wanted.path)
    fresh = not session.identity().has_pin
    came_with_key = fresh and _came_with_key(session, source)
    secrets = _open(home.network, wanted, giving)
    if came_with_key:
        attendant.say(f"card {wanted.label} {KEY_KEPT}")
    else:
        _check(database, wanted, session)
        _make_key(wanted, giving)
    if wanted.backup_out is not None and isinstance(session, BackupExporter):
        write_private(wanted.backup_out, session.backup(), replace=False)
    found = enrol.examine(session, wanted.slot, wanted.label, path, home.network)
    if source is not None and found.key != seeds.expected_key(source.seed, path):
        raise ProtocolError("the key read back is not the one of the seed; do not use this card")
    created_on = "card" if source is None else "host"
    found = found._replace(created_on=created_on, secrets=secrets)
    if fresh:
        _forget_old_secrets(database, found.identity)
    done = enrol.remember(database, found, wanted.slot, home.network)
    if wanted.backup_out is None:
        return done
    with database.begin() as db:
        noted = carriers.note_backup(db, wanted.label, home.network)
    return done._replace(backup=noted["carrier"])


def _came_with_key(session: CardSession, source: Source | None) -> bool:
    """Tell whether a card without a PIN has a key; refuses one that would not be the one wanted."""
    if not isinstance(session, OriginTeller):
        return False
    try:
        made_there = session.made_its_key()
    except CardNotInitialised:
        return False
    if source is not None:
        raise NotSupported(
            session.family, "a seed beside the key it came with (--generate keeps that)"
        )
    if not made_there:
        raise NotSupported(session.family, LOADED_ELSEWHERE)
    return True


def _make_key(wanted: Setup, giving: Giving) -> None:
    session, source, attendant, _ = giving
    if isinstance(session, SeedLoader) and source is not None:
        if source.words is not None:
            attendant.say("the key is not made on the card: its seed is made on this machine")
            attendant.hand_over_words(
                f"words of card {wanted.label}", source.words, wanted.words_out
            )
        session.load_seed(source.seed)
    elif isinstance(session, KeyGenerator):
        session.generate_key()


def _forget_old_secrets(database: sessionmaker[Session], identity: CardIdentity) -> None:
    """Forget what was known of the secrets a card had before it was reset by somebody."""
    with database.begin() as db:
        card = card_book.card_with_id(db, identity.family, identity.card_id)
        if card is not None:
            knowledge_book.forget_secrets(db, card)


def _open(network: str, wanted: Setup, giving: Giving) -> tuple[str, ...]:
    """See whose card it is, present the PIN it has or give it one, and see again.

    Returns the kinds of secrets the card has besides its PIN.
    """
    session, source, attendant, unlocked = giving
    enrol.attest_while_locked(session, network)
    identity, label = session.identity(), wanted.label
    with ExitStack() as wiped:
        secrets = dict(_besides(identity, label, attendant, wiped))
        if identity.has_pin and not unlocked:
            attendant.say(f"card {label} has a PIN already and no key yet")
            unlock(session, label, attendant, last_attempt=wanted.last_attempt)
        if source is not None and not isinstance(session, SeedLoader):
            raise NotSupported(identity.family, "loading a seed: it makes its key itself")
        if not identity.has_pin:
            _set_pin(session, label, attendant, secrets)
    enrol.accepted(enrol.attest(session), network)
    puk = ("puk",) if isinstance(session, PinUnblocker) else ()
    return (*puk, *(kind for kind in secrets if kind in knowledge.KINDS))


def _set_pin(
    session: CardSession, label: str, attendant: Attendant, besides: Mapping[str, Secret]
) -> None:
    """Set the PIN, and a PUK where the card has one: the one given, or one shown once; unlock."""
    family = family_named(session.identity().family)
    if not isinstance(session, Initialiser):
        raise NotSupported(family.name, "being set up")
    with attendant.new_pin_for(label) as pin, ExitStack() as wiped:
        named: dict[str, Secret] = {**besides, "pin": pin}
        if isinstance(session, PinUnblocker):
            given = attendant.secret_for(label, "puk", optional=True)
            named["puk"] = wiped.enter_context(given or seeds.fresh_puk(family.puk_digits))
            if given is None:
                attendant.show_once(f"PUK of card {label}", named["puk"])
        session.initialise(named)
        if "pairing" in named:
            attendant.show_once(f"pairing password of card {label}", named["pairing"])
        session.unlock(pin)


def _besides(
    card: CardIdentity, label: str, attendant: Attendant, wiped: ExitStack
) -> Iterator[tuple[str, Secret]]:
    """Yield what somebody gives for the set-up besides PIN and PUK, if the card can take it."""
    taken = family_named(card.family).setup_secrets_at(card.version)
    for kind in BESIDES:
        given = attendant.secret_for(label, kind, optional=True)
        if given is None:
            continue
        wiped.enter_context(given)
        if kind not in taken:
            raise NotSupported(card.family, f"a {kind} secret of its owner's")
        yield kind, given


def _source(wanted: Setup, attendant: Attendant, wiped: ExitStack) -> Source:
    """Return the seed of words made here, or of what somebody typed; `wiped` ends both."""
    if wanted.source == "generate":
        attendant.ready_for_words(wanted.words_out)
        words = wiped.enter_context(seeds.fresh_words())
        return Source(wiped.enter_context(seeds.from_words(words)), words)
    typed = attendant.secret_for(wanted.label, wanted.source)
    if typed is None:
        raise PinMissing(wanted.label, wanted.source)
    with typed:
        seed = seeds.from_hex(typed) if wanted.source == "seed" else seeds.from_words(typed)
        return Source(wiped.enter_context(seed), None)
