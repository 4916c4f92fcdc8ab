"""Jobs that wait for a backend."""

import asyncio

from store.connections import Database
from store.records.optimizations import OptimizationStatus, PauseCause, PauseReason
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import ANY_SOFTWARE

REASON = PauseReason(cause=PauseCause.BACKEND, message="it is away", backend="upstream", answered=3)


async def paused(repository: OptimizationRepository, *, probe_in: float, reason: PauseReason = REASON) -> str:
    """A job that waits."""
    job = (await repository.create(spec={}, target="m")).id
    claim = await repository.claim_next(owner="w", ttl=60, software=ANY_SOFTWARE)
    assert claim is not None
    record = await repository.pause_for_backend(claim.lease, reason, probe_in=probe_in)
    assert record.status is OptimizationStatus.PAUSED
    assert record.paused_because == reason
    return job


async def test_only_what_is_due_is_given_out_and_to_one_prober_alone(database: Database) -> None:
    repository = OptimizationRepository(database)
    assert not await repository.has_due_probes()
    due = {await paused(repository, probe_in=-1) for _ in range(3)}
    await paused(repository, probe_in=60)
    assert await repository.has_due_probes()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(repository.due_probes(hold=60)) for _ in range(3)]
    found = [record.id for task in tasks for record in task.result()]
    assert sorted(found) == sorted(due)
    assert not await repository.has_due_probes()
    assert await repository.due_probes(hold=60) == ()


async def test_a_prober_that_dies_is_followed_by_another(database: Database) -> None:
    repository = OptimizationRepository(database)
    job = await paused(repository, probe_in=-1)
    assert [record.id for record in await repository.due_probes(hold=-1)] == [job]
    assert [record.id for record in await repository.due_probes(hold=60)] == [job]


async def test_what_waits_for_a_backend_is_found_whenever_it_is_due(database: Database) -> None:
    repository = OptimizationRepository(database)
    jobs = {await paused(repository, probe_in=seconds) for seconds in (-1, 60)}
    other = PauseReason(cause=PauseCause.BACKEND, message="away", backend="other")
    elsewhere = await paused(repository, probe_in=60, reason=other)
    by_hand = await paused(repository, probe_in=60)
    await repository.request_pause(by_hand)
    assert set(await repository.waiting_for_backend("upstream")) == jobs
    assert await repository.waiting_for_backend("other") == (elsewhere,)


async def test_a_probe_in_vain_is_written_down_unless_the_job_waits_no_more(database: Database) -> None:
    repository = OptimizationRepository(database)
    job = await paused(repository, probe_in=-1)
    again = PauseReason(
        cause=PauseCause.BACKEND, message="it is away", backend="upstream", answered=3, probes=1
    )
    assert await repository.put_off_probe(job, again, probe_in=60)
    record = await repository.get(job)
    assert record.paused_because == again
    assert not await repository.has_due_probes()
    await repository.resume(job)
    assert not await repository.put_off_probe(job, again, probe_in=60)
    assert (await repository.get(job)).paused_because is None


async def test_pauses_without_an_answer_between_are_in_vain(database: Database) -> None:
    repository = OptimizationRepository(database)
    job = await paused(repository, probe_in=60)
    assert await repository.answered_calls(job) == 0
    for answered, times in ((3, 2), (4, 2)):
        for _ in range(times):
            await repository.resume_after_backend(job)
            claim = await repository.claim_next(owner="w", ttl=60, software=ANY_SOFTWARE)
            assert claim is not None
            reason = PauseReason(
                cause=PauseCause.BACKEND, message="away", backend="upstream", answered=answered
            )
            await repository.pause_for_backend(claim.lease, reason, probe_in=60)
    assert await repository.fruitless_pauses(job, answered=4) == 2
    assert await repository.fruitless_pauses(job, answered=5) == 0
