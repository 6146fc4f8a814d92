"""Seeds that pass through this machine: made, typed or read, and wiped after use."""

import hashlib
import secrets

from cards.pin import Secret
from coordinator.errors import UsageError
from psbt.keys import KeyExpression, Path
from psbt.mnemonic import account_key, seed_from_words, words_from_entropy

ENTROPY_SIZE = 32
SEED_SIZES = range(16, 65)


def fresh_words() -> Secret:
    """Return 24 new words from the system's entropy."""
    return Secret(words_from_entropy(secrets.token_bytes(ENTROPY_SIZE)).encode())


def from_words(words: Secret) -> Secret:
    """Return the seed of the words; raises PolicyError naming the place of a wrong one."""
    return Secret(seed_from_words(words.reveal().decode("utf-8", "replace")))


def words_hash(words: Secret) -> bytes:
    """Return what knows new words again and does not tell them: they are of 256 bits of chance."""
    return hashlib.sha256(b" ".join(words.reveal().split())).digest()


def from_hex(typed: Secret) -> Secret:
    """Return the seed typed in hex; raises UsageError where it is none of 16 to 64 bytes."""
    try:
        seed = bytes.fromhex(typed.reveal().decode("ascii", "replace"))
    except ValueError:
        seed = b""
    if len(seed) not in SEED_SIZES:
        raise UsageError("a seed is 32 to 128 hex digits")
    return Secret(seed)


def expected_key(seed: Secret, path: Path) -> KeyExpression:
    """Return what a card with this seed must answer at the path."""
    return account_key(seed.reveal(), path)
