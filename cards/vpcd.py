"""An emulated card in a virtual PC/SC reader (vsmartcard's vpcd), for any program to use."""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from functools import reduce
from operator import xor
from typing import Final, Self

from cards.errors import CardError, CardReset
from cards.transport import CardTransport, PowerCycler

log = logging.getLogger(__name__)
POWER_ON, RESET, ANSWER_TO_RESET = 1, 2, 4
LENGTH: Final = 2
PATIENCE: Final = 0.1
OUT_SECONDS: Final = 0.6
"""How long a card stays out at least: pcscd does not see an exchange faster than it polls."""
QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
HISTORICAL: Final = bytes.fromhex("8073c021c0")
"""Historical bytes whose card capabilities say: extended lengths (ISO 7816-4, 12.1.1.9)."""
AFTER_TS: Final = bytes([0x80 | len(HISTORICAL), 0x80, 0x01]) + HISTORICAL
ATR: Final = b"\x3b" + AFTER_TS + bytes([reduce(xor, AFTER_TS)])
"""That of a contactless card: T=1, and extended lengths."""


class VirtualReader:
    """One card in one slot of vpcd: inserted, ejected, served by a thread of its own.

    A card that cannot answer (torn, ejected by a fault) vanishes from the reader; it is back as
    soon as `present` says so and it can be opened again.
    """

    def __init__(
        self, port: int, connect: Callable[[], CardTransport], present: Callable[[], bool]
    ) -> None:
        """Serve what `connect` opens at vpcd's port on this machine, from now until `close`."""
        self._port = port
        self._connect = connect
        self._present = present
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"vpcd {port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take the card out and stop."""
        self._ended.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._ended.is_set():
            if self._is_in():
                self._insertion()
                self._ended.wait(OUT_SECONDS)
            self._ended.wait(PATIENCE)

    def _is_in(self) -> bool:
        return self._present() and not self._ended.is_set()

    def _insertion(self) -> None:
        """Serve the card until it is taken out, or fails."""
        try:
            with contextlib.ExitStack() as put_in:
                card = self._connect()
                put_in.callback(card.close)
                line = put_in.enter_context(_Line(self._port))
                while self._is_in():
                    message = line.received()
                    if message is None:
                        continue
                    answer = _answer(card, message)
                    if answer == b"":
                        break
                    if answer is not None:
                        line.send(answer)
        except (CardError, OSError) as failure:
            log.info("the card at port %d is out: %s", self._port, failure)


class _Line:
    """A connection to a slot of vpcd: messages of at most 65,535 bytes after their length."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def received(self) -> bytes | None:
        """Return the next message; None where none begins for a moment."""
        first = self._some(LENGTH, begun=False)
        if first is None:
            return None
        return self._some(int.from_bytes(first, "big"), begun=True)

    def send(self, message: bytes) -> None:
        self._socket.sendall(len(message).to_bytes(LENGTH, "big") + message)

    def _some(self, size: int, *, begun: bool) -> bytes | None:
        data = b""
        while len(data) < size:
            if QUICKACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
            try:
                more = self._socket.recv(size - len(data))
            except TimeoutError:
                if begun or data:
                    continue
                return None
            if not more:
                raise ConnectionError("the virtual reader is gone")
            data += more
        return data


def _answer(card: CardTransport, message: bytes) -> bytes | None:
    """Do what vpcd asks for; only an APDU and the ATR are answered."""
    if len(message) != 1:
        try:
            return card.transmit(message)
        except CardReset as reset:
            if reset.sent:
                raise
            return card.transmit(message)  # the reader itself reset the card, and nobody knows
    asked = message[0]
    if asked == ANSWER_TO_RESET:
        return ATR
    if asked in {POWER_ON, RESET} and isinstance(card, PowerCycler):
        card.power_cycle()
    return None
