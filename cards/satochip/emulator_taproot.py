"""The emulated Satochip's taproot tweak and BIP 340 signatures."""

import hashlib
import secrets

from coincurve import PrivateKey

from cards.emulation import CURVE_ORDER
from cards.satochip.emulator_extras import Padding, check_flagged_answer
from cards.satochip.emulator_keys import (
    authenticated,
    check_number,
    need_seed_for,
    prefixed,
    signing_key,
)
from cards.satochip.emulator_memory import Card, Handler, Reader, Refusal, Request
from cards.satochip.wire import (
    INS_SIGN_SCHNORR,
    INS_TAPROOT_TWEAK,
    SW_FEATURE_BLOCKED,
    SW_INCORRECT_INITIALIZATION,
    SW_TAPROOT_TWEAK,
    SW_WRONG_LENGTH,
)

BYPASS = 0x01
SIZE = 32
MENDED = (0, 16)


def legacy_commitment(x: bytes, root: bytes) -> bytes:
    """Return what cards up to 0.15 hash: x XOR root, by mistake."""
    return bytes(a ^ b for a, b in zip(x, root, strict=True))


def tweak(x: bytes, root: bytes, version: tuple[int, int]) -> bytes:
    """Return the TapTweak hash (BIP 341) as a card of this version computes it."""
    tag = hashlib.sha256(b"TapTweak").digest()
    committed = x + root if version >= MENDED else legacy_commitment(x, root)
    return hashlib.sha256(tag + tag + committed).digest()


def tweaked(secret: bytes, root: bytes, version: tuple[int, int]) -> bytes:
    """Return the private key of the output key; raises 9C43 where the tweak is out of range."""
    compressed = PrivateKey(secret).public_key.format()
    number = int.from_bytes(secret)
    even = number if compressed[0] == 2 else CURVE_ORDER - number
    amount = int.from_bytes(tweak(compressed[1:], root, version))
    if amount >= CURVE_ORDER:
        raise Refusal(SW_TAPROOT_TWEAK)
    return ((even + amount) % CURVE_ORDER).to_bytes(SIZE)


def taproot_tweak(card: Card, request: Request) -> bytes:
    """TAPROOT TWEAK: prepare the key for SIGN SCHNORR and return its public key."""
    _need_feature(card.flash.policies.schnorr)
    check_number(request.p1)
    need_seed_for(card, request.p1)
    fields = Reader(request.data, SW_WRONG_LENGTH)
    root = fields.prefixed()
    mended = card.flash.version >= MENDED
    if len(root) != SIZE and not (mended and not root):
        raise Refusal(SW_WRONG_LENGTH)
    secret = signing_key(card, request.p1)
    if mended and request.p2 == BYPASS:
        _need_feature(card.flash.policies.nostr)
        key = secret
    else:
        key = tweaked(secret, root, card.flash.version)
    card.power.tweaked_key = key
    return authenticated(card, prefixed(PrivateKey(key).public_key.format(compressed=False)))


def sign_schnorr(card: Card, request: Request) -> bytes:
    """SIGN SCHNORR HASH: a BIP 340 signature by the tweaked key."""
    _need_feature(card.flash.policies.schnorr)
    fields = Reader(request.data, SW_WRONG_LENGTH)
    message = fields.take(SIZE)
    check_flagged_answer(card, message + Padding.SCHNORR, fields)
    key = card.power.tweaked_key
    if not key:
        raise Refusal(SW_INCORRECT_INITIALIZATION)
    if card.flash.version < MENDED:
        card.power.tweaked_key = _overwritten()
    return PrivateKey(key).sign_schnorr(message)


def _overwritten() -> bytes:
    """Old cards leave their nonce where the tweaked key was: the next signature is by no key."""
    return secrets.token_bytes(SIZE)


def _need_feature(policy: int) -> None:
    if policy:
        raise Refusal(SW_FEATURE_BLOCKED)


HANDLERS: dict[int, Handler] = {
    INS_TAPROOT_TWEAK: taproot_tweak,
    INS_SIGN_SCHNORR: sign_schnorr,
}
