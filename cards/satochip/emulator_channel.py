"""The emulated Satochip's end of the secure channel."""

import hmac
import secrets

from coincurve import PrivateKey, PublicKey

from cards.emulation import Refusal
from cards.satochip.emulator_keys import authenticated, prefixed, signed_key
from cards.satochip.emulator_memory import Card, Channel, Reader, Request
from cards.satochip.wire import BLOCK, ChannelKeys, Sw

IV_RANDOM = 12
MAC_SIZE = 20
POINT = 65


def open_channel(card: Card, request: Request) -> bytes:
    """INIT SECURE CHANNEL: agree on keys; the answer proves whose card this is."""
    point = request.data
    if len(point) < POINT:
        raise Refusal(Sw.WRONG_LENGTH)
    if point[0] != 4:
        raise Refusal(Sw.INVALID_PARAMETER)
    ephemeral = PrivateKey()
    try:
        shared = PublicKey(point[:POINT]).multiply(ephemeral.secret)
    except ValueError:
        raise Refusal(Sw.INVALID_PARAMETER) from None
    card.power.channel = Channel(ChannelKeys.derive(shared.format()[1:]))
    return authenticated(card, signed_key(ephemeral.secret))


def unwrap(channel: Channel, request: Request) -> Request:
    """Check a frame (PROCESS SECURE CHANNEL) in the card's own order and open it."""
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    iv = fields.take(BLOCK)
    ciphertext = fields.take(fields.short())
    if fields.short() != MAC_SIZE:
        raise Refusal(Sw.CHANNEL_MAC)
    if not hmac.compare_digest(channel.keys.mac(iv, ciphertext), fields.take(MAC_SIZE)):
        raise Refusal(Sw.CHANNEL_MAC)
    counter = int.from_bytes(iv[IV_RANDOM:])
    if not counter % 2 or counter <= channel.counter:
        raise Refusal(Sw.CHANNEL_IV)
    channel.counter = counter + 1
    if not ciphertext or len(ciphertext) % BLOCK:
        raise Refusal(Sw.INTERNAL_ERROR)
    return Request.read(channel.keys.decrypt(iv, ciphertext))


def wrap(channel: Channel, data: bytes) -> bytes:
    """Encrypt an answer that has data; it bears no code."""
    if not data:
        return b""
    iv = secrets.token_bytes(IV_RANDOM) + channel.counter.to_bytes(4)
    return iv + prefixed(channel.keys.encrypt(iv, data))
