"""Private material as text, refused before anything of it is said or kept.

Words of a seed, extended private keys, private keys and seeds in their usual forms, and the
backup of a signer that holds them. What is in the fields of a format, its reader refuses.
"""

import re
from typing import Final, NamedTuple

from coordinator.errors import NotImportable
from coordinator.foreign_text import lines
from coordinator.interop.key_text import PRIVATE, WIF

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


def refuse_private_text(text: str) -> None:
    """Raise NotImportable where a text is a secret, or a signer's backup with one."""
    stripped = text.strip()
    if len(stripped) > LOOKED_AT:
        stripped = stripped[:LOOKED_AT]
    kind = next((each.name for each in KINDS if each.shape.fullmatch(stripped)), None)
    if kind is None and _is_words(stripped):
        kind = "words of a seed"
    if kind is None and any(BACKUP.match(line) for line in lines(stripped)):
        kind = "a signer's backup with its seed"
    if kind is not None:
        raise NotImportable(f"this is {kind}, not a wallet's file", PRIVATE)


def _is_words(text: str) -> bool:
    """Tell whether a text is as many words as a seed has, numbered or not, and nothing else."""
    words = [word for word in text.lower().split() if not NUMBERING.fullmatch(word)]
    return WORDS_LEAST <= len(words) <= WORDS_MOST and all(map(WORD.fullmatch, words))
