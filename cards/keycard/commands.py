"""Keycard's commands: a value each, or a pure function that makes it."""

import secrets
from collections.abc import Iterable, Mapping

from cards import apdu
from cards.apdu import Command
from cards.bip32 import path_bytes
from cards.errors import PinUnsuitable
from cards.keycard import AID, PIN, PUK
from cards.keycard.wire import CLA, POINT, Ins, Tag, tlv
from cards.pin import Pin, Secret
from cards.pin_rules import CodeRule

DEPTH_MAX = 10
PIN_TRIES = 3
PUK_TRIES = 5

_DERIVE = 1
_PUBLIC, _EXTENDED_PUBLIC = 1, 2
_EXTENDED_KEY, _SEED = 2, 3
_SCHNORR = 3

SELECT = apdu.select(AID)
"""SELECT the applet by name."""
STATUS = Command(CLA, Ins.GET_STATUS)
"""GET STATUS: counters, and whether there is a key; needs no PIN."""
GENERATE_KEY = Command(CLA, Ins.GENERATE_KEY)
"""GENERATE KEY on the card, in place of any it has."""
REMOVE_KEY = Command(CLA, Ins.REMOVE_KEY)
"""REMOVE KEY."""
FACTORY_RESET = Command(CLA, Ins.FACTORY_RESET, 0xAA, 0x55)
"""Erase keys, PIN and pairings: in clear and without a PIN (FACTORY RESET)."""


def identify(nonce: bytes) -> Command:
    """IDENTIFY CARD (3.1 and later 3.x): certificate, and a signature of the nonce."""
    return Command(CLA, Ins.IDENTIFY, data=nonce)


def init(point: bytes, iv: bytes, ciphertext: bytes) -> Command:
    """INIT of a 3.x card: the credentials, encrypted to the card's one-shot key."""
    return Command(CLA, Ins.INIT, data=bytes((POINT,)) + point + iv + ciphertext)


def init_in_channel(credentials: bytes) -> Command:
    """INIT of a 4.x card, inside its channel."""
    return _secret(Ins.INIT, credentials)


def credentials(secrets: Mapping[str, Secret], pairing: bytes = b"") -> bytes:
    """Return what INIT takes: PIN, PUK, pairing secret (3.x), tries, duress PIN.

    The duress PIN is never left out: the card would put one in its place that may be the PIN,
    and derive every key from another tree.
    """
    pin, puk = digits(secrets["pin"], PIN), digits(secrets["puk"], PUK)
    taken = {pin, puk[: len(pin)]}
    given = secrets.get("duress")
    duress = _random_pin(taken) if given is None else digits(given, PIN)
    if duress in taken:
        raise PinUnsuitable("a duress PIN is neither the PIN nor how the PUK begins")
    return pin + puk + pairing + bytes((PIN_TRIES, PUK_TRIES)) + duress


def pair_first(challenge: bytes) -> Command:
    """PAIR, first step: any free slot, else (3.2) one that lasts until the card is deselected."""
    return Command(CLA, Ins.PAIR, 0, data=challenge)


def pair_last(cryptogram: bytes) -> Command:
    """PAIR, last step."""
    return Command(CLA, Ins.PAIR, 1, data=cryptogram)


def unpair(slot: int) -> Command:
    """UNPAIR: free a slot."""
    return Command(CLA, Ins.UNPAIR, slot)


def open_paired(slot: int, point: bytes) -> Command:
    """OPEN SECURE CHANNEL of a 3.x card with a pairing."""
    return Command(CLA, Ins.OPEN, slot, data=point)


def open_certified(salt: bytes, point: bytes) -> Command:
    """OPEN SECURE CHANNEL of a 4.x card."""
    return Command(CLA, Ins.OPEN, data=salt + point)


def mutually_authenticate(challenge: bytes) -> Command:
    """MUTUALLY AUTHENTICATE: the first command in a 3.x channel."""
    return Command(CLA, Ins.MUTUALLY_AUTHENTICATE, data=challenge)


def verify_pin(pin: Pin) -> Command:
    """VERIFY PIN."""
    return _secret(Ins.VERIFY_PIN, digits(pin, PIN))


def change_pin(new: Pin) -> Command:
    """CHANGE PIN; the old one has been verified."""
    return _secret(Ins.CHANGE_SECRET, digits(new, PIN))


def unblock_pin(puk: Secret, new: Pin) -> Command:
    """UNBLOCK PIN: frees a blocked PIN and sets a new one."""
    return _secret(Ins.UNBLOCK_PIN, digits(puk, PUK) + digits(new, PIN))


def load_seed(seed: Secret) -> Command:
    """LOAD KEY: a BIP 32 seed; before 3.2 of 64 bytes only."""
    return _secret(Ins.LOAD_KEY, seed.reveal(), p1=_SEED)


def load_extended_key(key: bytes, chain_code: bytes) -> Command:
    """LOAD KEY: a private key with its chain code."""
    elements = tlv(Tag.PRIVATE_KEY, key) + tlv(Tag.CHAIN_CODE, chain_code)
    return _secret(Ins.LOAD_KEY, tlv(Tag.KEY_TEMPLATE, elements), p1=_EXTENDED_KEY)


def export_public(path: Iterable[int]) -> Command:
    """EXPORT KEY: the public key at a path."""
    return Command(CLA, Ins.EXPORT_KEY, _DERIVE, _PUBLIC, data=path_bytes(path))


def export_extended(path: Iterable[int]) -> Command:
    """EXPORT KEY: public key and chain code at a path, never asked of the master."""
    return Command(CLA, Ins.EXPORT_KEY, _DERIVE, _EXTENDED_PUBLIC, data=path_bytes(path))


def sign(path: Iterable[int], digest: bytes) -> Command:
    """SIGN a digest with the key at a path (ECDSA)."""
    return Command(CLA, Ins.SIGN, _DERIVE, data=digest + path_bytes(path))


def sign_schnorr(path: Iterable[int], digest: bytes, tweak: bytes) -> Command:
    """SIGN a digest with the tweaked key at a path (BIP 340, since 4.0)."""
    return Command(CLA, Ins.SIGN, _DERIVE, _SCHNORR, data=digest + tweak + path_bytes(path))


def digits(code: Secret, rule: CodeRule) -> bytes:
    """Return a code that fits; raises PinUnsuitable for any other, which no card sees."""
    rule.check(code, "a code of a Keycard there")
    return code.reveal()


def _random_pin(taken: set[bytes]) -> bytes:
    """Return a PIN nobody will know, other than those."""
    while True:
        pin = f"{secrets.randbelow(10**PIN.least):0{PIN.least}}".encode()
        if pin not in taken:
            return pin


def _secret(ins: int, data: bytes, *, p1: int = 0) -> Command:
    return Command(CLA, ins, p1, data=data, secret=True)
