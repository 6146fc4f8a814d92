"""Readers on this machine, through PC/SC: the only place that speaks pyscard.

Its thin layer is used, which returns codes: the thick one loses some of them on the way. Whatever
else it raises (a reader's name that is no text, an error of its own) is translated here too.

A card is shared with other programs by a transaction: connected shared, ours alone from SELECT to
the last signature, reset before anybody else gets it.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from functools import cache
from types import ModuleType, TracebackType
from typing import Final

from cards.errors import (
    CardError,
    CardRemoved,
    CardReset,
    OutOfReach,
    ReaderNotFound,
    ReadersUnlisted,
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
WRONG_PROTOCOL: Final = 0x8010000F
UNPOWERED: Final = 0x80100067
RESET: Final = 0x80100068
BUSY: Final = {NOT_SHARED, WRONG_PROTOCOL}
"""What a connect gets while another program keeps the reader; the second on macOS."""
RESET_BY_ANOTHER: Final = {RESET, UNPOWERED, WRONG_PROTOCOL}
"""What a command gets after another program reset the card; the second and third race it."""
WAIT_SECONDS: Final = 10.0
PAUSES: Final = (0.1, 0.2, 0.4, 0.8)
LONGEST_PAUSE: Final = 1.0
NOTICED_SECONDS: Final = 1.0
"""How long a reader may take to notice that its card left: pcscd asks it a few times a second."""
BEGIN_TRIES: Final = 10
LOOKS: Final = 8
LOOK_APART: Final = 0.002
CLOSE_THE_OTHER: Final = "close the other program, then run the same command again"
REMOVED: Final = {0x80100069, 0x8010000C}
Insertions = tuple[tuple[str, int | None], ...]
LOST: Final = {0x80100016, 0x8010002F}
"""Not transacted, communication error: what a card that leaves the field gives first."""
MEANINGS: Final[tuple[tuple[set[int], type[CardError], str], ...]] = (
    (REMOVED, CardRemoved, "there is no card on reader {reader}"),
    (LOST, CardRemoved, "reader {reader} lost its card within a command"),
    ({RESET}, CardReset, "the card on reader {reader} was reset by another program"),
    ({0x80100009, 0x80100017}, ReaderNotFound, "there is no reader {reader}"),
    (
        {0x80100066, UNPOWERED},
        TransportError,
        "the card on reader {reader} is mute; turn it over, or lay it down again",
    ),
)


def reader_names() -> list[str]:
    """Return the readers by name, in the order PC/SC has them; raises CardError without PC/SC."""
    with _context() as context:
        return _names(context)


def insertions(before: Insertions = (), seconds: float = 0) -> Insertions:
    """Return every reader with the number of the insertion of its card, None where it is empty.

    Waits so many seconds for anything else than `before`. A reader whose name pyscard cannot pass
    on always counts as one with a card. Raises CardError without PC/SC.
    """
    with _context() as context, _Translated("the readers"):
        names = _names(context)
        known = [(name, 0) for name in names if name.isascii()]
        states = _states(context, known, 0, subject="the readers") if known else {}
        if states and _inserted(names, states) == before:
            states = _states(context, list(states.items()), seconds, subject="the readers")
        return _inserted(names, states)


def arrival(reader: str, seen: int, seconds: float) -> int | None:
    """Wait for a card put in after the insertion of number `seen` (-1: any card at all).

    Returns its number, the reader's count of events; None when time is up.
    """
    deadline, was_empty = time.monotonic() + seconds, False
    with _context() as context, _Translated(reader):
        while True:
            state = _states(context, [(reader, 0)], 0, subject=reader)[reader]
            present = bool(state & _scard().SCARD_STATE_PRESENT)
            if present and (state >> EVENTS > seen or was_empty):
                return state >> EVENTS
            was_empty = was_empty or not present  # a fast exchange is not always counted
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL)


def _names(context: int) -> list[str]:
    with _Translated("the list of readers"):
        code, names = _scard().SCardListReaders(context, [])
    if _code(code) == NO_READERS:
        return []
    _expect(code, "the list of readers")
    return list(names)


def _states(
    context: int, known: list[tuple[str, int]], seconds: float, *, subject: str
) -> dict[str, int]:
    """Return the states of readers, by name; waits until one is another than it was known to be."""
    code, states = _scard().SCardGetStatusChange(context, round(seconds * 1000), known)
    if _code(code) != TIMEOUT:
        _expect(code, subject)
    return {name: state & 0xFFFFFFFF for name, state, _ in states}


def _inserted(names: list[str], states: dict[str, int]) -> Insertions:
    present = _scard().SCARD_STATE_PRESENT
    numbers = {name: state >> EVENTS if state & present else None for name, state in states.items()}
    return tuple((name, numbers.get(name, ANY_CARD)) for name in names)


class ReaderTransport:
    """A card on a reader, kept from other programs while it is held.

    Once another program reset it (CardReset) or after `pause`, the next command takes it again,
    and finds nothing selected; after CardRemoved, connect anew. Waits for a program that keeps the
    reader for `wait_seconds`, but without any limit for one that is within a transaction: its
    calls belong into a thread that can be left behind.
    """

    def __init__(self, reader: str, wait_seconds: float = WAIT_SECONDS) -> None:
        """Give the card power; raises CardRemoved where there is none, ReaderNotFound."""
        self.contended = False
        self._reader = reader
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._card: int | None = None
        self._pci = 0
        self._ended = ""
        with contextlib.ExitStack() as undo:
            self._context = undo.enter_context(_context())
            self.take()
            self._closing = undo.pop_all()

    @property
    def held(self) -> bool:
        """Tell whether the card is ours alone just now."""
        return self._card is not None

    def take(self) -> None:
        """Connect, begin a transaction, and learn the protocol inside it."""
        with self._lock, _Translated(self._reader), contextlib.ExitStack() as undo:
            if self._ended:
                raise CardRemoved(self._ended)
            if self._card is not None:
                return
            looks = LOOKS if self._wait_seconds >= WAIT_SECONDS else 1
            self.contended = self.contended or _in_use(self._context, self._reader, looks)
            card = self._connected()
            undo.callback(_scard().SCardDisconnect, card, _scard().SCARD_LEAVE_CARD)
            self._pci = self._begun(card)
            undo.pop_all()
            self._card = card

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command APDU, short or extended, and return data and status word."""
        self.take()
        with self._lock, _Translated(self._reader):
            if self._card is None:
                raise CardRemoved(self._ended or f"reader {self._reader} was let go")
            code, answer = _scard().SCardTransmit(self._card, self._pci, list(apdu))
            code = _code(code)
            if code == DONE and answer:
                return bytes(answer)
            self._lost(code)
        if code in RESET_BY_ANOTHER:
            self.contended = True
            meaning = f"the card on reader {self._reader} was reset by another program"
            raise CardReset(meaning, sent=code != RESET)
        if code == DONE:
            raise CardRemoved(f"reader {self._reader} lost its card: it gave an empty answer")
        raise _meaning(code, self._reader)

    def power_cycle(self) -> None:
        """Take the card's power away and give it back."""
        self.take()
        scard = _scard()
        with self._lock, _Translated(self._reader):
            if self._card is None:
                raise CardRemoved(self._ended or f"reader {self._reader} was let go")
            code, protocol = scard.SCardReconnect(
                self._card, scard.SCARD_SHARE_SHARED, _either(scard), scard.SCARD_UNPOWER_CARD
            )
            _expect(code, self._reader)
            self._pci = _pci(scard, protocol)

    def keep_alive(self) -> None:
        """Ask for the card's status: Windows resets a card that is silent in a transaction."""
        with self._lock, _Translated(self._reader):
            if self._card is not None:
                _scard().SCardStatus(self._card)

    def pause(self) -> None:
        """Reset the card and let other programs have it."""
        with self._lock, _Translated(self._reader):
            self._let_go(_scard().SCARD_RESET_CARD)

    def close(self) -> None:
        """Reset the card, so that nothing stays unlocked, and let go of it for good."""
        self._end(_scard().SCARD_RESET_CARD)

    def leave(self) -> None:
        """Let go of the card as it is, for good."""
        self._end(_scard().SCARD_LEAVE_CARD)

    def _end(self, disposition: int) -> None:
        with self._lock, _Translated(self._reader):
            self._ended = f"the card on reader {self._reader} has been let go"
            self._let_go(disposition)
            self._closing.close()

    def _let_go(self, disposition: int) -> None:
        """End the transaction, which resets before it unlocks, then disconnect, which would not."""
        card, self._card = self._card, None
        if card is not None:
            _scard().SCardEndTransaction(card, disposition)
            _scard().SCardDisconnect(card, _scard().SCARD_LEAVE_CARD)

    def _lost(self, code: int) -> None:
        """Let go of a card that gave no answer; only one that was reset is taken again."""
        if code not in RESET_BY_ANOTHER:
            self._ended = f"the card on reader {self._reader} was lost; connect to it again"
        scard, locked = _scard(), code in RESET_BY_ANOTHER | REMOVED | LOST | {DONE}
        before = _events(self._context, self._reader)
        self._let_go(scard.SCARD_LEAVE_CARD if locked else scard.SCARD_RESET_CARD)
        deadline = time.monotonic() + NOTICED_SECONDS
        while code in LOST | {DONE} and time.monotonic() < deadline:
            if _events(self._context, self._reader) != before:
                break
            time.sleep(POLL)

    def _connected(self) -> int:
        """Connect shared; wait for a program that keeps the reader for itself."""
        scard = _scard()
        deadline = time.monotonic() + self._wait_seconds
        pauses = itertools.chain(PAUSES, itertools.repeat(LONGEST_PAUSE))
        while True:
            code, card, _ = scard.SCardConnect(
                self._context, self._reader, scard.SCARD_SHARE_SHARED, _either(scard)
            )
            code, pause = _code(code), next(pauses)
            if code == UNPOWERED and pause < LONGEST_PAUSE:
                time.sleep(pause)
                continue
            if code not in BUSY:
                _expect(code, self._reader)
                return int(card)
            self.contended = True
            left = deadline - time.monotonic()
            if left <= 0:
                raise kept_by_another(self._reader)
            time.sleep(min(pause, left))

    def _begun(self, card: int) -> int:
        """Begin the transaction; a reset that raced it is seen by reconnecting inside."""
        scard = _scard()
        for _ in range(BEGIN_TRIES):
            code = _code(scard.SCardBeginTransaction(card))
            if code not in RESET_BY_ANOTHER:
                _expect(code, self._reader)
            begun = code == DONE
            code, protocol = scard.SCardReconnect(
                card, scard.SCARD_SHARE_SHARED, _either(scard), scard.SCARD_LEAVE_CARD
            )
            if begun and _code(code) == DONE:
                return _pci(scard, protocol)
            if begun:
                scard.SCardEndTransaction(card, scard.SCARD_LEAVE_CARD)
            self.contended = True
            if _code(code) not in {DONE, *RESET_BY_ANOTHER}:
                _expect(code, self._reader)
        raise CardReset(
            f"another program resets the card on reader {self._reader} again and again", sent=False
        )


def kept_by_another(reader: str) -> OutOfReach:
    """Return the error of a reader that another program does not share."""
    what = f"another program keeps reader {reader} for itself"
    return OutOfReach(what, CLOSE_THE_OTHER, may_end_by_itself=True)


def _events(context: int, reader: str) -> int:
    """Return a reader's state, which changes once it has noticed that its card left."""
    try:
        _, states = _scard().SCardGetStatusChange(context, 0, [(reader, 0)])
    except UnicodeEncodeError:
        return 0
    number, present = states[0][1] >> EVENTS, states[0][1] & _scard().SCARD_STATE_PRESENT
    return int(number << 1 | bool(present))


def _in_use(context: int, reader: str, looks: int) -> bool:
    """Tell whether another program is connected to the card, in one of a few looks."""
    scard = _scard()
    busy = scard.SCARD_STATE_INUSE | scard.SCARD_STATE_EXCLUSIVE
    for look in range(looks):
        if look:
            time.sleep(LOOK_APART)
        try:
            code, states = scard.SCardGetStatusChange(context, 0, [(reader, 0)])
        except UnicodeEncodeError:  # pyscard takes names of ASCII only here, not in SCardConnect
            return False
        if _code(code) == DONE and states[0][1] & busy:
            return True
    return False


class _Translated:
    """Turns whatever pyscard raises besides its codes into a TransportError."""

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _at: TracebackType | None,
    ) -> None:
        if isinstance(error, UnicodeError) or (error and isinstance(error.__cause__, UnicodeError)):
            raise ReadersUnlisted(
                f"a reader's name is no text that pyscard can read or pass on ({self._subject!a})",
                "unplug that reader, or name another one in full with --reader",
            ) from error
        if isinstance(error, Exception) and not isinstance(error, CardError):
            kind = type(error).__name__
            raise TransportError(f"reader {self._subject} failed: {kind}: {error}") from error


@contextlib.contextmanager
def _context() -> Iterator[int]:
    """Hold a connection to the PC/SC service."""
    scard = _scard()
    with _Translated("PC/SC"):
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
        raise kept_by_another(reader)
    raise _meaning(code, reader)


def _meaning(code: int, reader: str) -> CardError:
    for codes, kind, sentence in MEANINGS:
        if code in codes:
            return kind(sentence.format(reader=reader))
    with _Translated(reader):
        said = _scard().SCardGetErrorMessage(code).rstrip(".")
    return TransportError(f"reader {reader} failed: {said} ({code:08X})")


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
    except (ImportError, OSError) as failure:
        why = getattr(failure, "name", None) or failure
        raise OutOfReach(
            f"real readers need pyscard, which cannot be loaded ({why})",
            "install it: pip install 'cardquorum[pcsc]'",
        ) from None
    return scard
