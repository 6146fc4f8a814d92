"""What all rows share: names of constraints, types of columns, and a few checks."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Index,
    LargeBinary,
    MetaData,
    event,
    text,
)
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A moment with its zone: in as any zone, out as UTC, refused without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Bring a moment to UTC; SQLite keeps no zone, so it is left out there."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment its zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


Id = Annotated[int, mapped_column(primary_key=True)]
Sats = Annotated[int, mapped_column(BigInteger)]
ROW: Final = "row"
"""The act of a statement that says what a row holds."""
WHERE = "where"


class Check(NamedTuple):
    """What the database itself refuses; a constraint where the whole schema is wanted only."""

    condition: str
    name: str


def one_of(column: str, values: tuple[str, ...]) -> Check:
    """Return the constraint that a text column holds one of these values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return Check(f"{column} IN ({listed})", name=f"{column}_known")


def sized(column: str, size: int) -> Check:
    """Return the constraint that a bytes or text column has this length."""
    return Check(f"length({column}) = {size}", name=f"{column}_size")


def at_least(column: str, least: int) -> Check:
    """Return the constraint that an integer column is not smaller."""
    return Check(f"{column} >= {least}", name=f"{column}_least")


def unique_while(column: str, *columns: str) -> Index:
    """Return the index that keeps columns unique among rows where `column` is still empty."""
    condition = text(f"{column} IS NULL")
    name = f"uq_live_{'_'.join(columns)}"
    return Index(name, *columns, unique=True, sqlite_where=condition, info={WHERE: condition})


class Record(DeclarativeBase):
    """A row of the database."""

    checks: ClassVar[list[Check]] = []
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcTime, bytes: LargeBinary}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    def __init_subclass__(cls, **words: Any) -> None:  # noqa: ANN401 -- SQLAlchemy's own
        """Take the checks out of what SQLAlchemy maps: they cost a fifteenth of that."""
        parts = cls.__dict__.get("__table_args__", ())
        cls.checks = [part for part in parts if isinstance(part, Check)]
        cls.__table_args__ = tuple(part for part in parts if not isinstance(part, Check))
        super().__init_subclass__(**words)


@event.listens_for(Record.metadata, "before_create")
def _partial_on_postgresql(metadata: MetaData, connection: Connection, **_: object) -> None:
    """Give PostgreSQL the conditions of indexes, too.

    Named with the index, they would have every command load that dialect (20 ms).
    """
    if connection.dialect.name == "postgresql":
        for index in (each for table in metadata.tables.values() for each in table.indexes):
            if WHERE in index.info:
                index.dialect_options["postgresql"]["where"] = index.info[WHERE]
