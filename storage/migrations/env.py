"""What Alembic runs: the migrations, on the connection it was handed."""

from alembic import context
from sqlalchemy import Connection

from storage.model import whole_schema

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=whole_schema(),
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
