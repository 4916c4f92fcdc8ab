"""The schema: all tables, and bringing a database to the current revision."""

from collections.abc import Callable
from enum import StrEnum
from functools import cache
from importlib import import_module, resources
from pkgutil import iter_modules
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from store import models
from store.connections import Database
from store.errors import UnusableStoreError
from store.models.base import Base

# importing them is what puts their tables into the metadata
for _module in iter_modules(models.__path__):
    import_module(f"{models.__name__}.{_module.name}")
METADATA: Final = Base.metadata
_MIGRATION_LOCK: Final = 0x6472706F  # any constant: two processes must not migrate at once


class SchemaState(StrEnum):
    """How the schema of a database stands to this code."""

    CURRENT = "current"
    OUTDATED = "outdated"
    """It has to be upgraded first."""
    NEWER = "newer"
    """A newer version has upgraded it and has left everything in it that this code uses."""
    UNKNOWN = "unknown"
    """Something that this code uses is not in it."""

    @property
    def fits(self) -> bool:
        """Whether this code can work with it."""
        return self in {SchemaState.CURRENT, SchemaState.NEWER}


@cache
def head_revision() -> str:
    """The newest revision that this code knows."""
    (head,) = ScriptDirectory.from_config(_config()).get_heads()
    return head


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at ``url`` up to ``revision``. Nothing happens where it is there already.

    Raises:
        StoreUnavailableError: the database cannot be reached.
        UnusableStoreError: it is none, or a newer version of the program has upgraded it.
    """
    await _run(url, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str = "base") -> None:
    """Take the database at ``url`` back to ``revision``; ``base`` drops every table with its contents."""
    await _run(url, lambda config: command.downgrade(config, revision))


async def current_revision(db: Database) -> str | None:
    """The revision that ``db`` is at, or None where it has no tables yet.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    async with db.read() as session:
        connection = await session.connection()
        return await connection.run_sync(_revision_of)


async def schema_state(db: Database) -> SchemaState:
    """How the schema of ``db`` stands to this code.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    revision = await current_revision(db)
    if revision == head_revision():
        return SchemaState.CURRENT
    if revision is None or revision in _known_revisions():
        return SchemaState.OUTDATED
    async with db.read() as session:
        connection = await session.connection()
        missing = await connection.run_sync(_missing_columns)
    return SchemaState.UNKNOWN if missing else SchemaState.NEWER


@cache
def _known_revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _missing_columns(connection: Connection) -> frozenset[str]:
    """Columns that this code uses and the database does not have."""
    inspector = inspect(connection)
    present = frozenset(inspector.get_table_names())
    return frozenset(
        f"{table.name}.{column}"
        for table in METADATA.sorted_tables
        for column in set(table.columns.keys())
        - ({found["name"] for found in inspector.get_columns(table.name)} if table.name in present else set())
    )


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(resources.files("store.migrations")).replace("%", "%%"))
    return config


async def _run(url: str, action: Callable[[Config], None]) -> None:
    db = Database(url, pool_size=1)
    try:
        async with db.session() as session:
            if db.dialect == "postgresql":
                await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            connection = await session.connection()
            await connection.run_sync(lambda sync_connection: action(_config(sync_connection)))
    except CommandError as error:
        raise UnusableStoreError(
            f"the database has a schema that this version of drpo does not know: use a newer one ({error})"
        ) from error
    finally:
        await db.close()
