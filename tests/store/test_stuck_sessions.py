"""A process that was frozen in the middle of a batch keeps its row locked, and PostgreSQL lets it."""

import contextlib

import psycopg
import pytest
from sqlalchemy import Connection, text

from store import stuck_sessions
from store.connections import Database
from store.records.optimizations import OptimizationStatus
from store.repositories import optimization_claims
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import ANY_SOFTWARE, TTL, expire, new_lease


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for its client counts as stuck."""
    ends = stuck_sessions.end_stuck_sessions

    def end(connection: Connection) -> int:
        return ends(connection, seconds=0.0)

    monkeypatch.setattr(optimization_claims, "end_stuck_sessions", end)


@pytest.mark.parametrize("is_cancelled", [False, True])
@pytest.mark.usefixtures("at_once")
async def test_a_row_that_a_frozen_batch_keeps_locked_is_freed_when_its_lease_is_over(
    postgres_url: str, is_cancelled: bool
) -> None:
    database = Database(postgres_url)
    repository = OptimizationRepository(database)
    lease = await new_lease(database)
    if is_cancelled:
        await repository.request_cancel(lease.optimization_id)
    await expire(database, lease.optimization_id)
    with (
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(postgres_url) as frozen,
        frozen.pipeline(),
    ):
        frozen.execute("SELECT 1 FROM optimizations FOR UPDATE")
        frozen.pgconn.send_flush_request()
        frozen.pgconn.flush()
        while not await is_locked(database):
            pass
        assert await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None
        found = await repository.get(lease.optimization_id)
        while found.fence == lease.fence:  # the server ends a session in its own time
            await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE)
            found = await repository.get(lease.optimization_id)
        status = OptimizationStatus.CANCELLED if is_cancelled else OptimizationStatus.RUNNING
        assert (found.fence, found.status) == (lease.fence + 1, status)
    await database.close()


async def is_locked(database: Database) -> bool:
    """Whether somebody waits for its client inside a transaction."""
    async with database.read() as session:
        found = await session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state = 'active' AND wait_event = 'ClientRead'"
            )
        )
    return bool(found)


async def test_a_session_that_works_is_left_alone(postgres_url: str) -> None:
    database = Database(postgres_url)
    repository = OptimizationRepository(database)
    lease = await new_lease(database)
    await expire(database, lease.optimization_id)
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM optimizations FOR UPDATE")
        assert (
            await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None
        )  # it waits for less than five seconds
        other.execute("SELECT 1")
    assert await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is not None
    await database.close()
