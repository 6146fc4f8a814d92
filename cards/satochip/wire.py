"""What both ends of a Satochip's wire agree on: instructions, status words, the channel's keys."""

import hmac
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

CLA = 0xB0

INS_SETUP = 0x2A
INS_IMPORT_KEY = 0x32
INS_RESET_KEY = 0x33
INS_GET_PUBLIC_FROM_PRIVATE = 0x35
INS_SET_FEATURE_POLICY = 0x3A
INS_GET_STATUS = 0x3C
INS_LABEL = 0x3D
INS_CREATE_PIN = 0x40
INS_VERIFY_PIN = 0x42
INS_CHANGE_PIN = 0x44
INS_UNBLOCK_PIN = 0x46
INS_LIST_PINS = 0x48
INS_LOGOUT_ALL = 0x60
INS_IMPORT_SEED = 0x6C
INS_GET_EXTENDED_KEY = 0x6D
INS_GET_AUTHENTIKEY = 0x73
INS_CRYPT_2FA = 0x76
INS_RESET_SEED = 0x77
INS_RESET_2FA_KEY = 0x78
INS_SET_2FA_KEY = 0x79
INS_SIGN_DIGEST = 0x7A
INS_SIGN_SCHNORR = 0x7B
INS_TAPROOT_TWEAK = 0x7C
INS_INIT_CHANNEL = 0x81
INS_PROCESS_CHANNEL = 0x82
INS_IMPORT_PKI_CERTIFICATE = 0x92
INS_EXPORT_PKI_CERTIFICATE = 0x93
INS_SIGN_PKI_CSR = 0x94
INS_EXPORT_PKI_PUBKEY = 0x98
INS_LOCK_PKI = 0x99
INS_CHALLENGE_RESPONSE_PKI = 0x9A
INS_IMPORT_TRUSTED_KEY = 0xAA
INS_EXPORT_TRUSTED_KEY = 0xAB
INS_IMPORT_ENCRYPTED = 0xAC
INS_EXPORT_AUTHENTIKEY = 0xAD
INS_FACTORY_RESET = 0xFD
INS_FACTORY_RESET_SIGNAL = 0xFF

SW_PIN_FAILED = 0x63C0
SW_WRONG_LENGTH = 0x6700
SW_UNKNOWN_INS = 0x6D00
SW_UNKNOWN_CLA = 0x6E00
SW_NO_MEMORY_LEFT = 0x9C01
SW_OPERATION_NOT_ALLOWED = 0x9C03
SW_SETUP_NOT_DONE = 0x9C04
SW_UNSUPPORTED = 0x9C05
SW_UNAUTHORIZED = 0x9C06
SW_SETUP_DONE = 0x9C07
SW_INCORRECT_ALG = 0x9C09
SW_SIGNATURE_INVALID = 0x9C0B
SW_IDENTITY_BLOCKED = 0x9C0C
SW_INVALID_PARAMETER = 0x9C0F
SW_INCORRECT_P1 = 0x9C10
SW_INCORRECT_P2 = 0x9C11
SW_INCORRECT_INITIALIZATION = 0x9C13
SW_SEED_MISSING = 0x9C14
SW_SEED_EXISTS = 0x9C17
SW_2FA_SET = 0x9C18
SW_2FA_MISSING = 0x9C19
SW_CHANNEL_REQUIRED = 0x9C20
SW_CHANNEL_NOT_OPEN = 0x9C21
SW_CHANNEL_IV = 0x9C22
SW_CHANNEL_MAC = 0x9C23
SW_DEPRECATED = 0x9C26
SW_IMPORT_MAC = 0x9C33
SW_IMPORT_FINGERPRINT = 0x9C34
SW_IMPORT_UNTRUSTED = 0x9C35
SW_PKI_LOCKED = 0x9C40
SW_TAPROOT_TWEAK = 0x9C43
SW_FEATURE_BLOCKED = 0x9C4B
SW_INTERNAL_ERROR = 0x9CFF
SW_RESET_SIGNAL = 0xFF00
SW_RESET_ABORTED = 0xFFFF

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
