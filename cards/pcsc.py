"""Readers on this machine, through PC/SC: the only place that speaks pyscard.

Its thin layer is used, which returns codes: the thick one loses some of them on the way.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Final

from cards.errors import (
    CardError,
    CardRemoved,
    CardReset,
    OutOfReach,
    ReaderNotFound,
    TransportError,
)

POLL: Final = 0.01
ANY_CARD: Final = -1
EVENTS: Final = 16
DONE: Final = 0
TIMEOUT: Final = 0x8010000A
NO_READERS: Final = 0x8010002E
NO_SERVICE: Final = {0x8010001D, 0x8010001E}
NOT_ALLOWED: Final = 0x8010006A
NOT_SHARED: Final = 0x8010000B
MEANINGS: Final[tuple[tuple[set[int], type[CardError], str], ...]] = (
    ({0x80100069, 0x8010000C, 0x80100067}, CardRemoved, "there is no card on reader {reader}"),
    # not transacted, communication error: what a card that leaves the field gives first
    ({0x80100016, 0x8010002F}, CardRemoved, "reader {reader} lost its card within a command"),
    ({0x80100068}, CardReset, "the card on reader {reader} was reset by another program"),
    ({0x80100009, 0x80100017}, ReaderNotFound, "there is no reader {reader}"),
    ({0x80100066}, TransportError, "the card on reader {reader} is mute; turn it over"),
)


def reader_names() -> list[str]:
    """Return the readers by name, in the order PC/SC has them; raises CardError without PC/SC."""
    with _context() as context:
        code, names = _scard().SCardListReaders(context, [])
    if _code(code) == NO_READERS:
        return []
    _expect(code, "the list of readers")
    return list(names)


def arrival(reader: str, seen: int, seconds: float) -> int | None:
    """Wait for a card put in after the insertion of number `seen` (-1: any card at all).

    Returns its number, the reader's count of events; None when time is up.
    """
    deadline, was_empty = time.monotonic() + seconds, False
    scard = _scard()
    with _context() as context:
        code, states = scard.SCardGetStatusChange(context, 0, [(reader, 0)])
        while True:
            if _code(code) not in {DONE, TIMEOUT}:
                _expect(code, reader)
            _, state, _ = states[0]
            number = (state & 0xFFFFFFFF) >> EVENTS
            present = bool(state & scard.SCARD_STATE_PRESENT)
            if present and (number > seen or was_empty):
                return int(number)
            was_empty = was_empty or not present  # a fast exchange is not always counted
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL)  # pyscard would keep every other thread waiting with it
            code, states = scard.SCardGetStatusChange(context, 0, [(reader, 0)])


class ReaderTransport:
    """A card on a reader, shared with other programs.

    Once another program reset it (CardReset) or it was taken out (CardRemoved), connect anew.
    """

    def __init__(self, reader: str) -> None:
        """Give the card power; raises CardRemoved where there is none, ReaderNotFound."""
        self._reader = reader
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            context = undo.enter_context(_context())
            scard = _scard()
            code, self._card, protocol = scard.SCardConnect(
                context, reader, scard.SCARD_SHARE_SHARED, _either(scard)
            )
            _expect(code, reader)
            undo.callback(scard.SCardDisconnect, self._card, scard.SCARD_RESET_CARD)
            self._closing = undo.pop_all()
        self._pci = _pci(scard, protocol)
        self._lock = threading.Lock()
        self._open = True

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command APDU, short or extended, and return data and status word."""
        with self._lock:
            if not self._open:
                raise CardRemoved(f"the card on reader {self._reader} has been let go")
            code, answer = _scard().SCardTransmit(self._card, self._pci, list(apdu))
        _expect(code, self._reader)
        return bytes(answer)

    def power_cycle(self) -> None:
        """Take the card's power away and give it back."""
        scard = _scard()
        with self._lock:
            code, protocol = scard.SCardReconnect(
                self._card, scard.SCARD_SHARE_SHARED, _either(scard), scard.SCARD_UNPOWER_CARD
            )
        _expect(code, self._reader)
        self._pci = _pci(scard, protocol)

    def close(self) -> None:
        """Reset the card, so that nothing stays unlocked, and let go of it."""
        with self._lock:
            self._open = False
            self._closing.close()


@contextlib.contextmanager
def _context() -> Iterator[int]:
    """Hold a connection to the PC/SC service."""
    scard = _scard()
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _expect(code, "PC/SC")
    try:
        yield context
    finally:
        scard.SCardReleaseContext(context)


def _expect(code: int, reader: str) -> None:
    """Raise what a code means, with the reader's name."""
    code = _code(code)
    if code == DONE:
        return
    if code in NO_SERVICE:
        raise OutOfReach(
            "the PC/SC service does not run",
            "install and start pcscd (Debian: apt install pcscd; systemctl start pcscd.socket)",
        )
    if code == NOT_ALLOWED:
        raise OutOfReach(
            "this user may not use PC/SC: pcscd asks polkit, which says no in a remote session",
            "run it at the machine itself, or allow org.debian.pcsc-lite.access_card",
        )
    if code == NOT_SHARED:
        raise OutOfReach(
            f"another program keeps reader {reader} for itself",
            "close the other program, then run the same command again",
        )
    raise _meaning(code, reader)


def _meaning(code: int, reader: str) -> CardError:
    for codes, kind, sentence in MEANINGS:
        if code in codes:
            return kind(sentence.format(reader=reader))
    said = _scard().SCardGetErrorMessage(code)
    return TransportError(f"reader {reader} failed: {said.rstrip('.')} ({code:08X})")


def _either(scard: ModuleType) -> int:
    return int(scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1)


def _pci(scard: ModuleType, protocol: int) -> int:
    t0 = protocol == scard.SCARD_PROTOCOL_T0
    return int(scard.SCARD_PCI_T0 if t0 else scard.SCARD_PCI_T1)


def _code(code: int) -> int:
    """Return a code as PC/SC's documents write it."""
    return code & 0xFFFFFFFF


@cache
def _scard() -> ModuleType:
    """Return pyscard's thin layer, loaded when a reader is first wanted."""
    try:
        from smartcard import scard  # noqa: PLC0415 -- see the docstring
    except ImportError as failure:
        raise OutOfReach(
            f"real readers need pyscard, which cannot be loaded ({failure.name or failure})",
            "install it: pip install 'cardquorum[pcsc]'",
        ) from None
    return scard
