"""A Keycard's secure channels: the host's end of them.

3.x encrypts with AES-256-CBC under chained CBC-MACs and keys that a pairing enters. 4.x is
AES-128-CCM under a counter, its keys signed for by the card. Both authenticate both directions.
"""

import hmac
from collections.abc import Callable
from typing import Protocol

from cards.apdu import Command, Form, Response
from cards.errors import SecureChannelError
from cards.keycard.wire import (
    BLOCK,
    CLA,
    INS_SECURED,
    CbcKeys,
    CcmKeys,
    cbc_decrypt,
    cbc_decrypt_raw,
    cbc_encrypt,
    ccm_open,
    ccm_seal,
    pad,
)

CBC_INNER_MAX = 223
CCM_INNER_MAX = 247
STATUS_ALONE = pad(b"  ")[2:]


class Channel(Protocol):
    """The host's end of an open channel."""

    def wrap(self, command: Command) -> Command:
        """Return the command that carries this one; raises ValueError where it is too long."""
        ...

    def unwrap(self, data: bytes) -> Response:
        """Return what the answer to the last command says; raises SecureChannelError."""
        ...


class CbcChannel:
    """The channel of applets 3.x: the last MAC is the next initial vector."""

    def __init__(self, keys: CbcKeys, iv: bytes) -> None:
        """Begin with the card's initial vector."""
        self._keys = keys
        self._iv = self._iv_before = iv

    def wrap(self, command: Command) -> Command:
        """Return the command with its data encrypted behind a MAC."""
        if len(command.data) > CBC_INNER_MAX:
            raise ValueError(f"a command holds {CBC_INNER_MAX} bytes, not {len(command.data)}")
        ciphertext = cbc_encrypt(self._keys.cipher_key, self._iv, command.data)
        size = BLOCK + len(ciphertext)
        head = bytes((command.cla, command.ins, command.p1, command.p2, size))
        self._iv_before, self._iv = self._iv, self._keys.mac(head, ciphertext)
        return Command(command.cla, command.ins, command.p1, command.p2, self._iv + ciphertext)

    def unwrap(self, data: bytes) -> Response:
        """Check the answer's MAC and decrypt it."""
        mac, ciphertext = data[:BLOCK], data[BLOCK:]
        if not ciphertext or len(ciphertext) % BLOCK:
            raise SecureChannelError(f"an answer of {len(data)} bytes is no frame of the channel")
        if not hmac.compare_digest(mac, self._keys.answer_mac(ciphertext)):
            raise SecureChannelError("an answer bears a code that is not the channel's")
        iv = self._iv_of(ciphertext)
        plain = _opened(lambda: cbc_decrypt(self._keys.cipher_key, iv, ciphertext))
        self._iv = mac
        return plain

    def _iv_of(self, ciphertext: bytes) -> bytes:
        """Return the vector of an answer: a command refused unread has left the one before it."""
        if len(ciphertext) == BLOCK:
            before = cbc_decrypt_raw(self._keys.cipher_key, self._iv_before, ciphertext)
            if before[2:] == STATUS_ALONE:
                return self._iv_before
        return self._iv


class CcmChannel:
    """The channel of applets 4.x: command and answer share a counter."""

    def __init__(self, keys: CcmKeys) -> None:
        """Begin at counter 0."""
        self._keys = keys
        self._counter = 0

    def wrap(self, command: Command) -> Command:
        """Return the command sealed whole; its length byte is there even without data."""
        inner = command.encode(Form.P3)
        if len(inner) > CCM_INNER_MAX:
            raise ValueError(f"a frame holds {CCM_INNER_MAX} bytes, not {len(inner)}")
        sealed = ccm_seal(self._keys.to_card, self._counter, inner)
        return Command(CLA, INS_SECURED, data=sealed)

    def unwrap(self, data: bytes) -> Response:
        """Open the answer."""
        plain = _opened(lambda: ccm_open(self._keys.to_host, self._counter, data))
        self._counter += 1
        return plain


def _opened(decrypt: Callable[[], bytes]) -> Response:
    try:
        plain = decrypt()
    except ValueError as failure:
        raise SecureChannelError(f"an answer does not decrypt: {failure}") from None
    if len(plain) < 2:
        raise SecureChannelError("an answer of the channel has no status word")
    return Response.parse(plain)
