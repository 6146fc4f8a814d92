"""What an emulated TAPSIGNER remembers: in its flash, and while it has power."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coincurve import PrivateKey

from cards.tapsigner.wire import (
    DELAY,
    LENGTH_COUNTED_SINCE,
    NONCE,
    ErrorCode,
    is_point,
    mask_cvc,
    version_number,
)

FACTORY_CVC = b"123456"
FREE_FAILURES = 3
BIRTH = 700_553

Arguments = Mapping[str, object]


class CallRefused(Exception):
    """A command ends with this error code, which is an answer too."""

    def __init__(self, code: int, text: str) -> None:
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


def revived(fields: Any) -> Flash:  # noqa: ANN401 -- whatever was kept, checked by whoever asks
    """Return the flash that was kept with these fields."""
    flash = Flash(**fields)
    version_number(flash.profile)
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
    power: Power = field(default_factory=Power)

    def next_nonce(self) -> bytes:
        """Draw the nonce of the next command, and return it."""
        self.power.nonce = secrets.token_bytes(NONCE)
        return self.power.nonce

    def require_key(self) -> None:
        """Refuse what needs a key."""
        if not self.flash.master:
            raise CallRefused(ErrorCode.INVALID_STATE, "no key picked yet")

    def authenticate(self, name: str, arguments: Arguments) -> bytes:
        """Check the masked CVC and return the command's session key; wrong ones are counted."""
        if self.flash.delay:
            raise CallRefused(ErrorCode.RATE_LIMITED, "rate limited")
        public, masked = arguments.get("epubkey"), arguments.get("xcvc")
        if public is None or masked is None:
            raise CallRefused(ErrorCode.NEEDS_AUTH, "needs auth")
        if not (isinstance(public, bytes) and isinstance(masked, bytes) and is_point(public)):
            raise CallRefused(ErrorCode.BAD_ARGUMENTS, "bad epubkey or xcvc")
        key = PrivateKey(self.flash.card_key).ecdh(public)
        expected = mask_cvc(self.flash.cvc, key, self.power.nonce, name=name)
        if not hmac.compare_digest(masked, expected):
            if len(masked) == len(expected) or self.flash.version >= LENGTH_COUNTED_SINCE:
                self.flash.failures += 1
                if self.flash.failures >= FREE_FAILURES:
                    self.flash.delay = DELAY
            raise CallRefused(ErrorCode.BAD_AUTH, "bad auth")
        self.flash.failures = 0
        return key


def byte_string(arguments: Arguments, name: str, size: int) -> bytes:
    """Return an argument that must be this many bytes."""
    value = arguments.get(name)
    if not isinstance(value, bytes) or len(value) != size:
        raise CallRefused(ErrorCode.BAD_ARGUMENTS, f"bad {name}")
    return value


def steps(arguments: Arguments, name: str, allowed: range, *, most: int) -> list[int] | None:
    """Return an argument that must be a path of such steps; None where it is left out."""
    value = arguments.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > most:
        raise CallRefused(ErrorCode.BAD_ARGUMENTS, f"bad {name}")
    if not all(type(step) is int and step in allowed for step in value):
        raise CallRefused(ErrorCode.BAD_ARGUMENTS, f"bad {name}")
    return value
