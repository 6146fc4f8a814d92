"""What a TAPSIGNER answers, taken apart, and what it means by an error.

Nothing that is signed is believed without its proof.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from cards.bip32 import PublicNode
from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    PinIncorrect,
    PinUnsuitable,
    ProtocolError,
)
from cards.session import HARDENED, Path
from cards.signature import low_s, verify
from cards.tapsigner import NAME
from cards.tapsigner.wire import (
    CERTIFICATE,
    CHAIN_CODE,
    DEPTH_MAX,
    NONCE,
    PROTOCOL,
    SIGNATURE,
    TEST_XPUB_VERSION,
    XPUB_VERSION,
    ErrorCode,
    is_point,
    proof_digest,
    version_number,
    xor,
)

Fields = Mapping[str, object]
XPUB_SIZE = 78
BACKUPS_MAX, DELAY_MAX = 0xFFFF, 0xFFFFFFFF
TAP, CHIP, SATSCARD = "TAPSIGNER", "SATSCHIP", "SATSCARD"
UNSAVED = "another CVC before a backup was made: a forgotten one would take the key with it"
_MEANINGS: dict[int, Callable[[], CardError]] = {
    ErrorCode.BAD_AUTH: partial(PinIncorrect, None),
    ErrorCode.NEEDS_AUTH: partial(NotUnlocked, "the card wants its CVC with this command"),
    ErrorCode.INVALID_STATE: partial(CardNotInitialised, "the card has no key"),
    ErrorCode.BACKUP_FIRST: partial(NotSupported, NAME, UNSAVED),
}


class Status(NamedTuple):
    """What a card says of itself; `path` is None before it has a key."""

    product: str
    version: str
    public_key: bytes
    card_nonce: bytes
    path: Path | None
    backups: int
    delay: int
    tampered: bool


class Nonces(NamedTuple):
    """The two nonces a proof is about: the card's from before the command, and ours."""

    card: bytes
    ours: bytes


class Signed(NamedTuple):
    """A signature, low S, and the key the card says to have used."""

    signature: bytes
    public_key: bytes


def parse_status(fields: Fields) -> Status:
    """Read `status`."""
    version = fields.get("ver")
    if fields.get("proto") != PROTOCOL or not isinstance(version, str):
        raise ProtocolError("the card's status is not of protocol 1")
    try:
        version_number(version)
    except ValueError:
        raise ProtocolError("the card's version is not three numbers") from None
    path = fields.get("path")
    try:
        stored = None if path is None else stored_path(path)
    except ValueError:
        raise ProtocolError("the card's stored path cannot be read") from None
    product = CHIP if fields.get("satschip") is True else TAP
    if fields.get("tapsigner") is not True:
        product = SATSCARD
    return Status(
        product=product,
        version=version,
        public_key=point(fields, "pubkey"),
        card_nonce=sized(fields, "card_nonce", NONCE),
        path=stored,
        backups=_count(fields, "num_backups", BACKUPS_MAX),
        delay=_count(fields, "auth_delay", DELAY_MAX),
        tampered=bool(fields.get("tampered")),
    )


def check_identity(fields: Fields, card_key: bytes, nonces: Nonces) -> bool:
    """Tell whether the card's own key signed both nonces."""
    return verify(card_key, proof_digest(*nonces), _signature(fields, "auth_sig"))


def parse_read(fields: Fields, key: bytes, nonces: Nonces) -> bytes:
    """Return the key at the stored path, once its signature holds."""
    masked = sized(fields, "pubkey", 33)
    public_key = masked[:1] + xor(masked[1:], key)
    if not verify(public_key, proof_digest(*nonces, b"\0"), _signature(fields, "sig")):
        raise ProtocolError("the card has not proved its key")
    return public_key


def parse_derive(fields: Fields, nonces: Nonces) -> PublicNode:
    """Return the derived key, once its signature over the chain code holds."""
    found = PublicNode(point(fields, "pubkey"), sized(fields, "chain_code", CHAIN_CODE))
    digest = proof_digest(*nonces, found.chain_code)
    if not verify(found.public_key, digest, _signature(fields, "sig")):
        raise ProtocolError("the card has not proved the key it derived")
    return found


def parse_sign(fields: Fields) -> Signed:
    """Return signature and key; whether they belong together is for the caller to see."""
    return Signed(_signature(fields, "sig"), point(fields, "pubkey"))


def parse_xpub(fields: Fields) -> PublicNode:
    """Return key and chain code of a serialised extended public key."""
    raw = sized(fields, "xpub", XPUB_SIZE)
    if raw[:4] not in {XPUB_VERSION, TEST_XPUB_VERSION} or not is_point(raw[45:]):
        raise ProtocolError("the card's xpub cannot be read")
    return PublicNode(raw[45:], raw[13:45])


def parse_certificates(fields: Fields) -> list[bytes]:
    """Return the signatures from the card's key up."""
    chain = fields.get("cert_chain")
    if not isinstance(chain, list) or any(
        not isinstance(each, bytes) or len(each) != CERTIFICATE for each in chain
    ):
        raise ProtocolError("the card's certificates are not signatures of 65 bytes")
    return chain


def parse_backup(fields: Fields) -> bytes:
    """Return the encrypted backup."""
    data = fields.get("data")
    if not isinstance(data, bytes) or not data:
        raise ProtocolError("the card's backup is empty")
    return data


def parse_wait(fields: Fields) -> int:
    """Return how many seconds are left to wait."""
    return _count(fields, "auth_delay", DELAY_MAX)


def sized(fields: Fields, name: str, size: int) -> bytes:
    """Return the byte string of that name and size."""
    value = fields.get(name)
    if not isinstance(value, bytes) or len(value) != size:
        raise ProtocolError(f"the card's answer lacks {name} of {size} bytes")
    return value


def point(fields: Fields, name: str) -> bytes:
    """Return the public key of that name."""
    key = sized(fields, name, 33)
    if not is_point(key):
        raise ProtocolError(f"the card's {name} is no public key")
    return key


def _signature(fields: Fields, name: str) -> bytes:
    return low_s(sized(fields, name, SIGNATURE))


def stored_path(value: object) -> Path:
    """Return the path in a list of hardened steps; raises ValueError for anything else."""
    steps = value if isinstance(value, list) else [None]
    fits = (isinstance(step, int) and HARDENED <= step < 2 * HARDENED for step in steps)
    if len(steps) > DEPTH_MAX or not all(fits):
        raise ValueError("this is no stored path")
    return tuple(steps)


def _count(fields: Fields, name: str, most: int) -> int:
    value = fields.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ProtocolError(f"the card's {name} is no number up to {most}")
    return value


def refusal(code: int, name: str) -> CardError:
    """Return the error a code stands for."""
    if code == ErrorCode.UNKNOWN_COMMAND:
        return NotSupported(NAME, f"the command {name}")
    if (code, name) == (ErrorCode.BAD_ARGUMENTS, "change"):
        return PinUnsuitable("the card takes a new CVC of digits only")
    if code == ErrorCode.UNLUCKY:
        return ProtocolError("the card was out of luck with every nonce it drew")
    return _MEANINGS.get(code, partial(ProtocolError, f"the card refuses {name} with {code}"))()
