"""The cards the contracts are asked of: every family, every profile, nothing listed by hand."""

import hashlib
from contextlib import suppress
from functools import cache
from typing import NamedTuple, TypeVar

import pytest

from cards.errors import CardNotInitialised, NotSupported, NotUnlocked, PinIncorrect
from cards.family import CardFamily, EmulatedCard, Surroundings, families
from cards.pin import Pin, Secret
from cards.session import (
    HARDENED,
    BackupExporter,
    CardIdentity,
    CardSession,
    ExtendedKey,
    Initialiser,
    KeyGenerator,
    PinUnblocker,
    SeedLoader,
)
from tests.contracts.wires import Wire

T = TypeVar("T")
H = HARDENED
ACCOUNT = (48 | H, 1 | H)
LEAF = (*ACCOUNT, 0, 5)
OTHER_LEAF = (*ACCOUNT, 0, 6)
DIGEST = hashlib.sha256(b"a digest").digest()
OTHER_DIGEST = hashlib.sha256(b"another digest").digest()

# What emulated cards are sold with, where a family prints a PIN on its cards.
PIN = b"123456"
NEW_PIN = b"702956"
WRONG_PIN = b"118822"
PUK = b"850273619482"
WRONG_PUK = b"118822118822"
SEED = hashlib.sha512(b"the seed of the contracts").digest()
OTHER_SEED = hashlib.sha512(b"another seed").digest()


class Subject(NamedTuple):
    """A family at one version."""

    family: CardFamily
    profile: str

    def __str__(self) -> str:
        return f"{self.family.name}-{self.profile}"

    def fresh(self) -> EmulatedCard:
        """A card as it leaves the factory."""
        return self.family.emulate(self.profile)

    def ready(self, number: int = 0) -> EmulatedCard:
        """A card with PIN and key: one of a few, the same ones every time."""
        return self.family.revive(_ready_state(self.family.name, self.profile, number))

    def open(
        self, card: EmulatedCard, surroundings: Surroundings | None = None
    ) -> tuple[CardSession, Wire]:
        """Put a card on a wire and open it."""
        wire = Wire(card)
        return self.family.open(wire, surroundings or Surroundings()), wire

    def unlocked(self, card: EmulatedCard, pin: bytes = PIN) -> tuple[CardSession, Wire]:
        """Put a card on a wire, open and unlock it."""
        session, wire = self.open(card)
        session.unlock(Pin(pin))
        return session, wire


SUBJECTS = tuple(Subject(family, profile) for family in families() for profile in family.profiles)
LIKE_A_NEWER = {
    *(f"satochip-{older}" for older in ("0.12-0.6", "0.14-0.1", "0.14-0.5")),
    "keycard-3.1",
    "tapsigner-1.0.1",
}
"""Versions whose driver goes the way of a newer one: their sweeps are left to `make test-all`."""
SWEPT = [
    pytest.param(each, id=str(each), marks=[pytest.mark.matrix] * (str(each) in LIKE_A_NEWER))
    for each in SUBJECTS
]
every_way = pytest.mark.parametrize("subject", SWEPT)
"""Ask this of one version of each way a driver goes, and of all in `make test-all`."""


class Result(NamedTuple):
    """What a journey brings home."""

    card_id: str
    key: ExtendedKey
    signature: bytes


def journey(session: CardSession, path: tuple[int, ...] = LEAF) -> Result:
    """Do what a ceremony does with a card."""
    card_id = told_id(session)
    session.unlock(Pin(PIN))
    key = session.xpub(path)
    return Result(card_id, key, session.sign(path, DIGEST))


def told_id(session: CardSession) -> str:
    """Ask who a card is; one that says nothing before its PIN is unlocked first."""
    try:
        return session.identity().card_id
    except NotUnlocked:
        session.unlock(Pin(PIN))
        return session.identity().card_id


def identified(subject: Subject, session: CardSession) -> CardIdentity:
    """Ask who a card is, unlocked first where its family says nothing before."""
    if not subject.family.identified_before_pin:
        with suppress(CardNotInitialised):
            session.unlock(Pin(PIN))
    return session.identity()


def initialise(session: CardSession, pin: bytes = PIN) -> None:
    """Set PIN and PUK where a card takes them."""
    if isinstance(session, Initialiser):
        session.initialise({"pin": Pin(pin), "puk": Secret(PUK)})


def give_key(session: CardSession, seed: bytes = SEED) -> None:
    """Load a seed, or have the card make its key."""
    if isinstance(session, SeedLoader):
        session.load_seed(Secret(seed))
    elif isinstance(session, KeyGenerator):
        session.generate_key()


def needs(session: CardSession, capability: type[T]) -> T:
    """Return the session as one that can do this, or leave the question out."""
    if not isinstance(session, capability):
        pytest.skip(f"this family has no {capability.__name__}")
    return session


def attempts(subject: Subject, card: EmulatedCard) -> int | None:
    """Ask a fresh insertion how many attempts are left; None where the family does not count."""
    if not subject.family.identified_before_pin:
        return None
    return subject.open(card)[0].identity().attempts_left


def counted(subject: Subject, card: EmulatedCard) -> int:
    """Ask how many attempts are left, or leave the question out."""
    left = attempts(subject, card)
    if left is None:
        pytest.skip("this family does not count attempts")
    return left


def spent(subject: Subject, card: EmulatedCard, full: int | None) -> int:
    """Ask how many attempts of `full` are gone; none where the family does not count."""
    left = attempts(subject, card)
    return 0 if left is None or full is None else full - left


def one_less(attempts: int | None) -> int | None:
    """Return what a wrong PIN leaves of so many attempts."""
    return None if attempts is None else attempts - 1


def block(session: CardSession) -> list[int | None]:
    """Spend every attempt; return what the card said was left."""
    said: list[int | None] = []
    while session.identity().attempts_left:
        with pytest.raises(PinIncorrect) as caught:
            session.unlock(Pin(WRONG_PIN))
        said.append(caught.value.attempts_left)
    return said


def free(session: PinUnblocker, puk: bytes = PUK) -> bytes:
    """Free a blocked PIN, with a new one where the card takes it; return the one valid then."""
    try:
        session.unblock(Secret(puk), Pin(NEW_PIN))
    except NotSupported:
        session.unblock(Secret(puk), None)
        return PIN
    return NEW_PIN


@cache
def _ready_state(name: str, profile: str, number: int) -> bytes:
    (subject,) = (s for s in SUBJECTS if (s.family.name, s.profile) == (name, profile))
    card = subject.fresh()
    session, _ = subject.open(card)
    initialise(session)
    session.unlock(Pin(PIN))
    give_key(session, SEED if number == 0 else OTHER_SEED)
    if isinstance(session, BackupExporter):
        session.backup()
    session.close()
    return card.state()
