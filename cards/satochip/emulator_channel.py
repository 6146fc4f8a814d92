"""The emulated Satochip's end of the secure channel."""

import hmac
import secrets

from coincurve import PrivateKey, PublicKey

from cards.satochip.emulator_keys import authenticated, prefixed, signed_key
from cards.satochip.emulator_memory import Card, Channel, Reader, Refusal, Request
from cards.satochip.wire import (
    BLOCK,
    SW_CHANNEL_IV,
    SW_CHANNEL_MAC,
    SW_INTERNAL_ERROR,
    SW_INVALID_PARAMETER,
    SW_WRONG_LENGTH,
    ChannelKeys,
)

IV_RANDOM = 12
MAC_SIZE = 20
POINT = 65


def open_channel(card: Card, request: Request) -> bytes:
    """INIT SECURE CHANNEL: agree on keys; the answer proves whose card this is."""
    point = request.data
    if len(point) < POINT:
        raise Refusal(SW_WRONG_LENGTH)
    if point[0] != 4:
        raise Refusal(SW_INVALID_PARAMETER)
    ephemeral = PrivateKey()
    try:
        shared = PublicKey(point[:POINT]).multiply(ephemeral.secret)
    except ValueError:
        raise Refusal(SW_INVALID_PARAMETER) from None
    card.power.channel = Channel(ChannelKeys.derive(shared.format()[1:]))
    return authenticated(card, signed_key(ephemeral.secret))


def unwrap(channel: Channel, request: Request) -> Request:
    """Check a frame (PROCESS SECURE CHANNEL) in the card's own order and open it."""
    fields = Reader(request.data, SW_WRONG_LENGTH)
    iv = fields.take(BLOCK)
    ciphertext = fields.take(fields.short())
    if fields.short() != MAC_SIZE:
        raise Refusal(SW_CHANNEL_MAC)
    if not hmac.compare_digest(channel.keys.mac(iv, ciphertext), fields.take(MAC_SIZE)):
        raise Refusal(SW_CHANNEL_MAC)
    counter = int.from_bytes(iv[IV_RANDOM:])
    if not counter % 2 or counter <= channel.counter:
        raise Refusal(SW_CHANNEL_IV)
    channel.counter = counter + 1
    if not ciphertext or len(ciphertext) % BLOCK:
        raise Refusal(SW_INTERNAL_ERROR)
    return Request.read(channel.keys.decrypt(iv, ciphertext))


def wrap(channel: Channel, data: bytes) -> bytes:
    """Encrypt an answer that has data; it bears no code."""
    if not data:
        return b""
    iv = secrets.token_bytes(IV_RANDOM) + channel.counter.to_bytes(4)
    return iv + prefixed(channel.keys.encrypt(iv, data))
