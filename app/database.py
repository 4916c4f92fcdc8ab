"""Opening the store: whose the database is, and whether its schema fits."""

import logging
from contextlib import AsyncExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from app.settings import Settings
from optimizer.errors import InvalidInputError
from store.connections import Database, normalise_url
from store.repositories.optimizations import OptimizationRepository
from store.repositories.webhook_deliveries import WebhookDeliveryRepository
from store.schema import SchemaState, schema_state, upgrade

_LOGGER = logging.getLogger(__name__)


async def open_database(settings: Settings, stack: AsyncExitStack) -> Database:
    """The database with a current schema; an SQLite file is locked for this process and upgraded.

    Raises:
        InvalidInputError: the settings, the schema, or another process on the same file stand in the way.
    """
    url = settings.database.url
    try:
        database = Database(url)
    except ValueError as error:
        raise InvalidInputError(f"database.url: {error}", param="database.url") from error
    stack.push_async_callback(database.close)
    if database.lock_path is not None:
        _lock(database.lock_path, stack)
    state = await schema_state(database)
    if state is SchemaState.OUTDATED and database.dialect == "sqlite":
        await upgrade(url)
    else:
        _check(state)
    if database.dialect == "sqlite":
        # whoever ran a job on this file is dead, or the lock would not be ours
        await OptimizationRepository(database).expire_leases()
        await WebhookDeliveryRepository(database).release_claims()
    return database


def require_shared_database(settings: Settings) -> None:
    """Refuse what only one process can use.

    Raises:
        InvalidInputError: the database is an SQLite file, or of no supported kind.
    """
    try:
        dialect, _ = normalise_url(settings.database.url)
    except ValueError as error:
        raise InvalidInputError(f"database.url: {error}", param="database.url") from error
    if dialect == "sqlite":
        raise InvalidInputError(
            "a worker shares its database with the service, and an SQLite file has one process: set "
            "database.url to PostgreSQL, or let 'drpo serve' run the jobs, as it does by default",
            param="database.url",
        )


def _check(state: SchemaState) -> None:
    match state:
        case SchemaState.OUTDATED:
            raise InvalidInputError("the database schema is not up to date: run 'drpo migrate'")
        case SchemaState.UNKNOWN:
            raise InvalidInputError(
                "the database has a schema that this version of drpo cannot work with: use the newer version "
                "that has upgraded it, or name another database",
                param="database.url",
            )
        case SchemaState.NEWER:
            _LOGGER.warning("a newer version of drpo has upgraded the database; this one goes on with it")
        case SchemaState.CURRENT:
            pass


def _lock(path: Path, stack: AsyncExitStack) -> None:
    if not path.parent.is_dir():  # the lock would make it: of a misspelt one, too
        raise InvalidInputError(
            f"database.url: there is no folder {path.parent}: make it, or name another file",
            param="database.url",
        )
    lock = FileLock(str(path))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InvalidInputError(
            f"another process serves the database file beside {path}: stop it, talk to it "
            "with --url, or set database.url to another file (or to PostgreSQL, which many can share)",
            param="database.url",
        ) from None
    stack.callback(lock.release)
