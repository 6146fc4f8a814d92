"""Words for a seed (BIP 39), and the account key a seed leads to (BIP 32)."""

from embit import bip32, bip39

from psbt.errors import PolicyError
from psbt.keys import ExtendedPublicKey, KeyExpression, Path

ENTROPY_SIZES = (16, 20, 24, 28, 32)
SEED_SIZES = range(16, 65)


def words_from_entropy(entropy: bytes) -> str:
    """Return 12 to 24 English words for 16 to 32 bytes of entropy."""
    if len(entropy) not in ENTROPY_SIZES:
        raise PolicyError(f"entropy has 16 to 32 bytes in steps of 4, not {len(entropy)}")
    words: str = bip39.mnemonic_from_bytes(entropy)
    return words


def seed_from_words(words: str) -> bytes:
    """Return the 64-byte seed of the words, without passphrase.

    Raises PolicyError that names the place of an unknown word, never the word.
    """
    typed = words.lower().split()
    unknown = [place for place, word in enumerate(typed, 1) if word not in bip39.WORDLIST]
    if unknown:
        raise PolicyError(f"word {unknown[0]} is not on the English list of BIP 39")
    if len(typed) not in {12, 15, 18, 21, 24}:
        raise PolicyError(f"a seed has 12, 15, 18, 21 or 24 words, not {len(typed)}")
    sentence = " ".join(typed)
    if not bip39.mnemonic_is_valid(sentence):
        raise PolicyError("the checksum of the words is wrong: one is mistyped or misplaced")
    seed: bytes = bip39.mnemonic_to_seed(sentence)
    return seed


def account_key(seed: bytes, path: Path) -> KeyExpression:
    """Return what a card with this seed (16 to 64 bytes) must answer at `path`."""
    if len(seed) not in SEED_SIZES:
        raise PolicyError(f"a seed has 16 to 64 bytes, not {len(seed)}")
    master = bip32.HDKey.from_seed(seed)
    derived = master.derive(list(path)).to_public()
    key = ExtendedPublicKey(
        derived.key.sec(),
        derived.chain_code,
        derived.depth,
        derived.fingerprint,
        derived.child_number,
    )
    return KeyExpression(master.my_fingerprint, path, key)
