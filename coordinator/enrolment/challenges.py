"""What a card signs to prove a key: a tagged random digest, which no transaction can have."""

import hashlib
import secrets
from typing import Final

from psbt.keys import KeyExpression, child
from psbt.signature import BIP340, ECDSA, Scheme
from psbt.signer import SigningRequest

PROOF_TAG: Final = b"cardquorum key proof v1"
PROOF_STEPS: Final = (0, 0)


def challenge(key: KeyExpression) -> SigningRequest:
    """Return a fresh challenge for a child of an account key, to be signed by ECDSA."""
    return _challenge(key, ECDSA)


def leaf_challenge(key: KeyExpression) -> SigningRequest:
    """Return a fresh challenge for a child of an account key, to be signed by BIP 340."""
    return _challenge(key, BIP340)


def _challenge(key: KeyExpression, scheme: Scheme) -> SigningRequest:
    leaf = key.key
    for step in PROOF_STEPS:
        leaf = child(leaf, step)
    tag = hashlib.sha256(PROOF_TAG).digest()
    digest = hashlib.sha256(tag + tag + secrets.token_bytes(32)).digest()
    return SigningRequest(0, leaf.public_key, (*key.path, *PROOF_STEPS), digest, scheme)
