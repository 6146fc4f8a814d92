"""The way to one Keycard: selected, identified, its channel open, its login kept up."""

import logging
import secrets
from typing import Final

from cards.apdu import SW_OK, Command, Form, Response
from cards.errors import (
    CardError,
    CardNotInitialised,
    CardReset,
    NotGenuine,
    NotSupported,
    NotUnlocked,
    PairingRefused,
    PinBlocked,
    PinIncorrect,
    SecureChannelError,
    StatusWordError,
    WrongCard,
)
from cards.family import Surroundings
from cards.keycard import NAME, answers, attestation, commands
from cards.keycard.answers import Application, Certificate, Status, refusal
from cards.keycard.channel import (
    Channel,
    Pairing,
    default_secret,
    open_certified,
    open_paired,
    pair,
    secret_from,
)
from cards.keycard.wire import Sw
from cards.pin import KeptPin, Pin
from cards.transport import CardTransport, exchange, pause, transmit

log = logging.getLogger(__name__)
OLDEST: Final = (3, 1)
SPARE_TRIES: Final = 2
PRESENTED_MAX: Final = 3
REOPENED_MAX: Final = 3
NOT_SELECTED: Final = {Sw.UNKNOWN_INS, Sw.UNKNOWN_CLA}
PAIRING_LOST: Final = {Sw.SECURITY, Sw.WRONG_P1_P2}


class Link:
    """A transport with a Keycard on it.

    Mends once per command what another program broke: the selection, the channel, the login.
    What spends an attempt is sent once, and again only where the card's counter shows that none
    was spent.
    """

    def __init__(self, transport: CardTransport, surroundings: Surroundings) -> None:
        """Select the applet and have it prove who it is; no PIN is presented.

        Raises StatusWordError where there is no Keycard.
        """
        self.transport: Final = transport
        self._surroundings = surroundings
        self.pin: Final = KeptPin()
        self._channel: Channel | None = None
        self._just_selected = True
        self.application = self._selected()
        self.certificate: Final = self._identified(self.application)
        self.card_id = _name(self.application, self.certificate)
        if self.application.certified:
            self._channel = self._opened()

    def may_open(self) -> bool:
        """Tell whether the channel can be opened without taking a pairing slot, or may take one."""
        if not self._surroundings.look_only or self.application.certified:
            return True
        return self.kept_pairing() is not None

    def status(self) -> Status:
        """Ask for the counters, and whether there is a key; needs no PIN."""
        return answers.parse_status(self.send(commands.STATUS))

    def send(self, command: Command) -> bytes:
        """Send a command in the channel and return its answer; raises what a refusal means."""
        self._expect_set_up()
        response = self._mended(command)
        if response.sw == Sw.CONDITIONS:  # it misses the PIN, its key, or something else
            if self.pin.value is None:
                raise NotUnlocked("the card wants its PIN first")
            if not answers.parse_status(self._mended(commands.STATUS).data).has_key:
                raise CardNotInitialised("the card has no key")
            self._reopened()
            response = self._mended(command)
        return _accepted(response, command)

    def send_once(self, command: Command) -> bytes:
        """Send a command that must not be repeated; raises what a refusal means."""
        response = self._through(command, self._channel or self._reopened())
        if response is None:
            raise SecureChannelError("the card lost its channel while a code was presented")
        return _accepted(response, command)

    def select_again(self) -> Application:
        """Select the applet anew, which locks it; raises WrongCard where it is another card."""
        self._channel = None
        found = self._select_same()
        self._just_selected = True
        if not found.initialised:
            self.pin.forget()
        return found

    def _select_same(self) -> Application:
        """Select the applet; raises WrongCard where it is another card's.

        A card is told by its instance, else by its proof.
        """
        found, known = self._selected(), self.application
        if not (found.uid and found.uid == known.uid):
            name = _name(found, self._identified(found))
            if self.certificate is None and not known.uid:
                self.card_id = name
            if name != self.card_id and not (self.certificate is None and not found.uid):
                raise WrongCard(self.card_id, name)
        self.application = found
        return found

    def prove(self) -> Certificate | None:
        """Have the card prove its identity key afresh; None where nobody certified it."""
        if self.application.certified:
            self._channel = self._opened()
            return self.certificate
        if self.certificate is None:
            return None
        if self._channel is None:
            self.select_again()
            found = attestation.identified(self.transport)
        else:
            nonce = secrets.token_bytes(attestation.NONCE)
            answer = self.send(commands.identify(nonce))
            found = attestation.proven(nonce, answers.parse_proof(answer))
        if found is None or found.key != self.certificate.key:
            raise NotGenuine("it proved another key than before")
        return found

    def log_in(self, pin: Pin) -> None:
        """Present the PIN once, and keep a copy for a login that gets lost."""
        before = self._tries_left()
        command = commands.verify_pin(pin)
        for _ in range(PRESENTED_MAX):
            response = self._through(command, self._channel or self._reopened())
            if response is not None:
                _accepted(response, command)
                self.pin.keep(pin)
                return
            left = self._tries_left()
            if left < before:
                raise PinIncorrect(left)
        raise CardReset(
            f"another program resets the card: its PIN was presented {PRESENTED_MAX} times in vain"
        )

    def _tries_left(self) -> int:
        """Return how many attempts are left; raises PinBlocked where none is."""
        left = self.status().pin_tries
        if not left:
            raise PinBlocked("the card allows no more attempts")
        return left

    def pause(self) -> None:
        """Let other programs have the card; the next command selects it again."""
        self.pin.forget()
        pause(self.transport)
        self._channel, self._just_selected = None, False

    def pair(self, secret: bytes) -> bool:
        """Pair with a secret and open the channel; False where the card has another secret."""
        channel = self._opened_with(secret)
        self._channel, self._just_selected = channel, False
        return channel is not None

    def _opened_with(self, secret: bytes) -> Channel | None:
        """Pair and open; a pairing that lasts is kept once the card has proved to have it too."""
        made = pair(self.transport, secret)
        if made is None:
            return None
        channel = open_paired(self.transport, self.application.point, made)
        if made.lasting:
            self._surroundings.memory.write(self.card_id, made.encode())
        return channel

    def kept_pairing(self) -> Pairing | None:
        """Return the slot this card gave us, if it is kept."""
        kept = self._surroundings.memory.read(self.card_id)
        return None if kept is None else Pairing.decode(kept)

    def forget_pairing(self) -> None:
        """Forget the slot this card gave us."""
        self._surroundings.memory.forget(self.card_id)

    def _selected(self) -> Application:
        found = answers.parse_select(exchange(self.transport, commands.SELECT))
        if found.version is not None and found.version < OLDEST:
            raise _too_old()
        return found

    def _identified(self, application: Application) -> Certificate | None:
        """Learn whose key the card has; that 3.0 cannot tell gives it away before INIT."""
        if application.certified:
            return answers.parse_certificate(application.certificate)
        try:
            return attestation.identified(self.transport)
        except StatusWordError as refused:
            if refused.sw != Sw.UNKNOWN_INS:
                raise
        # An applet before 3.1, or a card that was reset and has nothing selected any more.
        self._selected()
        try:
            return attestation.identified(self.transport)
        except StatusWordError as refused:
            if refused.sw == Sw.UNKNOWN_INS:
                raise _too_old() from None
            raise

    def _expect_set_up(self) -> None:
        if not self.application.initialised:
            raise CardNotInitialised("the card has not been set up")

    def _opened(self) -> Channel:
        """Open a channel to the selected applet."""
        if self.application.certified:
            key = self.application.certificate[: answers.COMPRESSED]
            return open_certified(self.transport, key)
        self._expect_set_up()
        known = self._surroundings.memory.read(self.card_id) is not None
        kept = self.kept_pairing()
        try:
            if kept is not None:
                return open_paired(self.transport, self.application.point, kept)
        except StatusWordError as refused:
            if refused.sw not in PAIRING_LOST:
                raise
        if known and not self._surroundings.pair_anew():
            raise PairingRefused(self.card_id)
        if known:
            self._select_same()  # the card may have been let go of while a person was asked
        return self._paired()

    def _paired(self) -> Channel:
        """Open with the password every wallet knows, else with the owner's."""
        channel = self._opened_with(default_secret())
        given = None if channel else self._surroundings.secret("pairing")
        if given is not None:
            with given:
                self._select_same()  # as in _opened
                channel = self._opened_with(secret_from(given))
        if channel is None:
            raise CardError("the card has another pairing password than the one it was offered")
        return channel

    def _mended(self, command: Command) -> Response:
        """Send a command in the channel; one that is lost is opened once more."""
        for _ in range(2):
            channel = self._channel or self._reopened()
            self._expect_set_up()
            response = self._through(command, channel)
            if response is not None:
                return response
        raise SecureChannelError("the card refuses its channel, twice")

    def _reopened(self) -> Channel:
        """Select unless that has just been done, open the channel and log in again.

        A card that is reset meanwhile is opened from the beginning.
        """
        for _ in range(REOPENED_MAX):
            try:
                if not self._just_selected:
                    self.select_again()
                self._just_selected = False
                channel = self._opened()
                if self.pin.value is not None:
                    self._log_in_again(self.pin.value, channel)
            except CardReset:
                pass
            except StatusWordError as refused:
                if refused.sw not in NOT_SELECTED:
                    raise
            else:
                return channel
            self._surroundings.disturbed()
            self._just_selected = False
        raise CardReset(
            f"another program resets the card: its channel was opened {REOPENED_MAX} times in vain"
        )

    def _through(self, command: Command, channel: Channel) -> Response | None:
        """Send a command in a channel; None where the card has none or another one.

        A channel is kept only after a whole answer: each end must have counted the same.
        """
        self._channel, self._just_selected = None, False
        log.debug("in the channel: %r", command)
        try:
            answer = transmit(self.transport, channel.wrap(command), Form.P3)
        except CardReset:
            answer = None
        if answer is None or answer.sw != SW_OK:
            self._surroundings.disturbed()
            return None
        response = channel.unwrap(answer.data)
        self._channel = channel
        return response

    def _log_in_again(self, pin: Pin, channel: Channel) -> None:
        """Present the kept PIN once more; it was right before, so one refusal forgets it."""
        self.pin.value = None
        status = self._through(commands.STATUS, channel)
        if status is None:
            pin.close()
            raise CardReset("another program reset the card before its PIN was presented again")
        if answers.parse_status(status.data).pin_tries < SPARE_TRIES:
            pin.close()
            raise NotUnlocked("the card wants its PIN again and allows one attempt at most")
        response = self._through(commands.verify_pin(pin), channel)
        if response is None or response.sw != SW_OK:
            pin.close()
        if response is None:
            raise CardReset("another program reset the card while its PIN was presented again")
        if response.sw != SW_OK:
            raise NotUnlocked("the card wants its PIN again and refuses the one from before")
        self.pin.value = pin


def _name(application: Application, certificate: Certificate | None) -> str:
    """Return what the card is called: its identity key, else the instance it says it is."""
    return (certificate.key if certificate else application.uid or application.point).hex()


def _accepted(response: Response, command: Command) -> bytes:
    if response.sw != SW_OK:
        raise refusal(response.sw, command.ins)
    return response.data


def _too_old() -> NotSupported:
    return NotSupported(NAME, "versions before {}.{}: it gives no xpub away".format(*OLDEST))
