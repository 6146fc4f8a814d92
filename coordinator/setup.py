"""A factory-fresh card gets its PIN, its PUK and its key, and is enrolled at once."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from cards.errors import NotSupported, ProtocolError
from cards.pin import Secret
from cards.session import CardSession, Initialiser, KeyGenerator, PinUnblocker, SeedLoader
from coordinator import enrol, seeds
from coordinator.attendant import Attendant
from coordinator.errors import PinMissing
from coordinator.settings import Home
from coordinator.slots import Slot, card_in, checked_name


@dataclass(frozen=True)
class Setup:
    """What is asked for; `source` is generate, words or seed."""

    label: str
    slot: Slot
    source: str
    path: str | None = None
    words_out: Path | None = None


def set_up(
    home: Home, database: sessionmaker[Session], wanted: Setup, attendant: Attendant
) -> enrol.Enrolled:
    """Set PIN and PUK, make or load the key, read it back and compare, and enrol the card.

    A seed made or typed here is wiped as soon as the card has it.
    """
    label, path = checked_name(wanted.label), enrol.account_path(home.network, wanted.path)
    with card_in(wanted.slot) as session:
        identity = session.identity()
        enrol.refuse_another_label(database, label, identity)
        if identity.initialised or not isinstance(session, Initialiser):
            raise NotSupported(identity.family, "a second set-up: it has a PIN and a key")
        seed = _seed(session, wanted, attendant)
        _set_pin(session, label, attendant)
        expected = None
        if seed is None:
            _generator(session).generate_key()
        else:
            with seed:
                _loader(session).load_seed(seed)
                expected = seeds.expected_key(seed, path)
        found = enrol.examine(session, wanted.slot, label, path, home.network)
    if expected is not None and found.key != expected:
        raise ProtocolError("the key read back is not the one of the seed; do not use this card")
    found = found._replace(created_on="card" if seed is None else "host")
    with database.begin() as db:
        enrol.remember(db, found, wanted.slot, home.network)
    return found


def _set_pin(session: CardSession, label: str, attendant: Attendant) -> None:
    """Set the PIN, then unlock.

    Where the family has one, a PUK too: the one given, else a random one that is shown once.
    """
    if not isinstance(session, Initialiser):
        raise NotSupported(session.identity().family, "being set up")
    if not isinstance(session, PinUnblocker):
        with attendant.new_pin_for(label) as pin:
            session.initialise({"pin": pin})
            session.unlock(pin)
        return
    given = attendant.secret_for(label, "puk", optional=True)
    with attendant.new_pin_for(label) as pin, given or seeds.fresh_puk() as puk:
        session.initialise({"pin": pin, "puk": puk})
        if given is None:
            attendant.show_once(f"PUK of card {label}", puk)
        session.unlock(pin)


def _seed(session: CardSession, wanted: Setup, attendant: Attendant) -> Secret | None:
    """Return the seed to load; None where the card makes its key itself."""
    if wanted.source == "generate":
        if isinstance(session, KeyGenerator):
            return None
        return _fresh_seed(wanted, attendant)
    typed = attendant.secret_for(wanted.label, wanted.source)
    if typed is None:
        raise PinMissing(wanted.label, wanted.source)
    with typed:
        return seeds.from_words(typed) if wanted.source == "words" else seeds.from_hex(typed)


def _fresh_seed(wanted: Setup, attendant: Attendant) -> Secret:
    """Make words from the system's entropy, show them once, return their seed."""
    attendant.say("this card cannot make its key itself: its seed is made on this machine, now")
    with seeds.fresh_words() as words:
        attendant.hand_over_words(f"words of card {wanted.label}", words, wanted.words_out)
        return seeds.from_words(words)


def _generator(session: CardSession) -> KeyGenerator:
    if not isinstance(session, KeyGenerator):
        raise NotSupported(session.identity().family, "making its own key")
    return session


def _loader(session: CardSession) -> SeedLoader:
    if not isinstance(session, SeedLoader):
        raise NotSupported(session.identity().family, "loading a seed")
    return session
