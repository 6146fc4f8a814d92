"""PIN, PUK and seed: in no log, no error, no repr, and not in memory once a session is closed."""

import gc
import logging
import re
import traceback
from collections.abc import Callable, Iterator

import pytest

from cards.errors import CardError
from cards.family import EmulatedCard
from cards.pin import Pin, Secret
from cards.session import (
    Attester,
    CardSession,
    Labeller,
    PinChanger,
    PinUnblocker,
    Resetter,
    SeedLoader,
)
from tests.contracts.subjects import (
    DIGEST,
    LEAF,
    NEW_PIN,
    OTHER_SEED,
    PIN,
    PUK,
    SEED,
    WRONG_PIN,
    WRONG_PUK,
    Subject,
    block,
    free,
    give_key,
    initialise,
)

SECRETS = (PIN, NEW_PIN, WRONG_PIN, PUK, WRONG_PUK, SEED, OTHER_SEED)
HEX_RUN = re.compile(r"[0-9a-fA-F]{16,}")


def spellings(secret: bytes) -> list[str]:
    """Return the ways a secret could stand in a text."""
    plain = [secret.decode("latin-1"), repr(secret)[2:-1], repr(list(secret))[1:-1]]
    in_hex = [secret.hex(), secret.hex(" ")]
    return plain + in_hex + [text.upper() for text in in_hex]


def leaks(text: str) -> list[str]:
    """Return what of our secrets stands in a text; six digits in a frame's hex are chance."""
    without_frames = HEX_RUN.sub("", text)
    return [
        spelling
        for secret in SECRETS
        for spelling in spellings(secret)
        if spelling in (text if len(spelling) > 6 else without_frames)
    ]


def if_able(capability: type, act: Callable[..., object]) -> Callable[[CardSession], object]:
    return lambda session: act(session) if isinstance(session, capability) else None


def unlock(pin: bytes) -> Callable[[CardSession], object]:
    return lambda session: session.unlock(Pin(pin))


# All a card can be asked, right and wrong, from the factory and back.
EVERYTHING: list[Callable[[CardSession], object]] = [
    initialise,
    initialise,
    unlock(WRONG_PIN),
    unlock(PIN),
    give_key,
    lambda session: give_key(session, OTHER_SEED),
    lambda session: session.xpub(LEAF),
    lambda session: session.sign(LEAF, DIGEST),
    if_able(Labeller, lambda session: session.set_label("label")),
    if_able(Attester, lambda session: session.attest()),
    if_able(PinChanger, lambda session: session.change_pin(Pin(WRONG_PIN), Pin(NEW_PIN))),
    if_able(PinChanger, lambda session: session.change_pin(Pin(PIN), Pin(NEW_PIN))),
    block,
    if_able(PinUnblocker, lambda session: session.unblock(Secret(WRONG_PUK), None)),
    if_able(PinUnblocker, free),
    unlock(NEW_PIN),
    if_able(SeedLoader, lambda session: session.reset_seed(Pin(WRONG_PIN))),
    if_able(SeedLoader, lambda session: session.reset_seed(Pin(NEW_PIN))),
    unlock(b"7" * 300),
    if_able(Resetter, lambda session: session.reset()),
    lambda session: session.close(),
]


def complaint(act: Callable[[], object]) -> str:
    """Return what an act complains of with everything that hangs on it."""
    try:
        act()
    except CardError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=False)
        return f"{error!r} {error.__dict__!r} {''.join(shown.format())}"
    return ""


def living(value: bytes) -> list[Secret]:
    """Return every secret of that value in memory."""
    gc.collect()
    secrets = [thing for thing in gc.get_objects() if isinstance(thing, Secret)]
    return [secret for secret in secrets if secret.reveal() == value]


@pytest.fixture
def kept() -> Iterator[Callable[[], list[Secret]]]:
    """Return every PIN in memory that was not there before the test.

    What was there is put out of the collector's sight: to look through all of it takes long.
    """
    gc.freeze()
    yield lambda: living(PIN)
    gc.unfreeze()


def test_no_secret_is_in_any_log_or_error(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    complaints = []
    with caplog.at_level(logging.DEBUG):
        session, wire = subject.open(subject.fresh())
        for act in EVERYTHING:
            wire.power_cycle()
            complaints.append(complaint(lambda act=act: act(session)))
    logged = [f"{r.getMessage()} {r.args!r} {r.exc_text}" for r in caplog.records]
    assert len(logged) > len(EVERYTHING)
    assert sum(map(bool, complaints)) >= 3
    assert leaks("\n".join(logged + complaints)) == []


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_the_search_for_secrets_finds_them(secret: bytes) -> None:
    texts = [secret.decode("latin-1"), f"{b'x' + secret + b'y'}", f"00{secret.hex()}00"]
    assert all(leaks(text) for text in texts)


def test_no_secret_is_in_what_a_session_shows(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    shown = f"{session!r} {vars(session)!r} {card!r}"
    shown += " ".join(
        repr(vars(part)) for part in vars(session).values() if hasattr(part, "__dict__")
    )
    assert leaks(shown) == []


def test_a_closed_session_has_wiped_the_pin(
    subject: Subject, card: EmulatedCard, kept: Callable[[], list[Secret]]
) -> None:
    session, _ = subject.open(card)
    with Pin(PIN) as pin:
        session.unlock(pin)
    session.sign(LEAF, DIGEST)
    copies = kept()
    session.close()
    assert kept() == []
    assert [len(copy) for copy in copies] == [0] * len(copies)


def test_a_session_that_failed_wipes_the_pin_when_it_is_closed(
    subject: Subject, card: EmulatedCard, kept: Callable[[], list[Secret]]
) -> None:
    session, wire = subject.open(card)
    with Pin(PIN) as pin:
        session.unlock(pin)
    wire.remove_before(len(wire.sent))
    with pytest.raises(CardError):
        session.sign(LEAF, DIGEST)
    copies = kept()
    session.close()
    assert kept() == []
    assert [len(copy) for copy in copies] == [0] * len(copies)
