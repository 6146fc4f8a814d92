"""A transport that loses power, delays and garbles as it is told: for tests and drills.

Faults are values. Those that happen once are gone when they have happened: power lost at the Nth
command (of an instruction, or any) before or after the card has carried it out, another program's
reset in between, a status word in the card's place, an answer cut short, padded, or with one bit
turned over, an empty one as some readers give when their card is taken away. A delay and an
ejected card stay until they are taken back.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from cards.errors import CardRemoved, CardReset, TransportError
from cards.transport import CardTransport, PowerCycler

FILLER = b"\xa5"
GRAMMAR = (
    "eject, insert, tear N before|after [INS], reset N [INS], vanish N, delay MS, sw HEX [N], "
    "truncate BYTES [N], oversize BYTES [N], flip BIT [N] or clear"
)


@dataclass(frozen=True)
class Ejected:
    """The card is off the reader until it is inserted."""


@dataclass(frozen=True)
class Delayed:
    """Every command takes this much longer."""

    milliseconds: int


@dataclass(frozen=True)
class Torn:
    """Power is lost at the Nth command of an instruction, executed by then or not."""

    number: int
    executed: bool
    ins: int | None = None


@dataclass(frozen=True)
class Intruded:
    """Another program resets the card before the Nth command, which is not sent."""

    number: int
    ins: int | None = None


@dataclass(frozen=True)
class Vanished:
    """The Nth command gets an empty answer: the card was taken off the reader."""

    number: int = 1


@dataclass(frozen=True)
class Forced:
    """The Nth command gets this status word; the card does not hear the command."""

    sw: int
    number: int = 1


@dataclass(frozen=True)
class Truncated:
    """The Nth answer, status word and all, is cut to its first bytes."""

    size: int
    number: int = 1


@dataclass(frozen=True)
class Oversized:
    """The Nth answer has so many bytes more before its status word."""

    size: int
    number: int = 1


@dataclass(frozen=True)
class Flipped:
    """One bit of the Nth answer is turned over, counted from its first, round and round."""

    bit: int
    number: int = 1


Once = Torn | Intruded | Vanished | Forced | Truncated | Oversized | Flipped
Fault = Ejected | Delayed | Once
Faults = tuple[Fault, ...]


class Pending(Protocol):
    """Where faults wait for their command."""

    def meet(self, apdu: bytes) -> Faults:
        """Count a command against the faults that wait; return those that happen at it."""


def met(faults: Faults, apdu: bytes) -> tuple[Faults, Faults]:
    """Return the faults that happen at a command, and those that wait after it."""
    happening: list[Fault] = []
    waiting: list[Fault] = []
    for fault in faults:
        if isinstance(fault, Ejected | Delayed):
            happening.append(fault)
            waiting.append(fault)
        elif isinstance(fault, Torn | Intruded) and fault.ins not in {None, *apdu[1:2]}:
            waiting.append(fault)
        elif fault.number == 1:
            happening.append(fault)
        else:
            waiting.append(replace(fault, number=fault.number - 1))
    return tuple(happening), tuple(waiting)


def garbled(answer: bytes, fault: Fault) -> bytes:
    """Return the answer as a fault leaves it."""
    match fault:
        case Truncated(size):
            return answer[:size]
        case Oversized(size):
            return answer[:-2] + FILLER * size + answer[-2:]
        case Flipped(bit) if answer:
            at, mask = bit // 8 % len(answer), 0x80 >> bit % 8
            return answer[:at] + bytes([answer[at] ^ mask]) + answer[at + 1 :]
    return answer


class Faulty:
    """A card on a reader where things go wrong."""

    def __init__(self, transport: CardTransport, pending: Pending) -> None:
        """Put the faults that wait, now and later, between driver and card."""
        self._transport = transport
        self._pending = pending
        self._gone = ""

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command through whatever happens; raises CardRemoved once power is lost."""
        if self._gone:
            raise CardRemoved(self._gone)
        active = self._pending.meet(apdu)
        if delay := sum(f.milliseconds for f in active if isinstance(f, Delayed)):
            time.sleep(delay / 1000)
        self._lose_power(active, executed=False)
        if any(isinstance(fault, Intruded) for fault in active):
            self.power_cycle()
            raise CardReset("another program reset the card", sent=False)
        if any(isinstance(fault, Vanished) for fault in active):
            self._gone = "the card was taken off the reader; put it back"
            self._transport.close()
            return b""
        forced = [fault.sw for fault in active if isinstance(fault, Forced)]
        answer = forced[0].to_bytes(2) if forced else self._transport.transmit(apdu)
        self._lose_power(active, executed=True)
        for fault in active:
            answer = garbled(answer, fault)
        return answer

    def power_cycle(self) -> None:
        """Power the card off and on; one that lost its power by a fault stays without."""
        if self._gone:
            raise CardRemoved(self._gone)
        if not isinstance(self._transport, PowerCycler):
            raise TransportError("the reader under the faults cannot cut the card's power")
        self._transport.power_cycle()

    def close(self) -> None:
        """Let go of the card."""
        self._gone = self._gone or "the card has been let go of"
        self._transport.close()

    def _lose_power(self, active: Faults, *, executed: bool) -> None:
        for fault in active:
            if isinstance(fault, Ejected) and not executed:
                self._gone = "the card was ejected"
            elif isinstance(fault, Torn) and fault.executed == executed:
                self._gone = "the card lost power; put it on the reader again"
        if self._gone:
            self._transport.close()
            raise CardRemoved(self._gone)


def told(pending: Faults, words: str) -> Faults:
    """Return what waits after somebody said a fault, `insert` or `clear`; raises ValueError."""
    if words == "clear":
        return ()
    if words == "insert":
        return tuple(fault for fault in pending if not isinstance(fault, Ejected))
    said = parse(words)
    once = isinstance(said, Once)
    return (*(fault for fault in pending if once or type(fault) is not type(said)), said)


def parse(words: str) -> Fault:
    """Return the fault in the command line's words; raises ValueError."""
    for pattern, fault in _SPOKEN:
        if found := re.fullmatch(pattern, words):
            return fault(*found.groups())
    raise ValueError(f"{words!r} is no fault; there is {GRAMMAR}")


def words_of(fault: Fault) -> str:
    """Return a fault in the command line's words."""
    match fault:
        case Ejected():
            return "eject"
        case Delayed(milliseconds):
            return f"delay {milliseconds}"
        case Torn(number, executed, ins):
            return f"tear {number} {'after' if executed else 'before'}{_of(ins)}"
        case Intruded(number, ins):
            return f"reset {number}{_of(ins)}"
        case Vanished(number):
            return f"vanish {number}"
        case Forced(sw, number):
            words = f"sw {sw:04x}"
        case Truncated(size, number):
            words = f"truncate {size}"
        case Oversized(size, number):
            words = f"oversize {size}"
        case Flipped(bit, number):
            words = f"flip {bit}"
    return words if number == 1 else f"{words} {number}"


def _of(ins: int | None) -> str:
    return "" if ins is None else f" {ins:02x}"


def _torn(number: str, moment: str, ins: str | None) -> Fault:
    return Torn(int(number), moment == "after", int(ins, 16) if ins else None)


def _intruded(number: str, ins: str | None) -> Fault:
    return Intruded(int(number), int(ins, 16) if ins else None)


_N = "([1-9][0-9]{0,4})"
_SPOKEN: tuple[tuple[str, Callable[..., Fault]], ...] = (
    ("eject", Ejected),
    ("delay ([0-9]{1,6})", lambda ms: Delayed(int(ms))),
    (f"tear {_N} (before|after)(?: ([0-9a-fA-F]{{2}}))?", _torn),
    (f"reset {_N}(?: ([0-9a-fA-F]{{2}}))?", _intruded),
    (f"vanish {_N}", lambda n: Vanished(int(n))),
    (f"sw ([0-9a-fA-F]{{4}})(?: {_N})?", lambda sw, n: Forced(int(sw, 16), int(n or 1))),
    (f"truncate ([0-9]{{1,5}})(?: {_N})?", lambda size, n: Truncated(int(size), int(n or 1))),
    (f"oversize ([0-9]{{1,5}})(?: {_N})?", lambda size, n: Oversized(int(size), int(n or 1))),
    (f"flip ([0-9]{{1,5}})(?: {_N})?", lambda bit, n: Flipped(int(bit), int(n or 1))),
)
