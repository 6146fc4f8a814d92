"""A home as a surface works in it: settings, database and chain, each opened when wanted."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from coordinator.chain import ChainSource
    from coordinator.enrolment.enrol import CardAtSlot
    from coordinator.home.settings import Home
    from coordinator.payment.delivery import Batch
    from coordinator.wallet.fees import Rate
    from storage.model import Ceremony, Vault

TARGET_BLOCKS = 6


class OpenedHome:
    """A home, its database and its chain; closes what it opened.

    `follows_book` is whether a custody book on a server is held against what this home saw there.
    """

    follows_book = True

    def __init__(self, folder: Path | None) -> None:
        """Keep which home is meant, the usual one without a folder; nothing is opened yet."""
        self._folder = folder
        self.delivered: list[Batch] = []

    def close(self) -> None:
        """Close the chain and the database if they were opened."""
        self.close_chain()
        if "database" in self.__dict__:
            self.database.kw["bind"].dispose()

    def close_chain(self) -> None:
        """Let others have the chain; it is opened again when wanted."""
        if "chain" in self.__dict__:
            self.chain.close()
            del self.chain

    @property
    def folder(self) -> Path:
        """Return the home's folder as asked for, which need not exist."""
        from coordinator.home.settings import default_folder

        return self._folder or default_folder()

    @cached_property
    def home(self) -> "Home":
        """Open the home; raises SettingsError where there is none."""
        from coordinator.home.settings import open_home

        return open_home(self.folder)

    @cached_property
    def database(self) -> "sessionmaker[Session]":
        """Open the home's database, migrated to this version."""
        from coordinator.home import seals
        from coordinator.home.own_operator import HomeAuthor
        from storage import row_statements
        from storage.authors import AUTHOR
        from storage.database import APPROVES, open_database

        opened = open_database(self.home.database_url, existing=True, password=self.server_password)
        author = HomeAuthor(self.home)
        opened.configure(info={APPROVES: seals.approves(self.home), AUTHOR: author})
        row_statements.follow(opened)
        if self.home.server is not None and self.follows_book:
            from coordinator.home import known_heads

            with ExitStack() as on_failure:
                on_failure.callback(opened.kw["bind"].dispose)
                known_heads.follow(self.home, opened)
                row_statements.learn(opened)
                on_failure.pop_all()
        self._deliver(opened)
        return opened

    def deliver(self) -> None:
        """Deliver the signatures that the database did not take when they were made."""
        self._deliver(self.database)

    def _deliver(self, opened: "sessionmaker[Session]") -> None:
        from coordinator.home import undelivered
        from storage.database import is_read_only

        if undelivered.is_any(self.home) and not is_read_only(opened):
            from coordinator.payment import delivery

            self.delivered = [
                each for each in delivery.deliver(self.home, opened) if not each.reason
            ]
            for each in self.delivered:
                self.say(each.sentence)

    def say(self, text: str) -> None:
        """Tell what happened beside what was asked for; nobody hears it here."""

    def server_password(self) -> str:
        """Return the password of the server with the database; empty where nobody is asked."""
        return ""

    def require_writable(self) -> None:
        """Raise ReadOnly before a card does what could not be kept here."""
        from storage.database import is_read_only
        from storage.errors import ReadOnly

        if is_read_only(self.database):
            raise ReadOnly(f"the home {self.folder} can only be read here: no card was asked")

    def refuse_other_seal(self, database: "sessionmaker[Session]") -> bool:
        """Tell whether the seal is closed; raises ApprovalMismatch where it is not ours."""
        from coordinator.errors import ApprovalMismatch
        from coordinator.home import seals
        from coordinator.home.approvals import Standing
        from storage import sealing
        from storage.database import reading

        with reading(database).begin() as db:
            if not sealing.is_locked(db):
                return False
            standing = seals.standing(self.home, db, sealing.sealing_key(db))
        if standing is Standing.DIFFERS:
            raise ApprovalMismatch("the key that places and people are sealed to")
        return True

    @contextmanager
    def vault(self, name: str, *, reads: bool = False) -> "Iterator[tuple[Session, Vault]]":
        """Begin with the vault of this name, to read alone where told; raises NotFound."""
        from storage import vaults as vault_book

        with self._database(reads=reads).begin() as db:
            yield db, vault_book.vault_named(db, name)

    @contextmanager
    def ceremony(
        self, public_id: str, *, reads: bool = False
    ) -> "Iterator[tuple[Session, Ceremony]]":
        """Begin with the ceremony of this id, to read alone where told; raises NotFound."""
        from storage import ceremonies as ceremony_book

        with self._database(reads=reads).begin() as db:
            yield db, ceremony_book.ceremony_named(db, public_id)

    def _database(self, *, reads: bool) -> "sessionmaker[Session]":
        from storage.database import reading

        return reading(self.database) if reads else self.database

    @cached_property
    def chain(self) -> "ChainSource":
        """Open the home's chain source."""
        from coordinator.chain.opening import open_chain

        home = self.home
        return open_chain(home.chain, home.chain_folder, home.network, report=self.reporter())

    def reporter(self) -> Callable[[str], None]:
        """Return what hears how far a long scan is."""
        from coordinator.chain.opening import silent

        return silent

    def freshen(self, vault: str | None = None) -> None:
        """Bring one vault or all in step where asking the chain does not leave the home."""
        from coordinator.wallet import overview

        overview.freshen(self.home, self.database, lambda: self.chain, vault=vault)

    def look_first(self, vault: str) -> None:
        """Bring a vault in step that nobody looked for; raises NotLooked where that takes long."""
        from coordinator.wallet import overview

        overview.look_first(self.home, self.database, lambda: self.chain, vault=vault)

    def rate(self, typed: str | None, target: int | None, *, blocks: int = TARGET_BLOCKS) -> "Rate":
        """Return the fee rate typed, else the chain's for the target or so many blocks."""
        from coordinator.amounts import parse_feerate
        from coordinator.errors import UsageError
        from coordinator.home.settings import OFFLINE
        from coordinator.wallet import fees, node_rules

        if typed is not None and target is not None:
            raise UsageError("give --feerate or --target, not both")
        if self.home.chain != OFFLINE:
            node_rules.refresh(self.database, self.chain)
        if typed is not None:
            return fees.Rate(parse_feerate(typed), fees.TYPED)
        return fees.rate_for(self.home, lambda: self.chain, target or blocks)

    def card_at(
        self, label: str, reader: str | None, emulated: str | None, *, last_attempt: bool = False
    ) -> "CardAtSlot":
        """Return a card with the slot named, else with the one it lies in where it is known."""
        from coordinator.enrolment.enrol import CardAtSlot
        from coordinator.readers import choice

        named = choice.places(reader, emulated)
        slot = choice.slot_of(self.home, self.database, label, named=named)
        return CardAtSlot(label, slot, last_attempt)
