"""What both ends of a Tangem's wire agree on: instructions, tags, TLV, status words, encryption."""

import hashlib
import re
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from cards.errors import ProtocolError, SecureChannelError

CLA = 0x00
READER_CLA = 0xFF
WORD = 0xFFFFFFFF
LONG = 0xFF


class Ins(IntEnum):
    """The instructions a Tangem knows."""

    BACKUP_RESET = 0xEE
    READ = 0xF2
    ATTEST_CARD = 0xF3
    CREATE_WALLET = 0xF8
    ATTEST_WALLET = 0xF9
    SET_PIN = 0xFA
    SIGN = 0xFB
    PURGE_WALLET = 0xFC
    OPEN_SESSION = 0xFF
    READER_DATA = 0xCA


class Tag(IntEnum):
    """The tags of what a Tangem tells."""

    CARD_ID = 0x01
    STATUS = 0x02
    CARD_KEY = 0x03
    CARD_SIGNATURE = 0x04
    CURVE = 0x05
    SIGNING_METHOD = 0x07
    DELAY = 0x09
    SETTINGS = 0x0A
    UID = 0x0B
    CARD_DATA = 0x0C
    HEALTH = 0x0F
    CODE = 0x10
    PASSCODE = 0x11
    NEW_CODE = 0x12
    NEW_PASSCODE = 0x13
    PROVE_CARD = 0x14
    CARD_SALT = 0x15
    CHALLENGE = 0x16
    SALT = 0x17
    SESSION_A = 0x1A
    SESSION_B = 0x1B
    PAUSE = 0x1C
    MANUFACTURER = 0x20
    MODE = 0x23
    USER_SETTINGS = 0x2F
    ISSUER_KEY = 0x30
    NEEDS_ACTIVATION = 0x3A
    HASH = 0x42
    DIGESTS = 0x50
    DIGEST_SIZE = 0x51
    PASSCODE_IS_DEFAULT = 0x59
    CODE_IS_DEFAULT = 0x5A
    PUBLIC_KEY = 0x60
    SIGNATURE = 0x61
    SIGNED = 0x63
    COUNTER = 0x64
    INDEX = 0x65
    SLOTS = 0x66
    WALLET = 0x68
    PATH = 0x6A
    CHAIN_CODE = 0x6B
    PRIVATE_KEY = 0x6F
    FIRMWARE = 0x80
    BATCH = 0x81
    MADE_ON = 0x82
    ISSUER = 0x83
    ID_SIGNATURE = 0x86
    BACKUP_STATUS = 0xD0
    BACKUP_COUNT = 0xD1
    SIBLING_KEY = 0xD6


READ_CARD, READ_WALLET, READ_WALLETS = 1, 2, 3
ATTEST_FULL = 1


class Sw(IntEnum):
    """The status words a Tangem answers with."""

    BOTH_CHANGED = 0x9003
    PAUSE = 0x9789
    WRONG_LENGTH = 0x6700
    NEEDS_ENCRYPTION = 0x6982
    INVALID_STATE = 0x6985
    NOT_FOUND = 0x6A82
    INVALID_PARAMS = 0x6A86
    NO_WALLET = 0x6A88
    WALLET_EXISTS = 0x6A89
    WRONG_CODE = 0x6AF1
    WRONG_PASSCODE = 0x6AF2
    UNKNOWN_INS = 0x6D00
    UNKNOWN_CLA = 0x6E00


class Setting(IntEnum):
    """The bits of a Tangem's settings mask."""

    REUSABLE = 0x0001
    PERMANENT = 0x0004
    SET_CODE = 0x0010
    SET_PASSCODE = 0x0020
    NO_DEFAULT_CODE = 0x0080
    SMART_DELAY = 0x0800
    UNENCRYPTED = 0x1000
    FAST = 0x2000
    SELECT_BLOCKCHAIN = 0x8000
    HD_WALLETS = 0x00200000
    BACKUP = 0x00400000
    KEY_IMPORT = 0x00800000


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


Item = tuple[int, bytes]


def tlv(items: Iterable[Item]) -> bytes:
    """Return the list's bytes; a length of 255 or more takes three of them."""
    encoded = b""
    for tag, value in items:
        size = len(value)
        length = bytes((size,)) if size < LONG else bytes((LONG,)) + size.to_bytes(2)
        encoded += bytes((tag,)) + length + value
    return encoded


class Fields(NamedTuple):
    """A list that has been taken apart; unknown tags do no harm."""

    items: tuple[Item, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a list; raises ProtocolError."""
        items, at = list[Item](), 0
        while at < len(data):
            size, start = _length(data, at + 1)
            value = data[start : start + size]
            if len(value) != size:
                had = f"announces {size} bytes and has {len(value)}"
                raise ProtocolError(f"tag {data[at]:02X} {had}")
            items.append((data[at], value))
            at = start + size
        return cls(tuple(items))

    def find(self, tag: int) -> bytes | None:
        """Return the value of a tag, or None; raises ProtocolError where it is there twice."""
        values = self.every(tag)
        if len(values) > 1:
            raise ProtocolError(f"tag {tag:02X} is there {len(values)} times")
        return values[0] if values else None

    def need(self, tag: int) -> bytes:
        """Return the value of a tag; raises ProtocolError where it is missing."""
        value = self.find(tag)
        if value is None:
            raise ProtocolError(f"the card's answer has no tag {tag:02X}")
        return value

    def number(self, tag: int, most: int = WORD) -> int | None:
        """Return a number of any width, or None; raises ProtocolError where it is beyond `most`."""
        value = self.find(tag)
        if value is not None and int.from_bytes(value) > most:
            raise ProtocolError(f"tag {tag:02X} holds {len(value)} bytes, a number beyond {most}")
        return None if value is None else int.from_bytes(value)

    def text(self, tag: int) -> str:
        """Return a text without its closing zero; raises ProtocolError."""
        try:
            return self.need(tag).rstrip(b"\0").decode()
        except UnicodeDecodeError:
            raise ProtocolError(f"the card's tag {tag:02X} is no text") from None

    def every(self, tag: int) -> list[bytes]:
        """Return all values of a tag that repeats."""
        return [value for each, value in self.items if each == tag]


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return a length and where its value begins."""
    size, start = data[at : at + 1], at + 1
    if size == b"\xff":
        size, start = data[at + 1 : at + 3], at + 3
    if not size or len(data) < start:
        raise ProtocolError("a tag-length-value list ends in the middle of a length")
    return int.from_bytes(size), start
