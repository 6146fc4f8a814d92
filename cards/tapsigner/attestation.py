"""Whether a TAPSIGNER is its maker's: signatures from its key up to a root, and a challenge."""

import hashlib
from typing import Final

from cards.errors import NotGenuine
from cards.family import Roots
from cards.session import Attestation, Verdict
from cards.signature import recovered
from cards.tapsigner import answers, commands
from cards.tapsigner.link import Link

SIGNATURES_MIN: Final = 2
_HEADERS: Final = range(27, 43)


def attest(link: Link, roots: Roots) -> Attestation:
    """Return how far the card proves itself; raises NotGenuine where a proof fails."""
    if link.status().tampered:
        raise NotGenuine("it says itself that somebody tampered with it")
    chain = answers.parse_certificates(link.ask(commands.CERTIFICATES).fields)
    if not chain:
        return Attestation(Verdict.UNPROVEN, "the card has no certificates")
    root = root_of(link.card_key, chain)
    if root not in roots.published + roots.test:
        raise NotGenuine(f"its {len(chain)} certificates end in no root known here")
    if not link.prove():
        raise NotGenuine("it answered the challenge with a signature that is not its key's")
    verdict = Verdict.GENUINE if root in roots.published else Verdict.TEST
    kind = "its maker's root" if verdict is Verdict.GENUINE else "a root for tests"
    return Attestation(
        verdict,
        f"its {len(chain)} certificates end in {kind} {root.hex()[:16]}, "
        "and it answered a fresh challenge",
    )


def root_of(card_key: bytes, chain: list[bytes]) -> bytes:
    """Return the key that stands behind the card's: each signature tells who made it."""
    if len(chain) < SIGNATURES_MIN:
        raise NotGenuine(f"it has {len(chain)} certificate where {SIGNATURES_MIN} are needed")
    key = card_key
    for signature in chain:
        key = _signer(key, signature)
    return key


def _signer(key: bytes, certificate: bytes) -> bytes:
    """Return who signed a key; the first byte tells which candidate it is.

    Cards use 27 to 30 and 39 to 42, the maker's emulator 31 to 34 (BIP 137): all count in fours.
    """
    if certificate[0] not in _HEADERS:
        raise NotGenuine(f"its certificate begins with {certificate[0]}, which is no signature's")
    recovery = bytes(((certificate[0] - _HEADERS.start) % 4,))
    signer = recovered(hashlib.sha256(key).digest(), certificate[1:] + recovery)
    if signer is None:
        raise NotGenuine("its certificate has no valid signature")
    return signer
