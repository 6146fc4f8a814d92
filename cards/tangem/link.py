"""The way to one Tangem: selected, encrypted as far as it wants, waited for."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from cards.apdu import SW_OK, Command, Form, Response
from cards.errors import CardReset, ProtocolError, StatusWordError
from cards.family import Surroundings
from cards.pin import Secret
from cards.tangem import commands
from cards.tangem.channel import Handshake, HostChannel
from cards.tangem.wire import PAUSE_MAX, Fields, Mode, Sw, Tag
from cards.transport import CardTransport, exchange, pause, transmit

log = logging.getLogger(__name__)
PATIENCE: Final = 60
WHOLE: Final = 0x10000
NOT_SELECTED = {Sw.UNKNOWN_INS, Sw.UNKNOWN_CLA}
# As the vendor sends, with a length of the answer, and short: what readers take differs.
FORMS: Final[tuple[tuple[Form, int | None], ...]] = (
    (Form.EXTENDED, None),
    (Form.EXTENDED, WHOLE),
    (Form.ISO, 256),
)


class Time(NamedTuple):
    """The clock that bounds a wait, and how to sleep."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Link:
    """A transport with a Tangem on it.

    Mends once per command what another program broke: the selection and the session.
    """

    def __init__(self, transport: CardTransport, surroundings: Surroundings, clock: Time) -> None:
        self._disturbed = surroundings.disturbed
        self.transport: Final = transport
        self._paused = False
        self.mode = Mode.NONE
        self.delay = 0
        self._progress = surroundings.progress
        self._clock = clock
        self._session: HostChannel | None = None
        self._forms = FORMS

    def select(self) -> None:
        """Select the applet; raises StatusWordError where there is no Tangem."""
        exchange(self.transport, commands.SELECT)

    def pause(self) -> None:
        """Let other programs have the card; the next command selects it again."""
        pause(self.transport)
        self.forget_session()
        self._paused = True

    def forget_session(self) -> None:
        """Open another session for the next command that needs one."""
        self._session = None

    def strengthen(self) -> None:
        """Encrypt strongly from now on."""
        if self.mode is not Mode.STRONG:
            self.mode = Mode.STRONG
            self.forget_session()

    def uid(self) -> bytes | None:
        """Return the chip's number, which a card tells without any code; None where it does not."""
        self.resume()
        self.forget_session()
        try:
            return self._shake_hands(max(self.mode, Mode.FAST))[1]
        except CardReset:
            pass
        except StatusWordError as refused:
            if refused.sw not in NOT_SELECTED:
                return None
        self._disturbed()
        self.select()
        with suppress(StatusWordError):
            return self._shake_hands(max(self.mode, Mode.FAST))[1]
        return None

    def send(self, command: Command, code: Secret, *, once: bool = False) -> Response:
        """Send a command and return its answer, whatever it says; encrypt more where it must.

        In a session that has not worked yet, a wrong code is all that can be told from an answer
        that does not decrypt. A command that may be carried out only `once` raises CardReset where
        the card may have heard it and its answer was lost.
        """
        response = self._mended(command, code, once=once)
        while response.sw == Sw.NEEDS_ENCRYPTION and self.mode is not Mode.STRONG:
            self.mode = Mode(self.mode + 1)
            self.forget_session()
            response = self._mended(command, code, once=once)
        return response

    def resume(self) -> None:
        """Select the card again after a pause."""
        if self._paused:
            self._paused = False
            self.select()

    def _mended(self, command: Command, code: Secret, *, once: bool) -> Response:
        """Send a command, and once more where selection or session were lost."""
        self.resume()
        try:
            response = self._framed(command, code)
        except CardReset as reset:
            if once and reset.sent:
                raise
            response = Response(sw=Sw.UNKNOWN_INS)
        except StatusWordError as refused:
            if refused.sw != Sw.NEEDS_ENCRYPTION:
                raise
            response = Response(sw=refused.sw)
        if response.sw in NOT_SELECTED:
            self._disturbed()
            self.select()
        elif response.sw != Sw.INVALID_PARAMS or self.mode is Mode.NONE:
            return response
        log.debug("power, selection or session is lost")
        self.forget_session()
        return self._framed(command, code)

    def _framed(self, command: Command, code: Secret) -> Response:
        """Send a command in the session, or plain."""
        log.debug("%s: %r", self.mode.name.lower(), command)
        if self.mode is Mode.NONE:
            return self._waited(command)
        session = self._session
        if session is None or not session.is_for(code):
            session = HostChannel.agreed(*self._shake_hands(self.mode), code)
            self._session = session
        sealed = replace(command, p1=self.mode, data=session.seal(command.data))
        response = session.unseal(self._waited(sealed))
        if response.sw == Sw.INVALID_PARAMS:
            self.forget_session()
            return response if session.proven else Response(sw=Sw.WRONG_CODE)
        session.proven = True
        return response

    def _shake_hands(self, mode: Mode) -> tuple[bytes, bytes]:
        """Return what both ends share, and the chip's number."""
        handshake = Handshake(mode)
        command = commands.open_session(mode, handshake.ours)
        response = self._waited(command)
        if response.sw != SW_OK:
            raise StatusWordError(response.sw, command.ins)
        shared, uid = handshake.finish(response.data)
        return shared, uid or exchange(self.transport, commands.CHIP_NUMBER)

    def _waited(self, command: Command) -> Response:
        """Send the same bytes again for as long as the card wants a pause; it has a bound."""
        deadline = self._clock.now() + PATIENCE + self.delay / 100
        last = None
        while (response := self._transmitted(command)).sw == Sw.PAUSE:
            left = Fields.parse(response.data).number(Tag.PAUSE, PAUSE_MAX) or 0
            self._progress("the card makes us wait", -(-left // 100))
            if self._clock.now() > deadline:
                raise ProtocolError(f"the card wants to be waited for after {PATIENCE} seconds")
            if last is not None and left >= last:
                self._clock.sleep(1)
            last = left
        return response

    def _transmitted(self, command: Command) -> Response:
        """Send a command in the first form that reader and card take."""
        for form, le in self._forms:
            response = transmit(self.transport, replace(command, le=le), form)
            if response.sw != Sw.WRONG_LENGTH:
                break
            self._forms = self._forms[1:] or self._forms
        return response
