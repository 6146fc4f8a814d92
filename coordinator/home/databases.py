"""Where homes remember: a file of their own or a server, and moving from one to the other."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import URL, make_url

from coordinator.errors import UsageError
from coordinator.home.own_operator import HomeAuthor
from coordinator.home.settings import DATABASE_FILE, Home, checked_server, open_home, write_settings
from storage import row_statements
from storage.authors import AUTHOR
from storage.copying import Copied, copy_rows
from storage.database import name_of, open_database

SCHEME = "://"
LEFT = DATABASE_FILE + ".left"


class Side(NamedTuple):
    """A database, and the home it is of where a folder was named."""

    url: URL
    home: Home | None

    @property
    def shown(self) -> str:
        """Return where it is, without how it is opened."""
        return name_of(self.url)


def side(named: str) -> Side:
    """Return the database of a home's folder, or on a server; raises SettingsError, UsageError."""
    if SCHEME not in named:
        home = open_home(Path(named))
        return Side(home.database_url, home)
    return Side(make_url(checked_server(named) or named), None)


def copy(source: Side, target: Side, *, password: Callable[[], str], use: bool) -> Copied:
    """Copy all that one database remembers into another, which has to be empty.

    With `use` the source's home remembers there from now on; its file stays under another name.
    """
    if use and (source.home is None or source.home.server or target.home):
        raise UsageError("--use moves a home with a file of its own to a server: FOLDER URL")
    if source.url == target.url:
        raise UsageError("both are the same database")
    with ExitStack() as closing:
        given = open_database(source.url, existing=True, password=password)
        closing.callback(given.kw["bind"].dispose)
        taken = open_database(target.url, password=password)
        closing.callback(taken.kw["bind"].dispose)
        copied = copy_rows(given, taken)
        if (home := source.home or target.home) is not None:
            # Its operator states the rows of what was copied, where nobody did before.
            taken.configure(info={AUTHOR: HomeAuthor(home)})
            with taken.begin() as db:
                row_statements.adopt(db)
    if use and source.home is not None:
        moved = source.home._replace(server=checked_server(target.url.render_as_string()))
        file = source.home.folder / DATABASE_FILE
        write_settings(moved)
        file.replace(source.home.folder / LEFT)
    return copied
