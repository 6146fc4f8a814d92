"""What both ends of a Keycard's wire agree on: instructions, status words, TLV, channel keys."""

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cards.errors import ProtocolError

CLA = 0x80
SHORT_MAX = 0x7F
ONE_BYTE_LENGTH = 0x81


class Ins(IntEnum):
    """The instructions a Keycard knows."""

    OPEN = 0x10
    MUTUALLY_AUTHENTICATE = 0x11
    PAIR = 0x12
    UNPAIR = 0x13
    IDENTIFY = 0x14
    SECURED = 0x18
    VERIFY_PIN = 0x20
    CHANGE_SECRET = 0x21
    UNBLOCK_PIN = 0x22
    GET_CHALLENGE = 0x84
    SIGN = 0xC0
    SET_PINLESS_PATH = 0xC1
    EXPORT_KEY = 0xC2
    EXPORT_BIP85 = 0xC4
    ECDH = 0xC5
    GET_DATA = 0xCA
    LOAD_KEY = 0xD0
    DERIVE_KEY = 0xD1
    GENERATE_MNEMONIC = 0xD2
    REMOVE_KEY = 0xD3
    GENERATE_KEY = 0xD4
    STORE_DATA = 0xE2
    GET_STATUS = 0xF2
    FACTORY_RESET = 0xFD
    INIT = 0xFE


class Sw(IntEnum):
    """The status words a Keycard answers with."""

    WRONG_LENGTH = 0x6700
    TRIES_LEFT = 0x63C0
    SECURITY = 0x6982
    CONDITIONS = 0x6985
    WRONG_DATA = 0x6A80
    NO_ALGORITHM = 0x6A81
    NOT_FOUND = 0x6A82
    NO_SLOT = 0x6A84
    WRONG_P1_P2 = 0x6A86
    NO_PINLESS_PATH = 0x6A88
    WRONG_SIGN_P1_P2 = 0x6B00
    UNKNOWN_INS = 0x6D00
    UNKNOWN_CLA = 0x6E00


class Tag(IntEnum):
    """The tags of what a Keycard tells."""

    APPLICATION = 0xA4
    PUBLIC_KEY = 0x80
    PRIVATE_KEY = 0x81
    CHAIN_CODE = 0x82
    SCHNORR = 0x88
    CERTIFICATE = 0x8A
    STATUS = 0x8C
    CAPABILITIES = 0x8D
    KEY_UID = 0x8E
    INSTANCE_UID = 0x8F
    KEY_TEMPLATE = 0xA1
    STATUS_TEMPLATE = 0xA3
    SIGNATURE_TEMPLATE = 0xA0
    INTEGER = 0x02
    BOOLEAN = 0x01
    SEQUENCE = 0x30


STATUS_READY = 0x10

BLOCK = 16
POINT = 65
CERTIFICATE = 98
CHANNEL_LABEL = b"sc_v2_ccm"
CCM_TAG = 8
CCM_NONCE = 13
EPHEMERAL_SLOT = 0xFF
CAPABILITIES = 0x1F


def pad(data: bytes) -> bytes:
    """Pad to whole blocks: 80, then zeros (ISO 9797-1, method 2)."""
    return data + b"\x80" + bytes(-(len(data) + 1) % BLOCK)


def unpad(padded: bytes) -> bytes:
    """Take the padding away; raises ValueError where there is none."""
    stripped = padded.rstrip(b"\0")
    if not stripped.endswith(b"\x80") or len(padded) - len(stripped) >= BLOCK:
        raise ValueError("the padding is broken")
    return stripped[:-1]


def cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Pad and encrypt (AES-256-CBC)."""
    return Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(pad(plaintext))


def cbc_decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Decrypt and take the padding away; raises ValueError where it is broken."""
    return unpad(cbc_decrypt_raw(key, iv, ciphertext))


def cbc_decrypt_raw(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Decrypt whole blocks and leave the padding."""
    return Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor().update(ciphertext)


@dataclass(frozen=True)
class CbcKeys:
    """The keys of one channel of an applet 3.x."""

    cipher_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, shared_x: bytes, pairing_key: bytes, salt: bytes) -> Self:
        """Derive them from the Diffie-Hellman point's x, the pairing and the card's salt."""
        digest = hashlib.sha512(shared_x + pairing_key + salt).digest()
        return cls(digest[:32], digest[32:])

    def mac(self, head: bytes, ciphertext: bytes) -> bytes:
        """Return the CBC-MAC over a head, padded with zeros to a block, and the ciphertext."""
        encryptor = Cipher(algorithms.AES(self.mac_key), modes.CBC(bytes(BLOCK))).encryptor()
        return encryptor.update(head.ljust(BLOCK, b"\0") + ciphertext)[-BLOCK:]

    def answer_mac(self, ciphertext: bytes) -> bytes:
        """Return the MAC of an answer, which begins with the low byte of its length."""
        return self.mac(bytes(((BLOCK + len(ciphertext)) & 0xFF,)), ciphertext)


@dataclass(frozen=True)
class CcmKeys:
    """The keys of one channel of an applet 4.x: host to card, and card to host."""

    to_card: bytes = field(repr=False)
    to_host: bytes = field(repr=False)

    @classmethod
    def derive(cls, shared_x: bytes, salt: bytes) -> Self:
        """Derive them from the Diffie-Hellman point's x and the host's salt."""
        keys = HKDF(hashes.SHA256(), 2 * BLOCK, salt, CHANNEL_LABEL).derive(shared_x)
        return cls(keys[:BLOCK], keys[BLOCK:])


def ccm_seal(key: bytes, counter: int, plaintext: bytes) -> bytes:
    """Encrypt and authenticate (AES-128-CCM, 8-byte tag) under a counted nonce."""
    return AESCCM(key, CCM_TAG).encrypt(counter.to_bytes(CCM_NONCE), plaintext, None)


def ccm_open(key: bytes, counter: int, sealed: bytes) -> bytes:
    """Decrypt; raises ValueError where the tag does not hold."""
    try:
        return AESCCM(key, CCM_TAG).decrypt(counter.to_bytes(CCM_NONCE), sealed, None)
    except InvalidTag:
        raise ValueError("the tag does not hold") from None


def handshake_digest(salt: bytes, host_point: bytes, card_point: bytes) -> bytes:
    """Return what a 4.x card signs with its identity key when a channel is opened."""
    return hashlib.sha256(CHANNEL_LABEL + salt + host_point + card_point).digest()


def tlv(tag: int, value: bytes) -> bytes:
    """Return one element of at most 255 bytes; lengths of 128 and more bring a leading 81."""
    long = bytes((ONE_BYTE_LENGTH,)) if len(value) > SHORT_MAX else b""
    return bytes((tag,)) + long + bytes((len(value),)) + value


def parse_tlv(data: bytes) -> list[tuple[int, bytes]]:
    """Return every element in order; raises ProtocolError where one is cut short."""
    found, at = [], 0
    while at < len(data):
        start, size = _extent(data, at)
        value = data[start : start + size]
        if len(value) != size:
            raise ProtocolError(f"an element of {size} bytes is cut short after {len(value)}")
        found.append((data[at], value))
        at = start + size
    return found


def template(data: bytes, tag: int) -> list[tuple[int, bytes]]:
    """Return what stands in a template that is the whole answer, whatever length it claims.

    Applet 4.0 counts its SELECT answer one byte too short, so the end of the answer counts.
    """
    if not data or data[0] != tag:
        raise ProtocolError(f"the answer is no template {tag:02X}")
    start, _ = _extent(data, 0)
    return parse_tlv(data[start:])


def first(elements: list[tuple[int, bytes]], tag: int) -> bytes:
    """Return the first value under a tag; raises ProtocolError where there is none."""
    for found, value in elements:
        if found == tag:
            return value
    raise ProtocolError(f"the answer has no element {tag:02X}")


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Return where the value of the element begins, and its size."""
    head = data[at + 1 : at + 3]
    if head[:1] == bytes((ONE_BYTE_LENGTH,)) and len(head) == 2:
        return at + 3, head[1]
    if not head or head[0] > SHORT_MAX:
        raise ProtocolError("an element has no length that a card writes")
    return at + 2, head[0]
