"""Alembic's environment: works on the connection that ``store.schema`` hands over."""

from alembic import context
from sqlalchemy import Connection

from store.schema import METADATA


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


migrate(context.config.attributes["connection"])
