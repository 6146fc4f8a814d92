"""What can go wrong with what is remembered.

StorageError
├── NotFound(kind, name) · AlreadyExists(kind, name)
├── CoinTaken(txid, vout, ceremony, until, opened_on)
├── SchemaTooOld(found) · SchemaTooNew(found, known) · ReadOnly
├── DatabaseUnreachable(name) → CommitUnknown · PasswordNeeded(name)
├── SealLocked · PassphraseIncorrect · SealBroken(what)
└── RowDamaged · ChainBroken(event_id) · StatementBroken(number, what)
"""

from datetime import datetime


class StorageError(Exception):
    """The database cannot be used, or refused what it was told."""


class NotFound(StorageError):
    """Nothing of this kind has this name."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"there is no {kind} {name}")


class AlreadyExists(StorageError):
    """Something of this kind has this name."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"{kind} {name} exists already")


class CoinTaken(StorageError):
    """A coin is reserved by another ceremony."""

    def __init__(
        self, txid: str, vout: int, ceremony: str, *, until: datetime, opened_on: str | None
    ) -> None:
        """Keep the coin, the ceremony that holds it, until when, and where it was opened."""
        self.txid = txid
        self.vout = vout
        self.ceremony = ceremony
        self.until = until
        self.opened_on = opened_on
        super().__init__(f"coin {txid}:{vout} is reserved by ceremony {ceremony}")


class SchemaTooOld(StorageError):
    """The database was written by program 0.1.0, whose twelve versions are read no more."""

    def __init__(self, name: str, found: str) -> None:
        self.found = found
        super().__init__(
            f"{name} was written by cardquorum 0.1.0 (database version {found}), which this "
            "program does not read: export descriptors, custody log and labels with 0.1.0, "
            "then import them into a new home"
        )


class SchemaTooNew(StorageError):
    """The database was written by a newer program."""

    def __init__(self, found: str, known: str) -> None:
        self.found = found
        self.known = known
        super().__init__(f"the database has version {found}, this program knows up to {known}")


class ReadOnly(StorageError):
    """Something was to be written where this account or file system allows only reading."""


class DatabaseUnreachable(StorageError):
    """The server with the database cannot be reached, or ended the connection."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"the database {name} cannot be reached: {reason}")


class CommitUnknown(DatabaseUnreachable):
    """The line was cut while something was stored, and nobody can ask whether it was."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "the line was cut, and whether the last change was kept is unknown")


class PasswordNeeded(StorageError):
    """The server with the database wants a password, or another one."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the database {name} wants a password, and no right one was given")


class SealLocked(StorageError):
    """The names of places and people are sealed, and the passphrase was not given."""

    def __init__(self) -> None:
        """Say so; there is nothing to keep."""
        super().__init__("places and people are sealed, and the passphrase was not given")


class PassphraseIncorrect(StorageError):
    """The passphrase does not open the seal."""

    def __init__(self) -> None:
        """Say so; there is nothing to keep."""
        super().__init__("the passphrase is not the one places and people are sealed under")


class SealBroken(StorageError):
    """Something sealed is not what was sealed there."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"what is sealed of {what} was altered")


class RowDamaged(StorageError):
    """A row says what cannot be, or another thing than the rows it belongs to.

    What goes on where a row is damaged catches this alone: after an error of the database itself
    its transaction is over, and nothing more can be asked in it.
    """


class ChainBroken(StorageError):
    """The custody book's chain of hashes does not hold."""

    def __init__(self, event_id: int) -> None:
        self.event_id = event_id
        super().__init__(f"the custody book's chain of hashes breaks at event {event_id}")


class StatementBroken(StorageError):
    """What an operator signed is not what is stored."""

    def __init__(self, number: int, what: str) -> None:
        self.number = number
        self.what = what
        super().__init__(f"operators' statement {number} {what}: somebody changed the database")
