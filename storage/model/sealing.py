"""That places and people are sealed: the key that seals, and the one that opens, locked away."""

from sqlalchemy.orm import Mapped

from storage.model.record import Check, Id, Record, sized


class Seal(Record):
    """The home's one seal; `opening_key` is itself sealed under a passphrase, by scrypt's numbers.

    `scrubbed` is false while plain text may still lie in free pages of the file.
    """

    __tablename__ = "seal"
    __table_args__ = (
        Check("id = 1", name="only_one"),
        sized("sealing_key", 32),
        sized("salt", 32),
    )

    id: Mapped[Id]
    sealing_key: Mapped[bytes]
    opening_key: Mapped[bytes]
    salt: Mapped[bytes]
    scrypt_n: Mapped[int]
    scrypt_r: Mapped[int]
    scrypt_p: Mapped[int]
    scrubbed: Mapped[bool]
