"""Keys as text: `[fingerprint/path]xpub` with or without origin, and what stands below the key."""

import re
from typing import Final, NamedTuple

from coordinator.errors import NotImportable
from coordinator.interop.wallet_file import WalletKey
from psbt.errors import PolicyError
from psbt.keys import HARDENED, Path, PrefixedKey, parse_path, parse_prefixed_key

KEY_MAX: Final = 512
EXPRESSION = re.compile(r"(?:\[([^\[\]]*)\])?([0-9A-Za-z]+)(/.*)?", re.DOTALL)
FINGERPRINT = re.compile(r"[0-9a-fA-F]{8}")
WIF = re.compile(r"[5KLc9][1-9A-HJ-NP-Za-km-z]{50,51}")
POINT = re.compile(r"(?:0[23][0-9a-fA-F]{64}|04[0-9a-fA-F]{128}|[0-9a-fA-F]{64})")
PRIVATE = (
    "nothing of it was stored; export the wallet without its private keys, and delete this file"
)


class KeyText(NamedTuple):
    """A key, and the steps below it as they were written."""

    key: WalletKey
    below: str


def read_key(text: str, where: str) -> KeyText:
    """Read a key expression; `where` names its place in the file for the reason of a refusal."""
    text = text.strip()
    matched = EXPRESSION.fullmatch(text) if len(text) <= KEY_MAX else None
    if not matched:
        raise PolicyError(f"{where} is no [fingerprint/path]xpub, in its {len(text):,} characters")
    origin, written, below = matched.groups()
    prefix, key = _extended(written, where)
    found = WalletKey(key, prefix)
    if origin is not None:
        fingerprint, _, path = origin.partition("/")
        found = found._replace(
            fingerprint=read_fingerprint(fingerprint, where), path=read_path(path, where)
        )
    return KeyText(found, below or "")


def read_xpub(text: str, where: str) -> WalletKey:
    """Read an extended public key that stands alone."""
    prefix, key = _extended(text.strip()[:KEY_MAX], where)
    return WalletKey(key, prefix)


def read_fingerprint(text: str, where: str) -> bytes:
    """Read the eight hex digits of a fingerprint."""
    if not FINGERPRINT.fullmatch(text):
        raise PolicyError(f"{where}: {text[:20]!r} is no fingerprint of 8 hex digits")
    return bytes.fromhex(text)


def read_path(text: str, where: str) -> Path:
    """Read a path, with or without m/, h or ' for hardened steps."""
    if len(text) > KEY_MAX:
        raise PolicyError(f"{where}: a path of {len(text)} characters")
    try:
        return parse_path(text.strip().replace("H", "h").replace("M/", "m/"))
    except PolicyError as failure:
        raise PolicyError(f"{where}: {failure}") from failure


def steps_below(text: str) -> Path | None:
    """Return the fixed steps below a key, None where they are no fixed path of public steps."""
    try:
        steps = parse_path(text.removeprefix("/"))
    except PolicyError:
        return None
    return None if any(step >= HARDENED for step in steps) else steps


def refuse_private(text: str, where: str) -> None:
    """Refuse a key that is private, before anything of it is said or kept."""
    if text[1:4] == "prv" or WIF.fullmatch(text):
        raise NotImportable(f"{where} is a private key", PRIVATE)


def _extended(text: str, where: str) -> PrefixedKey:
    refuse_private(text, where)
    if POINT.fullmatch(text):
        raise PolicyError(f"{where} is a single public key, not an extended one")
    try:
        return parse_prefixed_key(text)
    except PolicyError as failure:
        raise PolicyError(f"{where}: {failure}") from failure
