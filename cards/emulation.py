"""What emulated cards share: power, memory, keys, and a file each that survives a kill.

A family adds what its applet does: the flash, what power keeps, and how a command is answered.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import Field, asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

import cbor2
from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from filelock import BaseFileLock, FileLock, Timeout

from cards.apdu import Response
from cards.errors import CardError, CardRemoved, OutOfReach
from cards.family import CardFamily, family_named
from cards.session import HARDENED
from cards.signature import CURVE_ORDER
from cards.transport import CardTransport

MAGIC = "cardquorum emulated card"
FORMAT = 1
PRIVATE = 0o600
LOOK_SECONDS = 1.0
UNREADABLE = (
    cbor2.CBORDecodeError,
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)


class Chip(Protocol):
    """The part of an emulated card that lives while it has power."""

    def power_on(self) -> None:
        """Start afresh: whatever power kept is forgotten."""

    def answer(self, apdu: bytes) -> bytes:
        """Answer one command APDU."""


class EmulatedTransport:
    """A reader with an emulated card on it."""

    def __init__(self, chip: Chip) -> None:
        self._chip: Chip | None = chip
        chip.power_on()

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command APDU; raises CardRemoved once the card is gone."""
        return self._inserted().answer(apdu)

    def power_cycle(self) -> None:
        """Take the power away and give it back."""
        self._inserted().power_on()

    def eject(self) -> None:
        """Take the card away for good."""
        self._chip = None

    def close(self) -> None:
        """Let go of the card."""
        self.eject()

    def _inserted(self) -> Chip:
        if self._chip is None:
            raise CardRemoved("there is no card on the emulated reader")
        return self._chip


class Flash(Protocol):
    """Everything of a card that survives power-off: a dataclass, kept as CBOR."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


FlashT = TypeVar("FlashT", bound=Flash)
CardT = TypeVar("CardT")


class Refusal(Exception):
    """A command ends with this status word, and hardly ever with data."""

    def __init__(self, sw: int, data: bytes = b"") -> None:
        self.sw = sw
        self.data = data
        super().__init__(f"{sw:04X}")


class Emulator(Generic[FlashT, CardT]):
    """A card made of software; without power only its flash matters.

    `powered` makes what lives around the flash while there is power, `answered` is the applet.
    """

    def __init__(
        self,
        flash: FlashT,
        powered: Callable[[FlashT], CardT],
        answered: Callable[[CardT, bytes], Response],
    ) -> None:
        self.flash = flash
        self._powered = powered
        self._answered = answered
        self._card = powered(flash)
        self._reader: EmulatedTransport | None = None

    def insert(self) -> EmulatedTransport:
        """Put the card on a reader, and so take it away from the one it lay on."""
        if self._reader is not None:
            self._reader.eject()
        self._reader = EmulatedTransport(self)
        return self._reader

    def state(self) -> bytes:
        """Return what survives power-off."""
        return cbor2.dumps(asdict(self.flash))

    def power_on(self) -> None:
        """Forget all that power kept: selection, channel, login."""
        self._card = self._powered(self.flash)

    def answer(self, apdu: bytes) -> bytes:
        """Answer one command APDU."""
        try:
            return self._answered(self._card, apdu).encode()
        except Refusal as refusal:
            return Response(refusal.data, refusal.sw).encode()


def kept(state: bytes, read: Callable[[Any], FlashT], card: str) -> FlashT:
    """Return the flash of a state, `read` from its fields; raises CardError for anything else."""
    try:
        return read(cbor2.loads(state))
    except UNREADABLE:
        raise CardError(f"this is not the state of an emulated {card}") from None


@dataclass
class Code:
    """A PIN or PUK with its counter."""

    value: bytes = field(repr=False)
    limit: int
    left: int

    @classmethod
    def fresh(cls, value: bytes, limit: int) -> Self:
        """Make one with all its tries."""
        return cls(value, limit, limit)

    def matches(self, candidate: bytes) -> bool:
        """Tell whether it is the value, while there are tries left."""
        return bool(self.left) and hmac.compare_digest(candidate, self.value)

    def count(self, *, right: bool) -> None:
        """Give every try back after the right value; take one away after a wrong one."""
        self.left = self.limit if right else max(0, self.left - 1)


class Node(NamedTuple):
    """A private key and its chain code (BIP 32)."""

    key: bytes
    chain_code: bytes

    @property
    def public_key(self) -> bytes:
        """Return the compressed public key."""
        return public_key(self.key)

    @property
    def point(self) -> bytes:
        """Return the uncompressed public key."""
        return PrivateKey(self.key).public_key.format(compressed=False)

    def below(self, path: Iterable[int]) -> Self:
        """Return the node that many steps below."""
        node = self
        for step in path:
            start = b"\0" + node.key if step >= HARDENED else node.public_key
            digest = hmac.digest(node.chain_code, start + step.to_bytes(4), "sha512")
            node = type(self)(PrivateKey(node.key).add(digest[:32]).secret, digest[32:])
        return node


def public_key(secret: bytes) -> bytes:
    """Return the compressed public key."""
    return PrivateKey(secret).public_key.format()


def shared_x(secret: bytes, point: bytes, sw: int) -> bytes:
    """Return the x coordinate of the Diffie-Hellman point; refuses with `sw` what is no point."""
    try:
        return PublicKey(point).multiply(secret).format()[1:]
    except ValueError:
        raise Refusal(sw) from None


def random_key() -> bytes:
    """Return a private key; one in 2^128 draws would be out of range."""
    return secrets.token_bytes(32)


def create_card(
    path: Path, family: CardFamily, profile: str, *, variant: str | None = None
) -> None:
    """Make a factory-fresh card and its file; raises CardError where the file is there already."""
    make = family.emulate if variant is None else family.variants[variant]
    with held(path, 0):
        if path.exists():
            raise CardError(f"{path} exists already")
        _write(path, family.name, profile, state=make(profile).state())


def open_card(path: Path, seconds: float = LOOK_SECONDS) -> CardTransport:
    """Put the card in a file on a reader; raises OutOfReach where somebody else keeps it.

    Whoever only looks at a card has it for a moment: that is waited for, as on a real reader.
    """
    with contextlib.ExitStack() as undo:
        lock = undo.enter_context(held(path, seconds))
        reader = _FiledTransport(path, lock)
        undo.pop_all()
    return reader


def held(path: Path, seconds: float) -> contextlib.AbstractContextManager[BaseFileLock]:
    """Keep others from a file of an emulated card; raises OutOfReach where they keep us."""
    # For this process: sessions close in other threads than they open in.
    lock = FileLock(path.with_name(path.name + ".lock"), thread_local=False, mode=PRIVATE)
    try:
        return lock.acquire(timeout=seconds)
    except Timeout:
        raise OutOfReach(
            f"the emulated card {path} is in use",
            "let the other command end, then run the same command again",
            may_end_by_itself=True,
        ) from None
    except OSError as failure:
        raise CardError(f"the emulated card {path} cannot be locked: {failure.strerror}") from None


def sign_high_or_low(secret: bytes, digest: bytes) -> bytes:
    """Return a DER signature as a card makes it: any nonce, and S in either half of the curve.

    Not constant in time: for keys of emulated cards only.
    """
    nonce = 1 + secrets.randbelow(CURVE_ORDER - 1)
    r = PrivateKey(nonce.to_bytes(32)).public_key.point()[0] % CURVE_ORDER
    r_times_key = r * int.from_bytes(secret)
    s = pow(nonce, -1, CURVE_ORDER) * (int.from_bytes(digest) + r_times_key) % CURVE_ORDER
    return encode_dss_signature(r, s)


def chance(one_in: int) -> bool:
    """Tell whether a mischance happens that happens to a card once in so many times."""
    return secrets.randbelow(one_in) == 0


class _FiledTransport:
    """A reader whose card is written to its file before it answers."""

    def __init__(self, path: Path, lock: BaseFileLock) -> None:
        self._path = path
        self._lock = lock
        self._family, self._profile, self._written = _read(path)
        self._card = family_named(self._family).revive(self._written)
        self._reader = self._card.insert()
        self._closed = False

    def transmit(self, apdu: bytes) -> bytes:
        answer = self._reader.transmit(apdu)
        state = self._card.state()
        if state != self._written:
            try:
                _write(self._path, self._family, self._profile, state=state)
            except CardError:
                self.close()  # a card that cannot be kept must not go on as if it were
                raise
            self._written = state
        return answer

    def power_cycle(self) -> None:
        if self._closed:
            raise CardRemoved(f"the emulated card {self._path} has been put away")
        self._reader = self._card.insert()

    def close(self) -> None:
        self._closed = True
        self._reader.close()
        self._lock.release()


def _read(path: Path) -> tuple[str, str, bytes]:
    """Return family, profile and state of the card in a file."""
    try:
        magic, version, family, profile, digest, state = cbor2.loads(path.read_bytes())
    except OSError as failure:
        raise CardError(f"{path} cannot be read: {failure.strerror}") from None
    except UNREADABLE:
        raise CardError(f"{path} is not an emulated card, or it is damaged") from None
    if magic != MAGIC or version != FORMAT:
        raise CardError(f"{path} is not an emulated card of format {FORMAT}")
    if not isinstance(state, bytes) or hashlib.sha256(state).digest() != digest:
        raise CardError(f"{path} is damaged: its checksum does not hold")
    return str(family), str(profile), state


def _write(path: Path, family: str, profile: str, *, state: bytes) -> None:
    """Replace the file whole: at any moment it holds the old card or the new one."""
    digest = hashlib.sha256(state).digest()
    content = cbor2.dumps([MAGIC, FORMAT, family, profile, digest, state])
    beside = path.with_name(path.name + ".new")
    try:
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, PRIVATE)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        if hasattr(os, "O_DIRECTORY"):
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as failure:
        raise CardError(f"the card {path} cannot be written: {failure.strerror}") from failure
