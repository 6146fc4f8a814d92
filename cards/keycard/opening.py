"""How a Keycard's channel is opened: with a pairing on 3.x, with a certificate on 4.x."""

import secrets

from coincurve import PrivateKey, PublicKey

from cards.apdu import SW_OK
from cards.errors import NotGenuine, SecureChannelError
from cards.keycard import answers, commands
from cards.keycard.channel import CbcChannel, CcmChannel
from cards.keycard.pairing import Pairing
from cards.keycard.wire import CbcKeys, CcmKeys, handshake_digest
from cards.signature import verify
from cards.transport import CardTransport, exchange

SALT = 32
IV = 16


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
    handshake = answers.parse_handshake(exchange(transport, commands.open_certified(salt, point)))
    digest = handshake_digest(salt, point, handshake.point)
    if not verify(identity_key, digest, handshake.signature):
        raise NotGenuine("its channel is not signed by its identity key")
    return CcmChannel(CcmKeys.derive(shared_x(ephemeral, handshake.point), salt))


def shared_x(own: PrivateKey, point: bytes) -> bytes:
    """Return the x coordinate of the Diffie-Hellman point."""
    return PublicKey(point).multiply(own.secret).format()[1:]


def _point(key: PrivateKey) -> bytes:
    return key.public_key.format(compressed=False)
