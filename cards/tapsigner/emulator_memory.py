"""What an emulated TAPSIGNER remembers: in its flash, and while it has power."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

import cbor2
from coincurve import PrivateKey

from cards.errors import CardError
from cards.tapsigner.wire import (
    BAD_ARGUMENTS,
    BAD_AUTH,
    DELAY,
    INVALID_STATE,
    LENGTH_COUNTED_SINCE,
    NEEDS_AUTH,
    NONCE,
    RATE_LIMITED,
    is_point,
    mask_cvc,
    session_key,
    version_number,
)

FACTORY_CVC = b"123456"
FREE_FAILURES = 3
BIRTH = 700_553

Arguments = Mapping[str, object]


class Refusal(Exception):
    """A command ends with this code."""

    def __init__(self, code: int, text: str) -> None:
        """Keep the code and its text."""
        self.code = code
        self.text = text
        super().__init__(f"{code} {text}")


@dataclass
class Flash:
    """Everything that survives power-off; only this is kept in the card's file."""

    profile: str
    card_key: bytes = field(repr=False)
    certificates: list[bytes]
    backup_key: bytes = field(repr=False)
    satschip: bool = False
    birth: int = BIRTH
    cvc: bytes = field(default=FACTORY_CVC, repr=False)
    failures: int = 0
    delay: int = 0
    master: bytes = field(default=b"", repr=False)
    chain_code: bytes = field(default=b"", repr=False)
    path: list[int] = field(default_factory=list)
    backups: int = 0
    knows_wait: bool = True

    @property
    def version(self) -> tuple[int, ...]:
        """Return the version, as (1, 0, 3)."""
        return version_number(self.profile)

    @property
    def public_key(self) -> bytes:
        """Return the card's own public key."""
        return PrivateKey(self.card_key).public_key.format()

    def encode(self) -> bytes:
        """Return the flash as CBOR."""
        return cbor2.dumps(asdict(self))

    @classmethod
    def decode(cls, state: bytes) -> Self:
        """Read what `encode` wrote; raises CardError for anything else."""
        try:
            flash = cls(**cbor2.loads(state))
            version_number(flash.profile)
        except (cbor2.CBORDecodeError, TypeError, ValueError):
            raise CardError("this is not the state of an emulated TAPSIGNER") from None
        return flash


@dataclass
class Power:
    """Everything that is lost at power-off."""

    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(NONCE))
    selected: bool = False


@dataclass
class Card:
    """A card with power."""

    flash: Flash
    power: Power

    def next_nonce(self) -> bytes:
        """Draw the nonce of the next command, and return it."""
        self.power.nonce = secrets.token_bytes(NONCE)
        return self.power.nonce

    def require_key(self) -> None:
        """Refuse what needs a key."""
        if not self.flash.master:
            raise Refusal(INVALID_STATE, "no key picked yet")

    def authenticate(self, name: str, arguments: Arguments) -> bytes:
        """Check the masked CVC and return the command's session key; wrong ones are counted."""
        if self.flash.delay:
            raise Refusal(RATE_LIMITED, "rate limited")
        public, masked = _credentials(arguments)
        key = session_key(PrivateKey(self.flash.card_key), public)
        expected = mask_cvc(self.flash.cvc, key, self.power.nonce, name)
        if not hmac.compare_digest(masked, expected):
            self._count(same_size=len(masked) == len(expected))
            raise Refusal(BAD_AUTH, "bad auth")
        self.flash.failures = 0
        return key

    def _count(self, *, same_size: bool) -> None:
        if not same_size and self.flash.version < LENGTH_COUNTED_SINCE:
            return
        self.flash.failures += 1
        if self.flash.failures >= FREE_FAILURES:
            self.flash.delay = DELAY


def byte_string(arguments: Arguments, name: str, size: int) -> bytes:
    """Return an argument that must be this many bytes."""
    value = arguments.get(name)
    if not isinstance(value, bytes) or len(value) != size:
        raise Refusal(BAD_ARGUMENTS, f"bad {name}")
    return value


def steps(arguments: Arguments, name: str, allowed: range, most: int) -> list[int] | None:
    """Return an argument that must be a path of such steps; None where it is left out."""
    value = arguments.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > most:
        raise Refusal(BAD_ARGUMENTS, f"bad {name}")
    if not all(type(step) is int and step in allowed for step in value):
        raise Refusal(BAD_ARGUMENTS, f"bad {name}")
    return value


def _credentials(arguments: Arguments) -> tuple[bytes, bytes]:
    public, masked = arguments.get("epubkey"), arguments.get("xcvc")
    if public is None or masked is None:
        raise Refusal(NEEDS_AUTH, "needs auth")
    if not isinstance(public, bytes) or not isinstance(masked, bytes) or not is_point(public):
        raise Refusal(BAD_ARGUMENTS, "bad epubkey or xcvc")
    return public, masked
