"""The emulated Keycard's identity: certified in the factory, proven afterwards."""

import hashlib

from coincurve import PrivateKey

from cards.emulation import Refusal, sign_high_or_low
from cards.keycard.emulator_memory import Card, Request
from cards.keycard.roots import TEST_PRIVATE_KEY
from cards.keycard.wire import CERTIFICATE, Ins, Sw, Tag, tlv

KEY = 32


def certificate(identity: bytes) -> bytes:
    """Certify an identity key by the test key: key, r‖s, recovery number."""
    key = PrivateKey(identity).public_key.format()
    digest = hashlib.sha256(key).digest()
    return key + PrivateKey(TEST_PRIVATE_KEY).sign_recoverable(digest, hasher=None)


def identify(card: Card, request: Request) -> bytes:
    """IDENTIFY CARD: sign the nonce itself, as if it were a digest."""
    if not card.flash.certificate:
        raise Refusal(Sw.CONDITIONS)
    if len(request.data) != KEY:
        raise Refusal(Sw.WRONG_DATA)
    proof = sign_high_or_low(card.flash.identity, request.data)
    content = tlv(Tag.CERTIFICATE, card.flash.certificate) + proof
    return tlv(Tag.SIGNATURE_TEMPLATE, content)


def personalise(card: Card, request: Request) -> bytes:
    """STORE DATA of the Ident applet: certificate and key, once."""
    if request.ins != Ins.STORE_DATA:
        raise Refusal(Sw.UNKNOWN_INS)
    if card.flash.certificate:
        raise Refusal(Sw.CONDITIONS)
    if len(request.data) != CERTIFICATE + KEY:
        raise Refusal(Sw.WRONG_DATA)
    card.flash.certificate, card.flash.identity = (
        request.data[:CERTIFICATE],
        request.data[CERTIFICATE:],
    )
    return b""
