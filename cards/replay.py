"""A transport that plays a recorded transcript and refuses to differ."""

from collections.abc import Iterable
from typing import NamedTuple

from cards.errors import CardRemoved, ProtocolError


class Step(NamedTuple):
    """One recorded exchange: the command that must come and the answer it gets.

    A command of None stands for the card losing its power.
    """

    command: bytes | None
    answer: bytes = b""


POWER_CYCLE = Step(None)


class ReplayTransport:
    """A recording on a reader."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = tuple(steps)
        self._next = 0
        self._closed = False

    def transmit(self, apdu: bytes) -> bytes:
        """Return the recorded answer; raises ProtocolError for any command but the recorded one."""
        return self._play(apdu).answer

    def power_cycle(self) -> None:
        """Go past a recorded loss of power."""
        self._play(None)

    def close(self) -> None:
        """Let go of the recording."""
        self._closed = True

    def finished(self) -> bool:
        """Tell whether every step has been played."""
        return self._next == len(self._steps)

    def _play(self, found: bytes | None) -> Step:
        if self._closed:
            raise CardRemoved("the recording has been closed")
        if self.finished():
            raise ProtocolError(
                f"the recording ends after {self._next} steps, not at {_name(found)}"
            )
        step = self._steps[self._next]
        if step.command != found:
            raise ProtocolError(f"step {self._next} of the recording {_difference(step, found)}")
        self._next += 1
        return step


def _difference(step: Step, found: bytes | None) -> str:
    """Say what differs without showing data, which may be a secret."""
    said = f"expects {_name(step.command)}, found {_name(found)}"
    if step.command is None or found is None:
        return said
    pairs = zip(step.command, found, strict=False)
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(step.command), len(found)))
    return f"{said}: they differ from byte {same} on"


def _name(command: bytes | None) -> str:
    return f"{command[:4].hex()} of {len(command)} bytes" if command else "a power cycle"
