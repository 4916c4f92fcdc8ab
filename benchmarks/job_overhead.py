"""What ledger and engine take of a job: CPU per model call, and wall time against the same without a ledger.

All ask one simulated provider, in another process, over real HTTP, in turn. The job is claimed, recorded in
the ledger, its evaluations and events stored, each time on a fresh SQLite file. Without a ledger is the same
without the rows of its calls. The bare search keeps nothing. None looks at the judge a second time after the
search, so that all make the same calls.
"""

import asyncio
import statistics
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from typing_extensions import override

from app.job_settings import JobSettings
from app.jobs.banks.run import BankRun
from app.jobs.grounds import Grounds
from app.jobs.kinds import JobRuns
from app.jobs.run import JobStore, OptimizationRun
from app.jobs.software import this_software
from app.jobs.spec import JobSpec
from app.jobs.tenure import Tenure
from app.jobs.wiring import RunModels
from app.jobs.worker import JobWorker, WorkerStore
from app.llm.metering import Meter
from app.llm.run_context import RunContext
from app.main import create_app
from app.resources import Resources, open_resources
from app.retrieval import Retrievers
from app.server import settle
from benchmarks.lab import Silence
from benchmarks.provider_process import provider
from benchmarks.search_speed import LATENCY_MS, NO_SKIP, read_timings, settings_for
from optimizer.beam_search import BeamSearch
from optimizer.budget import Budget, Limits
from optimizer.evaluation import Evaluator
from optimizer.examples.retrieval import LexicalRetriever
from optimizer.proposers.rewriting import RewritingProposer
from optimizer.rollout import RolloutRunner
from optimizer.splitting import split_queries
from optimizer.types import Query
from rewards.catalog import packaged_catalog
from rewards.judge import Judge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from store.calls import CallLedger, LedgerScope
from store.json_values import JsonObject
from store.records.optimizations import Claim, OptimizationRecord, OptimizationStatus
from store.repositories.embeddings import EmbeddingRepository
from store.repositories.selections import SelectionRepository

_SMALLEST: dict[str, Any] = {"depth": 2, "beam_width": 1, "proposals_per_candidate": 1}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one search took: model calls, CPU seconds of this process, and seconds."""

    calls: int
    cpu: float
    wall: float


async def create(resources: Resources, settings: JsonObject, **request: Any) -> OptimizationRecord:
    """A job without a gate, on preset ``paper`` with other ``settings``, queued as the API queues it."""
    common = {"target": "simulated-small", "preset": "paper", "label": None, "held_out": 0}
    body = {**common, "settings": {**NO_SKIP, "k": 0, **settings}, **request}
    transport = httpx.ASGITransport(app=create_app(resources))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = (await client.post("/v1/optimizations", json=body)).raise_for_status()
    return await resources.optimizations.get(answer.json()["id"])


async def create_smallest(resources: Resources) -> OptimizationRecord:
    """The smallest job that the API takes: one prompt, one rewrite of it, each judged on one query."""
    queries = ["How warm is it?", "Is it warm now?"]
    return await create(resources, _SMALLEST, queries=queries)


async def bare_search(resources: Resources, spec: JobSpec) -> None:
    """The search of ``spec`` without ledger, lease, evaluations and events."""
    records = await resources.datasets.queries(spec.dataset_id)
    pool = [Query(id=item.id, text=item.text, kind=item.kind) for item in records]
    seed, needed = spec.split_config.seed, spec.split_config.queries_needed
    queries = split_queries(pool, search=needed, held_out=spec.held_out, seed=seed, shown=[]).search
    budget = Budget(Limits(), clock=time.monotonic)
    context = RunContext(scope="bare", budget=budget, meter=Meter(), seed=spec.config.seed)
    models = await RunModels.open(resources.models, "simulated-small", context, gate_judge=False)
    config = spec.config
    scorer = DynamicRewardScorer(
        Selector(models.selector, catalog=packaged_catalog(), sampling=config.selector.to_sampling()),
        Judge(models.judge, sampling=config.judge.to_sampling()),
        seed=config.seed,
    )
    runner = RolloutRunner(
        models.target, LexicalRetriever(()), k=0, sampling=config.target.to_sampling(), base_model=False
    )
    search = BeamSearch(
        config=config,
        proposer=RewritingProposer(
            models.proposer, config.proposer.to_sampling(), history=config.history, seed=config.seed
        ),
        evaluator=Evaluator(runner, scorer, Silence(), seed=config.seed),
        observer=Silence(),
        stop=budget,
        rates=spec.rates,
    )
    await search.run(spec.seed_prompt, queries)


async def measured(provider_url: str, work: Coroutine[Any, Any, float | None]) -> Cost:
    """What ``work`` took; it gives its own seconds where it knows them better."""
    before = len(await read_timings(provider_url))
    settle()  # as the service does: or what earlier rounds have left is walked through in the midst of one
    began, cpu = time.monotonic(), time.process_time()
    own = await work
    cpu, wall = time.process_time() - cpu, time.monotonic() - began
    return Cost(calls=len(await read_timings(provider_url)) - before, cpu=cpu, wall=own or wall)


class WithoutLedger(OptimizationRun):
    """The same job, whose calls are on no record."""

    @override
    async def _grounds(self, claim: Claim, tenure: Tenure, spec: JobSpec, scope: LedgerScope) -> Grounds:
        grounds = await super()._grounds(claim, tenure, spec, scope)
        grounds.context.ledger = None
        return grounds


async def run_job(resources: Resources, ledger: CallLedger, run: type[OptimizationRun]) -> float:
    """Work on the next job as a worker does; its seconds from the claim to the end."""
    database, lease_seconds = resources.database, resources.settings.jobs.lease_seconds
    store = JobStore(
        ledger=ledger,
        progress=resources.progress,
        datasets=resources.datasets,
        prompts=resources.prompts,
        selections=SelectionRepository(database),
    )
    catalog = packaged_catalog()
    retrievers = Retrievers(resources.models, EmbeddingRepository(database), resources.settings.retrieval)
    worker = JobWorker(
        WorkerStore(optimizations=resources.optimizations, prompts=resources.prompts),
        JobRuns(run(store, resources.models, catalog, retrievers), BankRun(store, resources.models, catalog)),
        settings=resources.settings.jobs,
        on_label_moved=lambda _: None,
    )
    tenure = Tenure(lease_seconds)
    claim = await resources.optimizations.claim_next(
        owner="benchmark", ttl=lease_seconds, software=this_software()
    )
    if claim is None:
        raise RuntimeError("the job is not ours")
    await worker.work(claim, asyncio.Event(), tenure)
    found = await resources.optimizations.get(claim.optimization.id)
    if found.status is not OptimizationStatus.SUCCEEDED:
        raise RuntimeError(f"the job {found.status}: {found.error}")
    return (found.finished_at or 0) - (found.started_at or 0)


async def on_fresh_store(
    provider_url: str, depth: int, seeds: Sequence[int], run: type[OptimizationRun] | None
) -> Cost:
    """What jobs at the same time took, or the bare searches of them where ``run`` is None."""
    with TemporaryDirectory() as folder:
        usual = settings_for(provider_url, folder)
        idle = usual.model_copy(update={"jobs": JobSettings(max_running=0)})
        async with open_resources(idle) as resources, CallLedger(resources.database) as ledger:
            await create_smallest(resources)
            await run_job(resources, ledger, OptimizationRun)
            jobs = [
                await create(resources, {"seed": seed, "depth": depth}, gate={"judged_again": 0})
                for seed in seeds
            ]
            if run is None:
                searches = [bare_search(resources, JobSpec.from_json(job.spec)) for job in jobs]
                return await measured(provider_url, _together(searches))
            return await measured(provider_url, _together([run_job(resources, ledger, run) for _ in jobs]))


async def _together(works: Sequence[Coroutine[Any, Any, float | None]]) -> float | None:
    """Seconds that the longest took, as far as they know."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
    known = [seconds for task in tasks if (seconds := task.result()) is not None]
    return max(known, default=None)


async def round_of(round_number: int, depth: int, at_once: int) -> dict[str, Cost]:
    """Jobs, the same without a ledger, and bare searches, in an order that the round's number turns."""
    kinds = [("job", OptimizationRun), ("without ledger", WithoutLedger), ("bare", None)]
    seeds = range(round_number * at_once, (round_number + 1) * at_once)
    async with provider(LATENCY_MS) as provider_url:
        await on_fresh_store(provider_url, depth, seeds, OptimizationRun)
        turned = kinds[round_number % 3 :] + kinds[: round_number % 3]
        return {name: await on_fresh_store(provider_url, depth, seeds, run) for name, run in turned}


async def report_overhead(rounds: int, depth: int, at_once: int) -> None:
    """Print the medians of some rounds, of so many jobs at the same time."""
    found = [await round_of(number, depth, at_once) for number in range(rounds)]
    cpu = {name: [costs[name].cpu / costs[name].calls * 1000 for costs in found] for name in found[0]}
    calls = " / ".join(str(found[0][name].calls) for name in ("job", "without ledger", "bare"))
    print(
        f"preset paper, simulated provider at {LATENCY_MS:.0f} ms, SQLite, {at_once} at a time; "
        f"medians of {rounds} rounds"
    )
    print(f"  {'model calls: job / without ledger / bare':46} {calls}")
    rows = (
        ("CPU of the bare search, ms a call", cpu["bare"]),
        ("CPU of ledger + engine on top, ms a call", _apart(cpu["job"], cpu["bare"])),
        ("  of it the ledger, ms a call", _apart(cpu["job"], cpu["without ledger"])),
        ("wall, job / the same without ledger", [c["job"].wall / c["without ledger"].wall for c in found]),
    )
    for name, values in rows:
        print(f"  {name:46} {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})")


def _apart(more: list[float], less: list[float]) -> list[float]:
    return [one - other for one, other in zip(more, less, strict=True)]
