"""Satochip's commands: a value each, or a pure function that makes it."""

from collections.abc import Iterable

from cards import apdu
from cards.apdu import Command
from cards.bip32 import path_bytes
from cards.errors import CardError
from cards.pin import Secret
from cards.satochip import AID, CODE
from cards.satochip.wire import CLA, Ins

CACHE_SIZE = 32
DEPTH_MAX = 10
LABEL_MAX = 64
PIN_TRIES = 5
PUK_TRIES = 3
RESET_SIGNALS = 5
ROOT_SIZE = 32
CERTIFICATE_PIECE = 128
SERIAL_TAGS = (0x9F7F, 0x0042, 0x0045)

_FACTORY_PIN = b"Muscle00"
_LAST_DERIVED = 0xFF
_PLAIN = 1
_KEEP_CACHE, _WIPE_CACHE = 0x40, 0xC0
_LABEL_SET, _LABEL_SHOW = 0, 1
_INIT, _PROCESS = 1, 2

SELECT = apdu.select(AID)
"""SELECT the applet by name."""
STATUS = Command(CLA, Ins.GET_STATUS)
"""GET STATUS: in clear, no PIN."""
LOGOUT_ALL = Command(CLA, Ins.LOGOUT_ALL)
"""LOGOUT ALL: forget every PIN that was verified."""
PLAIN_KEY = Command(
    CLA, Ins.TAPROOT_TWEAK, _LAST_DERIVED, _PLAIN, data=bytes((ROOT_SIZE,)) + bytes(ROOT_SIZE)
)
"""TAPROOT TWEAK that tweaks nothing: sign with the key last derived as it is (0.14-0.5)."""
SHOW_LABEL = Command(CLA, Ins.LABEL, 0, _LABEL_SHOW)
"""CARD LABEL: show it."""
CERTIFICATE_SIZE = Command(CLA, Ins.EXPORT_PKI_CERTIFICATE, 0, _INIT)
"""EXPORT PKI CERTIFICATE: how many bytes it has."""
RESET_SIGNAL = Command(CLA, Ins.FACTORY_RESET_SIGNAL)
"""Ask for the reset before 0.16, in clear: five times, each alone in its power cycle."""
FACTORY_RESET = Command(CLA, Ins.FACTORY_RESET, 0xAA, 0x55)
"""Reset at once, since 0.16 (FACTORY RESET)."""


def serial_number(tag: int) -> Command:
    """GET DATA: one of the chip's serial numbers, from the card manager before SELECT."""
    return Command(0x80, 0xCA, tag >> 8, tag & 0xFF, le=apdu.SHORT_RESPONSE_MAX)


def init_channel(point: bytes) -> Command:
    """INIT SECURE CHANNEL with the host's uncompressed ephemeral key."""
    return Command(CLA, Ins.INIT_CHANNEL, data=point)


def process_channel(frame: bytes) -> Command:
    """PROCESS SECURE CHANNEL: a command inside a frame."""
    return Command(CLA, Ins.PROCESS_CHANNEL, data=frame)


def setup(pin: Secret, puk: Secret, spare_pin: Secret, *, spare_puk: Secret) -> Command:
    """Set up PIN 0 with its PUK, PIN 1 that nobody uses, room for 32 cached keys (SETUP)."""
    first = bytes((PIN_TRIES, PUK_TRIES)) + _code(pin) + _code(puk)
    second = bytes((1, 1)) + _code(spare_pin) + _code(spare_puk)
    end = CACHE_SIZE.to_bytes(2) + bytes(2) + bytes((1, 1, 1))
    return _secret(Ins.SETUP, _prefixed(_FACTORY_PIN) + first + second + end)


def verify_pin(pin: Secret) -> Command:
    """VERIFY PIN 0."""
    return _secret(Ins.VERIFY_PIN, _code(pin)[1:])


def change_pin(old: Secret, new: Secret) -> Command:
    """CHANGE PIN 0; logs out."""
    return _secret(Ins.CHANGE_PIN, _code(old) + _code(new))


def unblock_pin(puk: Secret) -> Command:
    """UNBLOCK PIN 0 before 0.16: the blocked PIN is valid again."""
    return _secret(Ins.UNBLOCK_PIN, _code(puk)[1:])


def unblock_with_new_pin(puk: Secret, new: Secret | None) -> Command:
    """UNBLOCK PIN 0 since 0.16, which may bring a new PIN."""
    return _secret(Ins.UNBLOCK_PIN, _code(puk) + (_code(new) if new else b""))


def import_seed(seed: Secret) -> Command:
    """IMPORT BIP32 SEED."""
    return _secret(Ins.IMPORT_SEED, seed.reveal(), p1=len(seed))


def reset_seed(pin: Secret) -> Command:
    """RESET BIP32 SEED; logs out."""
    return _secret(Ins.RESET_SEED, _code(pin)[1:], p1=len(pin))


def extended_key(path: Iterable[int], *, wipe_cache: bool) -> Command:
    """GET EXTENDED KEY: derive a key and make it the one that signs."""
    steps = path_bytes(path)
    p2 = _WIPE_CACHE if wipe_cache else _KEEP_CACHE
    return Command(CLA, Ins.GET_EXTENDED_KEY, len(steps) // 4, p2, data=steps)


def sign_digest(digest: bytes) -> Command:
    """SIGN TRANSACTION HASH with the key last derived."""
    return Command(CLA, Ins.SIGN_DIGEST, _LAST_DERIVED, data=digest)


def sign_schnorr(digest: bytes) -> Command:
    """SIGN SCHNORR HASH with the key that TAPROOT TWEAK prepared."""
    return Command(CLA, Ins.SIGN_SCHNORR, _LAST_DERIVED, data=digest)


def set_label(text: bytes) -> Command:
    """CARD LABEL: write it."""
    if len(text) > LABEL_MAX:
        raise CardError(f"a Satochip's label has at most {LABEL_MAX} bytes, not {len(text)}")
    return Command(CLA, Ins.LABEL, 0, _LABEL_SET, data=_prefixed(text))


def certificate_piece(offset: int, size: int) -> Command:
    """EXPORT PKI CERTIFICATE: a piece of it."""
    data = offset.to_bytes(2) + size.to_bytes(2)
    return Command(CLA, Ins.EXPORT_PKI_CERTIFICATE, 0, _PROCESS, data=data)


def challenge(nonce: bytes) -> Command:
    """CHALLENGE RESPONSE PKI: prove to hold the certified key."""
    return Command(CLA, Ins.CHALLENGE_RESPONSE_PKI, data=nonce)


def _secret(ins: int, data: bytes, *, p1: int = 0) -> Command:
    return Command(CLA, ins, p1, data=data, secret=True)


def _code(code: Secret) -> bytes:
    """Return a PIN or PUK behind its length; a size the card refuses never gets there."""
    CODE.check_size(code, "a Satochip's PIN or PUK")
    return _prefixed(code.reveal())


def _prefixed(data: bytes) -> bytes:
    return bytes((len(data),)) + data
