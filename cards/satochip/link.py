"""The way to one Satochip: selected, identified, its channel open, its login kept up."""

import logging
from typing import Final

from coincurve import PrivateKey

from cards.apdu import SW_OK, Command, Form, Response
from cards.errors import (
    CardError,
    CardReset,
    NotUnlocked,
    PinBlocked,
    PinIncorrect,
    SecureChannelError,
    WrongCard,
)
from cards.family import Surroundings
from cards.pin import KeptPin, Pin
from cards.satochip import answers, commands
from cards.satochip.answers import CHANNEL_LOST, refusal
from cards.satochip.channel import HostChannel, agree
from cards.satochip.wire import Sw
from cards.transport import CardTransport, exchange, pause, transmit

log = logging.getLogger(__name__)
PERHAPS_NOT_SELECTED = {Sw.UNKNOWN_INS, Sw.UNKNOWN_CLA}
SPARE_TRIES = 2
PRESENTED_MAX = 3


class Link:
    """A transport with a Satochip on it.

    Mends once per command what another program broke: the selection, the channel, the login.
    What may spend an attempt is sent again only where the card has not heard it, or its counter
    shows that none was spent.
    """

    def __init__(self, transport: CardTransport, surroundings: Surroundings) -> None:
        """Select the applet and learn who it is; no PIN is presented.

        Raises StatusWordError where there is no Satochip, NotSupported for one before 0.12.
        """
        self.transport: Final = transport
        self._disturbed = surroundings.disturbed
        self._paused = False
        self._tries = 0
        exchange(transport, commands.SELECT)
        self.version = self.status().version_text
        (_, first), (self._channel, second) = self._shake_hands(), self._shake_hands()
        candidates = first & second
        if len(candidates) != 1:
            raise SecureChannelError(f"two handshakes leave {len(candidates)} keys for the card")
        (self.authentikey,) = candidates
        self.pin: Final = KeptPin()
        self.reopened = 0

    def status(self) -> answers.Status:
        """Ask for version and counters."""
        found = answers.parse_status(self._in_clear(commands.STATUS))
        self._tries = found.pin_tries
        return found

    def send(self, command: Command) -> bytes:
        """Send a command in the channel and return its answer; raises what a refusal means."""
        response = self._in_channel(command)
        if response.sw == Sw.UNAUTHORIZED and self.pin.value is not None:
            self._log_in_again(self.pin.value)
            response = self._in_channel(command)
        return _accepted(response, command)

    def send_once(self, command: Command) -> bytes:
        """Send a command that must not be carried out twice; raises CardReset where it may have."""
        return self._presented(command, counted=False)

    def pause(self) -> None:
        """Let other programs have the card; the next command opens another channel."""
        self.pin.forget()
        pause(self.transport)
        self._paused = True

    def log_in(self, pin: Pin) -> None:
        """Present the PIN, and keep a copy for a login that gets lost."""
        self.pin.forget()
        self._presented(commands.verify_pin(pin), counted=True)
        self.pin.keep(pin)

    def reopen_channel(self) -> None:
        """Open another channel; raises WrongCard unless the same authentikey signed for it."""
        channel, found = self._shake_hands()
        if self.authentikey not in found:
            names = " or ".join(sorted(key.hex() for key in found))
            raise WrongCard(self.authentikey.hex(), names)
        self._channel = channel
        self.reopened += 1

    def _shake_hands(self) -> tuple[HostChannel, frozenset[bytes]]:
        """Return a channel to whatever card is there, and the keys it may be known by."""
        ephemeral = PrivateKey()
        point = ephemeral.public_key.format(compressed=False)
        theirs, signers = answers.parse_handshake(self._in_clear(commands.init_channel(point)))
        return agree(ephemeral, theirs), signers

    def _resume(self) -> None:
        """Find the card again after a pause; raises WrongCard where it is another one."""
        if self._paused:
            self._paused = False
            exchange(self.transport, commands.SELECT)
            self.reopen_channel()

    def _in_clear(self, command: Command) -> bytes:
        """Send a command outside of the channel; a card that was reset is selected once more."""
        self._resume()
        try:
            response = transmit(self.transport, command, Form.P3)
        except CardReset:
            response = None
        if response is None or response.sw in PERHAPS_NOT_SELECTED:
            self._disturbed()
            exchange(self.transport, commands.SELECT)
            response = transmit(self.transport, command, Form.P3)
        return _accepted(response, command)

    def _in_channel(self, command: Command) -> Response:
        """Send a command in the channel; one that is lost is opened once more."""
        self._resume()
        try:
            response = self._framed(command)
        except CardReset:
            response = None
        if response is not None and not self._lost(response.sw):
            return response
        self._reopen()
        return self._framed(command)

    def _presented(self, command: Command, *, counted: bool) -> bytes:
        """Send a command with a code; `counted` where a wrong one is seen at the PIN's counter."""
        self._resume()
        for _ in range(PRESENTED_MAX):
            before = self._tries
            try:
                response = self._framed(command)
            except CardReset as reset:
                if reset.sent and not counted:
                    raise
                self._reopen()
                left = self.status().pin_tries
                if left < before and not left:
                    raise PinBlocked("the card allows no more attempts") from None
                if left < before:
                    raise PinIncorrect(left) from None
                continue
            if not self._lost(response.sw):
                return _accepted(response, command)
            self._reopen()
        raise CardReset(
            f"another program resets the card: a code was presented {PRESENTED_MAX} times in vain"
        )

    def _reopen(self) -> None:
        log.debug("power, selection or channel is lost")
        self._disturbed()
        self.reopen_channel()

    def _framed(self, command: Command) -> Response:
        log.debug("in the channel: %r", command)
        frame = commands.process_channel(self._channel.wrap(command.encode(Form.P3)))
        response = transmit(self.transport, frame)
        if response.sw != SW_OK or not response.data:
            return response
        return Response(self._channel.unwrap(response.data))

    def _lost(self, sw: int) -> bool:
        """Tell whether the card knows no channel, or the card manager answers for the applet."""
        if sw in PERHAPS_NOT_SELECTED:
            return transmit(self.transport, commands.STATUS, Form.P3).sw != SW_OK
        return sw in CHANNEL_LOST

    def _log_in_again(self, pin: Pin) -> None:
        """Present the kept PIN once more; it was right before, so one refusal forgets it."""
        if self.status().pin_tries < SPARE_TRIES:
            self.pin.forget()
            raise NotUnlocked("the card wants its PIN again and allows one attempt")
        self.pin.value = None
        try:
            self._presented(commands.verify_pin(pin), counted=True)
        except CardError:
            pin.close()
            raise
        self.pin.value = pin


def _accepted(response: Response, command: Command) -> bytes:
    if response.sw != SW_OK:
        raise refusal(response.sw, command.ins)
    return response.data
