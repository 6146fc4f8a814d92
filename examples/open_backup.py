"""Open an encrypted descriptor without cardquorum: python open_backup.py FILE XPUB.

FILE is the `-encrypted.txt` of a kit, XPUB the account key of any one cosigner. RECOVERY.md has
the format (BIP 138); of others' programs that write it, only what a kit writes is read here.
"""

import base64
import hashlib
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def tagged(tag: str, message: bytes) -> bytes:
    """Return a tagged hash (BIP 340)."""
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + message).digest()


def sized(data: bytes) -> bytes:
    """Return the bytes after their length, a compact size."""
    width = {0xFD: 2, 0xFE: 4, 0xFF: 8}.get(data[0], 0)
    length = int.from_bytes(data[1 : 1 + width], "little") if width else data[0]
    return data[1 + width :][:length]


data = base64.b64decode(Path(sys.argv[1]).read_text("ascii"))
if data[:7] != b"BIP138\x01":
    sys.exit("this is no encrypted descriptor of version 1")
number = 0
for letter in sys.argv[2]:
    number = number * 58 + BASE58.index(letter)
xpub = number.to_bytes(82, "big")
if hashlib.sha256(hashlib.sha256(xpub[:78]).digest()).digest()[:4] != xpub[78:]:
    sys.exit("the key was mistyped")
mask = tagged("BIP138_INDIVIDUAL_SECRET", xpub[46:78])

at = 8
for _ in range(data[7]):
    at += 1 + 4 * data[at]
count, at = data[at], at + 1
entries = [data[at + 32 * n :][:32] for n in range(count)]
at += 32 * count
cipher, nonce, sealed = data[at], data[at + 1 : at + 13], sized(data[at + 13 :])
if cipher != 1:
    sys.exit(f"cipher {cipher} is not known here")
for entry in entries:
    try:
        secret = bytes(a ^ b for a, b in zip(entry, mask, strict=True))
        opened = ChaCha20Poly1305(secret).decrypt(nonce, sealed, None)
    except InvalidTag:
        continue
    print(sized(opened[3:]).decode())
    break
else:
    sys.exit("this key opens none of its entries: it is another vault's, or the file was altered")
