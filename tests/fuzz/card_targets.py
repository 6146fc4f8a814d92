"""What cards answer: each parser by itself, and whole sessions with cards that lie.

A card may lie on the wire, where its channel does not hold any more, and inside of its channel,
where every code is right and only what is said is not.
"""

import itertools
import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import cbor2

from cards import emulation, satochip, tangem, tapsigner
from cards.apdu import Command, Response
from cards.detection import detect
from cards.errors import CardError
from cards.family import EmulatedCard, Surroundings, TransientMemory, families
from cards.keycard import answers as keycard_answers
from cards.keycard import emulator_memory as keycard_channels
from cards.keycard.channel import Pairing
from cards.pin import Pin
from cards.satochip import answers as satochip_answers
from cards.satochip import attestation as satochip_attestation
from cards.satochip import emulator as satochip_emulator
from cards.session import (
    HARDENED,
    Attester,
    BackupExporter,
    BatchSigner,
    CardSession,
    EvidenceTaker,
    Labeller,
    OriginTeller,
    PinChanger,
    SchnorrSigner,
)
from cards.signature import compact_from_der
from cards.tangem import answers as tangem_answers
from cards.tangem import attestation as tangem_attestation
from cards.tangem import emulator as tangem_emulator
from cards.tangem import session as tangem_session
from cards.tangem.link import Time
from cards.tangem.wire import Fields
from cards.tapsigner import answers as tapsigner_answers
from cards.tapsigner import wire
from tests.contracts.subjects import (
    DIGEST,
    LEAF,
    NEW_PIN,
    OTHER_DIGEST,
    OTHER_LEAF,
    PIN,
    SUBJECTS,
    Subject,
    give_key,
    initialise,
)
from tests.contracts.wires import Wire
from tests.fuzz.psbt_targets import reading
from tests.fuzz.target import Target

Read = Callable[[bytes], object]
Parser = Callable[[bytes], object]

ROOTS = (CardError,)
ANSWERS_MOST = 20_000
PADDING_MOST = 1 << 16
INSIDE_MOST = 60_000
INSIDE, STICKY = 0x80, 0x40


class Lie(NamedTuple):
    """One answer changed: which, by what, where, and with what."""

    number: int
    how: int
    place: int
    payload: bytes

    def told(self, data: bytes) -> bytes:
        """Return what is said instead of this."""
        at = self.place % (len(data) + 1)
        rest = at + len(self.payload)
        changes: Mapping[int, bytes] = {
            0: self.payload,
            1: data[:at] + self.payload + data[rest:],
            2: data[:at] + self.payload + data[at:],
            3: data[:at],
            4: data[:at] + data[rest:],
            5: data + (self.payload * self.place)[:PADDING_MOST],
            6: data[:-2] + self.place.to_bytes(2),
        }
        return changes.get(self.how % 8, data[::-1])


class Liar:
    """Tells the lies of a script when their answers come, on the wire or inside of the channel."""

    def __init__(self, script: bytes) -> None:
        self._lies = {False: list[Lie](), True: list[Lie]()}
        self._count = {False: 0, True: 0}
        at = 0
        while at + 5 <= len(script):
            number, how, high, low, size = script[at : at + 5]
            payload = script[at + 5 : at + 5 + size]
            lie = Lie(number & 0x7F, how, high << 8 | low, payload)
            self._lies[bool(number & INSIDE)].append(lie)
            at += 5 + size

    def told(self, data: bytes, *, inside: bool) -> bytes:
        """Return an answer as this card gives it."""
        number = self._count[inside]
        self._count[inside] += 1
        if number > ANSWERS_MOST:
            raise AssertionError(f"a session asks for more than {ANSWERS_MOST} answers")
        for lie in self._lies[inside]:
            if (lie.number & STICKY and number >= lie.number & 0x3F) or lie.number == number:
                data = lie.told(data)
        return data


class LyingWire(Wire):
    """A wire on which a card lies."""

    def __init__(self, card: EmulatedCard, liar: Liar) -> None:
        super().__init__(card)
        self._liar = liar

    def transmit(self, apdu: bytes) -> bytes:
        return self._liar.told(self.inner.transmit(apdu), inside=False)


@contextmanager
def known_chance(script: bytes) -> Iterator[None]:
    """Make what our own code draws the same every time."""
    rng = random.Random(script)
    with (
        mock.patch.object(secrets, "token_bytes", rng.randbytes),
        mock.patch.object(secrets, "randbelow", rng.randrange),
        mock.patch.object(emulation, "chance", return_value=False),
    ):
        yield


@contextmanager
def lying_inside(family: str, liar: Liar) -> Iterator[None]:
    """Have a family's emulator lie before it seals what it says."""

    def lie(data: bytes) -> bytes:
        return liar.told(data, inside=True)[:INSIDE_MOST]

    with ExitStack() as patched:
        if family == satochip.NAME:
            wrap = satochip_emulator.wrap
            changed = mock.patch.object(satochip_emulator, "wrap", lambda c, d: wrap(c, lie(d)))
            patched.enter_context(changed)
        elif family == tangem.NAME:
            seal = tangem_emulator.seal
            changed = mock.patch.object(tangem_emulator, "seal", lambda k, b: seal(k, lie(b)))
            patched.enter_context(changed)
        elif family == "keycard":
            for kind in (keycard_channels.CbcCardChannel, keycard_channels.CcmCardChannel):
                patched.enter_context(mock.patch.object(kind, "wrap", _lying_wrap(kind.wrap, lie)))
        yield


def _lying_wrap(wrap: Callable[..., bytes], lie: Callable[[bytes], bytes]) -> Callable[..., bytes]:
    """Lie about data and status word: what the channel seals together."""

    def lying(channel: object, data: bytes, sw: int) -> bytes:
        said = lie(data + sw.to_bytes(2))[:240]
        return wrap(channel, said[:-2], int.from_bytes(said[-2:]))

    return lying


def quick_time() -> Time:
    """Return a clock on which each look costs a second, and sleeping nothing."""
    seconds = itertools.count()
    return Time(lambda: float(next(seconds)), lambda _seconds: None)


def used(session: CardSession) -> None:
    """Do with a card what commands do; a refusal ends only the act it was met in."""
    acts: list[Callable[[], object]] = [session.identity]
    if isinstance(session, Attester):
        acts.append(session.attest)
    acts += [
        lambda: session.unlock(Pin(PIN)),
        session.identity,
        lambda: session.xpub(LEAF),
        lambda: session.sign(LEAF, DIGEST),
        lambda: session.sign(OTHER_LEAF, OTHER_DIGEST),
        *_special(session),
    ]
    for act in acts:
        with suppress(CardError):
            act()


def _special(session: CardSession) -> Iterator[Callable[[], object]]:
    """Yield what only some cards can do."""
    if isinstance(session, BatchSigner):
        yield lambda: session.sign_batch(LEAF, [DIGEST, OTHER_DIGEST])
    if isinstance(session, SchnorrSigner):
        yield lambda: session.sign_schnorr(LEAF, DIGEST, bytes(32))
    if isinstance(session, Labeller):
        yield session.label
    if isinstance(session, OriginTeller):
        yield session.made_its_key
    if isinstance(session, BackupExporter):
        yield session.backup
    if isinstance(session, EvidenceTaker):
        yield lambda: session.take_evidence(b'{"manufacturerSignature": 1}')
    if isinstance(session, PinChanger):
        yield lambda: session.change_pin(Pin(PIN), Pin(NEW_PIN))


def set_up(session: CardSession) -> None:
    """Set a factory-fresh card up."""
    for act in (
        session.identity,
        lambda: initialise(session),
        lambda: session.unlock(Pin(PIN)),
        lambda: give_key(session),
        session.identity,
    ):
        with suppress(CardError):
            act()


def sessions(family: str) -> Callable[[Path], Read]:
    """Return a reader whose first byte chooses version and act; the rest is a script of lies.

    Or it is what the home is said to remember of the card.
    """
    subjects = [subject for subject in SUBJECTS if subject.family.name == family]

    def prepare(_folder: Path) -> Read:
        for subject in subjects:
            subject.ready()
        return lambda data: _lied_to(subjects, data)

    return prepare


def _lied_to(subjects: list[Subject], data: bytes) -> None:
    choice, script = (data[0] if data else 0), data[1:]
    subject = subjects[choice // 4 % len(subjects)]
    liar = Liar(b"" if choice % 4 == 3 else script)
    with known_chance(script), lying_inside(subject.family.name, liar):
        fresh = choice % 4 == 1
        wire = LyingWire(subject.fresh() if fresh else subject.ready(), liar)
        memory = Remembering(script) if choice % 4 == 3 else TransientMemory()
        surroundings = Surroundings(memory=memory)
        if choice % 4 == 2:
            with suppress(CardError):
                detect(wire, surroundings).close()
        session = _opened(subject, wire, surroundings)
        try:
            (set_up if fresh else used)(session)
        finally:
            session.close()


class Remembering:
    """A card memory that holds the same of every card, whatever is written to it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, _card_id: str) -> bytes:
        return self._data

    def write(self, _card_id: str, _data: bytes) -> None:
        """Keep nothing."""

    def forget(self, _card_id: str) -> None:
        """Keep nothing."""


def _opened(subject: Subject, wire: Wire, surroundings: Surroundings) -> CardSession:
    if subject.family.name == tangem.NAME:
        return tangem_session.open_session(wire, surroundings, quick_time())
    return subject.family.open(wire, surroundings)


def session_seeds() -> Iterator[bytes]:
    """Yield a session without a lie, and each kind of lie at some answers of each layer."""
    for choice in range(12):
        yield bytes([choice])
    for how, number in itertools.product(range(8), (0, 2, 5, 9)):
        for layer in (0, INSIDE):
            yield bytes([how, number | layer, how, 0, 9, 4]) + bytes([number] * 4)
    paths = [[84 | HARDENED, HARDENED, HARDENED], [48 | HARDENED]]
    for kept in (
        bytes(33),
        cbor2.dumps(paths),
        b'["FF01", "6.33", true]',
        b"\x82\x81\xf9\x7c\0\x80",
    ):
        yield bytes([3]) + kept
    for number in (0, 3):
        yield bytes([0, number | STICKY, 6, 0x61, 0x00, 0])
        yield bytes([0, number | STICKY, 5, 0xFF, 0xFF, 1, 7])


def heard(family: str) -> list[bytes]:
    """Return what honest cards of a family answer, inside of their channels too."""
    found: list[bytes] = []
    for subject in (each for each in SUBJECTS if each.family.name == family):
        liar = _Listener()
        with known_chance(b""), lying_inside(family, liar):
            wire = LyingWire(subject.ready(), liar)
            session = _opened(subject, wire, Surroundings(memory=TransientMemory()))
            used(session)
            session.close()
        found += liar.said
    return found


class _Listener(Liar):
    """Tells the truth and keeps it."""

    def __init__(self) -> None:
        super().__init__(b"")
        self.said: list[bytes] = []

    def told(self, data: bytes, *, inside: bool) -> bytes:
        said = data[:-2] if not inside else data
        if said and said not in self.said:
            self.said.append(said)
        return super().told(data, inside=inside)


def parsers(parse: tuple[Parser, ...]) -> Callable[[Path], Read]:
    """Return a reader whose first byte chooses the parser."""
    return reading(lambda data: parse[data[0] % len(parse) if data else 0](data[1:]))


def answer_seeds(family: str, count: int) -> Callable[[], Iterator[bytes]]:
    """Return what hands each honest answer to the first parser that takes it, and one more."""
    parse = PARSERS[family]

    def seeds() -> Iterator[bytes]:
        for answer in heard(family):
            for number in range(count):
                with suppress(*ROOTS):
                    parse[number](answer)
                    yield bytes([number]) + answer
        yield b"\0"

    return seeds


def _tangem(read: Callable[[Fields], object]) -> Parser:
    return lambda data: read(Fields.parse(data))


def _tapsigner(read: Callable[[Mapping[str, object]], object]) -> Parser:
    return lambda data: read(wire.decode_map(data))


def _reading(data: bytes) -> None:
    """Read a command and an answer as they come over a reader."""
    Response.parse(data)
    Command.parse(data)


AUTHENTIKEY = bytes.fromhex("02e6642fd69bd211f93f7f1f36ca51a26a5290eb2dd1b0d8279a87bb0d480c8443")
NONCES = tapsigner_answers.Nonces(bytes(16), bytes(range(16)))
PARSERS: dict[str, tuple[Parser, ...]] = {
    satochip.NAME: (
        satochip_answers.parse_status,
        satochip_answers.parse_handshake,
        lambda data: satochip_answers.parse_extended_key(data, AUTHENTIKEY),
        satochip_answers.parse_authentikey,
        satochip_answers.parse_label,
        satochip_answers.parse_size,
        satochip_answers.parse_proof,
        lambda data: satochip_attestation._certified(data, satochip_attestation.Roots((), ())),
        compact_from_der,
        _reading,
    ),
    "keycard": (
        keycard_answers.parse_select,
        keycard_answers.parse_status,
        keycard_answers.parse_certificate,
        keycard_answers.parse_proof,
        keycard_answers.parse_handshake,
        keycard_answers.parse_public_key,
        keycard_answers.parse_extended_key,
        keycard_answers.parse_signature,
        keycard_answers.parse_schnorr,
        Pairing.decode,
    ),
    tangem.NAME: (
        _tangem(tangem_answers.parse_card),
        _tangem(tangem_answers.parse_wallets),
        _tangem(tangem_answers.parse_wallet),
        _tangem(tangem_answers.parse_key),
        _tangem(lambda fields: tangem_answers.parse_signatures(fields, 2)),
        tangem_attestation.IssuerSignatures.parse,
    ),
    tapsigner.NAME: (
        _tapsigner(tapsigner_answers.parse_status),
        _tapsigner(lambda fields: tapsigner_answers.check_identity(fields, AUTHENTIKEY, NONCES)),
        _tapsigner(lambda fields: tapsigner_answers.parse_read(fields, bytes(32), NONCES)),
        _tapsigner(lambda fields: tapsigner_answers.parse_derive(fields, NONCES)),
        _tapsigner(tapsigner_answers.parse_sign),
        _tapsigner(tapsigner_answers.parse_xpub),
        _tapsigner(tapsigner_answers.parse_certificates),
        _tapsigner(tapsigner_answers.parse_backup),
        _tapsigner(tapsigner_answers.parse_wait),
    ),
}


def _family_targets(family: str) -> tuple[Target, Target]:
    parse = PARSERS[family]
    return (
        Target(
            f"{family}_answers", answer_seeds(family, len(parse)), parsers(parse), ROOTS, 1024
        ),
        Target(
            f"{family}_session", session_seeds, sessions(family), ROOTS, 512, runs=20,
            steps=400_000, steps_per_byte=2_000,
        ),
    )  # fmt: skip


TARGETS = tuple(target for family in families() for target in _family_targets(family.name))
