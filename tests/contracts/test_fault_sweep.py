"""Every fault at every command of a signing session: an error or the truth, and nothing is lost."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field

import cbor2
import pytest

from cards.errors import CardError, NotUnlocked
from cards.family import CardMemory, EmulatedCard, Surroundings, TransientMemory
from cards.faults import (
    Delayed,
    Fault,
    Faulty,
    Flipped,
    Forced,
    Oversized,
    Torn,
    Truncated,
)
from cards.pin import Pin
from cards.session import (
    HARDENED,
    Attestation,
    Attester,
    CardIdentity,
    CardSession,
    ExtendedKey,
    Path,
)
from cards.signature import verify
from tests.contracts.subjects import (
    ACCOUNT,
    DIGEST,
    LEAF,
    OTHER_DIGEST,
    PIN,
    Subject,
    every_way,
)
from tests.contracts.wires import Wire
from tests.listed_faults import Listed
from tests.sampled import in_turn, sampled

pytestmark = pytest.mark.usefixtures("luck")

CHANGE = (*ACCOUNT[:1], HARDENED, 1, 9)
REFUSALS = (0x9000, 0x6100, 0x6982, 0x6985, 0x6A82, 0x6F00, 0x63C0)
BITS = 4
# What a card says of itself in the clear and signs by nothing: no driver can tell it is not so.
HEARSAY = {
    "satochip": {"version", "initialised", "has_pin", "attempts_left", "puk_attempts_left"},
    "tapsigner": {"version", "initialised", "has_pin"},
    "keycard": {"version"},
    "tangem": {"version", "initialised", "has_pin"},
}
# What a card keeps of a session that changed nothing: caches, counters, and counted slots.
TRACES = {"cache", "last_key", "signed", "attested", "pairings"}


@dataclass
class Told:
    """What a session told until it ended, and how."""

    identities: list[CardIdentity] = field(default_factory=list)
    proofs: list[Attestation] = field(default_factory=list)
    keys: dict[Path, ExtendedKey] = field(default_factory=dict)
    signatures: list[tuple[Path, bytes, bytes]] = field(default_factory=list)
    error: CardError | None = None

    def ask(self, session: CardSession, *, prove: bool) -> None:
        """Do what a ceremony does, and attest: before the PIN where the card can."""
        if prove:
            self._prove(session)
        with suppress(NotUnlocked):
            self.identities.append(session.identity())
        session.unlock(Pin(PIN))
        if prove and not self.proofs:
            self._prove(session)
        self.identities.append(session.identity())
        for path, digest in ((LEAF, DIGEST), (CHANGE, OTHER_DIGEST)):
            self.keys[path] = session.xpub(path)
            self.signatures.append((path, digest, session.sign(path, digest)))

    def _prove(self, session: CardSession) -> None:
        with suppress(NotUnlocked):
            if isinstance(session, Attester):
                self.proofs.append(session.attest())


@dataclass
class Owner:
    """Somebody with one card, and what the program remembers of it."""

    subject: Subject
    card: EmulatedCard
    memory: CardMemory = field(default_factory=TransientMemory)
    heard: list[bytes] = field(default_factory=list)

    def session(self, *faults: Fault, prove: bool = True) -> Told:
        """Use the card once, with these faults on the way to it."""
        told, wire = Told(), Wire(self.card)
        reader = Faulty(wire, Listed(*faults))
        try:
            session = self.subject.family.open(reader, Surroundings(memory=self.memory))
            try:
                told.ask(session, prove=prove)
            finally:
                session.close()
        except CardError as failure:
            told.error = failure
        self.heard = wire.heard
        return told


def owner(subject: Subject, *, known: bool) -> Callable[[], Owner]:
    """Return what makes somebody with a card with PIN and key, used before or not."""
    first = Owner(subject, subject.ready())
    if known:
        assert first.session().error is None
    state = first.card.state()
    return lambda: Owner(subject, subject.family.revive(state), deepcopy(first.memory))


def cuts(number: int) -> Iterator[Fault]:
    yield Torn(number, executed=False)
    yield Torn(number, executed=True)
    for sw in REFUSALS:
        yield Forced(sw, number)


def lies(number: int, size: int) -> Iterator[Fault]:
    """Answers cut, padded and with bits turned over, the same ones every time."""
    for kept in sorted({0, 1, size // 2, size - 2}):
        yield Truncated(kept, number)
    for more in (1, 300):
        yield Oversized(more, number)
    chosen = random.Random(number).sample(range(8 * size), BITS)
    for bit in sorted({8 * size - 17, 8 * size - 1, *chosen}):
        yield Flipped(bit, number)


def believed_nothing_wrong(subject: Subject, found: Told, expected: Told) -> None:
    """Refuse what a session told and is not so."""
    unsure = HEARSAY.get(subject.family.name, set())
    for identity in found.identities:
        sure = {key: value for key, value in identity._asdict().items() if key not in unsure}
        assert sure.items() <= expected.identities[-1]._asdict().items()
    for proof in found.proofs:
        assert proof.result == expected.proofs[0].result
    for path, key in found.keys.items():
        assert key == expected.keys[path]
    for path, digest, signature in found.signatures:
        assert verify(expected.keys[path].public_key, digest, signature)


def lasting(card: EmulatedCard) -> object:
    """Return what a card keeps for ever, but for the traces of being used."""
    return without_traces(cbor2.loads(card.state()))


def without_traces(kept: object) -> object:
    if isinstance(kept, dict):
        return {name: without_traces(each) for name, each in kept.items() if name not in TRACES}
    return [without_traces(each) for each in kept] if isinstance(kept, list) else kept


def slots(card: EmulatedCard) -> int:
    """Count what the card keeps for the computers it is paired with."""
    return len(cbor2.loads(card.state()).get("pairings", ()))


def goes_on_as_ever(person: Owner, expected: Told, card: EmulatedCard) -> None:
    """Use the card once more: nothing is lost, no attempt is spent, nothing is left behind."""
    told = person.session(prove=False)
    assert told.error is None
    assert told.identities[0].attempts_left == expected.identities[0].attempts_left
    assert told.identities[-1] == expected.identities[-1]
    assert told.keys == expected.keys
    assert len(told.signatures) == len(expected.signatures)
    believed_nothing_wrong(person.subject, told, expected)
    assert lasting(person.card) == lasting(card)


def swept(subject: Subject, *, known: bool, every: int) -> int:
    """Let one in `every` faults happen at every command, by turns; return how many there were."""
    somebody = owner(subject, known=known)
    straight = somebody()
    expected = straight.session()
    assert expected.error is None
    points = 0
    for number, size in enumerate(map(len, straight.heard), 1):
        faults = (*cuts(number), *(() if known else lies(number, size)))
        for fault in in_turn(faults, number, every):
            person = somebody()
            believed_nothing_wrong(subject, person.session(fault), expected)
            goes_on_as_ever(person, expected, straight.card)
            # A pairing whose answer is lost has taken its slot; a card met before pairs no more.
            spare = 0 if known and isinstance(fault, Torn) else 1
            assert slots(person.card) <= slots(straight.card) + spare, fault
            points += 1
    return points


@every_way
@pytest.mark.parametrize("known", [False, True], ids=["met first", "met before"])
@sampled(5)
def test_every_fault_at_every_command(subject: Subject, known: bool, every: int) -> None:  # noqa: FBT001 -- by name
    points = swept(subject, known=known, every=every)
    print(f"sweep: {points} faults")  # noqa: T201 -- the count, with -s
    assert points > 100 // every


def test_a_slow_card_is_waited_for(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = owner(subject, known=False)().session()
    slept: list[float] = []
    told, wire = Told(), Wire(subject.ready())
    monkeypatch.setattr("cards.faults.time.sleep", slept.append)
    session = subject.family.open(Faulty(wire, Listed(Delayed(300))), Surroundings())
    told.ask(session, prove=True)
    session.close()
    believed_nothing_wrong(subject, told, expected)
    assert len(told.signatures) == len(expected.signatures)
    assert slept == [0.3] * len(wire.sent)
