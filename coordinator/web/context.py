"""What all pages share, what one visit brings, and what a page answers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator.errors import ChainError, CoordinatorError, NotLooked, UsageError
from coordinator.files import make_folder
from coordinator.guide.facts import GuideFacts, gather
from coordinator.home.settings import SETTINGS_FILE, Home
from coordinator.web.access import Window, Windows
from coordinator.web.events import Bulletin
from coordinator.web.reader_watch import ReaderWatch
from coordinator.web.tasks import Failure, Task, Tasks
from coordinator.web.ticked_steps import Ticks
from coordinator.workspace.opened_home import OpenedHome
from storage import vaults as vault_book
from storage.database import is_read_only, reading

FILES_MAX = 99
ACCEPT = "accept:"
"""What the name of a field begins with that accepts a danger."""
FORM = "form"
"""The field that carries a form's token."""


class HomeReplaced(CoordinatorError):
    """The home was deleted, moved, restored or set up otherwise while its page is open."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder} is not the home that this page was opened with")


class HomeIdentity(NamedTuple):
    """What tells a home from another in its place: its settings, and which file its database is."""

    settings: bytes
    database: tuple[int, int] | None


def identity_of(home: Home) -> HomeIdentity | None:
    """Return what a home is known by; None where there is none any more."""
    file = home.database_url.database
    try:
        settings = (home.folder / SETTINGS_FILE).read_bytes()
        found = None if home.server or file is None else Path(file).stat()
    except OSError:
        return None
    return HomeIdentity(settings, None if found is None else (found.st_dev, found.st_ino))


def unused(folder: Path, stem: str, *, what: str, suffix: str = "") -> Path:
    """Return a path in a folder, made where there is none, that nothing was written to yet.

    Raises UsageError, which calls them `what`, where there are too many.
    """
    make_folder(folder)
    for each in (stem, *(f"{stem}-{number}" for number in range(2, FILES_MAX))):
        path = folder / f"{each}{suffix}"
        if not path.exists():
            return path
    raise UsageError(f"there are {FILES_MAX} {what} in {folder}: put the old ones away")


@dataclass(frozen=True)
class Context:
    """One running page: the home it shows, who looks at it, what is being done.

    `explain` puts an error into words; `ticks` are the steps of a road that a person did.
    """

    opened: OpenedHome
    explain: Callable[[BaseException], Failure]
    windows: Windows
    bulletin: Bulletin
    tasks: Tasks
    watch: ReaderWatch
    ticks: Ticks
    identity: HomeIdentity | None = None
    _chain_lock: RLock = field(default_factory=RLock)

    def require_same_home(self) -> None:
        """Raise HomeReplaced where the folder holds another home, or none, since it was opened."""
        if identity_of(self.home) != self.identity:
            raise HomeReplaced(str(self.home.folder))

    @property
    def home(self) -> Home:
        """Return the home."""
        return self.opened.home

    @property
    def database(self) -> sessionmaker[Session]:
        """Return the home's database."""
        return self.opened.database

    @property
    def reading(self) -> sessionmaker[Session]:
        """Return the database for looking alone: nobody is kept from writing."""
        return reading(self.opened.database)

    @contextmanager
    def asking(self) -> Iterator[OpenedHome]:
        """Hold the chain, one thread at a time, and let others have it afterwards."""
        with self._chain_lock:
            try:
                yield self.opened
            finally:
                self.opened.close_chain()

    def freshen(self, vault: str | None = None) -> ChainError | None:
        """Bring one vault or all in step where asking the chain does not leave the home.

        Returns why it could not be asked: what is known is from the last time then, as it is of a
        chain elsewhere.
        """
        with self.asking() as opened:
            try:
                opened.freshen(vault)
            except ChainError as away:
                return away
        return None

    def fee_rate(self, vault: str, typed: str | None, target: int | None) -> int:
        """Return the rate typed, else the chain's for the target in blocks (sat/kvB).

        The vault is looked for first where nobody did. Raises UsageError, ChainError.
        """
        with self.asking() as opened:
            with suppress(ChainError, NotLooked):
                opened.look_first(vault)
            return opened.rate(typed, target).feerate

    def begin(self, task: Task) -> "Moved":
        """Begin a task, and go on to its page; raises Busy."""
        self.tasks.start(task)
        return Moved("/task")

    def facts(self) -> GuideFacts:
        """Gather what the steps of the guide follow from."""
        with self.reading.begin() as db:
            return gather(self.home, db, writable=not is_read_only(self.database))

    def vaults(self) -> list[str]:
        """Return the names of the vaults that are not retired."""
        with self.reading.begin() as db:
            return [each.name for each in vault_book.all_vaults(db) if each.retired_at is None]

    def beside(self, what: str) -> Path:
        """Return the folder beside the home that the page writes kits, or backups, to."""
        return self.home.folder.with_name(f"{self.home.folder.name}-{what}")


@dataclass(frozen=True)
class Visit:
    """One request of a browser that was let in: the names in its path, its query and its form.

    A form was sent where it is `posted`. `numbers` say what had changed before anything was looked
    at: what changes meanwhile is asked for once more.
    """

    context: Context
    window: Window
    at: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    numbers: Mapping[str, int]
    posted: bool = False

    @property
    def accepted(self) -> frozenset[str]:
        """Return the dangers that were accepted in the form, each as it was told there."""
        return frozenset(told for name, told in self.form.items() if name.startswith(ACCEPT))

    @property
    def carried(self) -> dict[str, str]:
        """Return what the form was filled with: what takes it once more is sent the same."""
        return {name: value for name, value in self.form.items() if name != FORM}


class Shown(NamedTuple):
    """A template and what it shows; a `mistake` is said above its form."""

    template: str
    said: Mapping[str, object]
    status: int = 200


class Moved(NamedTuple):
    """The page to go on with."""

    path: str


class Sent(NamedTuple):
    """A file that the browser saves."""

    data: bytes
    media_type: str
    name: str


Answer = Shown | Moved | Sent
Handler = Callable[[Visit], Answer]


class Route(NamedTuple):
    """A path, what shows it, and what takes a form that was sent to it."""

    path: str
    show: Handler | None = None
    take: Handler | None = None


class Page(NamedTuple):
    """A page in the navigation: its name, its path, and the routes that belong to it.

    `takes` maps the beginning of a command to the path that does the same; `{2}` is its third word.
    """

    name: str
    path: str
    routes: tuple[Route, ...]
    takes: Mapping[tuple[str, ...], str] = {}
