"""Emulated cards of a home: made, listed, removed, faults put in their way; never on mainnet."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cards import faults
from cards.emulation import LOOK_SECONDS, create_card, held, open_card
from cards.errors import CardError, CardRemoved, NotSupported, NotUnlocked, ReaderNotFound
from cards.family import Surroundings, families, family_named
from cards.faults import Ejected, Faults, Faulty
from cards.pin import Pin, Secret, fresh_puk
from cards.session import CardIdentity, Initialiser, KeyGenerator, SeedLoader
from cards.transport import CardTransport
from coordinator.errors import UsageError
from coordinator.files import write_private
from coordinator.home.settings import CARD_SUFFIX, Home
from coordinator.names import checked_name, require_known
from coordinator.readers.slots import FolderMemory, Found, Slot, card_in, look
from storage.errors import AlreadyExists

FACTORY_PIN = b"123456"
T = TypeVar("T")
Stamp = tuple[int, int, int]
LOCK_SECONDS = 5
UNSEEN: Stamp = (0, 0, -1)
NO_FILE: Stamp = (0, 0, 0)


class FiledFaults:
    """The faults in a file, one a line; read again when the file has changed."""

    def __init__(self, card: Path) -> None:
        self._file = card.with_suffix(".faults")
        self._stamp = UNSEEN
        self._seen: Faults = ()

    def pending(self) -> Faults:
        """Return the faults that wait; raises CardError where the file is damaged."""
        try:
            found = self._file.stat()
            stamp = found.st_ino, found.st_mtime_ns, found.st_size
        except FileNotFoundError:
            stamp = NO_FILE
        if stamp != self._stamp:
            self._seen = () if stamp == NO_FILE else self._read()
            self._stamp = stamp
        return self._seen

    def meet(self, apdu: bytes) -> Faults:
        """Count a command; return the faults that happen at it."""
        if not self.pending():
            return ()
        return self._change(lambda waiting: faults.met(waiting, apdu))

    def tell(self, words: str) -> Faults:
        """Take a fault, `insert` or `clear`; return what waits then. Raises ValueError."""
        return self._change(lambda waiting: (faults.told(waiting, words),) * 2)

    def ejected(self) -> bool:
        """Tell whether the card is off its reader."""
        return Ejected() in self.pending()

    def forget(self) -> None:
        """Delete the file."""
        for path in (self._file, self._file.with_name(self._file.name + ".lock")):
            path.unlink(missing_ok=True)

    def _change(self, change: Callable[[Faults], tuple[T, Faults]]) -> T:
        """Change what waits with nobody in between; return what the change brings besides."""
        with held(self._file, LOCK_SECONDS):
            before = self.pending()
            result, after = change(before)
            if after == before:
                return result
            if after:
                lines = "".join(f"{faults.words_of(fault)}\n" for fault in after)
                write_private(self._file, lines.encode())
            else:
                self._file.unlink(missing_ok=True)
        return result

    def _read(self) -> Faults:
        try:
            return tuple(faults.parse(line) for line in self._file.read_text("utf-8").splitlines())
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as failure:
            raise CardError(f"{self._file} cannot be read: {failure}") from None


def slot(home: Home, name: str, seconds: float = LOOK_SECONDS) -> Slot:
    """Return the slot an emulated card of this home lies in; raises UsageError on mainnet.

    Whoever else has the card open is waited for so long. Opening it raises ReaderNotFound where
    there is no such card, CardRemoved where it is ejected.
    """
    path = _file(home, name)

    def connect() -> CardTransport:
        waiting = FiledFaults(_existing(path))
        if waiting.ejected():
            raise CardRemoved(f"the emulated card {name} is ejected")
        return Faulty(open_card(path, seconds), waiting)

    surroundings = Surroundings(memory=FolderMemory(home.card_memory))
    return Slot(name, emulated=True, connect=connect, surroundings=surroundings)


def create(
    home: Home,
    family: str,
    name: str,
    *,
    profile: str | None = None,
    set_up: bool,
    variant: str | None = None,
) -> Found:
    """Make an emulated card: with PIN 123456 and a random key, or factory-fresh."""
    path = _file(home, name)
    require_known("family", family, [each.name for each in families()])
    known = family_named(family)
    if profile is not None:
        require_known(f"profile of {family}", profile, known.profiles)
    if variant is not None and variant not in known.variants:
        there = ", ".join(known.variants) or "none"
        raise UsageError(f"family {family} has the variants {there}, not {variant}")
    home.emulated_cards.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        raise AlreadyExists("emulated card", name)
    create_card(path, known, profile or known.profiles[-1], variant=variant)
    place = slot(home, name)
    if set_up:
        _set_up(place)
    return Found(name, _identity(place))


def listed(home: Home) -> list[Found]:
    """Return every emulated card by name; one that cannot be opened just now with its error."""
    refuse_mainnet(home)
    return [look(slot(home, name, seconds=0)) for name in home.emulated_names()]


def remove(home: Home, name: str) -> None:
    """Delete an emulated card and its key."""
    _existing(_file(home, name))
    FiledFaults(_file(home, name)).forget()
    for suffix in (CARD_SUFFIX, CARD_SUFFIX + ".lock"):
        (home.emulated_cards / (name + suffix)).unlink(missing_ok=True)


def fault(home: Home, name: str, words: str) -> Faults:
    """Let something go wrong with an emulated card, now or at a command to come.

    Returns every fault that waits. Whoever has the card open meets them too.
    """
    try:
        return FiledFaults(_existing(_file(home, name))).tell(words)
    except ValueError as failure:
        raise UsageError(str(failure)) from None


def present(home: Home, name: str) -> bool:
    """Tell whether the card is there and not ejected."""
    path = _file(home, name)
    return path.exists() and not FiledFaults(path).ejected()


def is_set_up(home: Home, name: str) -> bool:
    """Tell whether a card has its PIN and key; one that tells nothing before its PIN counts as not.

    Raises CardError where there is none, or none that can be opened.
    """
    try:
        return _identity(slot(home, name)).initialised
    except NotUnlocked:
        return False


def refuse_mainnet(home: Home) -> None:
    """Raise UsageError on mainnet."""
    if home.network == "mainnet":
        raise UsageError("emulated cards are never used on mainnet")


def _file(home: Home, name: str) -> Path:
    refuse_mainnet(home)
    return home.emulated_cards / (checked_name(name) + CARD_SUFFIX)


def _existing(path: Path) -> Path:
    """Return the path; raises ReaderNotFound where there is no card."""
    if not path.exists():
        raise ReaderNotFound(f"there is no emulated card {path.stem} in {path.parent}")
    return path


def _identity(place: Slot) -> CardIdentity:
    with card_in(place) as session:
        return session.identity()


def _set_up(place: Slot) -> None:
    """Give the card PIN 123456, a random PUK and a random key, through its own protocol."""
    with card_in(place) as session, Pin(FACTORY_PIN) as pin:
        family = family_named(session.identity().family)
        if not isinstance(session, Initialiser):
            raise NotSupported(family.name, "being set up")
        with fresh_puk(family.puk_digits) as puk:
            session.initialise({"pin": pin, "puk": puk})
        session.unlock(pin)
        if isinstance(session, KeyGenerator):
            session.generate_key()
        elif isinstance(session, SeedLoader):
            with Secret(secrets.token_bytes(64)) as seed:
                session.load_seed(seed)
