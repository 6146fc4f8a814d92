"""What both ends of a Keycard's wire agree on: instructions, status words, both channels' keys."""

import hashlib
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CLA = 0x80

INS_OPEN = 0x10
INS_MUTUALLY_AUTHENTICATE = 0x11
INS_PAIR = 0x12
INS_UNPAIR = 0x13
INS_IDENTIFY = 0x14
INS_SECURED = 0x18
INS_VERIFY_PIN = 0x20
INS_CHANGE_SECRET = 0x21
INS_UNBLOCK_PIN = 0x22
INS_GET_CHALLENGE = 0x84
INS_SIGN = 0xC0
INS_SET_PINLESS_PATH = 0xC1
INS_EXPORT_KEY = 0xC2
INS_EXPORT_BIP85 = 0xC4
INS_ECDH = 0xC5
INS_GET_DATA = 0xCA
INS_LOAD_KEY = 0xD0
INS_DERIVE_KEY = 0xD1
INS_GENERATE_MNEMONIC = 0xD2
INS_REMOVE_KEY = 0xD3
INS_GENERATE_KEY = 0xD4
INS_STORE_DATA = 0xE2
INS_GET_STATUS = 0xF2
INS_FACTORY_RESET = 0xFD
INS_INIT = 0xFE

SW_WRONG_LENGTH = 0x6700
SW_TRIES_LEFT = 0x63C0
SW_SECURITY = 0x6982
SW_CONDITIONS = 0x6985
SW_WRONG_DATA = 0x6A80
SW_NO_ALGORITHM = 0x6A81
SW_NOT_FOUND = 0x6A82
SW_NO_SLOT = 0x6A84
SW_WRONG_P1_P2 = 0x6A86
SW_NO_PINLESS_PATH = 0x6A88
SW_WRONG_SIGN_P1_P2 = 0x6B00
SW_UNKNOWN_INS = 0x6D00
SW_UNKNOWN_CLA = 0x6E00

TAG_APPLICATION = 0xA4
TAG_PUBLIC_KEY = 0x80
TAG_PRIVATE_KEY = 0x81
TAG_CHAIN_CODE = 0x82
TAG_SCHNORR = 0x88
TAG_CERTIFICATE = 0x8A
TAG_STATUS = 0x8C
TAG_CAPABILITIES = 0x8D
TAG_KEY_UID = 0x8E
TAG_INSTANCE_UID = 0x8F
TAG_KEY_TEMPLATE = 0xA1
TAG_STATUS_TEMPLATE = 0xA3
TAG_SIGNATURE_TEMPLATE = 0xA0
TAG_INTEGER = 0x02
TAG_BOOLEAN = 0x01
TAG_SEQUENCE = 0x30

STATUS_READY = 0x10
STATUS_TRIES = 0x0F

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
