"""What both ends of a Satochip's wire agree on: instructions, status words, the channel's keys."""

import hmac
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

CLA = 0xB0


class Ins(IntEnum):
    """The instructions a Satochip knows."""

    SETUP = 0x2A
    IMPORT_KEY = 0x32
    RESET_KEY = 0x33
    GET_PUBLIC_FROM_PRIVATE = 0x35
    SET_FEATURE_POLICY = 0x3A
    GET_STATUS = 0x3C
    LABEL = 0x3D
    CREATE_PIN = 0x40
    VERIFY_PIN = 0x42
    CHANGE_PIN = 0x44
    UNBLOCK_PIN = 0x46
    LIST_PINS = 0x48
    LOGOUT_ALL = 0x60
    IMPORT_SEED = 0x6C
    GET_EXTENDED_KEY = 0x6D
    GET_AUTHENTIKEY = 0x73
    CRYPT_2FA = 0x76
    RESET_SEED = 0x77
    RESET_2FA_KEY = 0x78
    SET_2FA_KEY = 0x79
    SIGN_DIGEST = 0x7A
    SIGN_SCHNORR = 0x7B
    TAPROOT_TWEAK = 0x7C
    INIT_CHANNEL = 0x81
    PROCESS_CHANNEL = 0x82
    IMPORT_PKI_CERTIFICATE = 0x92
    EXPORT_PKI_CERTIFICATE = 0x93
    SIGN_PKI_CSR = 0x94
    EXPORT_PKI_PUBKEY = 0x98
    LOCK_PKI = 0x99
    CHALLENGE_RESPONSE_PKI = 0x9A
    IMPORT_TRUSTED_KEY = 0xAA
    EXPORT_TRUSTED_KEY = 0xAB
    IMPORT_ENCRYPTED = 0xAC
    EXPORT_AUTHENTIKEY = 0xAD
    FACTORY_RESET = 0xFD
    FACTORY_RESET_SIGNAL = 0xFF


class Sw(IntEnum):
    """The status words a Satochip answers with."""

    PIN_FAILED = 0x63C0
    WRONG_LENGTH = 0x6700
    UNKNOWN_INS = 0x6D00
    UNKNOWN_CLA = 0x6E00
    NO_MEMORY_LEFT = 0x9C01
    OPERATION_NOT_ALLOWED = 0x9C03
    SETUP_NOT_DONE = 0x9C04
    UNSUPPORTED = 0x9C05
    UNAUTHORIZED = 0x9C06
    SETUP_DONE = 0x9C07
    INCORRECT_ALG = 0x9C09
    SIGNATURE_INVALID = 0x9C0B
    IDENTITY_BLOCKED = 0x9C0C
    INVALID_PARAMETER = 0x9C0F
    INCORRECT_P1 = 0x9C10
    INCORRECT_P2 = 0x9C11
    INCORRECT_INITIALIZATION = 0x9C13
    SEED_MISSING = 0x9C14
    SEED_EXISTS = 0x9C17
    SECOND_FACTOR_SET = 0x9C18
    SECOND_FACTOR_MISSING = 0x9C19
    CHANNEL_REQUIRED = 0x9C20
    CHANNEL_NOT_OPEN = 0x9C21
    CHANNEL_IV = 0x9C22
    CHANNEL_MAC = 0x9C23
    DEPRECATED = 0x9C26
    IMPORT_MAC = 0x9C33
    IMPORT_FINGERPRINT = 0x9C34
    IMPORT_UNTRUSTED = 0x9C35
    PKI_LOCKED = 0x9C40
    TAPROOT_TWEAK = 0x9C43
    FEATURE_BLOCKED = 0x9C4B
    INTERNAL_ERROR = 0x9CFF
    RESET_SIGNAL = 0xFF00
    RESET_ABORTED = 0xFFFF


BLOCK = 16


@dataclass(frozen=True)
class ChannelKeys:
    """The keys of one secure channel."""

    cipher_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, shared_x: bytes) -> Self:
        """Derive them from the x coordinate of the Diffie-Hellman point."""
        cipher_key = hmac.digest(shared_x, b"sc_key", "sha1")[:BLOCK]
        return cls(cipher_key, hmac.digest(shared_x, b"sc_mac", "sha1"))

    def mac(self, iv: bytes, ciphertext: bytes) -> bytes:
        """Return the code over IV and ciphertext with its length."""
        return hmac.digest(self.mac_key, iv + len(ciphertext).to_bytes(2) + ciphertext, "sha1")

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """Encrypt with AES-128-CBC and PKCS#7 padding."""
        padder = PKCS7(8 * BLOCK).padder()
        padded = padder.update(plaintext) + padder.finalize()
        return Cipher(algorithms.AES(self.cipher_key), modes.CBC(iv)).encryptor().update(padded)

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """Decrypt whole blocks and leave the padding, which the card never looks at."""
        return Cipher(algorithms.AES(self.cipher_key), modes.CBC(iv)).decryptor().update(ciphertext)
