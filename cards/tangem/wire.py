"""What both ends of a Tangem's wire agree on: instructions, tags, status words, encryption."""

import hashlib
import re
from enum import IntEnum
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from cards.errors import SecureChannelError

CLA = 0x00
READER_CLA = 0xFF

INS_BACKUP_RESET = 0xEE
INS_READ = 0xF2
INS_ATTEST_CARD = 0xF3
INS_CREATE_WALLET = 0xF8
INS_ATTEST_WALLET = 0xF9
INS_SET_PIN = 0xFA
INS_SIGN = 0xFB
INS_PURGE_WALLET = 0xFC
INS_OPEN_SESSION = 0xFF
INS_READER_DATA = 0xCA

TAG_CARD_ID = 0x01
TAG_STATUS = 0x02
TAG_CARD_KEY = 0x03
TAG_CARD_SIGNATURE = 0x04
TAG_CURVE = 0x05
TAG_SIGNING_METHOD = 0x07
TAG_DELAY = 0x09
TAG_SETTINGS = 0x0A
TAG_UID = 0x0B
TAG_CARD_DATA = 0x0C
TAG_HEALTH = 0x0F
TAG_CODE = 0x10
TAG_PASSCODE = 0x11
TAG_NEW_CODE = 0x12
TAG_NEW_PASSCODE = 0x13
TAG_PROVE_CARD = 0x14
TAG_CARD_SALT = 0x15
TAG_CHALLENGE = 0x16
TAG_SALT = 0x17
TAG_SESSION_A = 0x1A
TAG_SESSION_B = 0x1B
TAG_PAUSE = 0x1C
TAG_MANUFACTURER = 0x20
TAG_MODE = 0x23
TAG_USER_SETTINGS = 0x2F
TAG_ISSUER_KEY = 0x30
TAG_NEEDS_ACTIVATION = 0x3A
TAG_HASH = 0x42
TAG_DIGESTS = 0x50
TAG_DIGEST_SIZE = 0x51
TAG_PASSCODE_IS_DEFAULT = 0x59
TAG_CODE_IS_DEFAULT = 0x5A
TAG_PUBLIC_KEY = 0x60
TAG_SIGNATURE = 0x61
TAG_SIGNED = 0x63
TAG_COUNTER = 0x64
TAG_INDEX = 0x65
TAG_SLOTS = 0x66
TAG_WALLET = 0x68
TAG_PATH = 0x6A
TAG_CHAIN_CODE = 0x6B
TAG_PRIVATE_KEY = 0x6F
TAG_FIRMWARE = 0x80
TAG_BATCH = 0x81
TAG_MADE_ON = 0x82
TAG_ISSUER = 0x83
TAG_ID_SIGNATURE = 0x86
TAG_BACKUP_STATUS = 0xD0
TAG_BACKUP_COUNT = 0xD1
TAG_SIBLING_KEY = 0xD6

READ_CARD, READ_WALLET, READ_WALLETS = 1, 2, 3
ATTEST_FULL = 1

SW_CODE_CHANGED = 0x9001
SW_PASSCODE_CHANGED = 0x9002
SW_BOTH_CHANGED = 0x9003
SW_PAUSE = 0x9789
SW_WRONG_LENGTH = 0x6700
SW_NEEDS_ENCRYPTION = 0x6982
SW_INVALID_STATE = 0x6985
SW_NOT_FOUND = 0x6A82
SW_INVALID_PARAMS = 0x6A86
SW_NO_WALLET = 0x6A88
SW_WALLET_EXISTS = 0x6A89
SW_WRONG_CODE = 0x6AF1
SW_WRONG_PASSCODE = 0x6AF2
SW_UNKNOWN_INS = 0x6D00
SW_UNKNOWN_CLA = 0x6E00

SETTING_REUSABLE = 0x0001
SETTING_PERMANENT = 0x0004
SETTING_SET_CODE = 0x0010
SETTING_SET_PASSCODE = 0x0020
SETTING_NO_DEFAULT_CODE = 0x0080
SETTING_SMART_DELAY = 0x0800
SETTING_UNENCRYPTED = 0x1000
SETTING_FAST = 0x2000
SETTING_SELECT_BLOCKCHAIN = 0x8000
SETTING_HD_WALLETS = 0x00200000
SETTING_BACKUP = 0x00400000
SETTING_KEY_IMPORT = 0x00800000

WALLET_EMPTY, WALLET_LOADED, WALLET_PURGED = 0x01, 0x02, 0x03
WALLET_IMPORTED, WALLET_BACKED_UP = 0x40, 0x80
SIGN_HASH = 0x81

SECP256K1 = b"secp256k1\0"
DIGESTS_MAX = 10
SIBLINGS_LABEL = b"BACKUP_CARDS"
CODE_NAMED_SINCE = (4, 33)
HD_SINCE = (4, 39)
IMPORT_SINCE = (6, 21)
STATUS_IN_PROOF_SINCE = (6, 16)
OUT_OF_SCOPE = 8

DEFAULT_CODE = b"000000"
DEFAULT_PASSCODE = b"000"
ROUNDS = 50
BLOCK = 16


PAUSE_MAX = 0xFFFF
"""The longest wait a card may want, in hundredths of a second: 11 minutes."""
VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})(?:\.([0-9]{1,3}))?[a-z]*(?: .{0,32})?")


class Mode(IntEnum):
    """How a command's body is encrypted: its P1, and OPEN SESSION's P2."""

    NONE = 0
    FAST = 1
    STRONG = 2


class Version(NamedTuple):
    """A firmware version without its letters; a developer card says `d SDK`."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read `6.33d SDK` as 6.33; raises ValueError."""
        found = VERSION.fullmatch(text)
        if found is None:
            raise ValueError("a version is two or three numbers")
        return cls(*(int(part) for part in found.groups(default="0")))

    def __str__(self) -> str:
        """Show two numbers, or three where the third is not zero."""
        return f"{self.major}.{self.minor:02}" + (f".{self.patch}" if self.patch else "")


def code_hash(code: bytes) -> bytes:
    """Return what travels instead of an access code or a passcode."""
    return hashlib.sha256(code).digest()


def session_key(secret: bytes, code: bytes, uid: bytes) -> bytes:
    """Return the key of a session from what both ends share, the code's hash and the UID."""
    protocol_key = hashlib.pbkdf2_hmac("sha256", code, uid, ROUNDS)
    return hashlib.sha256(secret + protocol_key).digest()


def seal(key: bytes, body: bytes) -> bytes:
    """Frame a body with its length and checksum, and encrypt it."""
    padder = PKCS7(8 * BLOCK).padder()
    framed = len(body).to_bytes(2) + crc16(body) + body
    padded = padder.update(framed) + padder.finalize()
    return _cipher(key).encryptor().update(padded)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """Decrypt a body; raises SecureChannelError unless frame and checksum hold."""
    if not sealed or len(sealed) % BLOCK:
        raise SecureChannelError(f"{len(sealed)} encrypted bytes are no whole blocks")
    framed = _cipher(key).decryptor().update(sealed)
    size, checksum, body = int.from_bytes(framed[:2]), framed[2:4], framed[4:]
    padding = len(body) - size
    if not 1 <= padding <= BLOCK or body[size:] != bytes((padding,)) * padding:
        raise SecureChannelError("what the card encrypted has another length inside")
    if crc16(body[:size]) != checksum:
        raise SecureChannelError("what the card encrypted has another checksum inside")
    return body[:size]


def crc16(data: bytes) -> bytes:
    """Return the checksum of ISO 14443-3 type A, low byte first."""
    crc = 0x6363
    for each in data:
        byte = each ^ (crc & 0xFF)
        byte ^= byte << 4 & 0xFF
        crc = (crc >> 8 ^ byte << 8 ^ byte << 3 ^ byte >> 4) & 0xFFFF
    return crc.to_bytes(2, "little")


def luhn_holds(card_id: bytes) -> bool:
    """Tell whether a card id's last digit checks the others; letters count from A as 0."""
    values = [int(digit, 16) % 10 for digit in reversed(card_id.hex())]
    doubled = [value * (1 + at % 2) for at, value in enumerate(values)]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _cipher(key: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(key), modes.CBC(bytes(BLOCK)))
