"""SQLite's connections: those in SQLAlchemy's pools, and those in threads of their own for frequent work."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from store.json_values import to_json
from store.serial_thread import SerialThread

T = TypeVar("T")

WRITE: Final = "BEGIN IMMEDIATE"
READ: Final = "BEGIN"
HIDE_PARAMETERS: Final = True
"""Errors are logged: they must not tell what was to be stored."""


class DirectConnection:
    """An SQLite connection in a thread of its own, without asyncio around each of its calls."""

    def __init__(self, url: URL, busy_seconds: float, *, begin: str) -> None:
        """A connection to ``url`` that waits ``busy_seconds`` for the file and starts by ``begin``."""
        self._engine = create_engine(
            url.set(drivername="sqlite+pysqlite"),
            pool_size=1,
            max_overflow=0,
            json_serializer=to_json,
            hide_parameters=HIDE_PARAMETERS,
            connect_args=_sqlite_arguments(busy_seconds),
        )
        _configure_sqlite(self._engine, url, begin)
        self._begin = begin
        self._connection: Connection | None = None
        self._thread = SerialThread(f"sqlite {begin}")

    async def run(self, work: Callable[[Connection], T]) -> T:
        """``work`` in one transaction."""
        return await self._thread.run(partial(self._transact, work))

    async def close(self) -> None:
        """Close the connection and end the thread."""
        await self._thread.run(self._disconnect)
        await self._thread.run(self._engine.dispose)
        self._thread.close()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        connection = self._connection = self._connection or self._engine.connect()
        try:
            # SQLAlchemy's own transaction takes longer than SQLite's; it makes one where ``work`` needs it
            connection.connection.cursor().execute(self._begin)
            done = work(connection)
            self._commit(connection)
        except BaseException:
            self._disconnect()  # the next transaction begins on a connection that nothing has failed on
            raise
        return done

    def _commit(self, connection: Connection) -> None:
        if self._begin == WRITE and not getattr(connection.connection, "in_transaction", True):
            raise RuntimeError("a piece of work has ended its transaction: sessions are for reads")
        if connection.in_transaction():
            connection.commit()
        else:
            connection.connection.commit()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def sqlite_engine(url: URL, pool_size: int, busy_seconds: float, *, begin: str) -> AsyncEngine:
    """A pool of connections to ``url`` that wait ``busy_seconds`` for the file and start by ``begin``."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=busy_seconds,
        json_serializer=to_json,
        hide_parameters=HIDE_PARAMETERS,
        connect_args=_sqlite_arguments(busy_seconds),
    )
    _configure_sqlite(engine.sync_engine, url, begin)
    return engine


def _sqlite_arguments(busy_seconds: float) -> dict[str, Any]:
    # no implicit transactions: the driver's own would begin deferred and deadlock when they turn to write
    return {"timeout": busy_seconds, "isolation_level": None}


def _configure_sqlite(engine: Engine, url: URL, begin: str) -> None:
    folder = Path(url.database or "").absolute().parent
    pragmas = ["page_size = 8192", "foreign_keys = ON", "synchronous = NORMAL", "recursive_triggers = ON"]
    pragmas.append("journal_mode = WAL" if begin == WRITE else "query_only = ON")

    @event.listens_for(engine, "do_connect")
    def check(*_arguments: object) -> None:
        # SQLite's own words do not say what is missing, and the driver leaves a thread behind
        if not folder.is_dir():
            raise sqlite3.OperationalError(f"{folder} is not a folder")

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        if not getattr(connection.connection.dbapi_connection, "in_transaction", False):
            cursor = connection.connection.cursor()
            cursor.execute(begin)
            cursor.close()
