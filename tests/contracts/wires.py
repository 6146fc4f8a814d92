"""A wire to a card that counts, listens, cuts and lies, whatever the family."""

from collections.abc import Callable

from cards.errors import CardRemoved, CardReset
from cards.family import EmulatedCard
from cards.transport import PowerCycler

Change = Callable[[bytes], bytes]


class Wire:
    """Stands between driver and card; commands are counted from 0."""

    def __init__(self, card: EmulatedCard) -> None:
        self.inner = card.insert()
        self.sent: list[bytes] = []
        self.heard: list[bytes] = []
        self.before: dict[int, Callable[[], None]] = {}
        self.change: dict[int, Change] = {}
        self.closed = 0

    def transmit(self, apdu: bytes) -> bytes:
        number = len(self.sent)
        self.sent.append(apdu)
        self.before.get(number, bool)()
        answer = self.change.get(number, bytes)(self.inner.transmit(apdu))
        self.heard.append(answer)
        return answer

    def power_cycle(self) -> None:
        assert isinstance(self.inner, PowerCycler)
        self.inner.power_cycle()

    def close(self) -> None:
        self.closed += 1
        self.inner.close()

    def cost(self, act: Callable[[], object]) -> int:
        """Return how many commands an act sends."""
        start = len(self.sent)
        act()
        return len(self.sent) - start

    def remove_before(self, number: int) -> None:
        """Take the card away before it hears a command."""
        self.before[number] = self._removed

    def remove_after(self, number: int) -> None:
        """Take the card away when it has carried a command out and not yet answered."""
        self.change[number] = lambda _answer: self._removed()

    def reset_before(self, number: int) -> None:
        """Reset the card as a reader does that tells the next command of it."""

        def reset() -> None:
            self.power_cycle()
            raise CardReset("the card was reset")

        self.before[number] = reset

    def _removed(self) -> bytes:
        self.inner.close()
        raise CardRemoved("the card was taken away")


class SharedWire(Wire):
    """A wire that lets other programs have its card, which is reset for them."""

    def __init__(self, card: EmulatedCard) -> None:
        super().__init__(card)
        self.pauses = 0

    def pause(self) -> None:
        self.pauses += 1
        self.power_cycle()
