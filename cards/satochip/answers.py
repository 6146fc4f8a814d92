"""What a Satochip answers, taken apart, and what it means by a status word.

Nothing unsigned is believed.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from cards.bip32 import PublicNode
from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    PinBlocked,
    PinIncorrect,
    PinNotBlocked,
    ProtocolError,
    PukBlocked,
    PukIncorrect,
    SecureChannelError,
    StatusWordError,
)
from cards.satochip import NAME
from cards.satochip.wire import Ins, Sw
from cards.signature import COMPACT_SIZE, compact_from_der, signers, verify

COORDINATE = 32
POINT = 65
NONCE = 32
STATUS_SIZE = 12
OLDEST = (0, 12)
CHANNEL_LOST = {Sw.CHANNEL_REQUIRED, Sw.CHANNEL_NOT_OPEN, Sw.CHANNEL_IV, Sw.CHANNEL_MAC}
_TRIES_LEFT = 0xF
_MEANINGS: dict[int, Callable[[], CardError]] = {
    Sw.UNAUTHORIZED: partial(NotUnlocked, "the card wants its PIN first"),
    Sw.IDENTITY_BLOCKED: partial(PinBlocked, "the card allows no more attempts"),
    Sw.SETUP_NOT_DONE: partial(CardNotInitialised, "the card has not been set up"),
    Sw.SEED_MISSING: partial(CardNotInitialised, "the card has no seed"),
    Sw.SETUP_DONE: partial(NotSupported, NAME, "being set up twice"),
    Sw.SEED_EXISTS: partial(NotSupported, NAME, "a second seed"),
    Sw.FEATURE_BLOCKED: partial(
        NotSupported, NAME, "what its owner switched off (a feature policy)"
    ),
    Sw.OPERATION_NOT_ALLOWED: partial(PinNotBlocked, NAME),
}


class Status(NamedTuple):
    """GET STATUS as a card of 0.12 or newer answers it."""

    version: tuple[int, int]
    patch: tuple[int, int]
    pin_tries: int
    puk_tries: int
    second_factor: bool
    seeded: bool
    setup_done: bool

    @property
    def version_text(self) -> str:
        """Return the version as the maker writes it, like 0.12-0.6."""
        return "{}.{}-{}.{}".format(*self.version, *self.patch)


def parse_status(data: bytes) -> Status:
    """Read GET STATUS; later versions append policies, which nothing here depends on.

    Raises NotSupported for a version before 0.12, which may have sent fewer bytes.
    """
    if len(data) > 1 and (data[0], data[1]) < OLDEST:
        raise NotSupported(NAME, "versions before {}.{}".format(*OLDEST))
    if len(data) < STATUS_SIZE:
        raise ProtocolError(f"the status has {len(data)} bytes, fewer than {STATUS_SIZE}")
    return Status(
        version=(data[0], data[1]),
        patch=(data[2], data[3]),
        pin_tries=data[4],
        puk_tries=data[5],
        second_factor=bool(data[8]),
        seeded=bool(data[9]),
        setup_done=bool(data[10]),
    )


def parse_handshake(data: bytes) -> tuple[bytes, frozenset[bytes]]:
    """Read INIT CHANNEL: the card's ephemeral key, and who may have signed it."""
    fields = _Fields(data)
    ephemeral = fields.signing_key()
    return ephemeral, signers(*fields.signed())


def parse_extended_key(data: bytes, authentikey: bytes) -> PublicNode:
    """Read GET EXTENDED KEY; signed by the derived key itself and by the card's authentikey."""
    fields = _Fields(data)
    chain_code = fields.take(COORDINATE)
    public_key = fields.signing_key()
    if not verify(authentikey, *fields.signed()):
        raise ProtocolError("the card's authentikey has not signed the derived key")
    return PublicNode(public_key, chain_code)


def parse_authentikey(data: bytes) -> bytes:
    """Read a public key that signed itself; return it compressed."""
    return _Fields(data).signing_key()


def parse_prepared_key(data: bytes, authentikey: bytes) -> bytes:
    """Read TAPROOT TWEAK: the x of the key that will sign, vouched for by the authentikey."""
    fields = _Fields(data)
    point = fields.sized()
    if not verify(authentikey, *fields.signed()):
        raise ProtocolError("the card's authentikey has not signed the key it prepared")
    if len(point) != POINT:
        raise ProtocolError(f"an uncompressed key has {POINT} bytes, not {len(point)}")
    return point[1 : 1 + COORDINATE]


def parse_schnorr(data: bytes) -> bytes:
    """Read SIGN SCHNORR HASH: 64 bytes (BIP 340)."""
    if len(data) != COMPACT_SIZE:
        raise ProtocolError(f"a BIP 340 signature has {COMPACT_SIZE} bytes, not {len(data)}")
    return data


def parse_label(data: bytes) -> str:
    """Read the label; bytes that are no UTF-8 are shown as such."""
    fields = _Fields(data)
    return fields.take(fields.take(1)[0]).decode(errors="replace")


def parse_size(data: bytes) -> int:
    """Read the certificate's size."""
    return int.from_bytes(_Fields(data).take(2))


def parse_proof(data: bytes) -> tuple[bytes, bytes]:
    """Read CHALLENGE RESPONSE: the card's nonce, and r‖s over both nonces."""
    fields = _Fields(data)
    return fields.take(NONCE), compact_from_der(fields.sized())


class _Fields:
    """Cuts an answer into its fields; raises ProtocolError where one is missing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise ProtocolError(f"the card's answer ends after {len(self._data)} bytes")
        self._at += size
        return taken

    def sized(self) -> bytes:
        """Return the next field, whose length stands before it in two bytes."""
        return self.take(int.from_bytes(self.take(2)))

    def signed(self) -> tuple[bytes, bytes]:
        """Return the digest of all that has been taken so far, and r‖s, which comes next."""
        digest = hashlib.sha256(self._data[: self._at]).digest()
        return digest, compact_from_der(self.sized())

    def signing_key(self) -> bytes:
        """Return the key whose x coordinate comes next, and then its signature of all so far."""
        x = self.sized()
        digest, signature = self.signed()
        if len(x) != COORDINATE:
            raise ProtocolError(f"a coordinate has {COORDINATE} bytes, not {len(x)}")
        for key in (b"\2" + x, b"\3" + x):
            if verify(key, digest, signature):
                return key
        raise ProtocolError("the card sent a key that has not signed itself")


def refusal(sw: int, ins: int) -> CardError:
    """Return the error a status word stands for."""
    if sw & ~_TRIES_LEFT == Sw.PIN_FAILED:
        return (PukIncorrect if ins == Ins.UNBLOCK_PIN else PinIncorrect)(sw & _TRIES_LEFT)
    if (sw, ins) == (Sw.IDENTITY_BLOCKED, Ins.UNBLOCK_PIN):
        return PukBlocked("the card allows no more attempts at its PUK")
    if sw in CHANNEL_LOST:
        return SecureChannelError(f"the card refuses its channel with {sw:04X}, twice")
    return _MEANINGS.get(sw, partial(StatusWordError, sw, ins))()
