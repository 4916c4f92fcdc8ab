"""No sequence of operations takes a job along an edge that the table of transitions does not have."""

import ast
import asyncio
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from typing_extensions import override

import store
from store.connections import Database
from store.errors import JobStateError, LostLeaseError
from store.job_states import FIRST_STATES, TRANSITIONS
from store.progress import ProgressLog
from store.records.optimizations import (
    BeatResult,
    Lease,
    OptimizationRecord,
    OptimizationStatus,
    PauseCause,
    PauseReason,
)
from store.repositories.optimizations import OptimizationRepository
from tests.architecture.sources import ROOT
from tests.store.steps import ANY_SOFTWARE, TTL, expire, new_lease, new_optimization, take_over

AWAY = PauseReason(cause=PauseCause.BACKEND, message="main does not answer", backend="main")
# written down once more, so that a change of the table is a change of a test
EDGES = {
    "queued": {"running", "paused", "cancelled"},
    "running": {"running", "paused", "cancelled", "succeeded", "failed"},
    "paused": {"queued", "cancelled"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
}


class Job(RuleBasedStateMachine):
    """Everything that can happen to one job, in any order and by anybody who once held its lease."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._db = Database(self.url)
        self._jobs = OptimizationRepository(self._db)
        self._runner.run(self._forget_other_examples())
        self._id = self._runner.run(new_optimization(self._db))
        self._leases: list[Lease] = []
        self._status = "queued"

    async def _forget_other_examples(self) -> None:
        async with self._db.session() as session:
            await session.execute(text("UPDATE optimizations SET status = 'failed'"))

    @override
    def teardown(self) -> None:
        self._runner.run(self._db.close())
        self._runner.close()

    @rule()
    def is_claimed(self) -> None:
        before = self._row()
        claim = self._runner.run(self._jobs.claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE))
        if claim is not None:
            assert not before.cancel_requested
            assert not before.pause_requested
            self._leases.append(claim.lease)

    @rule()
    def falls_silent(self) -> None:
        self._runner.run(expire(self._db, self._id))

    @rule(which=st.integers(0, 3), status=st.sampled_from(["succeeded", "failed", "cancelled"]))
    def ends(self, which: int, status: str) -> None:
        lease = self._lease(which)
        if lease is not None:
            self._try(self._jobs.finish(lease, OptimizationStatus(status)))

    @rule(which=st.integers(0, 3))
    def stops_for_a_pause(self, which: int) -> None:
        lease = self._lease(which)
        if lease is not None:
            self._try(self._jobs.pause(lease))

    @rule(which=st.integers(0, 3))
    def stops_for_a_backend(self, which: int) -> None:
        lease = self._lease(which)
        if lease is not None:
            self._try(self._jobs.pause_for_backend(lease, AWAY, probe_in=1.0))

    @rule(which=st.integers(0, 3))
    def is_released(self, which: int) -> None:
        lease = self._lease(which)
        if lease is not None:
            self._runner.run(self._jobs.release(lease))

    @rule()
    def is_to_be_paused(self) -> None:
        self._try(self._jobs.request_pause(self._id))

    @rule()
    def is_resumed(self) -> None:
        self._try(self._jobs.resume(self._id))

    @rule()
    def has_its_backend_back(self) -> None:
        before = self._row()
        self._try(self._jobs.resume_after_backend(self._id))
        if self._row().status != before.status:
            assert before.paused_because == AWAY

    @rule()
    def is_changed(self) -> None:
        self._try(self._jobs.change(self._id, limits=lambda _: {"calls": 5}, priority=3))

    @rule()
    def is_cancelled(self) -> None:
        self._try(self._jobs.request_cancel(self._id))

    @invariant()
    def only_edges_of_the_table_are_taken(self) -> None:
        row = self._row()
        if row.status.value != self._status:
            # an operation may end a dead owner's attempt and begin the next
            assert row.status.value in EDGES[self._status]
        self._status = row.status.value

    @invariant()
    def the_reason_for_a_pause_is_there_while_it_lasts(self) -> None:
        row = self._row()
        assert (row.paused_because is not None) == (row.status is OptimizationStatus.PAUSED) or (
            row.status is OptimizationStatus.CANCELLED
        )
        assert not (row.pause_requested and row.status is OptimizationStatus.PAUSED)
        assert row.probe_at is None or row.paused_because == AWAY

    def _row(self) -> OptimizationRecord:
        return self._runner.run(self._jobs.get(self._id))

    def _lease(self, which: int) -> Lease | None:
        return self._leases[-1 - which] if which < len(self._leases) else None

    def _try(self, operation: object) -> None:
        before = self._row()
        try:
            self._runner.run(operation)  # type: ignore[arg-type]  # any of the repository's coroutines
        except (JobStateError, LostLeaseError):
            assert self._row() == before


def test_no_sequence_of_operations_leaves_the_graph(database_url: str) -> None:
    class JobHere(Job):
        url = database_url

    run_state_machine_as_test(JobHere, settings=settings(max_examples=20, stateful_step_count=20))


def test_the_table_has_the_edges_that_everybody_relies_on() -> None:
    edges: dict[str, set[str]] = {status.value: set() for status in OptimizationStatus}
    for transition in TRANSITIONS.values():
        for source in transition.sources:
            edges[source.value].add(transition.target.value)
    assert edges == EDGES
    assert {status.value for status in FIRST_STATES} == {"queued", "succeeded"}


def test_the_table_in_the_architecture_is_the_one_in_the_code() -> None:
    written = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for cause, transition in TRANSITIONS.items():
        order = [status.value for status in OptimizationStatus if status in transition.sources]
        row = f"| `{cause}` | {', '.join(order)} | {transition.target} | {transition.why} |"
        assert row in written


def test_nothing_but_the_table_of_transitions_writes_a_state() -> None:
    root = Path(str(store.__file__)).parent
    writers = set()
    for path in root.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if "from store.models.optimization import Optimization\n" not in source:
            continue  # other tables have a status of their own
        for node in ast.walk(ast.parse(source)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "values"
                and any(keyword.arg == "status" for keyword in node.keywords)
                and "Schedule" not in ast.unparse(node.func)
            ):
                writers.add(path.relative_to(root).as_posix())
    # a job is born with a state
    assert writers == {"job_states.py", "repositories/optimizations.py"}


async def test_a_pause_asked_for_while_it_waits_acts_at_once(database: Database) -> None:
    jobs = OptimizationRepository(database)
    job = await new_optimization(database)
    paused = await jobs.request_pause(job)
    assert paused.status is OptimizationStatus.PAUSED
    assert paused.paused_because is not None
    assert paused.paused_because.cause is PauseCause.REQUESTED
    assert await jobs.request_pause(job) == paused
    assert await jobs.claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE) is None
    resumed = await jobs.resume(job)
    assert (resumed.status, resumed.paused_because) == (OptimizationStatus.QUEUED, None)
    events = await ProgressLog(database).events_after(job, 0)
    assert [event.type for event in events] == ["optimization_paused", "optimization_resumed"]


async def test_a_running_one_learns_of_a_pause_at_its_beat_and_is_free_afterwards(
    database: Database,
) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    asked = await jobs.request_pause(lease.optimization_id)
    assert (asked.status, asked.pause_requested) == (OptimizationStatus.RUNNING, True)
    assert (await jobs.beat(lease, ttl=TTL)).result is BeatResult.PAUSE_REQUESTED
    paused = await jobs.pause(lease, elapsed=1.5)
    assert (paused.status, paused.pause_requested) == (OptimizationStatus.PAUSED, False)
    assert paused.elapsed_seconds == 1.5
    assert (await jobs.beat(lease, ttl=TTL)).result is BeatResult.LOST
    await jobs.resume(lease.optimization_id)
    claim = await jobs.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    assert claim.lease.fence == lease.fence + 1


async def test_a_pause_that_is_taken_back_in_time_costs_only_a_new_attempt(database: Database) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    await jobs.request_pause(lease.optimization_id)
    await jobs.resume(lease.optimization_id)
    assert (await jobs.beat(lease, ttl=TTL)).result is BeatResult.HELD
    assert (await jobs.pause(lease)).status is OptimizationStatus.RUNNING  # it had stopped already
    assert await jobs.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is not None


async def test_a_dead_owner_s_job_is_paused_by_whoever_looks_next(database: Database) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    await jobs.request_pause(lease.optimization_id)
    await expire(database, lease.optimization_id)
    assert await jobs.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None
    assert (await jobs.get(lease.optimization_id)).status is OptimizationStatus.PAUSED
    with pytest.raises(LostLeaseError):
        await jobs.pause(lease)


async def test_a_job_that_ended_before_its_pause_is_not_resumed(database: Database) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    await jobs.request_pause(lease.optimization_id)
    ended = await jobs.finish(lease, OptimizationStatus.SUCCEEDED, result={})
    with pytest.raises(JobStateError, match="is succeeded and cannot be resumed"):
        await jobs.resume(lease.optimization_id)
    assert await jobs.get(lease.optimization_id) == ended


async def test_a_cancelled_job_is_paused_for_nothing_any_more(database: Database) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    await jobs.pause_for_backend(lease, AWAY, probe_in=5.0)
    ended = await jobs.request_cancel(lease.optimization_id)
    assert (ended.status, ended.paused_because) == (OptimizationStatus.CANCELLED, None)


@pytest.mark.parametrize("asked", ["request_pause", "request_cancel"])
async def test_a_dead_owner_s_job_that_is_locked_keeps_nobody_from_other_jobs(
    postgres_url: str, asked: str
) -> None:
    database, locker = Database(postgres_url), Database(postgres_url)
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    waiting = await new_optimization(database)
    await getattr(jobs, asked)(lease.optimization_id)
    await expire(database, lease.optimization_id)
    async with locker.session() as other:
        locked = text("SELECT 1 FROM optimizations WHERE id = :id FOR UPDATE")
        await other.execute(locked, {"id": lease.optimization_id})
        async with asyncio.timeout(10):
            claim = await jobs.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE)
        assert claim is not None
        assert claim.lease.optimization_id == waiting
    assert await jobs.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None
    expected = {"request_pause": OptimizationStatus.PAUSED, "request_cancel": OptimizationStatus.CANCELLED}
    assert (await jobs.get(lease.optimization_id)).status is expected[asked]
    await database.close()
    await locker.close()


async def test_a_cancellation_comes_before_a_pause(database: Database) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    await jobs.request_pause(lease.optimization_id)
    await jobs.request_cancel(lease.optimization_id)
    assert (await jobs.beat(lease, ttl=TTL)).result is BeatResult.CANCEL_REQUESTED
    with pytest.raises(JobStateError, match="about to be cancelled"):
        await jobs.resume(lease.optimization_id)
    assert (await jobs.pause(lease)).status is OptimizationStatus.CANCELLED


async def test_a_pause_for_a_backend_ends_by_itself_and_one_by_a_person_does_not(database: Database) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    waiting = await jobs.pause_for_backend(lease, AWAY, probe_in=5.0)
    assert waiting.paused_because == AWAY
    assert waiting.probe_at is not None
    assert (await jobs.resume_after_backend(lease.optimization_id)).status is OptimizationStatus.QUEUED
    claim = await jobs.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    await jobs.pause_for_backend(claim.lease, AWAY, probe_in=5.0)
    held = await jobs.request_pause(lease.optimization_id)
    assert held.probe_at is None
    with pytest.raises(JobStateError, match="is paused"):
        await jobs.resume_after_backend(lease.optimization_id)


async def test_the_higher_priority_is_claimed_first_and_the_older_one_among_equals(
    database: Database,
) -> None:
    jobs = OptimizationRepository(database)
    first, second, third = [await new_optimization(database) for _ in range(3)]
    await jobs.change(third, priority=10)
    claims = [await jobs.claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE) for _ in range(3)]
    assert [claim and claim.lease.optimization_id for claim in claims] == [third, first, second]


async def test_other_limits_reach_the_owner_with_its_next_beat(database: Database) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    assert (await jobs.beat(lease, ttl=TTL)).limits is None
    await jobs.change(lease.optimization_id, limits=lambda _: {"calls": 7})
    assert (await jobs.beat(lease, ttl=TTL)).limits == {"calls": 7}
    later = await take_over(database, lease)
    assert (await jobs.beat(later, ttl=TTL)).limits == {"calls": 7}


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
async def test_what_has_ended_says_what_is_still_possible(database: Database, status: str) -> None:
    jobs, lease = OptimizationRepository(database), await new_lease(database)
    await jobs.finish(lease, OptimizationStatus(status))
    for operation in (jobs.request_pause, jobs.resume, jobs.change):
        with pytest.raises(JobStateError, match=f"is {status} and cannot be .*: look at it"):
            await operation(lease.optimization_id)
