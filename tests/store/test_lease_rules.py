"""Two owners, any order of steps: at most one of them can write, and only the one who claimed last."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from typing_extensions import override

from store.connections import Database
from store.errors import LostLeaseError
from store.progress import ProgressLog
from store.records.optimizations import BeatResult, Lease, OptimizationStatus
from store.records.progress import ProgressBatch
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import ANY_SOFTWARE, TTL, event, expire, new_optimization

OWNERS = st.sampled_from(["ann", "bob"])


class Owners(RuleBasedStateMachine):
    """A model of one optimization: who holds it, whether the lease is alive, and what was recorded."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._db = Database(self.url)
        self._repository = OptimizationRepository(self._db)
        self._log = ProgressLog(self._db)
        self._runner.run(self._forget_other_examples())
        self._id = self._runner.run(new_optimization(self._db))
        self._leases: dict[str, Lease] = {}  # the last lease that each owner got
        self._holder: str | None = None
        self._fence = 0
        self._alive = False
        self._cancelled = False
        self._status = OptimizationStatus.QUEUED
        self._recorded = 0
        self._attempts = 0

    async def _forget_other_examples(self) -> None:
        async with self._db.session() as session:
            await session.execute(text("UPDATE optimizations SET status = 'failed'"))

    @override
    def teardown(self) -> None:
        self._runner.run(self._db.close())
        self._runner.close()

    @rule(owner=OWNERS)
    def claims(self, owner: str) -> None:
        claim = self._runner.run(self._repository.claim_next(owner=owner, ttl=TTL, software=ANY_SOFTWARE))
        if self._cancelled and not self._alive and self._status is OptimizationStatus.RUNNING:
            self._ends(OptimizationStatus.CANCELLED)
        free = self._status is OptimizationStatus.QUEUED or (
            self._status is OptimizationStatus.RUNNING and not self._alive
        )
        assert (claim is not None) == (free and not self._cancelled)
        if claim is not None:
            assert claim.lease.fence > self._fence
            self._leases[owner], self._holder, self._alive = claim.lease, owner, True
            self._fence, self._status = claim.lease.fence, OptimizationStatus.RUNNING
            self._recorded += 1

    @rule(owner=OWNERS)
    def beats(self, owner: str) -> None:
        if owner not in self._leases:
            return
        result = self._runner.run(self._repository.beat(self._leases[owner], ttl=TTL)).result
        if self._is_valid(owner):
            self._alive = True
            assert result is (BeatResult.CANCEL_REQUESTED if self._cancelled else BeatResult.HELD)
        else:
            assert result is BeatResult.LOST

    @rule(owner=OWNERS)
    def records(self, owner: str) -> None:
        if owner not in self._leases:
            return
        self._attempts += 1
        batch = ProgressBatch(events=(event(f"{owner}:{self._attempts}"),))
        try:
            added = self._runner.run(self._log.record(self._leases[owner], batch))
        except LostLeaseError:
            assert not self._is_valid(owner)
        else:
            assert self._is_valid(owner)
            self._recorded += added

    @rule(owner=OWNERS)
    def releases(self, owner: str) -> None:
        if owner in self._leases:
            released = self._runner.run(self._repository.release(self._leases[owner]))
            assert released == self._is_valid(owner)
            self._alive = self._alive and not released

    @rule(owner=OWNERS)
    def finishes(self, owner: str) -> None:
        if owner not in self._leases:
            return
        try:
            self._runner.run(self._repository.finish(self._leases[owner], OptimizationStatus.SUCCEEDED))
        except LostLeaseError:
            assert not self._is_valid(owner)
        else:
            assert self._is_valid(owner)
            self._ends(OptimizationStatus.SUCCEEDED)

    @rule()
    def falls_silent(self) -> None:
        self._runner.run(expire(self._db, self._id))
        self._alive = False

    @rule()
    def is_cancelled(self) -> None:
        if self._status.is_final or self._cancelled:
            return
        self._runner.run(self._repository.request_cancel(self._id))
        self._cancelled = True
        if self._status is OptimizationStatus.QUEUED:
            self._ends(OptimizationStatus.CANCELLED)
        else:
            self._recorded += 1

    @invariant()
    def the_row_agrees(self) -> None:
        row = self._runner.run(self._repository.get(self._id))
        assert (row.status, row.cancel_requested) == (self._status, self._cancelled)

    @invariant()
    def events_are_numbered_from_one_without_gaps(self) -> None:
        events = self._runner.run(self._log.events_after(self._id, 0))
        assert [item.seq for item in events] == list(range(1, self._recorded + 1))

    def _is_valid(self, owner: str) -> bool:
        return self._status is OptimizationStatus.RUNNING and self._holder == owner

    def _ends(self, status: OptimizationStatus) -> None:
        self._status, self._holder, self._alive = status, None, False
        self._recorded += 1


def test_never_two_owners_whatever_they_do(database_url: str) -> None:
    class OwnersHere(Owners):
        url = database_url

    run_state_machine_as_test(OwnersHere, settings=settings(max_examples=12, stateful_step_count=16))
