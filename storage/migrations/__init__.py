"""How databases of earlier versions become what the model is now."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from storage.errors import StorageError


def upgrade(connection: Connection, version: str = "head") -> None:
    """Bring the database to a version, the newest, inside the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, version)
    if connection.dialect.name == "sqlite":
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if dangling:
            raise StorageError(f"{len(dangling)} rows would refer to nothing after the migration")
