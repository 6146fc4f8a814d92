"""Satochip's secure channel: the host's end of it.

A command is AES-128-CBC under a counted IV with an HMAC-SHA1 over it. An answer is encrypted
but bears no code, so what it says is believed only where a signature inside of it holds.
"""

import secrets

from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives import padding

from cards.errors import SecureChannelError
from cards.satochip.wire import BLOCK, ChannelKeys

IV_RANDOM = 12
INNER_MAX = 207


class HostChannel:
    """The host's end: frames commands, opens answers, counts both."""

    def __init__(self, keys: ChannelKeys) -> None:
        """Begin at counter 1, as the card expects."""
        self._keys = keys
        self._counter = 1

    def wrap(self, inner: bytes) -> bytes:
        """Return the frame around a command APDU; raises ValueError where it is too long."""
        if len(inner) > INNER_MAX:
            raise ValueError(f"a frame holds {INNER_MAX} bytes, not {len(inner)}")
        iv = secrets.token_bytes(IV_RANDOM) + self._counter.to_bytes(4)
        self._counter += 2
        ciphertext = self._keys.encrypt(iv, inner)
        mac = self._keys.mac(iv, ciphertext)
        return iv + len(ciphertext).to_bytes(2) + ciphertext + len(mac).to_bytes(2) + mac

    def unwrap(self, frame: bytes) -> bytes:
        """Return what the answer to the last command says; raises SecureChannelError."""
        iv, size, ciphertext = frame[:BLOCK], frame[BLOCK : BLOCK + 2], frame[BLOCK + 2 :]
        if not ciphertext or len(ciphertext) % BLOCK or int.from_bytes(size) != len(ciphertext):
            raise SecureChannelError(f"an answer of {len(frame)} bytes is no frame of the channel")
        answered = int.from_bytes(iv[IV_RANDOM:])
        if answered != self._counter - 1:
            raise SecureChannelError(f"expected answer {self._counter - 1}, found {answered}")
        unpadder = padding.PKCS7(BLOCK * 8).unpadder()
        try:
            return unpadder.update(self._keys.decrypt(iv, ciphertext)) + unpadder.finalize()
        except ValueError:
            raise SecureChannelError("an answer does not decrypt: its padding is broken") from None


def agree(ephemeral: PrivateKey, theirs: bytes) -> HostChannel:
    """Return the channel that our ephemeral key and the card's make.

    The card's has two possible halves; both give the same shared x coordinate.
    """
    shared = PublicKey(theirs).multiply(ephemeral.secret)
    return HostChannel(ChannelKeys.derive(shared.format()[1:]))
