"""What ``/metrics`` shows of jobs, while they run and afterwards."""

import pytest
from typing_extensions import override

from app.state_metrics import StoreWatch
from store.errors import StoreUnavailableError
from store.records.calls import LedgerTotals
from store.repositories.call_retention import CallRetention
from store.repositories.figures import FigureRepository, StoreFigures
from tests.app.jobs.service import open_service
from tests.app.metrics.scraping import scrape

QUICK = {"max_attempts": 8, "first_wait_seconds": 0.001, "max_wait_seconds": 0.002}


async def test_a_job_under_way_is_seen_with_what_it_has_spent_and_reserved(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_service(sqlite_url) as service:
        service.backend.hold_from = 6
        job = await service.start(budget={"calls": 200})
        await service.backend.held.wait()
        seen, answered = await scrape(service.client), service.backend.answered
        service.backend.opened.set()
        await service.finished(job)
        monkeypatch.setattr("app.state_metrics._FRESH_SECONDS", 0.0)
        after = await scrape(service.client)
    assert seen.value("drpo_jobs", state="running") == seen.value("drpo_jobs_running_here") == 1
    assert seen.value("drpo_job_budget", amount="spent", of="calls") == answered == 5
    assert seen.value("drpo_job_budget", amount="reserved", of="calls") >= 1
    assert seen.value("drpo_job_budget", amount="reserved", of="tokens") > 0
    assert seen.value("drpo_backend_places_in_use", backend="simulated", by="jobs") >= 1
    assert after.value("drpo_jobs", state="succeeded") == 1
    assert after.value("drpo_jobs_running_here") == 0
    assert after.value("drpo_job_budget", amount="spent", of="calls") == 0


async def test_calls_are_counted_by_role_and_outcome(sqlite_url: str) -> None:
    faults = {"rate_limited": 0.2, "server_error": 0.2}
    async with open_service(sqlite_url, backend={"retries": QUICK}, simulated={"faults": faults}) as service:
        used = (await service.run())["usage"]
        seen = await scrape(service.client)
    counted = {
        (sample.labels["role"], sample.labels["outcome"]): sample.value
        for sample in seen.families["drpo_model_calls"].samples
    }
    assert sum(counted.values()) == used["calls"] == service.backend.requests.total()
    assert {outcome for _, outcome in counted} == {"answered", "rate_limited", "unavailable"}
    assert {"target", "proposer", "selector", "judge"} <= {role for role, _ in counted}
    tokens = {
        kind: sum(
            sample.value
            for sample in seen.families["drpo_model_call_tokens"].samples
            if sample.labels["kind"] == kind
        )
        for kind in ("input", "output")
    }
    assert tokens == {"input": used["prompt_tokens"], "output": used["completion_tokens"]}


FIGURES = StoreFigures(bytes=1, jobs={}, oldest_queued_seconds=0, paused_for={})
TOTALS = LedgerTotals(calls=0, bytes=0, dropped_optimizations=0, oldest_finished_at=None)


class Counting(FigureRepository, CallRetention):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.reads = self.sums = 0
        self.is_away = False
        self.error: Exception | None = None

    @override
    async def read(self) -> StoreFigures:
        self.reads += 1
        if self.is_away:
            raise StoreUnavailableError("gone")
        return FIGURES

    @override
    async def totals(self) -> LedgerTotals:
        self.sums += 1
        if self.error is not None:
            raise self.error
        return TOTALS


async def test_however_many_look_the_store_is_asked_now_and_then() -> None:
    now, store = 0.0, Counting()
    watch = StoreWatch(store, store, clock=lambda: now)
    for _ in range(3):
        await watch.look()
    assert (store.reads, store.sums) == (1, 1)
    assert (watch.figures, watch.ledger) == (FIGURES, TOTALS)
    now = 6.0
    await watch.look()
    assert (store.reads, store.sums) == (2, 1)
    now = 301.0
    await watch.look()
    assert (store.reads, store.sums) == (3, 2)


async def test_figures_are_shown_also_where_the_ledger_takes_too_long() -> None:
    now, store = 0.0, Counting()
    watch = StoreWatch(store, store, clock=lambda: now)
    store.error = TimeoutError()
    for moment in (0.0, 6.0, 299.0):
        now = moment
        await watch.look()
        assert (watch.figures, watch.ledger, store.sums) == (FIGURES, None, 1)
    store.error, now = None, 305.0
    await watch.look()
    assert (watch.ledger, store.sums) == (TOTALS, 2)


async def test_a_store_that_is_away_shows_nothing_and_all_once_it_is_back() -> None:
    now, store = 0.0, Counting()
    watch = StoreWatch(store, store, clock=lambda: now)
    await watch.look()
    store.is_away, now = True, 6.0
    await watch.look()
    assert (watch.figures, watch.ledger) == (None, None)
    store.is_away, now = False, 12.0
    await watch.look()
    assert (watch.figures, watch.ledger) == (FIGURES, TOTALS)
