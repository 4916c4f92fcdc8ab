"""Connections to the database, and transactions on them.

SQLite has one writer at a time. So all of a process's writes take turns, in order, instead of polling for the
file's lock; reads have connections of their own that cannot write.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from store.errors import ConflictError, StoreUnavailableError, UnusableStoreError
from store.hints import send_hint
from store.json_values import to_json
from store.named_locks import serialise
from store.sqlite_connections import HIDE_PARAMETERS, READ, WRITE, DirectConnection, sqlite_engine
from store.wakeups import Wakeups

Session: TypeAlias = AsyncSession
Transaction: TypeAlias = Connection
"""What ``Database.write`` and ``fetch`` give to the work that they run."""
T = TypeVar("T")
Dialect: TypeAlias = Literal["sqlite", "postgresql"]

_IDLE_IN_TRANSACTION_MS: Final = 10_000
_AWAY_CLASSES: Final = frozenset({"08", "25", "53", "57"})
"""SQLSTATE classes that say nothing about the statement (appendix A of PostgreSQL's manual): connection, the
transaction's state (it idled for too long, or the server is a standby), resources, operator."""
_TOUCHED: Final = "touched_optimizations"
_NETWORK: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What libpq is told, so that a connection which has gone dead without a word is given up (seconds; ms)."""
_DRIVERS: Final[dict[str, tuple[Dialect, str]]] = {
    "sqlite": ("sqlite", "sqlite+aiosqlite"),
    "sqlite+aiosqlite": ("sqlite", "sqlite+aiosqlite"),
    "postgres": ("postgresql", "postgresql+psycopg"),
    "postgresql": ("postgresql", "postgresql+psycopg"),
    "postgresql+psycopg": ("postgresql", "postgresql+psycopg"),
}


def normalise_url(url: str) -> tuple[Dialect, URL]:
    """The dialect of ``url``, and ``url`` with the driver that this package uses.

    Raises:
        ValueError: another database, or an SQLite database that lives in memory only.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # its message may repeat a piece of a password
        raise ValueError("this is no database URL: sqlite+aiosqlite:///file is one") from None
    if parsed.drivername not in _DRIVERS:
        raise ValueError(f"{parsed.drivername} is not supported: use sqlite or postgresql")
    dialect, driver = _DRIVERS[parsed.drivername]
    if dialect == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("an SQLite database needs a file: its connections would not share a memory")
    return dialect, parsed.set(drivername=driver)


def network_options(url: URL) -> dict[str, int]:
    """What libpq is told about dead connections, where ``url`` does not say it."""
    return {name: value for name, value in _NETWORK.items() if name not in url.query}


class Database:
    """One database and its connections; share one instance in a process.

    Attributes:
        url: the normalised URL, with its password.
        dialect: ``sqlite`` or ``postgresql``.
        wakeups: hints to this process's waiters, sent after each commit.
    """

    def __init__(self, url: str, *, pool_size: int = 10, busy_seconds: float = 30.0) -> None:
        """Prepare connections; none is opened before it is needed.

        Args:
            url: ``sqlite:///file``, ``postgresql://user:password@host/name``, with or without the driver.
            pool_size: connections kept at most, and on PostgreSQL as many again under load.
            busy_seconds: how long to wait for a free connection, or for SQLite's lock, before giving up.

        Raises:
            ValueError: the URL is of no supported kind.
        """
        self.dialect, self.url = normalise_url(url)
        self.wakeups = Wakeups()
        self._busy_seconds = busy_seconds
        self._turns = asyncio.Lock()
        self._asking = 0
        self._direct: DirectConnection | None = None
        self._direct_reads: DirectConnection | None = None
        if self.dialect == "sqlite":
            self._direct = DirectConnection(self.url, busy_seconds, begin=WRITE)
            self._direct_reads = DirectConnection(self.url, busy_seconds, begin=READ)
            self._writes = sqlite_engine(self.url, 1, busy_seconds, begin=WRITE)
            self._reads = sqlite_engine(self.url, pool_size, busy_seconds, begin=READ)
            self._leases = self._writes
        else:
            self._writes = _postgresql_engine(self.url, pool_size, busy_seconds)
            self._reads = self._writes.execution_options(postgresql_readonly=True)
            # a pool that is exhausted by readers must not cost anybody a lease
            self._leases = _postgresql_engine(self.url, 1, busy_seconds)

    @property
    def lock_path(self) -> Path | None:
        """The file beside an SQLite database that the process holds locked while it runs jobs, or None."""
        if self.dialect != "sqlite" or self.url.database is None:
            return None
        return Path(self.url.database).absolute().with_name(f"{Path(self.url.database).name}.lock")

    @asynccontextmanager
    async def session(self, joining: Session | None = None) -> AsyncIterator[Session]:
        """One write transaction: committed at the end, rolled back on an error.

        Args:
            joining: a session whose transaction to take part in instead; its owner commits.

        Raises:
            ConflictError: a constraint refuses a change.
            StoreUnavailableError: the database cannot be reached, or stayed locked.
        """
        if joining is not None:
            yield joining
            return
        async with self._transaction(self._writes) as session:
            yield session

    async def write(self, work: Callable[[Connection], T], *, beat: bool = False) -> T:
        """Run ``work`` in one write transaction, for writes that happen many times a second.

        SQLite's driver would change threads several times for every statement; here it does so once.

        Args:
            work: what to do, by the connection it is given: a session that is closed ends the transaction.
            beat: use the connections that are kept free for heartbeats.

        Raises:
            ConflictError: a constraint refuses a change.
            StoreUnavailableError: the database cannot be reached, or stayed locked.
        """
        with _mapped_errors():
            if self._direct is None:
                async with (self._leases if beat else self._writes).begin() as connection:
                    return await connection.run_sync(work)
            async with self._turn():
                return await self._direct.run(work)

    async def fetch(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction that cannot write: as ``write``, for reads that happen as often.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        with _mapped_errors():
            if self._direct_reads is not None:
                return await self._direct_reads.run(work)
            async with self._reads.begin() as connection:
                return await connection.run_sync(work)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """This process's turn to write."""
        if self._turns.locked() or self._asking:
            await self._wait_for_turn()
        else:
            await self._turns.acquire()  # at once
        try:
            yield
        finally:
            self._turns.release()

    async def _wait_for_turn(self) -> None:
        self._asking += 1
        try:
            async with asyncio.timeout(self._busy_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise StoreUnavailableError("no other write of this process ended in time") from None
        finally:
            self._asking -= 1

    @asynccontextmanager
    async def read(self, joining: Session | None = None) -> AsyncIterator[Session]:
        """One transaction that cannot write.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        if joining is not None:
            yield joining
            return
        async with self._transaction(self._reads) as session:
            yield session

    def touch(self, session: Session, optimization_id: str, *, for_workers: bool = False) -> None:
        """Wake those who wait for ``optimization_id`` as soon as ``session`` has committed.

        Those in all processes; see ``Wakeups.listen_for_work`` for what is ``for_workers``.
        """
        touched: dict[str, bool] = session.info.setdefault(_TOUCHED, {})
        touched[optimization_id] = touched.get(optimization_id, False) or for_workers

    async def serialise(self, session: Session, name: str) -> None:
        """Let only one transaction with ``name`` go on at a time, until it ends."""
        await (await session.connection()).run_sync(serialise, name)

    async def close(self) -> None:
        """Close all connections."""
        for engine in {self._writes, self._reads, self._leases}:
            await engine.dispose()
        for direct in (self._direct, self._direct_reads):
            if direct is not None:
                await direct.close()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[Session]:
        new_session = AsyncSession(
            engine,
            expire_on_commit=False,
            autoflush=False,
            # rows that a statement returns are the truth, not what the session has seen earlier
            execution_options={"populate_existing": True, "synchronize_session": False},
        )
        takes_turns = self._direct is not None and engine is self._writes
        turn: AbstractAsyncContextManager[None] = self._turn() if takes_turns else nullcontext()
        with _mapped_errors():
            async with turn, new_session as session, session.begin():
                yield session
                touched: dict[str, bool] = session.info.get(_TOUCHED, {})
                for optimization_id, for_workers in touched.items():
                    connection = await session.connection()
                    await connection.run_sync(send_hint, optimization_id, for_workers=for_workers)
        for optimization_id, for_workers in touched.items():
            self.wakeups.notify(optimization_id, for_workers=for_workers)


@contextmanager
def _mapped_errors() -> Iterator[None]:
    """The only place where the driver's errors become ours: as SQLAlchemy wraps them, or bare."""
    try:
        yield
    except (IntegrityError, sqlite3.IntegrityError) as error:
        raise ConflictError(_words(error)) from error
    except (OperationalError, InterfaceError, sqlite3.OperationalError) as error:
        raise StoreUnavailableError(_words(error)) from error
    except (DBAPIError, sqlite3.DatabaseError) as error:
        if getattr(_cause(error), "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise UnusableStoreError("the file that database.url names is no SQLite database") from error
        if not (isinstance(error, DBAPIError) and _went_away(error)):
            raise
        raise StoreUnavailableError(_words(error)) from error
    except PoolTimeoutError as error:
        raise StoreUnavailableError("no database connection became free in time") from error


def _words(error: Exception) -> str:
    return str(_cause(error))


def _cause(error: Exception) -> object:
    return error.orig if isinstance(error, DBAPIError) else error


def _went_away(error: DBAPIError) -> bool:
    """Whether it is the server that is not there, and not the statement that is wrong."""
    state: object = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or (isinstance(state, str) and state[:2] in _AWAY_CLASSES)


def _postgresql_engine(url: URL, pool_size: int, busy_seconds: float) -> AsyncEngine:
    connect_args: dict[str, Any] = dict(network_options(url))
    if "options" not in url.query:
        # a frozen process must not hold row locks for longer than its lease
        connect_args["options"] = f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}"
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=busy_seconds,
        pool_pre_ping=True,
        json_serializer=to_json,
        hide_parameters=HIDE_PARAMETERS,
        connect_args=connect_args,
    )
