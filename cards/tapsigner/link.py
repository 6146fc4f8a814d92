"""The way to one TAPSIGNER: selected, its key proved, its nonces followed, its CVC kept."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from coincurve import PrivateKey

from cards.apdu import SW_OK
from cards.errors import (
    CardReset,
    NotSupported,
    NotUnlocked,
    PinDelayed,
    PinIncorrect,
    ProtocolError,
    StatusWordError,
    WrongCard,
)
from cards.family import Surroundings
from cards.pin import KeptPin, Pin, Secret
from cards.tapsigner import NAME, answers, commands
from cards.tapsigner.answers import Fields, Nonces, Status, refusal
from cards.tapsigner.channel import Sealed, seal
from cards.tapsigner.commands import Call
from cards.tapsigner.wire import INS, NONCE, NONCE_KEPT_SINCE, ErrorCode, decode_map, version_number
from cards.transport import CardTransport, exchange, pause, transmit

log = logging.getLogger(__name__)
NOT_SELECTED = {0x6D00, 0x6E00}
UNLUCKY_TRIES = 20


@dataclass(frozen=True)
class Answer:
    """What came back: fields, the error's code or 0, the card's nonce and the key it was under."""

    fields: Fields = field(repr=False)
    code: int
    card_nonce: bytes
    key: bytes = field(repr=False)


class Link:
    """A transport with a TAPSIGNER on it."""

    def __init__(self, transport: CardTransport, surroundings: Surroundings) -> None:
        """Select the card and have it prove its key; no CVC is presented.

        Raises StatusWordError where there is no such card, NotSupported for a SATSCARD.
        """
        self.transport: Final = transport
        self._disturbed = surroundings.disturbed
        self._paused = False
        self.cvc: Final = KeptPin()
        self._cvc_proved = False
        self._nonce: bytes | None = None
        first = self._select()
        if first.product == answers.SATSCARD:
            raise NotSupported(NAME, "anything here: it is a SATSCARD, which signs for nobody")
        self.card_key: Final = first.public_key
        self.product: Final = first.product
        self._keeps_nonce = version_number(first.version) >= NONCE_KEPT_SINCE
        self.had_path: Final = first.path
        self._nonce = first.card_nonce
        if not self.prove():
            raise ProtocolError("the card has not proved the key it calls its own")

    def status(self) -> Status:
        """Ask the card how it is; raises WrongCard where it is another one."""
        return self._same(answers.parse_status(self.ask(commands.STATUS).fields))

    def prove(self) -> bool:
        """Tell whether the card owns its key, asked with a fresh nonce."""
        ours = secrets.token_bytes(NONCE)
        answer = self.ask(commands.check(ours))
        return answers.check_identity(answer.fields, self.card_key, Nonces(answer.card_nonce, ours))

    def ask(self, call: Call) -> Answer:
        """Send a command that needs no CVC; raises what a refusal means."""
        in_clear = Sealed(commands.frame(call.name, call.open, secret=False), b"")
        answer = self._answer(call, lambda: in_clear)
        if answer.code:
            raise refusal(answer.code, call.name)
        return answer

    def send(self, call: Call) -> Answer:
        """Send a command with the CVC that was accepted before.

        A nonce that another program used up is asked for once more; a CVC that is right no
        longer is forgotten. One that could not be proved yet is, by the first command it goes with.
        """
        cvc = self.cvc.value
        if cvc is None:
            raise NotUnlocked("the card wants its CVC first")
        if not self._cvc_proved:
            try:
                answer = self.send_once(call, cvc)
            except PinIncorrect:
                self.cvc.forget()
                raise
            self._cvc_proved = True
            return answer
        answer = self._lucky(call, cvc)
        if answer.code == ErrorCode.BAD_AUTH and self.status().card_nonce != answer.card_nonce:
            answer = self._lucky(call, cvc)
        if answer.code == ErrorCode.BAD_AUTH:
            self.cvc.forget()
            raise NotUnlocked("the card no longer accepts the CVC it was unlocked with")
        return self._accepted(call, answer)

    def send_once(self, call: Call, cvc: Secret) -> Answer:
        """Send a command with a CVC nobody knows to be right: it is presented once.

        Raises CardReset where the card may have heard it and its answer was lost.
        """
        return self._accepted(call, self._lucky(call, cvc, once=True))

    def keep_cvc(self, cvc: Pin, *, proved: bool = True) -> None:
        """Keep a copy of a CVC that was accepted, or that the card cannot look at yet."""
        self.cvc.keep(cvc)
        self._cvc_proved = proved

    def pause(self) -> None:
        """Let other programs have the card; the next command selects it again."""
        self.cvc.forget()
        pause(self.transport)
        self._nonce, self._paused = None, True

    def _accepted(self, call: Call, answer: Answer) -> Answer:
        """Return the answer unless it is a refusal; raises what that means."""
        if answer.code == ErrorCode.RATE_LIMITED:
            raise PinDelayed(self.status().delay)
        if answer.code:
            raise refusal(answer.code, call.name)
        return answer

    def _lucky(self, call: Call, cvc: Secret, *, once: bool = False) -> Answer:
        """Send a command until the card draws a nonce that suits it: 8 times in 7."""

        def sealed() -> Sealed:
            nonce = self._known_nonce()
            return seal(call, self.card_key, nonce, cvc=cvc, ephemeral=PrivateKey())

        for _ in range(UNLUCKY_TRIES):
            answer = self._answer(call, sealed, once=once)
            if answer.code != ErrorCode.UNLUCKY:
                break
        return answer

    def _known_nonce(self) -> bytes:
        """Return the card's nonce; one that got lost is asked for."""
        return self._nonce or self.status().card_nonce

    def _resume(self) -> None:
        """Find the card again after a pause; raises WrongCard where it is another one."""
        if self._paused:
            self._paused = False
            self._same(self._select())
            if not self.prove():
                raise ProtocolError("the card has not proved the key it calls its own")

    def _answer(self, call: Call, made: Callable[[], Sealed], *, once: bool = False) -> Answer:
        """Send a command; a card that lost its power is selected once more.

        Until an answer has been understood, the next nonce is unknown. A command that may be
        carried out only `once` is not sent again where the card may have heard it.
        """
        self._resume()
        if call.takes_nonce:
            self._nonce = self._known_nonce()
        sealed, used, self._nonce = made(), self._nonce, None
        try:
            response = transmit(self.transport, sealed.command)
        except CardReset as reset:
            if once and reset.sent:
                raise
            response = None
        if response is None or response.sw in NOT_SELECTED:
            log.debug("power or selection is lost")
            self._disturbed()
            self._same(self._select())
            sealed, used, self._nonce = made(), self._nonce, None
            response = transmit(self.transport, sealed.command)
        if response.sw != SW_OK:
            raise StatusWordError(response.sw, INS)
        return self._understood(call, decode_map(response.data), used or b"", key=sealed.key)

    def _understood(self, call: Call, fields: Fields, used: bytes, *, key: bytes) -> Answer:
        code = fields.get("code", 0)
        if not isinstance(code, int) or ("error" in fields) != bool(code):
            raise ProtocolError("the card's answer has an error code that is not a number")
        if "card_nonce" in fields:
            self._nonce = answers.sized(fields, "card_nonce", NONCE)
        elif self._keeps_nonce and (code or not call.takes_nonce):
            self._nonce = used or None
        return Answer(fields, code, used, key)

    def _select(self) -> Status:
        found = answers.parse_status(decode_map(exchange(self.transport, commands.SELECT)))
        self._nonce = found.card_nonce
        return found

    def _same(self, found: Status) -> Status:
        if found.public_key != self.card_key:
            self._nonce = None
            raise WrongCard(self.card_key.hex(), found.public_key.hex())
        return found
