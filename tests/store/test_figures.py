"""Figures about the whole database."""

from store.connections import Database
from store.records.optimizations import PauseCause, PauseReason
from store.repositories.figures import FigureRepository
from store.repositories.job_deletion import JobDeletion
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import new_lease, new_optimization


async def test_an_empty_database_has_a_size_and_nothing_else(database: Database) -> None:
    found = await FigureRepository(database).read()
    assert found.bytes > 4096
    assert (found.jobs, found.oldest_queued_seconds, found.paused_for) == ({}, 0.0, {})


async def test_jobs_are_counted_by_state_and_by_the_backend_that_they_wait_for(database: Database) -> None:
    optimizations = OptimizationRepository(database)
    running = await new_lease(database)
    for backend in ("a", "a", "b"):
        lease = await new_lease(database)
        reason = PauseReason(cause=PauseCause.BACKEND, message="away", backend=backend)
        await optimizations.pause_for_backend(lease, reason, probe_in=60)
    await optimizations.request_pause(await new_optimization(database))
    await new_optimization(database)
    found = await FigureRepository(database).read()
    assert running.optimization_id
    assert found.jobs == {"running": 1, "paused": 4, "queued": 1}
    assert found.paused_for == {"a": 2, "b": 1}


async def test_deleted_jobs_are_not_counted(database: Database) -> None:
    job, _ = await new_optimization(database), await new_optimization(database)
    await OptimizationRepository(database).request_cancel(job)
    assert (await FigureRepository(database).read()).jobs == {"cancelled": 1, "queued": 1}
    await JobDeletion(database).delete(job)
    assert (await FigureRepository(database).read()).jobs == {"queued": 1}


async def test_the_queue_is_as_old_as_its_first_job(database: Database) -> None:
    await new_optimization(database)
    async with database.session() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE optimizations SET created_at = created_at - 90")
    await new_optimization(database)
    assert 90 <= (await FigureRepository(database).read()).oldest_queued_seconds < 100
