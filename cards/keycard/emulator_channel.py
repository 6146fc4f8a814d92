"""The emulated Keycard's ends of both secure channels, and its pairing slots."""

import hashlib
import hmac
import secrets

from coincurve import PrivateKey, PublicKey

from cards.emulation import Refusal, sign_high_or_low
from cards.keycard.emulator_codes import need_pin
from cards.keycard.emulator_memory import SLOTS, Card, Request
from cards.keycard.wire import (
    BLOCK,
    EPHEMERAL_SLOT,
    POINT,
    CbcKeys,
    CcmKeys,
    Sw,
    cbc_decrypt,
    cbc_encrypt,
    ccm_open,
    ccm_seal,
    handshake_digest,
)

HASH = 32
ANY, EPHEMERAL, PERSISTENT = range(3)


class CbcCardChannel:
    """The card's end of a 3.x channel."""

    def __init__(self, keys: CbcKeys, iv: bytes) -> None:
        """Begin with the initial vector the host was told."""
        self._keys = keys
        self._iv = iv

    def unwrap(self, apdu: bytes) -> Request:
        """Check the MAC, then decrypt; the MAC is the vector from then on."""
        request = Request.read(apdu)
        mac, ciphertext = request.data[:BLOCK], request.data[BLOCK:]
        if not ciphertext or len(ciphertext) % BLOCK:
            raise Refusal(Sw.SECURITY)
        if not hmac.compare_digest(mac, self._keys.mac(apdu[:5], ciphertext)):
            raise Refusal(Sw.SECURITY)
        try:
            plain = cbc_decrypt(self._keys.cipher_key, self._iv, ciphertext)
        except ValueError:
            raise Refusal(Sw.SECURITY) from None
        self._iv = mac
        return request._replace(data=plain)

    def wrap(self, data: bytes, sw: int) -> bytes:
        """Encrypt data and status word under the last vector, whoever set it."""
        ciphertext = cbc_encrypt(self._keys.cipher_key, self._iv, data + sw.to_bytes(2))
        self._iv = self._keys.answer_mac(ciphertext)
        return self._iv + ciphertext


class CcmCardChannel:
    """The card's end of a 4.0 channel."""

    def __init__(self, keys: CcmKeys) -> None:
        """Begin at counter 0."""
        self._keys = keys
        self._counter = 0

    def unwrap(self, apdu: bytes) -> Request:
        """Open what SECURED carries."""
        try:
            inner = ccm_open(self._keys.to_card, self._counter, Request.read(apdu).data)
        except ValueError:
            raise Refusal(Sw.SECURITY) from None
        return Request.read(inner)

    def wrap(self, data: bytes, sw: int) -> bytes:
        """Seal data and status word under the command's counter."""
        sealed = ccm_seal(self._keys.to_host, self._counter, data + sw.to_bytes(2))
        self._counter += 1
        return sealed


def open_paired(card: Card, request: Request) -> bytes:
    """OPEN of 3.x: needs a pairing, and authenticates nobody yet."""
    card.close_channel()
    pairing_key = card.flash.pairings.get(request.p1)
    if request.p1 == EPHEMERAL_SLOT:
        pairing_key = card.power.passing_pairing
    if not pairing_key:
        raise Refusal(Sw.WRONG_P1_P2)
    shared = shared_x(card.flash.channel_key, request.data)
    salt, iv = secrets.token_bytes(HASH), secrets.token_bytes(BLOCK)
    card.power.channel = CbcCardChannel(CbcKeys.derive(shared, pairing_key, salt), iv)
    return salt + iv


def mutually_authenticate(card: Card, request: Request) -> bytes:
    """MUTUALLY AUTHENTICATE: a command that decrypts is proof enough."""
    if len(request.data) != HASH:
        raise Refusal(Sw.SECURITY)
    card.power.authenticated = True
    return secrets.token_bytes(HASH)


def open_certified(card: Card, request: Request) -> bytes:
    """OPEN of 4.0: the identity key signs for both halves."""
    card.close_channel()
    if request.p1 or request.p2:
        raise Refusal(Sw.WRONG_P1_P2)
    if len(request.data) != HASH + POINT:
        raise Refusal(Sw.WRONG_DATA)
    salt, host_point = request.data[:HASH], request.data[HASH:]
    ephemeral = PrivateKey()
    shared = shared_x(ephemeral.secret, host_point)
    point = ephemeral.public_key.format(compressed=False)
    digest = handshake_digest(salt, host_point, point)
    card.power.channel = CcmCardChannel(CcmKeys.derive(shared, salt))
    card.power.authenticated = True
    return point + sign_high_or_low(card.flash.identity, digest)


def pair(card: Card, request: Request) -> bytes:
    """PAIR: both ends show that they know the secret, then a slot gets a key."""
    if card.power.authenticated:
        raise Refusal(Sw.CONDITIONS)
    if request.p1 == 0:
        return _pair_first(card, request)
    if request.p1 != 1 or not card.power.pairing_challenge:
        raise Refusal(Sw.WRONG_P1_P2)
    return _pair_last(card, request)


def unpair(card: Card, request: Request) -> bytes:
    """UNPAIR: free a slot."""
    need_pin(card)
    if request.p1 >= SLOTS[card.flash.profile]:
        raise Refusal(Sw.WRONG_P1_P2)
    card.flash.pairings.pop(request.p1, None)
    return b""


def free_slots(card: Card) -> list[int]:
    """Return the slots that nobody has."""
    return [slot for slot in range(SLOTS[card.flash.profile]) if slot not in card.flash.pairings]


def _pair_first(card: Card, request: Request) -> bytes:
    if len(request.data) != HASH:
        raise Refusal(Sw.WRONG_DATA)
    knows_ephemeral = card.flash.profile != "3.1"
    mode = request.p2 if knows_ephemeral else PERSISTENT
    if mode == PERSISTENT and not free_slots(card):
        raise Refusal(Sw.NO_SLOT)
    card.power.pairing_challenge = secrets.token_bytes(HASH)
    card.power.pairing_passes = mode == EPHEMERAL or not free_slots(card)
    proof = hashlib.sha256(card.flash.pairing_secret + request.data).digest()
    return proof + card.power.pairing_challenge


def _pair_last(card: Card, request: Request) -> bytes:
    challenge, card.power.pairing_challenge = card.power.pairing_challenge, b""
    if len(request.data) != HASH:
        raise Refusal(Sw.WRONG_DATA)
    secret = card.flash.pairing_secret
    if not hmac.compare_digest(request.data, hashlib.sha256(secret + challenge).digest()):
        raise Refusal(Sw.SECURITY)
    salt = secrets.token_bytes(HASH)
    key = hashlib.sha256(secret + salt).digest()
    if card.power.pairing_passes:
        card.power.passing_pairing = key
        return bytes((EPHEMERAL_SLOT,)) + salt
    slot = free_slots(card)[0]
    card.flash.pairings[slot] = key
    return bytes((slot,)) + salt


def shared_x(key: bytes, point: bytes) -> bytes:
    """Return the x coordinate of the Diffie-Hellman point, or refuse the point."""
    if len(point) != POINT or point[0] != 4:
        raise Refusal(Sw.WRONG_DATA)
    try:
        return PublicKey(point).multiply(key).format()[1:]
    except ValueError:
        raise Refusal(Sw.WRONG_DATA) from None
