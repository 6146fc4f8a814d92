"""Readers that watch, count, cut and garble what goes between driver and card."""

from collections.abc import Callable

from cards.emulation import EmulatedTransport
from cards.family import EmulatedCard, Surroundings
from cards.pin import Pin, Secret
from cards.satochip.session import SatochipSession, open_session
from cards.session import HARDENED as H

PIN = b"123456"
PUK = b"12345678"
SEED = bytes(range(64))
ACCOUNT = (48 | H, 1 | H, 0 | H, 2 | H)
LEAF = (*ACCOUNT, 0, 5)
DIGEST = bytes(range(32))


class Reader:
    """Counts commands, and does something before the next one where it is told to."""

    def __init__(self, card: EmulatedCard) -> None:
        self.inner = card.insert()
        assert isinstance(self.inner, EmulatedTransport)
        self.sent: list[bytes] = []
        self.before: Callable[[], None] | None = None
        self.replace: dict[int, Callable[[bytes], bytes]] = {}

    def transmit(self, apdu: bytes) -> bytes:
        before, self.before = self.before, None
        if before is not None:
            before()
        self.sent.append(apdu)
        return self.replace.get(len(self.sent), bytes)(self.inner.transmit(apdu))

    def next_answers(self, change: Callable[[bytes], bytes], *, after: int = 1) -> None:
        """Change the answer to the next command, or to one after it."""
        self.replace[len(self.sent) + after] = change

    def power_cycle(self) -> None:
        self.inner.power_cycle()

    def close(self) -> None:
        self.inner.close()

    def cost(self, act: Callable[[], object]) -> int:
        """Return how many commands an act sends."""
        start = len(self.sent)
        act()
        return len(self.sent) - start


def opened(card: EmulatedCard) -> tuple[SatochipSession, Reader]:
    reader = Reader(card)
    session = open_session(reader, Surroundings())
    assert isinstance(session, SatochipSession)
    return session, reader


def initialised(card: EmulatedCard) -> tuple[SatochipSession, Reader]:
    """A card with a PIN and no seed, unlocked."""
    session, reader = opened(card)
    session.initialise({"pin": Pin(PIN), "puk": Secret(PUK)})
    session.unlock(Pin(PIN))
    return session, reader


def seeded(card: EmulatedCard) -> tuple[SatochipSession, Reader]:
    """A card with PIN and seed, unlocked."""
    session, reader = initialised(card)
    session.load_seed(Secret(SEED))
    return session, reader
