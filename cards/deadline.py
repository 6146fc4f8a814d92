"""A deadline for every answer: what is overdue is given up, and the program goes on."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from cards.errors import TransportError
from cards.pcsc import WAIT_SECONDS, kept_by_another
from cards.transport import CardTransport, PowerCycler, SharedReader

T = TypeVar("T")
SECONDS: Final = 30.0
"""Longer than any command of these families takes; their own delays are polled."""
KEEP_ALIVE: Final = 2.0
TOLD_AFTER: Final = 1.0


class DeadlineTransport:
    """A transport that is given up once an answer, or the card itself, is overdue.

    PC/SC cannot cancel a call: the thread that waits for it is left behind (a daemon, so the
    program can end), and lets go of the card should it get it after all. That one thread makes
    every call, and shows between commands that the card is still in use.
    """

    def __init__(
        self,
        connect: Callable[[], CardTransport],
        name: str,
        seconds: float = SECONDS,
        *,
        take_seconds: float = WAIT_SECONDS,
    ) -> None:
        """Connect with the first command; wait `seconds` for each answer of the card."""
        self._connect = connect
        self._name = name
        self._seconds = seconds
        self._take_seconds = take_seconds
        self._transport: CardTransport | None = None
        self._tell: Callable[[str], None] = lambda _sentence: None
        self._told = False
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended = False
        threading.Thread(target=self._wait_for_the_card, name=f"card {name}", daemon=True).start()

    def tell_contention(self, tell: Callable[[str], None]) -> None:
        """Say it to `tell`, in a sentence, when another program is met on the reader."""
        self._tell = tell

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command APDU; raises TransportError where no answer comes in time."""
        transport = self._taken()
        try:
            return self._in_time(lambda: transport.transmit(apdu))
        finally:
            self._tell_of_others()

    def power_cycle(self) -> None:
        """Take the card's power away and give it back."""
        transport = self._taken()
        if isinstance(transport, PowerCycler):
            self._in_time(transport.power_cycle)

    def pause(self) -> None:
        """Reset the card and let other programs have it; the next command takes it back."""
        if isinstance(self._transport, SharedReader) and not self._ended:
            self._in_time(self._transport.pause)

    def close(self) -> None:
        """Let go of the card, unless it never answered; closing twice is allowed."""
        if self._ended:
            return
        if self._transport is not None:
            self._in_time(self._transport.close)
        self._end()

    def _taken(self) -> CardTransport:
        """Return the transport, its card ours alone, where a reader can do that."""
        transport = self._transport
        if transport is None:
            transport = self._without_others(self._open)
        elif isinstance(transport, SharedReader) and not transport.held:
            self._without_others(transport.take)
        self._tell_of_others()
        return transport

    def _open(self) -> CardTransport:
        transport = self._connect()
        self._transport = transport
        return transport

    def _without_others(self, act: Callable[[], T]) -> T:
        """Wait for the card; say so after a moment, and give it up as kept by another program."""
        answer = self._begun(act)
        for seconds in (TOLD_AFTER, self._take_seconds):
            try:
                return answer.result(seconds)
            except TimeoutError:
                self._say(f"another program uses reader {self._name}; waiting for it")
        self._end(self._leave)
        raise kept_by_another(self._name)

    def _in_time(self, act: Callable[[], T]) -> T:
        answer = self._begun(act)
        try:
            return answer.result(self._seconds)
        except TimeoutError:
            self._end(self._close_late)
            raise TransportError(
                f"the card on reader {self._name} gave no answer for {self._seconds:g} seconds; "
                "it was given up"
            ) from None

    def _begun(self, act: Callable[[], T]) -> "Future[T]":
        if self._ended:
            raise TransportError(f"the card on reader {self._name} was let go or given up")
        answer: Future[T] = Future()
        self._work.put(lambda: _settle(answer, act))
        return answer

    def _tell_of_others(self) -> None:
        if isinstance(self._transport, SharedReader) and self._transport.contended:
            self._say(f"another program uses reader {self._name} too; it has to wait meanwhile")

    def _say(self, sentence: str) -> None:
        told, self._told = self._told, True
        if not told:
            self._tell(sentence)

    def _end(self, late: Callable[[], None] | None = None) -> None:
        """Ask nothing any more; `late` is done should an overdue call ever come back."""
        self._ended = True
        if late is not None:
            self._work.put(lambda: _settle(Future(), late))
        self._work.put(None)

    def _leave(self) -> None:
        if isinstance(self._transport, SharedReader):
            self._transport.leave()
        else:
            self._close_late()

    def _close_late(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _wait_for_the_card(self) -> None:
        while True:
            try:
                act = self._work.get(timeout=KEEP_ALIVE)
            except queue.Empty:
                if isinstance(self._transport, SharedReader):
                    _settle(Future(), self._transport.keep_alive)
                continue
            if act is None:
                return
            act()


class _HandedOver:
    """Hands what goes wrong over to whoever waits for the answer."""

    def __init__(self, answer: Future[T]) -> None:
        self._answer = answer

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: object
    ) -> bool:
        if error is not None:
            self._answer.set_exception(error)
        return error is not None


def _settle(answer: Future[T], act: Callable[[], T]) -> None:
    with _HandedOver(answer):
        answer.set_result(act())
