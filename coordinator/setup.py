"""A factory-fresh card gets its PIN, its PUK and its key, and is enrolled at once."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from cards.errors import NotSupported, ProtocolError
from cards.pin import Secret
from cards.session import CardSession, Initialiser, KeyGenerator, SeedLoader
from coordinator import enrol, seeds
from coordinator.attendant import Attendant
from coordinator.errors import PinMissing
from coordinator.settings import Home
from coordinator.slots import Slot, card_in, checked_name, unlock
from psbt.keys import KeyExpression


@dataclass(frozen=True)
class Setup:
    """What is asked for; `source` is generate, words or seed."""

    label: str
    slot: Slot
    source: str
    path: str | None = None
    words_out: Path | None = None
    last_attempt: bool = False


def set_up(
    home: Home, database: sessionmaker[Session], wanted: Setup, attendant: Attendant
) -> enrol.Enrolled:
    """Set PIN and PUK, make or load the key, read it back and compare, and enrol the card.

    A set-up that was cut off before the key goes on with the PIN the card has. A seed made or
    typed here never reaches a card that is not genuine, and is wiped in any case.
    """
    label, path = checked_name(wanted.label), enrol.account_path(home.network, wanted.path)
    with card_in(wanted.slot) as session:
        identity = session.identity()
        enrol.refuse_another_label(database, label, identity)
        if identity.initialised:
            raise NotSupported(identity.family, f"a second set-up; run: card enrol {label}")
        expected = _give_key(session, home.network, wanted, attendant)
        found = enrol.examine(session, wanted.slot, label, path, home.network)
    if expected is not None and found.key != expected:
        raise ProtocolError("the key read back is not the one of the seed; do not use this card")
    found = found._replace(created_on="card" if expected is None else "host")
    return enrol.remember(database, found, wanted.slot, home.network)


def _give_key(
    session: CardSession, network: str, wanted: Setup, attendant: Attendant
) -> KeyExpression | None:
    """Set the PIN, then have the key made, or load a seed and return the key it must give."""
    if wanted.source == "generate" and isinstance(session, KeyGenerator):
        _open(session, network, wanted, attendant)
        session.generate_key()
        return None
    if not isinstance(session, SeedLoader):
        raise NotSupported(session.identity().family, "loading a seed")
    with ExitStack() as wiped:
        words = wiped.enter_context(_words(wanted, attendant))
        seed = wiped.enter_context(_seed(wanted, words))
        _open(session, network, wanted, attendant)
        if wanted.source == "generate":
            attendant.say("this card cannot make its key itself: its seed is made on this machine")
            attendant.hand_over_words(f"words of card {wanted.label}", words, wanted.words_out)
        session.load_seed(seed)
        return seeds.expected_key(seed, enrol.account_path(network, wanted.path))


def _open(session: CardSession, network: str, wanted: Setup, attendant: Attendant) -> None:
    """Set the PIN unless a set-up that was cut off did, present it, and see what card this is."""
    if session.identity().attempts_left is None:
        _set_pin(session, wanted.label, attendant)
    else:
        attendant.say(f"card {wanted.label} has a PIN and no key: its set-up goes on")
        unlock(session, wanted.label, attendant, last_attempt=wanted.last_attempt)
    enrol.accepted(enrol.attest(session), network)


def _set_pin(session: CardSession, label: str, attendant: Attendant) -> None:
    """Set the PIN, and a PUK: the one given, else a random one that is shown once; then unlock."""
    if not isinstance(session, Initialiser):
        raise NotSupported(session.identity().family, "being set up")
    with attendant.new_pin_for(label) as pin, ExitStack() as wiped:
        given = attendant.secret_for(label, "puk", optional=True)
        puk = wiped.enter_context(given or seeds.fresh_puk())
        if given is None:
            attendant.show_once(f"PUK of card {label}", puk)
        session.initialise({"pin": pin, "puk": puk})
        session.unlock(pin)


def _words(wanted: Setup, attendant: Attendant) -> Secret:
    """Return what the seed comes from, as words or hex: made here, or typed."""
    if wanted.source == "generate":
        attendant.ready_for_words(wanted.words_out)
        return seeds.fresh_words()
    typed = attendant.secret_for(wanted.label, wanted.source)
    if typed is None:
        raise PinMissing(wanted.label, wanted.source)
    return typed


def _seed(wanted: Setup, typed: Secret) -> Secret:
    return seeds.from_hex(typed) if wanted.source == "seed" else seeds.from_words(typed)
