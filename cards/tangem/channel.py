"""The host's end of an encrypted session, and what of the codes goes into it."""

import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from coincurve import PrivateKey, PublicKey

from cards.apdu import Response
from cards.errors import SecureChannelError
from cards.pin import Secret
from cards.tangem import CODE
from cards.tangem.wire import (
    BLOCK,
    DEFAULT_CODE,
    DEFAULT_PASSCODE,
    Fields,
    Mode,
    Sw,
    Tag,
    code_hash,
    seal,
    session_key,
    unseal,
)

FAST_HALF: Final = 16


@dataclass
class HostChannel:
    """A session; that host and card have one key shows with the first answer."""

    _key: bytes = field(repr=False)
    _code: bytes = field(repr=False)
    proven: bool = False

    @classmethod
    def agreed(cls, shared: bytes, uid: bytes, code: Secret) -> Self:
        """Make the session of what both ends share and of the code."""
        return cls(session_key(shared, code.reveal(), uid), code.reveal())

    def is_for(self, code: Secret) -> bool:
        """Tell whether the session was made with this code."""
        return self._code == code.reveal()

    def seal(self, body: bytes) -> bytes:
        """Encrypt a command's body."""
        return seal(self._key, body)

    def unseal(self, response: Response) -> Response:
        """Decrypt an answer; one that does not decrypt is as good as a refusal."""
        if len(response.data) < BLOCK:
            return response
        try:
            return Response(unseal(self._key, response.data), response.sw)
        except SecureChannelError:
            return Response(sw=Sw.INVALID_PARAMS)


class Handshake:
    """Our half of OPEN SESSION."""

    def __init__(self, mode: Mode) -> None:
        """Draw random bytes, or a key pair for strong encryption."""
        self._key = PrivateKey() if mode is Mode.STRONG else None
        self.ours = secrets.token_bytes(FAST_HALF)
        if self._key is not None:
            self.ours = self._key.public_key.format(compressed=False)

    def finish(self, answer: bytes) -> tuple[bytes, bytes | None]:
        """Return what both ends share, and the chip's number where the card tells it here.

        Raises ProtocolError.
        """
        fields = Fields.parse(answer)
        theirs, uid = fields.need(Tag.SESSION_B), fields.find(Tag.UID)
        if self._key is None:
            return self.ours + theirs, uid
        try:
            return PublicKey(theirs).multiply(self._key.secret).format()[1:], uid
        except ValueError:
            raise SecureChannelError("the card's half of the session's key is no point") from None


def hashed(code: Secret) -> Secret:
    """Return what a card is shown instead of a code."""
    return Secret(code_hash(code.reveal()))


def default_code() -> Secret:
    """Return the access code every card leaves the factory with."""
    return Secret(code_hash(DEFAULT_CODE))


def default_passcode() -> Secret:
    """Return the passcode every card leaves the factory with."""
    return Secret(code_hash(DEFAULT_PASSCODE))


def typed(code: Secret) -> Secret:
    """Return a code's hash; raises PinUnsuitable for one no card was ever given."""
    CODE.check_size(code, "an access code")
    return hashed(code)


def fresh(code: Secret) -> Secret:
    """Return a new code's hash; raises PinUnsuitable for one that is too short or everybody's."""
    CODE.check(code, "this access code")
    return hashed(code)
