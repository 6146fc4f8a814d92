"""The emulated Satochip's end of the secure channel."""

import hmac
import secrets

from cards.satochip.channel import ChannelKeys
from cards.satochip.commands import (
    SW_CHANNEL_IV,
    SW_CHANNEL_MAC,
    SW_CHANNEL_NOT_OPEN,
    SW_INTERNAL_ERROR,
    SW_INVALID_PARAMETER,
    SW_WRONG_LENGTH,
)
from coincurve import PrivateKey, PublicKey

from cards.satochip.emulator_keys import authenticated, prefixed, signed_key
from cards.satochip.emulator_memory import Card, Channel, Reader, Refusal, Request

BLOCK = 16
IV_RANDOM = 12
POINT = 65
SIZE_MIN = 18
MAC_SIZE = 20


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


def unwrap(card: Card, request: Request) -> Request:
    """PROCESS SECURE CHANNEL: check the frame in the card's own order and open it."""
    channel = card.power.channel
    if channel is None:
        raise Refusal(SW_CHANNEL_NOT_OPEN)
    if len(request.data) < SIZE_MIN:
        raise Refusal(SW_WRONG_LENGTH)
    fields = Reader(request.data, SW_WRONG_LENGTH)
    iv = fields.take(BLOCK)
    ciphertext = fields.take(fields.short())
    mac_size = fields.short()
    if mac_size != MAC_SIZE:
        raise Refusal(SW_CHANNEL_MAC)
    mac = fields.take(MAC_SIZE)
    if not hmac.compare_digest(channel.keys.mac(iv, ciphertext), mac):
        raise Refusal(SW_CHANNEL_MAC)
    counter = int.from_bytes(iv[IV_RANDOM:])
    if not counter % 2 or counter <= channel.counter:
        raise Refusal(SW_CHANNEL_IV)
    channel.counter = counter + 1
    if not ciphertext or len(ciphertext) % BLOCK:
        raise Refusal(SW_INTERNAL_ERROR)
    return Request.read(channel.keys.decrypt(iv, ciphertext))


def wrap(card: Card, data: bytes) -> bytes:
    """Encrypt an answer that has data; it bears no code."""
    channel = card.power.channel
    if channel is None or not data:
        return b""
    iv = secrets.token_bytes(IV_RANDOM) + channel.counter.to_bytes(4)
    return iv + prefixed(channel.keys.encrypt(iv, data))
