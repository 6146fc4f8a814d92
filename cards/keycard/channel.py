"""A Keycard's pairings and secure channels: the host's end of them, and how they are opened.

3.x encrypts with AES-256-CBC under chained CBC-MACs and keys that a pairing enters. 4.x is
AES-128-CCM under a counter, its keys signed for by the card. Both authenticate both directions.
"""

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Self

from coincurve import PrivateKey, PublicKey

from cards.apdu import SW_OK, Command, Form, Response
from cards.errors import CardError, NotGenuine, ProtocolError, SecureChannelError, StatusWordError
from cards.keycard import answers, commands
from cards.keycard.wire import (
    BLOCK,
    CLA,
    EPHEMERAL_SLOT,
    CbcKeys,
    CcmKeys,
    Ins,
    Sw,
    cbc_decrypt,
    cbc_decrypt_raw,
    cbc_encrypt,
    ccm_open,
    ccm_seal,
    handshake_digest,
    pad,
)
from cards.pin import Secret
from cards.signature import verify
from cards.transport import CardTransport, exchange

DEFAULT_PASSWORD = "KeycardDefaultPairing"  # noqa: S105 - everybody's, and so protects nothing
PASSWORD_SALT = b"Keycard Pairing Password Salt"
ROUNDS = 50_000
SIZE = 32
FIRST_ANSWER, LAST_ANSWER = 2 * SIZE, 1 + SIZE
SALT = 32
IV = 16
CBC_INNER_MAX = 223
CCM_INNER_MAX = 247
STATUS_ALONE = pad(b"  ")[2:]


class CbcChannel:
    """The channel of applets 3.x: the last MAC is the next initial vector."""

    def __init__(self, keys: CbcKeys, iv: bytes) -> None:
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
        return Command(CLA, Ins.SECURED, data=sealed)

    def unwrap(self, data: bytes) -> Response:
        """Open the answer."""
        plain = _opened(lambda: ccm_open(self._keys.to_host, self._counter, data))
        self._counter += 1
        return plain


Channel = CbcChannel | CcmChannel


def _opened(decrypt: Callable[[], bytes]) -> Response:
    try:
        plain = decrypt()
    except ValueError as failure:
        raise SecureChannelError(f"an answer does not decrypt: {failure}") from None
    if len(plain) < 2:
        raise SecureChannelError("an answer of the channel has no status word")
    return Response.parse(plain)


@dataclass(frozen=True)
class Pairing:
    """A slot on the card and the key that belongs to it."""

    slot: int
    key: bytes = field(repr=False)

    @property
    def lasting(self) -> bool:
        """Tell whether the card remembers it once another applet or nothing is selected."""
        return self.slot != EPHEMERAL_SLOT

    def encode(self) -> bytes:
        """Return it as it is kept."""
        return bytes((self.slot,)) + self.key

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """Read what was kept; None where it is of no use."""
        return cls(data[0], data[1:]) if len(data) == LAST_ANSWER else None


def shared_secret(password: bytes) -> bytes:
    """Return the pairing secret of a password (PBKDF2)."""
    normal = unicodedata.normalize("NFKD", password.decode("utf-8", "surrogateescape"))
    typed = normal.encode("utf-8", "surrogateescape")
    return hashlib.pbkdf2_hmac("sha256", typed, PASSWORD_SALT, ROUNDS)


@cache
def default_secret() -> bytes:
    """Return the secret of the password that every wallet knows."""
    return shared_secret(DEFAULT_PASSWORD.encode())


def secret_from(given: Secret | None) -> bytes:
    """Return the secret of the owner's password, else the one that every wallet knows."""
    return default_secret() if given is None else shared_secret(given.reveal())


def pair(transport: CardTransport, secret: bytes) -> Pairing | None:
    """Pair with the secret; None where the card has another one, which costs it nothing.

    Raises CardError where no slot is free.
    """
    challenge = secrets.token_bytes(SIZE)
    answer = _asked(transport, commands.pair_first(challenge), FIRST_ANSWER)
    proof, card_challenge = answer[:SIZE], answer[SIZE:]
    if not hmac.compare_digest(proof, hashlib.sha256(secret + challenge).digest()):
        return None
    cryptogram = hashlib.sha256(secret + card_challenge).digest()
    last = _asked(transport, commands.pair_last(cryptogram), LAST_ANSWER)
    return Pairing(last[0], hashlib.sha256(secret + last[1:]).digest())


def _asked(transport: CardTransport, command: Command, size: int) -> bytes:
    """Send a step of PAIR and return its answer of that size."""
    try:
        answer = exchange(transport, command)
    except StatusWordError as refused:
        if refused.sw == Sw.NO_SLOT:
            raise CardError(
                "the card has no pairing slot left; free one with a wallet that is paired with it"
            ) from None
        raise
    if len(answer) != size:
        raise ProtocolError(f"the card answers {len(answer)} bytes to a pairing, not {size}")
    return answer


def open_paired(transport: CardTransport, card_point: bytes, paired: Pairing) -> CbcChannel:
    """OPEN and MUTUALLY AUTHENTICATE on a 3.x card."""
    ephemeral = PrivateKey()
    answer = exchange(transport, commands.open_paired(paired.slot, _point(ephemeral)))
    salt, iv = answers.sized(answer, SALT + IV)[:SALT], answer[SALT:]
    keys = CbcKeys.derive(shared_x(ephemeral, card_point), paired.key, salt)
    channel = CbcChannel(keys, iv)
    frame = channel.wrap(commands.mutually_authenticate(secrets.token_bytes(SALT)))
    response = channel.unwrap(exchange(transport, frame))
    if response.sw != SW_OK:
        raise SecureChannelError(f"the card refuses its channel with {response.sw:04X}")
    return channel


def open_certified(transport: CardTransport, identity_key: bytes) -> CcmChannel:
    """OPEN on a 4.x card, which must sign for its half with the identity key."""
    ephemeral, salt = PrivateKey(), secrets.token_bytes(SALT)
    point = _point(ephemeral)
    answer = exchange(transport, commands.open_certified(salt, point))
    theirs, signature = answers.parse_handshake(answer)
    if not verify(identity_key, handshake_digest(salt, point, theirs), signature):
        raise NotGenuine("its channel is not signed by its identity key")
    return CcmChannel(CcmKeys.derive(shared_x(ephemeral, theirs), salt))


def shared_x(own: PrivateKey, point: bytes) -> bytes:
    """Return the x coordinate of the Diffie-Hellman point."""
    return PublicKey(point).multiply(own.secret).format()[1:]


def _point(key: PrivateKey) -> bytes:
    return key.public_key.format(compressed=False)
