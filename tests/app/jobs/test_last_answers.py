"""What a run has paid for is on record when it ends, however it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from typing_extensions import override

from app.job_settings import JobSettings
from app.jobs import run as run_module
from app.jobs.run import Finding, JobStore, OptimizationRun
from app.jobs.spec import JobSpec
from app.jobs.tenure import Tenure
from app.jobs.worker import JobWorker, WorkerStore
from app.llm.registry import ModelRegistry
from app.retrieval import Retrievers
from app.retrieval_settings import RetrievalSettings
from optimizer.errors import DrpoError, TemplateError
from optimizer.types import JsonObject
from rewards.catalog import CriteriaCatalog
from store.calls import CallLedger, LedgerScope
from store.connections import Database, Transaction
from store.progress import ProgressLog
from store.records.calls import CallSpend
from store.records.optimizations import (
    Claim,
    Lease,
    OptimizationError,
    OptimizationRecord,
    OptimizationStatus,
)
from store.repositories.datasets import DatasetRepository
from store.repositories.embeddings import EmbeddingRepository
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository
from store.repositories.selections import SelectionRepository
from store.repositories.spends import SpendRepository
from tests.app.jobs.service import open_service
from tests.store.steps import ANY_SOFTWARE, TTL, take_over

ANSWERS = 20
ONE = CallSpend(calls=1, prompt_tokens=10, completion_tokens=5, cost=0.25)


class GatedLedger(CallLedger):
    """Commits when it is let.

    Attributes:
        gate: set it to let it commit.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.gate = asyncio.Event()
        self.gate.set()

    @override
    async def _commit(self, batch: object) -> None:
        await self.gate.wait()
        await super()._commit(batch)  # type: ignore[arg-type]


class AbruptRun(OptimizationRun):
    """Gets many answers at once, then fails or hangs.

    Attributes:
        answered: set when all answers are there.
    """

    def __init__(self, database: Database, ledger: GatedLedger, error: DrpoError | None) -> None:
        store = JobStore(
            ledger=ledger,
            progress=ProgressLog(database),
            datasets=DatasetRepository(database),
            prompts=PromptRepository(database),
            selections=SelectionRepository(database),
        )
        models = ModelRegistry.__new__(ModelRegistry)
        retrievers = Retrievers(models, EmbeddingRepository(database), RetrievalSettings())
        super().__init__(store, models, CriteriaCatalog.load(), retrievers)
        self._ledger = ledger
        self._error = error
        self.answered = asyncio.Event()

    @override
    async def _attempt(self, claim: Claim, tenure: Tenure, spec: JobSpec, scope: LedgerScope) -> Finding:
        for number in range(ANSWERS):
            await scope.intend(str(number), role="judge", model="backend/model")
        self._ledger.gate.clear()
        for number in range(ANSWERS):
            scope.complete(str(number), "an answer", ONE)
        self.answered.set()
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()
        raise AssertionError


class EndingRepository(OptimizationRepository):
    """Lets the ledger commit after a job has ended, which is too late for it."""

    def __init__(self, database: Database, ledger: GatedLedger) -> None:
        super().__init__(database)
        self._ledger = ledger

    @override
    async def release(self, lease: Lease, *, elapsed: float = 0.0) -> bool:
        released = await super().release(lease, elapsed=elapsed)
        self._ledger.gate.set()
        return released

    @override
    async def finish(
        self,
        lease: Lease,
        status: OptimizationStatus,
        *,
        result: JsonObject | None = None,
        error: OptimizationError | None = None,
        elapsed: float = 0.0,
        before: Callable[[Transaction], JsonObject] | None = None,
    ) -> OptimizationRecord:
        ended = await super().finish(
            lease, status, result=result, error=error, elapsed=elapsed, before=before
        )
        self._ledger.gate.set()
        return ended


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[GatedLedger]:
    async with GatedLedger(database) as opened:
        yield opened


def open_when_flushed(ledger: GatedLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ledger commit as soon as somebody waits for it."""
    flush = LedgerScope.flush

    async def opening(scope: LedgerScope) -> None:
        ledger.gate.set()
        await flush(scope)

    monkeypatch.setattr(LedgerScope, "flush", opening)


async def new_claim(database: Database, database_url: str) -> Claim:
    """A claimed job with a real spec."""
    async with open_service(database_url, jobs={"max_running": 0}) as service:
        await service.start()
    claim = await OptimizationRepository(database).claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    return claim


async def recorded(database: Database, claim: Claim) -> CallSpend:
    """What the ledger says of the judge."""
    return (await SpendRepository(database).by_role(claim.lease.optimization_id))["judge"]


@pytest.mark.parametrize("end", ["cancelled", "stopped", "failed"])
async def test_the_last_answers_of_a_job_that_ends_early_are_on_record(
    database: Database,
    database_url: str,
    ledger: GatedLedger,
    end: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claim, cancel = await new_claim(database, database_url), asyncio.Event()
    run = AbruptRun(database, ledger, TemplateError("a known one") if end == "failed" else None)
    optimizations = EndingRepository(database, ledger)
    store = WorkerStore(optimizations=optimizations, prompts=PromptRepository(database))
    worker = JobWorker(store, run, settings=JobSettings(lease_seconds=TTL), on_label_moved=lambda _: None)
    open_when_flushed(ledger, monkeypatch)

    working = asyncio.create_task(worker.work(claim, cancel))
    await run.answered.wait()
    if end == "cancelled":
        await optimizations.request_cancel(claim.lease.optimization_id)
        cancel.set()
    elif end == "stopped":
        working.cancel()
    await asyncio.wait([working])

    ended = await optimizations.get(claim.lease.optimization_id)
    assert ended.status == {"cancelled": "cancelled", "stopped": "running", "failed": "failed"}[end]
    spend = await recorded(database, claim)
    assert (spend.calls, spend.unknown_calls, spend.prompt_tokens) == (ANSWERS, 0, 10 * ANSWERS)


async def test_a_lease_that_is_lost_does_not_hide_why_the_job_failed(
    database: Database, database_url: str, ledger: GatedLedger, caplog: pytest.LogCaptureFixture
) -> None:
    claim = await new_claim(database, database_url)
    run = AbruptRun(database, ledger, TemplateError("a known one"))
    running = asyncio.create_task(run.run(claim, Tenure(60)))
    await run.answered.wait()
    await take_over(database, claim.lease)
    ledger.gate.set()
    with pytest.raises(TemplateError, match="a known one"):
        await running
    assert any("may not be on record" in record.getMessage() for record in caplog.records)


async def test_a_store_that_is_too_slow_is_not_waited_for_for_ever(
    database: Database,
    database_url: str,
    ledger: GatedLedger,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(run_module, "_FLUSH_SECONDS", 0.01)
    claim = await new_claim(database, database_url)
    with pytest.raises(TemplateError, match="a known one"):
        await AbruptRun(database, ledger, TemplateError("a known one")).run(claim, Tenure(60))
    assert any("too slow" in record.getMessage() for record in caplog.records)
    ledger.gate.set()


async def test_a_second_cancel_does_not_cost_the_last_answers(
    database: Database, database_url: str, ledger: GatedLedger
) -> None:
    claim = await new_claim(database, database_url)
    run = AbruptRun(database, ledger, None)
    running = asyncio.create_task(run.run(claim, Tenure(60)))
    await run.answered.wait()
    for _ in range(2):
        running.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
    assert not running.done()
    ledger.gate.set()
    await asyncio.wait([running])
    assert running.cancelled()
    assert (await recorded(database, claim)).prompt_tokens == 10 * ANSWERS
