"""A descriptor encrypted to the keys in it: any one of them opens it, nobody else (BIP 138 0.1.1).

The keys are the public ones of the accounts, which no block ever shows; so such a copy may lie
anywhere.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from coordinator.errors import CoordinatorError
from coordinator.foreign_json import Field, read_json
from coordinator.foreign_text import as_utf8
from psbt.errors import PsbtError
from psbt.keys import Path
from psbt.transaction import ByteReader, sized

MAGIC: Final = b"BIP138"
VERSION: Final = 1
CHACHA20_POLY1305: Final = 1
NONCE_SIZE: Final = 12
SECRET_SIZE: Final = 32
FIRST_BUCKET: Final = 5
COUNT_MAX: Final = 255
CONTENT_MAX: Final = 1 << 20
SETS_MAX: Final = 1000
UNKNOWN_UPGRADE: Final = 0x80
END, BIP_NUMBER = 0, 1
DESCRIPTOR_BIP: Final = 380
NOBODYS_KEY: Final = bytes.fromhex(
    "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
)

Chance = Callable[[int], bytes]


def encrypt(
    descriptor: str, keys: Iterable[bytes], paths: Iterable[Path], *, chance: Chance
) -> bytes:
    """Return a descriptor encrypted to the account keys in it.

    `keys` are 32-byte x-only or 33-byte public keys of the extended keys; `paths`, which may be
    empty, are written in clear to help whoever looks for the key; `chance(n)` gives n random bytes.
    """
    from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 -- costs 15 ms
        ChaCha20Poly1305,
    )

    known = sorted({_x_only(key) for key in keys} - {NOBODYS_KEY})
    if not known:
        raise CoordinatorError("the descriptor has no key that could open its backup")
    secret = _tagged("BIP138_DECRYPTION_SECRET", b"".join(known))
    while not any(nonce := chance(NONCE_SIZE)):
        continue
    content = descriptor.encode()
    encoded = sorted(
        bytes([len(path)]) + b"".join(step.to_bytes(4, "big") for step in path)
        for path in set(paths)
        if path
    )
    payload = bytes([BIP_NUMBER]) + DESCRIPTOR_BIP.to_bytes(2, "big") + sized(content)
    return b"".join(
        (
            MAGIC,
            bytes([VERSION]),
            bytes([len(encoded)]),
            *encoded,
            _encoded_secrets([_masked(secret, key) for key in known], chance),
            bytes([CHACHA20_POLY1305]),
            nonce,
            sized(ChaCha20Poly1305(secret).encrypt(nonce, payload, None)),
        )
    )


def decrypt(data: bytes, key: bytes) -> list[str]:
    """Return the descriptors, one or more, that an account key of theirs opens; base64 is read too.

    Raises CoordinatorError where the file is something else, was altered, or the key is none of
    the descriptor's.
    """
    try:
        masked, nonce, ciphertext = _read(ByteReader(_binary(data)))
        payload = _opened([_masked(each, key) for each in masked], nonce, ciphertext)
        found = [each for text in _contents(ByteReader(payload)) for each in _descriptors(text)]
    except PsbtError as failure:
        raise CoordinatorError(f"the descriptor backup is damaged: {failure}") from failure
    if not found:
        raise CoordinatorError("the backup opened, and holds no descriptor")
    return found


def is_backup(data: bytes) -> bool:
    """Tell whether this is such a backup, as bytes or in base64."""
    try:
        return _binary(data).startswith(MAGIC)
    except CoordinatorError:
        return False


def _read(reader: ByteReader) -> tuple[list[bytes], bytes, bytes]:
    """Return the masked secrets, the nonce and the ciphertext; what follows is nobody's."""
    if reader.take(len(MAGIC)) != MAGIC:
        raise CoordinatorError("this is no descriptor backup of BIP 138")
    version = reader.take(1)[0]
    if version != VERSION:
        raise CoordinatorError(f"descriptor backups of version {version} are not known here")
    for _ in range(reader.take(1)[0]):
        reader.take(4 * reader.take(1)[0])
    masked = [reader.take(SECRET_SIZE) for _ in range(reader.take(1)[0])]
    cipher = reader.take(1)[0]
    if cipher != CHACHA20_POLY1305:
        raise CoordinatorError(f"the descriptor backup uses cipher {cipher}, not known here")
    nonce = reader.take(NONCE_SIZE)
    if not any(nonce):
        raise CoordinatorError("the descriptor backup has a nonce of zeros")
    return masked, nonce, reader.sized()


def _opened(secrets: Sequence[bytes], nonce: bytes, ciphertext: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- costs 15 ms
    from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 -- as above
        ChaCha20Poly1305,
    )

    for secret in secrets:
        try:
            return ChaCha20Poly1305(secret).decrypt(nonce, ciphertext, None)
        except InvalidTag:
            continue
    raise CoordinatorError(
        f"none of the backup's {len(secrets)} entries opens with this key; "
        "it is another vault's, or the file was altered"
    )


def _contents(reader: ByteReader) -> Iterator[bytes]:
    """Yield the items of a payload that hold descriptors, up to its padding."""
    while reader.left and (kind := reader.take(1)[0]) != END:
        if kind >= UNKNOWN_UPGRADE:
            raise CoordinatorError(f"the backup holds content of kind {kind}, not known here")
        about = reader.take(2) if kind == BIP_NUMBER else reader.sized()
        content = reader.sized()
        if kind == BIP_NUMBER and int.from_bytes(about, "big") == DESCRIPTOR_BIP:
            yield content


def _descriptors(content: bytes) -> list[str]:
    """Return the descriptor a content is, or those of the JSON document that it is."""
    try:
        text = content.decode()
        if not text.startswith("{"):
            return [text]
        sets = Field(read_json(text), "the content")["descriptor_sets"]
        return [each["descriptor"].text(CONTENT_MAX) for each in sets.items(SETS_MAX)]
    except ValueError as failure:
        raise CoordinatorError(f"the descriptors in the backup cannot be read: {failure}") from None


def _encoded_secrets(masked: Sequence[bytes], chance: Chance) -> bytes:
    """Hide how many keys there are: decoys fill up to 5, 10, 20, … entries."""
    bucket = FIRST_BUCKET
    while bucket < len(masked):
        bucket *= 2
    count = min(bucket, COUNT_MAX)
    if len(masked) > count:
        raise CoordinatorError(f"a descriptor of {len(masked)} keys is too large for a backup")
    entries = [*masked, *(chance(SECRET_SIZE) for _ in range(count - len(masked)))]
    return bytes([count]) + b"".join(sorted(entries))


def _masked(secret: bytes, key: bytes) -> bytes:
    """Mask a secret for one key, or unmask it again."""
    mask = _tagged("BIP138_INDIVIDUAL_SECRET", _x_only(key))
    return bytes(a ^ b for a, b in zip(secret, mask, strict=True))


def _x_only(key: bytes) -> bytes:
    return key[-SECRET_SIZE:]


def _tagged(tag: str, message: bytes) -> bytes:
    """Return a tagged hash (BIP 340)."""
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + message).digest()


def _binary(data: bytes) -> bytes:
    """Return the backup's bytes, which its text gives in base64, in however many lines."""
    if data.startswith(MAGIC):
        return data
    try:
        return base64.b64decode(b"".join(as_utf8(data).split()), validate=True)
    except (binascii.Error, ValueError):
        raise CoordinatorError("this is no descriptor backup of BIP 138") from None
