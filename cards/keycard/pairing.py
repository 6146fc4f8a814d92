"""Pairings of 3.x cards: a shared secret gets a slot and a key, kept outside of the card."""

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from typing import Self

from cards.apdu import Command
from cards.errors import CardError, ProtocolError, StatusWordError
from cards.keycard import commands
from cards.keycard.wire import EPHEMERAL_SLOT, SW_NO_SLOT
from cards.pin import Secret
from cards.transport import CardTransport, exchange

DEFAULT_PASSWORD = "KeycardDefaultPairing"  # noqa: S105 - everybody's, and so protects nothing
SALT = b"Keycard Pairing Password Salt"
ROUNDS = 50_000
SIZE = 32
FIRST_ANSWER, LAST_ANSWER = 2 * SIZE, 1 + SIZE


@dataclass(frozen=True)
class Pairing:
    """A slot on the card and the key that belongs to it."""

    slot: int
    key: bytes = field(repr=False)

    @property
    def lasting(self) -> bool:
        """Tell whether the card remembers it once another applet or nothing is selected."""
        return self.slot != EPHEMERAL_SLOT

    def encode(self) -> bytes:
        """Return it as it is kept."""
        return bytes((self.slot,)) + self.key

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """Read what was kept; None where it is of no use."""
        return cls(data[0], data[1:]) if len(data) == LAST_ANSWER else None


def shared_secret(password: bytes) -> bytes:
    """Return the pairing secret of a password (PBKDF2)."""
    normal = unicodedata.normalize("NFKD", password.decode("utf-8", "surrogateescape"))
    return hashlib.pbkdf2_hmac("sha256", normal.encode("utf-8", "surrogateescape"), SALT, ROUNDS)


@cache
def default_secret() -> bytes:
    """Return the secret of the password that every wallet knows."""
    return shared_secret(DEFAULT_PASSWORD.encode())


def secret_from(given: Secret | None) -> bytes:
    """Return the secret of the owner's password, else the one that every wallet knows."""
    return default_secret() if given is None else shared_secret(commands.pairing_password(given))


def pair(transport: CardTransport, secret: bytes) -> Pairing | None:
    """Pair with the secret; None where the card has another one, which costs it nothing.

    Raises CardError where no slot is free.
    """
    challenge = secrets.token_bytes(SIZE)
    answer = _asked(transport, commands.pair_first(challenge), FIRST_ANSWER)
    proof, card_challenge = answer[:SIZE], answer[SIZE:]
    if not hmac.compare_digest(proof, hashlib.sha256(secret + challenge).digest()):
        return None
    cryptogram = hashlib.sha256(secret + card_challenge).digest()
    last = _asked(transport, commands.pair_last(cryptogram), LAST_ANSWER)
    return Pairing(last[0], hashlib.sha256(secret + last[1:]).digest())


def _asked(transport: CardTransport, command: Command, size: int) -> bytes:
    """Send a step of PAIR and return its answer of that size."""
    try:
        answer = exchange(transport, command)
    except StatusWordError as refused:
        if refused.sw == SW_NO_SLOT:
            raise CardError(
                "the card has no pairing slot left; free one with a wallet that is paired with it"
            ) from None
        raise
    if len(answer) != size:
        raise ProtocolError(f"the card answers {len(answer)} bytes to a pairing, not {size}")
    return answer
