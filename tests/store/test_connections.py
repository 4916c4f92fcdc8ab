"""Transactions, on both dialects."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from traceback import format_exception

import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.orm import Session as SyncSession

from store.clock import db_now
from store.connections import Database, normalise_url
from store.errors import ConflictError, StoreUnavailableError
from store.repositories.optimizations import OptimizationRepository

ADD = text("INSERT INTO example_banks (id, examples, created_at) VALUES (:id, '[]', 1)")
COUNT = text("SELECT count(*) FROM example_banks")


async def _count(db: Database) -> int:
    async with db.read() as session:
        return int(await session.scalar(COUNT) or 0)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///some/file.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:////srv/file.db", "sqlite+aiosqlite"),
        ("postgresql://user:secret@host/name", "postgresql+psycopg"),
        ("postgres://user:secret@host/name", "postgresql+psycopg"),
        ("postgresql+psycopg://user:secret@host/name", "postgresql+psycopg"),
    ],
)
def test_urls_get_the_driver_that_we_use(url: str, driver: str) -> None:
    dialect, parsed = normalise_url(url)
    assert parsed.drivername == driver
    assert driver.startswith(dialect)
    assert url.endswith(parsed.database or "nothing")


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "sqlite:///:memory:"])
def test_what_cannot_work_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite|SQLite"):
        Database(url)


@pytest.mark.parametrize("url", ["postgresql://u:a@b:s3cret@host/name", "postgresql://host:s3cret/name"])
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="no database URL") as caught:
        normalise_url(url)
    assert "s3cret" not in str(caught.value)


async def test_a_transaction_is_committed_at_its_end(database: Database) -> None:
    async with database.session() as session:
        await session.execute(ADD, {"id": "a"})
        await session.execute(ADD, {"id": "b"})
    assert await _count(database) == 2


async def test_an_error_takes_everything_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the context manager is what is tested
        async with database.session() as session:
            await session.execute(ADD, {"id": "a"})
            raise ZeroDivisionError
    assert await _count(database) == 0


async def test_joining_a_session_leaves_the_commit_to_its_owner(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the context manager is what is tested
        async with database.session() as outer:
            async with database.session(outer) as inner:
                await inner.execute(ADD, {"id": "a"})
            async with database.read(outer) as reading:
                assert await reading.scalar(COUNT) == 1
            raise ZeroDivisionError
    assert await _count(database) == 0


async def test_a_constraint_that_refuses_is_a_conflict(database: Database) -> None:
    with pytest.raises(ConflictError):
        async with database.session() as session:
            await session.execute(
                text("INSERT INTO dataset_queries VALUES ('no such dataset', 0, 'q', 'text', NULL)")
            )


async def test_an_error_says_nothing_of_what_was_to_be_stored(database: Database) -> None:
    wrong, said = text("INSERT INTO nowhere VALUES (:said)"), {"said": "between" + " us"}
    with pytest.raises((StoreUnavailableError, ProgrammingError)) as failed:
        async with database.session() as session:
            await session.execute(wrong, said)
    with pytest.raises((StoreUnavailableError, ProgrammingError)) as failed_at_once:
        await database.write(lambda connection: connection.execute(wrong, said))
    for error in (failed.value, failed_at_once.value):
        logged = "".join(format_exception(error))
        assert "nowhere" in logged
        assert "between us" not in logged


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(Exception, match=r"read-?only"):
        async with database.read() as session:
            await session.execute(ADD, {"id": "a"})
    assert await _count(database) == 0


async def test_concurrent_writers_queue_for_each_other(database: Database) -> None:
    """A transaction that reads before it writes cannot fail for another's sake."""

    async def add_next() -> None:
        async with database.session() as session:
            await database.serialise(session, "counter")
            count = await session.scalar(COUNT)
            await session.execute(ADD, {"id": str(count)})

    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(add_next())
    assert await _count(database) == 30


async def test_a_cancelled_transaction_gives_its_connection_back(database: Database) -> None:
    for wait_turns in range(60):
        inside = asyncio.Event()

        async def write(inside: asyncio.Event) -> None:
            async with database.session() as session:
                inside.set()
                for number in range(100):
                    await session.execute(ADD, {"id": f"x{number}"})

        task = asyncio.create_task(write(inside))
        await inside.wait()
        for _ in range(wait_turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert await _count(database) == 0
    async with database.session() as session:
        await session.execute(ADD, {"id": "a"})
    assert await _count(database) == 1


async def test_the_clock_is_the_databases_and_moves_within_a_transaction(database: Database) -> None:
    async with database.session() as session:
        first = await session.scalar(select(db_now()))
        await asyncio.sleep(0.01)
        second = await session.scalar(select(db_now()))
        reference = {
            "sqlite": "SELECT CAST(strftime('%s', 'now') AS FLOAT)",
            "postgresql": "SELECT CAST(floor(extract(epoch FROM clock_timestamp())) AS FLOAT)",
        }
        whole_second = await session.scalar(text(reference[database.dialect]))
    assert isinstance(first, float)
    assert isinstance(second, float)
    assert first < second
    assert 0 <= second - whole_second + 1 < 3


async def test_waiters_are_woken_after_the_commit_and_only_then(database: Database) -> None:
    with database.wakeups.listen("opt_1") as woken, database.wakeups.listen("opt_2") as other:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the context manager is what is tested
            async with database.session() as session:
                database.touch(session, "opt_1")
                raise ZeroDivisionError
        assert not woken.is_set()
        async with database.session() as session:
            database.touch(session, "opt_1")
            assert not woken.is_set()
        assert woken.is_set()
        assert not other.is_set()
        woken.clear()
        with database.wakeups.listen("opt_1") as second:
            pass
        database.wakeups.notify("opt_1")
        assert woken.is_set()
        assert not second.is_set()
    database.wakeups.notify("opt_1")


async def test_sqlite_is_set_up_for_concurrent_readers_and_safe_writes(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    expected = {"journal_mode": "wal", "synchronous": 1, "busy_timeout": 30_000, "foreign_keys": 1}
    async with db.session() as session, db.read() as reading:
        for connection in (session, reading):
            found = {name: await connection.scalar(text(f"PRAGMA {name}")) for name in expected}
            assert found == expected
    await db.close()


async def test_a_reader_is_not_held_up_by_a_writer(database: Database) -> None:
    async with database.session() as session:
        await session.execute(ADD, {"id": "a"})
        assert await _count(database) == 0
    assert await _count(database) == 1


def test_only_a_file_database_has_a_lock_file(tmp_path: Path) -> None:
    assert Database(f"sqlite:///{tmp_path}/some.db").lock_path == tmp_path / "some.db.lock"
    assert Database("postgresql://127.0.0.1/name").lock_path is None


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    db = Database("postgresql://postgres@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailableError):
        await OptimizationRepository(db).get("opt_1")
    await db.close()


async def test_a_file_in_no_folder_is_unavailable(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/no/such/folder/drpo.db")
    with pytest.raises(StoreUnavailableError, match="no/such/folder is not a folder"):
        await OptimizationRepository(db).get("opt_1")
    await db.close()


async def test_a_connection_that_the_server_ends_is_unavailable_and_replaced(postgres_url: str) -> None:
    db = Database(postgres_url, pool_size=1)
    with pytest.raises(StoreUnavailableError):
        async with db.session() as session:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert await _count(db) == 0
    await db.close()


async def test_a_server_option_of_the_url_is_kept(postgres_url: str) -> None:
    ours = Database(postgres_url)
    theirs = Database(f"{postgres_url}?options=-c%20search_path%3Dpublic")
    shown = []
    for db in (ours, theirs):
        async with db.read() as session:
            shown.append(await session.scalar(text("SHOW idle_in_transaction_session_timeout")))
        await db.close()
    assert shown == ["10s", "0"]


async def test_waiting_too_long_for_a_connection_is_unavailable(sqlite_url: str) -> None:
    db = Database(sqlite_url, busy_seconds=0.01)
    async with db.session() as session:
        await session.execute(ADD, {"id": "a"})
        with pytest.raises(StoreUnavailableError, match="no other write"):
            await OptimizationRepository(db).create(spec={}, target="small")
    assert await _count(db) == 1
    await db.close()


async def test_waiting_too_long_for_another_processs_lock_is_unavailable(sqlite_url: str) -> None:
    db, another = Database(sqlite_url, busy_seconds=0.01), Database(sqlite_url)
    async with another.session() as session:
        await session.execute(ADD, {"id": "a"})
        with pytest.raises(StoreUnavailableError, match="locked"):
            await OptimizationRepository(db).create(spec={}, target="small")
    await db.close()
    await another.close()


async def test_a_transaction_that_idled_for_too_long_is_unavailable_and_its_connection_replaced(
    postgres_url: str,
) -> None:
    db = Database(f"{postgres_url}?options=-c%20idle_in_transaction_session_timeout%3D20", pool_size=1)
    looking_on = Database(postgres_url)
    is_there = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")

    async def outstay() -> None:
        async with db.session() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            there: int | None = 1
            while there:
                async with looking_on.read() as reading:
                    there = await reading.scalar(is_there, {"pid": pid})
            await session.execute(ADD, {"id": "a"})

    with pytest.raises(StoreUnavailableError, match="idle-in-transaction"):
        await outstay()
    assert await _count(db) == 0
    await db.close()
    await looking_on.close()


async def test_a_server_that_takes_no_writes_is_unavailable(postgres_url: str) -> None:
    standby = Database(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don")
    with pytest.raises(StoreUnavailableError, match="read-only"):
        await standby.write(lambda connection: connection.execute(ADD, {"id": "a"}))
    await standby.close()


async def test_a_statement_that_is_wrong_is_no_absent_server(postgres_url: str) -> None:
    db = Database(postgres_url)
    with pytest.raises(ProgrammingError):
        await db.write(lambda connection: connection.execute(text("SELECT nothing_of_the_kind")))
    await db.close()


@pytest.mark.parametrize(("invalidated", "expected"), [(True, StoreUnavailableError), (False, DBAPIError)])
async def test_a_connection_that_the_driver_gave_up_is_unavailable(
    database: Database, invalidated: bool, expected: type[Exception]
) -> None:
    error = DBAPIError("SELECT 1", None, OSError("gone"), connection_invalidated=invalidated)
    with pytest.raises(expected):
        async with database.session():
            raise error


async def test_quick_writes_share_a_connection_until_one_fails(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database(sqlite_url)
    connects, opened = Engine.connect, 0

    def connect(engine: Engine) -> Connection:
        nonlocal opened
        opened += 1
        return connects(engine)

    monkeypatch.setattr(Engine, "connect", connect)

    def add(name: str) -> Callable[[Connection], object]:
        return lambda connection: connection.execute(ADD, {"id": name})

    for name in "abc":
        await db.write(add(name))
    assert opened == 1
    with pytest.raises(ConflictError):
        await db.write(add("a"))
    await db.write(add("d"))
    assert opened == 2
    assert await _count(db) == 4
    await db.close()


async def test_a_fetch_sees_what_is_committed_and_cannot_write(database: Database) -> None:
    await database.write(lambda connection: connection.execute(ADD, {"id": "a"}))
    assert await database.fetch(lambda connection: connection.scalar(COUNT)) == 1
    with pytest.raises(StoreUnavailableError):
        await database.fetch(lambda connection: connection.execute(ADD, {"id": "b"}))
    assert await _count(database) == 1


async def test_work_that_ends_its_transaction_is_refused(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    def work(connection: Connection) -> None:
        with SyncSession(connection) as session:
            session.execute(text("SELECT 1"))

    try:
        with pytest.raises(RuntimeError, match="sessions are for reads"):
            await database.write(work)
        await database.fetch(work)
        assert await database.write(lambda connection: connection.scalar(text("SELECT 1"))) == 1
    finally:
        await database.close()
