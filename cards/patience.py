"""A deadline for every answer: what is overdue is given up, and the program goes on."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from cards.errors import TransportError
from cards.transport import CardTransport, PowerCycler

T = TypeVar("T")
SECONDS: Final = 30.0
"""Longer than any command of these families takes; their own delays are polled."""


class Patient:
    """A transport that is given up once an answer is overdue.

    PC/SC cannot cancel a command: the thread that waits for it is left behind (a daemon, so the
    program can end), and nothing is asked of that transport any more.
    """

    def __init__(self, transport: CardTransport, name: str, seconds: float = SECONDS) -> None:
        """Wait `seconds` for each answer of the card at the reader of that name."""
        self._transport = transport
        self._name = name
        self._seconds = seconds
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended = False
        threading.Thread(target=self._wait_for_the_card, name=f"card {name}", daemon=True).start()

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command APDU; raises TransportError where no answer comes in time."""
        return self._in_time(lambda: self._transport.transmit(apdu))

    def power_cycle(self) -> None:
        """Take the card's power away and give it back."""
        if isinstance(self._transport, PowerCycler):
            self._in_time(self._transport.power_cycle)

    def close(self) -> None:
        """Let go of the card, unless it never answered; closing twice is allowed."""
        if not self._ended:
            self._in_time(self._transport.close)
            self._end()

    def _in_time(self, act: Callable[[], T]) -> T:
        if self._ended:
            raise TransportError(f"the card on reader {self._name} was let go or given up")
        answer: Future[T] = Future()
        self._work.put(lambda: _settle(answer, act))
        try:
            return answer.result(self._seconds)
        except TimeoutError:
            self._end()
            raise TransportError(
                f"the card on reader {self._name} gave no answer for {self._seconds:g} seconds; "
                "it was given up"
            ) from None

    def _end(self) -> None:
        self._ended = True
        self._work.put(None)

    def _wait_for_the_card(self) -> None:
        while (act := self._work.get()) is not None:
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
