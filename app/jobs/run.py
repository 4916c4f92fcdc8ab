"""One attempt at an optimization: search, gate, prompt version."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from app.jobs.event_bodies import gate_body, search_body
from app.jobs.grounds import Grounds, describe_replay, own_grounds, replayed_grounds
from app.jobs.recorder import INCUMBENT_ID, RunRecorder
from app.jobs.reserve import KeepForGate, affordable
from app.jobs.scoring import ScoringModels, build_pairwise_judge, build_scorer
from app.jobs.spec import JobSpec
from app.jobs.wiring import RunModels, SearchParts
from app.llm.registry import ModelRegistry
from app.retrieval import RetrievalSpec, Retrievers
from app.stored_examples import example_from_json
from optimizer.evaluation import Evaluator
from optimizer.events import GateFinished, GateStarted, SearchFinished
from optimizer.gate import not_compared, run_gate
from optimizer.splitting import QuerySplit, split_queries
from optimizer.types import (
    Candidate,
    Example,
    JsonObject,
    Query,
    SearchResult,
    Spend,
    StopReason,
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
        gate: how the winner did on held-out queries.
        examples: the bank that it was tuned with.
        report: what else the result says: the split, models and template versions.
    """

    spec: JobSpec
    search: SearchResult
    gate: GateFinished
    examples: tuple[Example, ...]
    report: JsonObject

    def to_json(self) -> JsonObject:
        """The result as the row stores it."""
        return {
            **search_body(SearchFinished(result=self.search)),
            "gate": gate_body(self.gate),
            **self.report,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Incumbent:
    """``evaluator`` is None where the examples are the job's own."""

    candidate: Candidate
    evaluator: Evaluator | None


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

    async def run(self, claim: Claim) -> Finding:
        """Search and compare; what earlier attempts have paid for is taken from the ledger.

        However it ends, what it has paid for is on record then, or its loss is logged: after the lease is
        given back or the job has ended, the ledger would refuse it.

        Raises:
            DrpoError: the job cannot be done.
            LostLeaseError: somebody else has it now.
        """
        spec = JobSpec.from_json(claim.optimization.spec)
        return await under_ledger(
            self._store.ledger, claim.lease, lambda scope: self._attempt(claim, spec, scope)
        )

    async def _attempt(self, claim: Claim, spec: JobSpec, scope: LedgerScope) -> Finding:
        async with AsyncExitStack() as closing:
            return await self._search(claim, spec, scope, closing)

    async def _search(
        self, claim: Claim, spec: JobSpec, scope: LedgerScope, closing: AsyncExitStack
    ) -> Finding:
        grounds = await self._grounds(claim, spec, scope)
        budget, decisions = grounds.context.budget, grounds.decisions
        models = await RunModels.open(self._models, claim.optimization.target, grounds.context)
        more = await ScoringModels.open(spec.rewards, self._models, grounds.context, closing)
        scorer = await build_scorer(spec, models, more, catalog=self._catalog, selections=grounds.selections)
        provenance: JsonObject = {"models": models.names(), "rewards": _terms(scorer)}
        recorder = RunRecorder(
            self._store.progress,
            claim.lease,
            provenance,
            spend=lambda: spend_json(budget.spent),
            answers_kept=scope.flush,
        )
        parts = SearchParts(
            spec=spec,
            models=models,
            base_model=self._target_api(claim.optimization.target, spec) == "completions",
            scorer=scorer,
            observer=recorder,
            retrievers=self._retrievers,
            context=grounds.context,
        )
        examples = await self._examples(spec.example_bank_id)
        split = await self._split(spec, examples)
        async with recorder:
            evaluator = await parts.own_evaluator(examples, (*split.search, *split.held_out))
            stop = KeepForGate(budget, held_out=len(split.held_out), decisions=decisions, rates=spec.rates)
            search = parts.search(evaluator, build_pairwise_judge(spec, models.judge, scorer), stop)
            found = await search.run(spec.seed_prompt, split.search)
            stop.end_search()
            room = decisions.held_out
            if room is None:
                room = affordable(budget, len(split.held_out), rates=spec.rates)
                decisions.hold_out(room)
            gate = await self._gate(parts, evaluator, found, split, room)
            decisions.note_refusal(budget.refused_by)
        report: JsonObject = {
            "queries": {"search": len(split.search), "held_out": len(split.held_out)},
            "models": models.names(),
            "rewards": scorer.provenance(),
        }
        if spec.replay is not None and grounds.context.replay is not None:
            report["replay"] = describe_replay(spec.replay, grounds.context.replay)
        return Finding(spec=spec, search=found, gate=gate, examples=examples, report=report)

    async def _grounds(self, claim: Claim, spec: JobSpec, scope: LedgerScope) -> Grounds:
        if spec.replay is None:
            return await own_grounds(claim, spec, scope, self._store.selections)
        return await replayed_grounds(spec, spec.replay, self._store.ledger, self._store.selections)

    def _target_api(self, target: str, spec: JobSpec) -> str:
        if spec.replay is not None and spec.target_api is not None:
            return spec.target_api
        return self._models.target(target).api

    async def _gate(
        self,
        parts: SearchParts,
        evaluator: Evaluator,
        found: SearchResult,
        split: QuerySplit,
        room: int,
    ) -> GateFinished:
        """The verdict on the winner, by ``room`` of the held-out queries at most."""
        held_out = split.held_out[:room]
        if found.stop_reason is StopReason.UNSCORED:
            verdict = not_compared("too many answers could not be scored, so nothing was chosen")
        elif found.rounds == 0:
            verdict = not_compared("the search made no round after the seed prompt, so nothing was chosen")
        elif not split.held_out:
            verdict = not_compared("no queries were held out")
        elif not held_out:
            verdict = not_compared("the budget leaves no room for held-out queries")
        else:
            verdict = await self._compare(parts, evaluator, found, held_out)
        await parts.observer.notify(verdict)
        return verdict

    async def _compare(
        self,
        parts: SearchParts,
        evaluator: Evaluator,
        found: SearchResult,
        held_out: Sequence[Query],
    ) -> GateFinished:
        incumbent = await self._incumbent(parts, found, held_out)
        await parts.observer.notify(
            GateStarted(incumbent=incumbent.candidate, winner=found.best, queries=len(held_out))
        )
        return await run_gate(
            evaluator,
            incumbent=incumbent.candidate,
            winner=found.best,
            held_out=held_out,
            incumbent_evaluator=incumbent.evaluator,
        )

    async def _incumbent(
        self, parts: SearchParts, found: SearchResult, held_out: Sequence[Query]
    ) -> _Incumbent:
        """What the winner has to beat: the version labelled at the start, else the seed prompt."""
        spec = parts.spec
        if spec.incumbent_version_id is None:
            return _Incumbent(candidate=found.seed_prompt, evaluator=None)
        version = await self._store.prompts.get_version(spec.incumbent_version_id)
        candidate = Candidate(id=INCUMBENT_ID, system_prompt=version.system_prompt)
        retrieval = RetrievalSpec.from_version(version.retrieval)
        shown_by = (version.example_bank_id, version.k, retrieval)
        if shown_by == (spec.example_bank_id, spec.config.k, spec.retrieval):
            return _Incumbent(candidate=candidate, evaluator=None)
        examples = await self._examples(version.example_bank_id)
        evaluator = await parts.evaluator(examples, version.k, retrieval, held_out)
        return _Incumbent(candidate=candidate, evaluator=evaluator)

    async def _examples(self, bank_id: str | None) -> tuple[Example, ...]:
        if bank_id is None:
            return ()
        return tuple(example_from_json(item) for item in await self._store.prompts.example_bank(bank_id))

    async def _split(self, spec: JobSpec, examples: Sequence[Example]) -> QuerySplit:
        shown = list(examples)
        if spec.incumbent_version_id is not None:
            version = await self._store.prompts.get_version(spec.incumbent_version_id)
            shown += await self._examples(version.example_bank_id)
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


def _terms(scorer: RewardScorer) -> JsonObject:
    """What every score of a run has in common: models and versions."""
    return {name: value for name, value in scorer.provenance().items() if name != "selections"}


def spend_json(spend: Spend) -> JsonObject:
    """``spend`` as rounds record it."""
    return {
        "calls": spend.calls,
        "prompt_tokens": spend.prompt_tokens,
        "completion_tokens": spend.completion_tokens,
        "cost": spend.cost,
    }
