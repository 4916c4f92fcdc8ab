"""Processes of two versions on one database: what each of them takes, leaves alone, and refuses."""

from sqlalchemy import text

from store.connections import Database
from store.records.optimizations import Lease, Software
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import TTL, new_optimization

OLD = Software(name="1.0+aaa", spec_version=1)
NEW = Software(name="1.1+bbb", spec_version=2)


async def begun_by(database: Database, software: Software) -> Lease:
    """A job that this software works on."""
    await new_optimization(database)
    claim = await OptimizationRepository(database).claim_next(owner="ann", ttl=TTL, software=software)
    assert claim is not None
    assert claim.optimization.software == software.name
    return claim.lease


async def change(database: Database, lease: Lease, assignment: str) -> None:
    """Change the row."""
    async with database.session() as session:
        await session.execute(
            text(f"UPDATE optimizations SET {assignment} WHERE id = :id"),  # noqa: S608 - our own text
            {"id": lease.optimization_id},
        )


async def takes(database: Database, software: Software) -> bool:
    """Whether a worker of this software finds something to do."""
    found = await OptimizationRepository(database).claim_next(owner="bob", ttl=TTL, software=software)
    return found is not None


async def test_a_spec_that_is_newer_than_the_program_stays_queued(database: Database) -> None:
    job = await new_optimization(database)
    async with database.session() as session:
        await session.execute(text("UPDATE optimizations SET spec_version = 2"))
    assert not await takes(database, OLD)
    assert (await OptimizationRepository(database).get(job)).status == "queued"
    assert await takes(database, NEW)


async def test_a_job_given_back_goes_to_its_own_kind_at_once_and_to_others_after_a_minute(
    database: Database,
) -> None:
    lease = await begun_by(database, OLD)
    assert await OptimizationRepository(database).release(lease)
    assert not await takes(database, NEW)
    assert await takes(database, OLD)


async def test_a_job_whose_kind_of_worker_is_gone_is_taken_over_by_another(database: Database) -> None:
    lease = await begun_by(database, OLD)
    now = "(SELECT max(created_at) FROM optimizations)"
    await change(database, lease, f"lease_until = {now} - 30")
    assert not await takes(database, NEW)
    await change(database, lease, f"lease_until = {now} - 61")
    assert await takes(database, NEW)
    assert (await OptimizationRepository(database).get(lease.optimization_id)).software == NEW.name


async def test_a_job_that_waits_is_free_for_all(database: Database) -> None:
    lease = await begun_by(database, OLD)
    await change(database, lease, "status = 'queued'")
    assert await takes(database, NEW)


async def test_a_job_from_before_there_were_such_names_is_free_for_all(database: Database) -> None:
    lease = await begun_by(database, OLD)
    await change(database, lease, "software = NULL, lease_until = 1")
    assert await takes(database, NEW)
