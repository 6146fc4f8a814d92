"""Whether a Keycard is its maker's: a key that signed its certificate, and a fresh proof."""

import hashlib
import secrets

from cards.apdu import SW_OK
from cards.errors import NotGenuine
from cards.family import Roots
from cards.keycard import answers, commands
from cards.keycard.answers import Certificate, Proof
from cards.keycard.wire import Ins, Sw
from cards.session import Attestation, Verdict
from cards.signature import recovered, verify
from cards.transport import CardTransport, transmit

NONCE = 32
NO_CERTIFICATE = Attestation(Verdict.UNPROVEN, "the card has no certificate")


def identified(transport: CardTransport) -> Certificate | None:
    """Have a 3.x card prove who it is; None where nobody certified it.

    A card is asked twice before it counts as uncertified. Raises StatusWordError where the applet
    knows no such command.
    """
    nonce = secrets.token_bytes(NONCE)
    answer = transmit(transport, commands.identify(nonce))
    if answer.sw == Sw.CONDITIONS:
        answer = transmit(transport, commands.identify(nonce))
    if answer.sw == Sw.CONDITIONS:
        return None
    if answer.sw != SW_OK:
        raise answers.refusal(answer.sw, Ins.IDENTIFY)
    return proven(nonce, answers.parse_proof(answer.data))


def proven(nonce: bytes, proof: Proof) -> Certificate:
    """Return the certificate whose key signed the nonce; raises NotGenuine."""
    certificate = answers.parse_certificate(proof.certificate)
    if not verify(certificate.key, nonce, proof.signature):
        raise NotGenuine("it answered the challenge with a signature that is not its key's")
    return certificate


def judged(certificate: Certificate, roots: Roots) -> Attestation:
    """Return how far the maker's signature on a proven key goes; raises NotGenuine."""
    authority = issuer(certificate)
    if authority in roots.published:
        verdict, kind = Verdict.GENUINE, "the maker's key"
    elif authority in roots.test:
        verdict, kind = Verdict.TEST, "a key for tests, which everybody has"
    else:
        raise NotGenuine("its certificate comes from an authority nobody knows here")
    return Attestation(
        verdict, f"its certificate was signed by {kind} and it answered a fresh challenge"
    )


def issuer(certificate: Certificate) -> bytes:
    """Return the key that signed a certificate, compressed; raises NotGenuine."""
    digest = hashlib.sha256(certificate.key).digest()
    key = recovered(digest, certificate.signature)
    if key is None:
        raise NotGenuine("its certificate has no valid signature")
    return key
