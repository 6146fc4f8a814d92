"""Keys as text: `[fingerprint/path]xpub` with or without origin, and what stands below the key.

Private material as text, a seed's too, is refused before anything of it is said or kept; what is
in the fields of a format, its reader refuses.
"""

import re
from typing import Final, NamedTuple

from coordinator.errors import NotImportable
from coordinator.foreign_text import lines
from coordinator.interop.wallet_file import WalletKey
from psbt.errors import PolicyError
from psbt.keys import HARDENED, PREFIXES, Path, PrefixedKey, parse_path, parse_prefixed_key
from psbt.network import Network

KEY_MAX: Final = 512
EXPRESSION = re.compile(r"(?:\[([^\[\]]*)\])?([0-9A-Za-z]+)(/.*)?", re.DOTALL)
FINGERPRINT = re.compile(r"[0-9a-fA-F]{8}")
WIF = re.compile(r"[5KLc9][1-9A-HJ-NP-Za-km-z]{50,51}")
POINT = re.compile(r"(?:0[23][0-9a-fA-F]{64}|04[0-9a-fA-F]{128}|[0-9a-fA-F]{64})")
PRIVATE = (
    "nothing of it was stored; export the wallet without its private keys, and delete this file"
)
WORDS_LEAST, WORDS_MOST = 12, 33
"""BIP 39 has 12 to 24 words, SLIP 39 20 or 33."""
WORD = re.compile(r"(?:[0-9]{1,2}[.):]?)?[a-z]{3,8}")
NUMBERING = re.compile(r"[0-9]{1,2}[.):]?")
BACKUP = re.compile(r"\s*(?:mnemonic|xprv|raw_secret|seed)\s*=", re.IGNORECASE)
LOOKED_AT: Final = 4_096


class Kind(NamedTuple):
    """A whole text that is private, and what it is called."""

    shape: re.Pattern[str]
    name: str


KINDS: Final = (
    Kind(re.compile(r"(?:\[[^\[\]]*\])?[xyztuvXYZTUV]prv[1-9A-HJ-NP-Za-km-z]{20,}\S*"),
         "an extended private key"),
    Kind(WIF, "a private key"),
    Kind(re.compile(r"6P[1-9A-HJ-NP-Za-km-z]{56}"), "an encrypted private key (BIP 38)"),
    Kind(re.compile(r"(?:[0-9]{48}|[0-9]{96})"), "the digits of a seed (SeedQR)"),
    Kind(re.compile(r"[mM][sS]1[0-9a-zA-Z]{45,124}"), "a share of a seed (codex32)"),
    Kind(re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{64}"), "hex digits, perhaps of a seed"),
)  # fmt: skip


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


def slip132_version(script: str, network: Network) -> bytes:
    """Return the bytes that a key for a script begins with (SLIP 132); a plain xpub's else."""
    wanted = script if script in ("wsh", "sh-wsh") else None
    return next(
        version
        for version, prefix in PREFIXES.items()
        if prefix.mainnet is (network is Network.MAINNET) and prefix.script == wanted
    )


def refuse_private(text: str, where: str) -> None:
    """Refuse a key that is private, before anything of it is said or kept."""
    if text[1:4] == "prv" or WIF.fullmatch(text):
        raise NotImportable(f"{where} is a private key", PRIVATE)


def refuse_private_text(text: str) -> None:
    """Raise NotImportable where a text is a secret, or a signer's backup with one."""
    stripped = text.strip()[:LOOKED_AT]
    kind = next((each.name for each in KINDS if each.shape.fullmatch(stripped)), None)
    words = [word for word in stripped.lower().split() if not NUMBERING.fullmatch(word)]
    if WORDS_LEAST <= len(words) <= WORDS_MOST and all(map(WORD.fullmatch, words)):
        kind = kind or "words of a seed"
    if kind is None and any(BACKUP.match(line) for line in lines(stripped)):
        kind = "a signer's backup with its seed"
    if kind is not None:
        raise NotImportable(f"this is {kind}, not a wallet's file", PRIVATE)


def _extended(text: str, where: str) -> PrefixedKey:
    refuse_private(text, where)
    if POINT.fullmatch(text):
        raise PolicyError(f"{where} is a single public key, not an extended one")
    try:
        return parse_prefixed_key(text)
    except PolicyError as failure:
        raise PolicyError(f"{where}: {failure}") from failure
