"""The schema: all tables, and bringing a database to the current revision."""

from collections.abc import Callable
from functools import cache
from importlib import resources
from types import ModuleType
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from store.connections import Database
from store.errors import UnusableStoreError
from store.models import (
    backend_capability,
    call_summary,
    candidate,
    criterion_selection,
    dataset,
    dataset_query,
    embedding,
    evaluation,
    example_answer,
    example_bank,
    label_move,
    model_call,
    optimization,
    optimization_decision,
    optimization_event,
    optimization_round,
    optimization_selection,
    prompt_label,
    prompt_version,
)
from store.models.base import Base

# naming the modules is what puts their tables into the metadata
MODEL_MODULES: Final[tuple[ModuleType, ...]] = (
    backend_capability,
    call_summary,
    candidate,
    criterion_selection,
    dataset,
    dataset_query,
    embedding,
    evaluation,
    example_answer,
    example_bank,
    label_move,
    model_call,
    optimization,
    optimization_decision,
    optimization_event,
    optimization_round,
    optimization_selection,
    prompt_label,
    prompt_version,
)
METADATA: Final = Base.metadata
_MIGRATION_LOCK: Final = 0x6472706F  # any constant: two processes must not migrate at once


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


async def is_current(db: Database) -> bool:
    """Whether ``db`` is at the newest revision."""
    return await current_revision(db) == head_revision()


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
