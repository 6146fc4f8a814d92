"""A home in memory: a vault with coins and an open payment; whatever a run stores is undone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from sqlalchemy.orm import Session, sessionmaker

from coordinator.home import approvals
from coordinator.home.settings import OFFLINE, Home
from coordinator.payment import payment_files
from coordinator.vault import vaults
from coordinator.wallet import sync as wallet_sync
from psbt import codec
from psbt.policy import format_descriptor
from storage import vaults as vault_book
from storage.database import open_database
from tests.fuzz.psbt_targets import UNSIGNED, VAULT

NAME = "family"
ADDRESSES = 10
"""How many addresses are watched beyond the last one used: deriving more only takes time."""


class KeptHome:
    """A home with a vault of ours, and the ceremony of one payment."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder, "regtest", OFFLINE)
        database = open_database("sqlite://")
        self._engine = database.kw["bind"]
        with database.begin() as db:
            plan = vaults.VaultPlan(NAME, 2, ())
            vaults.import_text(self.home, db, plan, text=format_descriptor(VAULT.policy))
            approvals.approve_policy(self.home, NAME, format_descriptor(VAULT.policy))
            made = payment_files.open_payment(
                self.home, db, vault_book.vault_named(db, NAME), data=codec.to_bytes(UNSIGNED)
            )
        self.ceremony = str(made.created.ceremony)
        self._approved = {file: file.read_bytes() for file in approvals.files(self.home)}

    @contextmanager
    def undone(self) -> Iterator[sessionmaker[Session]]:
        """Lend a database whose commits end with the run."""
        few = mock.patch.object(wallet_sync, "LOOKAHEAD", ADDRESSES)
        with few, self._engine.connect() as connection:
            whole = connection.begin()
            try:
                yield sessionmaker(
                    connection,
                    expire_on_commit=False,
                    join_transaction_mode="create_savepoint",
                )
            finally:
                whole.rollback()
                for file, data in self._approved.items():
                    file.write_bytes(data)
