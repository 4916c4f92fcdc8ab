"""What one process changes, another hears of: with the commit, and not without it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import text
from typing_extensions import override

from store.connections import Database
from store.hint_listener import HintListener
from store.progress import ProgressLog
from store.records.progress import ProgressBatch
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import ANY_SOFTWARE, TTL, event, new_lease, new_optimization

HOUR = 3600.0


class Ears:
    """What another process hears of work."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str | None] = asyncio.Queue()

    async def next(self, optimization_id: str | None) -> None:
        """Wait for this hint; hints may come twice."""
        while await self.heard.get() != optimization_id:
            pass


@asynccontextmanager
async def another_process(url: str) -> AsyncIterator[tuple[Database, Ears]]:
    """A store of its own on the same database, that listens."""
    other, ears = Database(url), Ears()
    try:
        with other.wakeups.listen_for_work(ears.heard.put_nowait):
            async with HintListener(other, retry_seconds=0.01):
                assert await ears.heard.get() is None  # it listens from now on
                yield other, ears
    finally:
        await other.close()


@pytest.fixture
async def here(postgres_url: str) -> AsyncIterator[Database]:
    """The process that changes something."""
    db = Database(postgres_url)
    yield db
    await db.close()


async def test_a_job_that_is_queued_is_heard_by_workers_elsewhere(here: Database, postgres_url: str) -> None:
    async with another_process(postgres_url) as (_, ears):
        await ears.next(await new_optimization(here))


async def test_a_job_that_is_rolled_back_is_not_heard(here: Database, postgres_url: str) -> None:
    repository = OptimizationRepository(here)
    async with another_process(postgres_url) as (_, ears):
        with contextlib.suppress(ZeroDivisionError):
            async with here.session() as session:
                await repository.create(spec={}, target="small", session=session)
                raise ZeroDivisionError
        kept = await new_optimization(here)
        assert await ears.heard.get() == kept


async def test_a_request_to_cancel_and_a_lease_given_back_are_heard_by_workers_elsewhere(
    here: Database, postgres_url: str
) -> None:
    repository = OptimizationRepository(here)
    lease = await new_lease(here)
    async with another_process(postgres_url) as (_, ears):
        await repository.request_cancel(lease.optimization_id)
        await ears.next(lease.optimization_id)
        assert await repository.release(lease)
        await ears.next(lease.optimization_id)


async def test_events_reach_those_who_follow_elsewhere_and_wake_no_worker(
    here: Database, postgres_url: str
) -> None:
    lease = await new_lease(here)
    async with another_process(postgres_url) as (other, ears):
        log = ProgressLog(other, poll_seconds=HOUR)
        (started,) = await log.wait_for_events(lease.optimization_id, 0, timeout=0)
        following = asyncio.create_task(log.wait_for_events(lease.optimization_id, started.seq, timeout=HOUR))
        await asyncio.sleep(0)
        await ProgressLog(here).record(lease, ProgressBatch(events=(event("e1"),)))
        assert [found.key for found in await following] == ["e1"]
        next_job = await new_optimization(here)
        assert await ears.heard.get() == next_job  # and nothing before it


async def test_a_follower_hears_of_the_end_of_a_job(here: Database, postgres_url: str) -> None:
    repository = OptimizationRepository(here)
    job = await new_optimization(here)
    async with another_process(postgres_url) as (other, _):
        log = ProgressLog(other, poll_seconds=HOUR)
        following = asyncio.create_task(log.wait_for_events(job, 0, timeout=HOUR))
        await asyncio.sleep(0)
        await repository.request_cancel(job)
        assert [found.type for found in await following] == ["optimization_finished"]


async def test_a_connection_that_breaks_is_opened_again_and_everybody_is_woken(
    here: Database, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with another_process(postgres_url) as (_, ears):
        for _ in range(2):
            async with here.session() as session:
                await session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        " AND query LIKE 'LISTEN%'"
                    )
                )
            await ears.next(None)
            await ears.next(await new_optimization(here))
    assert any("other processes are not heard now" in record.getMessage() for record in caplog.records)


class Tries(logging.Handler):
    """Counts what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.made = asyncio.Semaphore(0)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.made.release()


async def test_a_server_that_is_away_is_asked_again_until_the_end(caplog: pytest.LogCaptureFixture) -> None:
    secret = "a-secret-password"
    away = Database(f"postgresql://drpo:{secret}@127.0.0.1:1/nothing")
    tries = Tries()
    logging.getLogger("store.hint_listener").addHandler(tries)
    async with HintListener(away, retry_seconds=0.001):
        for _ in range(3):
            await tries.made.acquire()
    logging.getLogger("store.hint_listener").removeHandler(tries)
    assert secret not in caplog.text
    await away.close()


async def test_on_sqlite_there_is_nobody_to_hear(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    heard: list[str | None] = []
    with db.wakeups.listen_for_work(heard.append):
        async with HintListener(db):
            job = await new_optimization(db)
            claim = await OptimizationRepository(db).claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE)
            assert claim is not None
    assert heard == [job]  # this process itself has workers, too
    await new_optimization(db)
    assert heard == [job]
    await db.close()


async def test_the_options_of_the_url_win_over_ours(postgres_url: str) -> None:
    db = Database(f"{postgres_url}?connect_timeout=7")
    ears = Ears()
    with db.wakeups.listen_for_work(ears.heard.put_nowait):
        async with HintListener(db):
            assert await ears.heard.get() is None
    await db.close()
    with psycopg.connect(postgres_url) as connection:
        assert connection.info.dbname
