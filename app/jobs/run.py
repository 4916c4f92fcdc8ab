"""One attempt at an optimization: search, gate, prompt version."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from app.jobs.comparison import Compared, Comparison, bank_examples
from app.jobs.event_bodies import search_body
from app.jobs.gate_bodies import conclusion_body, judge_body
from app.jobs.grounds import Grounds, describe_replay, own_grounds, replayed_grounds, restarted_grounds
from app.jobs.judging import check_judging
from app.jobs.prompt_cache import prompt_cache
from app.jobs.recorder import RunRecorder
from app.jobs.reserve import KeepForGate
from app.jobs.restarts import RoundWatch, describe_restart
from app.jobs.scoring import (
    ScoringModels,
    build_gate_scorers,
    build_pairwise_judge,
    build_reasons,
    build_scorer,
)
from app.jobs.serving_cost import serving_cost
from app.jobs.spec import JobSpec
from app.jobs.tenure import Tenure
from app.jobs.wiring import RunModels, SearchParts, describe_backends
from app.llm.fresh_draws import Draws
from app.llm.registry import ModelRegistry
from app.retrieval import Retrievers
from app.telemetry.job_watch import watching
from optimizer.budget import Budget
from optimizer.events import SearchFinished
from optimizer.splitting import QuerySplit, split_queries
from optimizer.types import (
    Example,
    JsonObject,
    ModelRole,
    Query,
    SearchResult,
)
from rewards.catalog import CriteriaCatalog
from rewards.types import RewardScorer
from store.calls import CallLedger, LedgerScope
from store.progress import ProgressLog
from store.records.optimizations import Claim, Lease
from store.repositories.datasets import DatasetRepository
from store.repositories.prompts import PromptRepository
from store.repositories.selections import SelectionRepository

T = TypeVar("T")

_LOGGER = logging.getLogger(__name__)
_FLUSH_SECONDS = 5.0
"""For the last answers of an attempt that ends early; by then no beat keeps its lease alive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStore:
    """The parts of the store that a run reads and writes."""

    ledger: CallLedger
    progress: ProgressLog
    datasets: DatasetRepository
    prompts: PromptRepository
    selections: SelectionRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a run found.

    Attributes:
        spec: the job.
        search: how the search ended.
        compared: how the finalists did on held-out queries.
        examples: the bank that it was tuned with.
        report: what else the result says: the split, models and template versions.
    """

    spec: JobSpec
    search: SearchResult
    compared: Compared
    examples: tuple[Example, ...]
    report: JsonObject

    def to_json(self) -> JsonObject:
        """The result as the row stores it."""
        return {
            **search_body(SearchFinished(result=self.search)),
            "gate": conclusion_body(self.compared.conclusion),
            "judge": judge_body(self.compared.judge),
            **self.report,
        }


class OptimizationRun:
    """Runs the jobs that a worker has claimed."""

    def __init__(
        self, store: JobStore, models: ModelRegistry, catalog: CriteriaCatalog, retrievers: Retrievers
    ) -> None:
        """Runs on ``models``, recorded in ``store``, judged by ``catalog``; ``retrievers`` find examples."""
        self._store = store
        self._models = models
        self._retrievers = retrievers
        self._catalog = catalog

    async def run(self, claim: Claim, tenure: Tenure) -> Finding:
        """Search and compare; what earlier attempts have paid for is taken from the ledger.

        However it ends, what it has paid for is on record then, or its loss is logged: after the lease is
        given back or the job has ended, the ledger would refuse it.

        Raises:
            DrpoError: the job cannot be done.
            LostLeaseError: somebody else has it now.
        """
        spec = JobSpec.from_json(claim.optimization.spec)
        return await under_ledger(
            self._store.ledger, claim.lease, lambda scope: self._attempt(claim, tenure, spec, scope)
        )

    async def _attempt(self, claim: Claim, tenure: Tenure, spec: JobSpec, scope: LedgerScope) -> Finding:
        grounds = await self._grounds(claim, tenure, spec, scope)
        async with AsyncExitStack() as closing:
            return await self._search(claim, grounds, spec, scope, closing)

    async def _search(
        self, claim: Claim, grounds: Grounds, spec: JobSpec, scope: LedgerScope, closing: AsyncExitStack
    ) -> Finding:
        budget, decisions = grounds.context.budget, grounds.decisions
        models = await RunModels.open(
            self._models, claim.optimization.target, grounds.context, gate_judge=spec.gate_judge
        )
        if grounds.context.replay is None:
            await check_judging(spec.rewards, self._models, gate_judge=spec.gate_judge)
        more = await ScoringModels.open(spec.rewards, self._models, grounds.context, closing)
        scorer = await build_scorer(spec, models, more, catalog=self._catalog, selections=grounds.selections)
        gate_scorers = await build_gate_scorers(
            spec, models, more, scorer, catalog=self._catalog, selections=grounds.selections
        )
        provenance: JsonObject = {"models": models.names(), "rewards": _terms(scorer)}
        recorder = RunRecorder(
            self._store.progress,
            claim.lease,
            provenance,
            spend=lambda: spend_json(budget),
            answers_kept=scope.settled,
        )
        parts = SearchParts(
            spec=spec,
            models=models,
            base_model=self._target_api(claim.optimization.target, spec) == "completions",
            scorer=scorer,
            observer=watching(RoundWatch(recorder, grounds.context.draws)),
            retrievers=self._retrievers,
            context=grounds.context,
            reasons=build_reasons(spec, models, more, scorer),
        )
        examples = await bank_examples(self._store.prompts, spec.example_bank_id)
        split = await self._split(spec, examples)
        grounds.selections.expect(query.text for query in (*split.search, *split.held_out))
        async with recorder:
            evaluator = await parts.own_evaluator(examples, (*split.search, *split.held_out))
            stop = _limits(spec, grounds)
            search = parts.search(evaluator, build_pairwise_judge(spec, models.judge, scorer), stop)
            found = await search.run(spec.seed_prompt, split.search)
            stop.end_search()
            comparison = Comparison(
                parts, self._store.prompts, gate_scorers, budget=budget, decisions=decisions
            )
            compared = await comparison.run(found, examples, split.held_out)
            decisions.note_refusal(budget.refused_by)
        report = _report(split, models, scorer, grounds, spec)
        report |= await self._of_models(claim.optimization.target, found, models, grounds)
        return Finding(spec=spec, search=found, compared=compared, examples=examples, report=report)

    async def _of_models(
        self, target: str, found: SearchResult, models: RunModels, grounds: Grounds
    ) -> JsonObject:
        """Which builds have answered, and what serving would cost where the target is still there."""
        context = grounds.context
        told: JsonObject = {"backends": await describe_backends(self._models, target, context, models)}
        if context.replay is None:
            told["serving"] = serving_cost(found, self._models.price(ModelRole.TARGET, target))
        return told

    async def _grounds(self, claim: Claim, tenure: Tenure, spec: JobSpec, scope: LedgerScope) -> Grounds:
        store, draws = self._store, Draws(spec.draws)
        if spec.replay is not None:
            grounds = await replayed_grounds(spec, spec.replay, store.ledger, store.selections)
        else:
            grounds = await own_grounds(claim, tenure, spec, scope, store.selections)
        grounds.context.draws = draws
        if spec.restart is None or spec.replay is not None:
            return grounds
        return await restarted_grounds(grounds, spec.restart, scope, store.ledger, store.selections)

    def _target_api(self, target: str, spec: JobSpec) -> str:
        if spec.replay is not None and spec.target_api is not None:
            return spec.target_api
        return self._models.target(target).api

    async def _split(self, spec: JobSpec, examples: Sequence[Example]) -> QuerySplit:
        shown = list(examples)
        if spec.incumbent_version_id is not None:
            version = await self._store.prompts.get_version(spec.incumbent_version_id)
            shown += await bank_examples(self._store.prompts, version.example_bank_id)
        records = await self._store.datasets.queries(spec.dataset_id)
        queries = [Query(id=item.id, text=item.text, kind=item.kind) for item in records]
        return await asyncio.to_thread(
            split_queries,
            queries,
            search=spec.split_config.queries_needed,
            held_out=spec.held_out,
            seed=spec.split_config.seed,
            shown=[example.query for example in shown],
        )


async def under_ledger(ledger: CallLedger, lease: Lease, work: Callable[[LedgerScope], Awaitable[T]]) -> T:
    """What ``work`` finds on the ledger of the job under ``lease``.

    However it ends, what it has paid for is on record then, or its loss is logged.

    Raises:
        LostLeaseError: the lease is not ours (any more).
    """
    scope = await ledger.open(lease)
    try:
        found = await work(scope)
        await scope.flush()
    except BaseException:
        await _flush_after_failure(scope, lease.optimization_id)
        raise
    return found


async def _flush_after_failure(scope: LedgerScope, job: str) -> None:
    """Wait for the last answers to be durable, but not for ever, and leave it to the failure to be raised."""
    flushing = asyncio.create_task(scope.flush())
    try:
        await asyncio.wait([flushing], timeout=_FLUSH_SECONDS)
    except asyncio.CancelledError:
        await asyncio.wait([flushing], timeout=_FLUSH_SECONDS)  # what was paid for matters more than haste
        raise
    finally:
        flushing.cancel()
        await asyncio.wait([flushing])
        if flushing.cancelled():
            _LOGGER.warning("%s: the store was too slow to record the last answers", job)
        elif (error := flushing.exception()) is not None:
            _LOGGER.warning("%s: the last answers may not be on record: %s", job, error)


def _limits(spec: JobSpec, grounds: Grounds) -> KeepForGate:
    return KeepForGate(
        grounds.context.budget,
        size=spec.gate_size,
        decisions=grounds.decisions,
        rates=spec.rates,
        given=grounds.given,
        taken=grounds.taken,
    )


def _report(
    split: QuerySplit, models: RunModels, scorer: RewardScorer, grounds: Grounds, spec: JobSpec
) -> JsonObject:
    """What the result says beside the finding."""
    report: JsonObject = {
        "queries": {
            "search": len(split.search),
            "held_out": len(split.held_out),
        },
        "models": models.names(),
        "rewards": scorer.provenance(),
    }
    cached = prompt_cache(grounds.context.meter.uses)
    if cached is not None and spec.replay is None:
        report["prompt_cache"] = cached
    if spec.replay is not None and grounds.context.replay is not None:
        report["replay"] = describe_replay(spec.replay, grounds.context.replay)
    elif spec.restart is not None:
        report["restart"] = describe_restart(spec.restart, grounds.taken())
    return report


def _terms(scorer: RewardScorer) -> JsonObject:
    """What every score of a run has in common: models and versions."""
    return {name: value for name, value in scorer.provenance().items() if name != "selections"}


def spend_json(budget: Budget) -> JsonObject:
    """What a job has taken by now, as rounds record it; seconds are those of work."""
    spend = budget.spent
    return {
        "calls": spend.calls,
        "prompt_tokens": spend.prompt_tokens,
        "completion_tokens": spend.completion_tokens,
        "cost": spend.cost,
        "seconds": round(budget.elapsed, 3),
    }
