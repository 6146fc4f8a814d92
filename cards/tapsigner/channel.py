"""How a command proves the CVC: a session key of its own for every single one."""

from dataclasses import dataclass, field

from coincurve import PrivateKey

from cards.apdu import Command
from cards.pin import Secret
from cards.tapsigner.commands import Call, frame
from cards.tapsigner.wire import mask_cvc, xor


@dataclass(frozen=True)
class Sealed:
    """A command ready to be sent, and the key that opens its answer."""

    command: Command
    key: bytes = field(repr=False)


def seal(
    call: Call, card_key: bytes, card_nonce: bytes, *, cvc: Secret, ephemeral: PrivateKey
) -> Sealed:
    """Return the command under an ephemeral key that serves once, with the masked CVC.

    The command's own key is SHA-256 of the compressed Diffie-Hellman point.
    """
    key = ephemeral.ecdh(card_key)
    arguments = {
        **call.open,
        **{name: xor(value, key[: len(value)]) for name, value in call.sealed.items()},
        "epubkey": ephemeral.public_key.format(),
        "xcvc": mask_cvc(cvc.reveal(), key, card_nonce, name=call.name),
    }
    return Sealed(frame(call.name, arguments, secret=True), key)
