"""Tests of the benchmark of jobs: that it compares like with like."""

from app.jobs.run import OptimizationRun
from benchmarks.job_overhead import WithoutLedger, on_fresh_store
from benchmarks.provider_process import provider


async def test_a_job_makes_the_same_calls_with_and_without_a_ledger() -> None:
    async with provider(0.0) as url:
        seeds = [1, 2]
        kept = await on_fresh_store(url, 2, seeds, OptimizationRun)
        unkept = await on_fresh_store(url, 2, seeds, WithoutLedger)
    assert kept.calls == unkept.calls > 0
