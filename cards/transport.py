"""Bytes at the seam: what carries an APDU, and the one function that sends."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

from cards.apdu import SW_OK, Command, Form, Response
from cards.errors import CardRemoved, ProtocolError, StatusWordError

log = logging.getLogger(__name__)
GET_RESPONSE_ROUNDS = 256
ANSWER_MAX = 1 << 16
"""What one answer of extended length holds; no card here has more to say at once."""
SW1_MORE_DATA = 0x61
SW1_WRONG_LE = 0x6C


class CardTransport(Protocol):
    """A card that can be spoken to: a reader, an emulator, a recording, a fault injector."""

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command APDU and return data and status word.

        Raises TransportError where nothing came back.
        """

    def close(self) -> None:
        """Let go of the card; closing twice is allowed."""


@runtime_checkable
class PowerCycler(Protocol):
    """A transport that can take the card's power away and give it back."""

    def power_cycle(self) -> None:
        """Power the card off and on: it forgets selection, channel and login."""


@runtime_checkable
class Pausable(Protocol):
    """A transport that keeps its card from other programs, and can let them have it for a while."""

    def pause(self) -> None:
        """Reset the card and let others have it; the next command takes it back."""


@runtime_checkable
class SharedReader(Pausable, Protocol):
    """A card on a reader that other programs may use as well: ours alone while it is held.

    `contended` tells that another program was met on the reader.
    """

    held: bool
    contended: bool

    def take(self) -> None:
        """Keep the card to ourselves; blocks while another program does."""

    def keep_alive(self) -> None:
        """Show that the card is still in use; does nothing where it is not held."""

    def leave(self) -> None:
        """Let go of the card as it is, for good."""


@runtime_checkable
class Contended(Protocol):
    """A transport that tells when another program uses its reader."""

    def tell_contention(self, tell: Callable[[str], None]) -> None:
        """Say it to `tell`, in a sentence."""


def pause(transport: CardTransport) -> None:
    """Let other programs have the card for a while, where that means anything."""
    if isinstance(transport, Pausable):
        transport.pause()


def transmit(transport: CardTransport, command: Command, form: Form = Form.ISO) -> Response:
    """Send a command and return its answer whatever the status word.

    61xx is followed with GET RESPONSE, 6Cxx by asking again with the right length (ISO 7816-4),
    but not where the command carries data: the card may have carried it out. Raises ProtocolError
    for an answer that is longer than any, or does not end.
    """
    log.debug("> %r", command)
    response = _answered(transport, command.encode(form))
    if response.sw >> 8 == SW1_WRONG_LE and not command.data:
        exact = replace(command, le=(response.sw & 0xFF) or 256)
        response = _answered(transport, exact.encode())
    data = response.data
    for _ in range(GET_RESPONSE_ROUNDS):
        if len(data) > ANSWER_MAX:
            raise ProtocolError(
                f"the card answers with {len(data)} bytes, {ANSWER_MAX} are the most"
            )
        if response.sw >> 8 != SW1_MORE_DATA:
            log.debug("< %d bytes, %04X", len(data), response.sw)
            return Response(data, response.sw)
        more = Command(command.cla, 0xC0, le=(response.sw & 0xFF) or 256)
        response = _answered(transport, more.encode())
        data += response.data
    raise ProtocolError(f"the card announces more data after {GET_RESPONSE_ROUNDS} answers")


def _answered(transport: CardTransport, apdu: bytes) -> Response:
    """Send an APDU; an empty answer is what some readers give when their card is taken away."""
    answer = transport.transmit(apdu)
    if not answer:
        raise CardRemoved("the card gave an empty answer: it was taken off the reader")
    return Response.parse(answer)


def exchange(transport: CardTransport, command: Command, form: Form = Form.ISO) -> bytes:
    """Send a command and return its data; any status but 9000 raises StatusWordError."""
    response = transmit(transport, command, form)
    if response.sw != SW_OK:
        raise StatusWordError(response.sw, command.ins)
    return response.data
