"""Where one command works: its options, its home and database, opened when first wanted."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from coordinator.cli import terminal

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from cards.pin import Secret
    from coordinator.chain import ChainSource
    from coordinator.home.settings import Home


@dataclass(frozen=True)
class Globals:
    """The options every command has."""

    home: Path | None = None
    as_json: bool | None = None
    quiet: bool = False
    verbosity: int = 0

    def overridden(
        self,
        home: Path | None,
        *,
        as_json: bool | None,
        quiet: bool,
        verbosity: int,
    ) -> "Globals":
        """Return these options with what was said after the words; the later one wins."""
        return replace(
            self,
            home=home or self.home,
            as_json=self.as_json if as_json is None else as_json,
            quiet=quiet or self.quiet,
            verbosity=max(verbosity, self.verbosity),
        )


class Context:
    """A command's surroundings; closes what it opened."""

    def __init__(self, chosen: Globals) -> None:
        """Keep the options; nothing is opened yet."""
        self.as_json = bool(chosen.as_json)
        self.quiet = chosen.quiet
        self.verbosity = chosen.verbosity
        self._home = chosen.home
        self.closing = ExitStack()
        self.passphrases: dict[str, Secret] = {}
        self.stdin: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Set the log up."""
        if self.verbosity:
            from coordinator import log

            log.configure(self.verbosity)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Wipe the secrets given; close the chain and the database if they were opened.

        Where an error cannot be explained, damaged rows are looked for: they explain it.
        """
        self.closing.close()
        with ExitStack() as closing:
            closing.callback(self._close)
            if error is not None and "database" in self.__dict__:
                self._look_for_damage(error)

    def _look_for_damage(self, error: BaseException) -> None:
        from coordinator.cli.failures import explain
        from coordinator.cli.output import ExitStatus
        from storage.soundness import check_rows

        if explain(error).status is ExitStatus.BUG:
            with self.database.begin() as db:
                check_rows(db)

    def _close(self) -> None:
        if "chain" in self.__dict__:
            self.chain.close()
        if "database" in self.__dict__:
            self.database.kw["bind"].dispose()

    @property
    def folder(self) -> Path:
        """Return the home's folder as asked for, which need not exist."""
        from coordinator.home.settings import default_folder

        return self._home or default_folder()

    @cached_property
    def home(self) -> "Home":
        """Open the home; raises SettingsError where there is none."""
        from coordinator.home.settings import open_home

        return open_home(self.folder)

    @cached_property
    def database(self) -> "sessionmaker[Session]":
        """Open the home's database, migrated to this version, and its seal if that was given."""
        from coordinator.home import approvals
        from storage.database import open_database
        from storage.private import APPROVES

        opened = open_database(self.home.database_url, existing=True)
        opened.configure(info={APPROVES: approvals.approves_seal(self.home)})
        if self.passphrases:
            from coordinator.cli.attendant_passphrase import unlock_given

            unlock_given(self, opened)
        return opened

    def require_writable(self) -> None:
        """Raise ReadOnly before a card does what could not be kept here."""
        from storage.database import is_read_only
        from storage.errors import ReadOnly

        if is_read_only(self.database):
            raise ReadOnly(f"the home {self.folder} can only be read here: no card was asked")

    @cached_property
    def book(self) -> "sessionmaker[Session]":
        """Open the database for who wants names: of a sealed home the passphrase is asked for."""
        from coordinator.cli.attendant_passphrase import unlock_asking

        unlock_asking(self)
        return self.database

    @cached_property
    def chain(self) -> "ChainSource":
        """Open the home's chain source; a terminal is told how far a long scan is."""
        from coordinator.chain.opening import open_chain, silent

        home = self.home
        report = self.report if sys.stderr.isatty() and not self.quiet else silent
        return open_chain(home.chain, home.chain_folder, home.network, report)

    def report(self, text: str) -> None:
        """Tell how far long work is, over what was told before."""
        terminal.tell_over(text)

    def say(self, text: str) -> None:
        """Tell the person something that is not the result."""
        if not self.quiet:
            terminal.tell(text)
