"""A TAPSIGNER's backup file: AES-128-CTR from counter 0, under the key printed on the card."""

from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cards.errors import CardError
from cards.pin import Secret

KEY_SIZE = 16


class Opened(NamedTuple):
    """What a backup holds: the master's xprv, wiped on close, and the path stored at the time."""

    xprv: Secret
    path: str


def open_backup(data: bytes, backup_key: bytes) -> Opened:
    """Decrypt a backup; raises CardError where key and file do not belong together."""
    if len(backup_key) != KEY_SIZE:
        raise CardError(f"a backup key has {KEY_SIZE} bytes, not {len(backup_key)}")
    lines = cipher(backup_key, data).split(b"\n")
    if len(lines) < 2 or lines[0][1:4] != b"prv" or not lines[0].isalnum():
        raise CardError("the backup key does not open this backup")
    return Opened(Secret(lines[0]), lines[1].decode("ascii", errors="replace"))


def cipher(backup_key: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt, which is the same."""
    return Cipher(algorithms.AES(backup_key), modes.CTR(bytes(16))).encryptor().update(data)
