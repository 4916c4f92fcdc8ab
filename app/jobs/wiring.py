"""From a job's row to a search: roles, ledger, budget and retrieval put together."""

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.jobs.records import StoredCalls
from app.jobs.spec import JobSpec
from app.jobs.tenure import Tenure
from app.llm.metering import Meter
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.retrieval import RetrievalSpec, Retrievers
from optimizer.beam_search import BeamSearch
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.errors import BudgetExceededError
from optimizer.evaluation import Evaluator
from optimizer.proposers.reading import ModelInstructionReader
from optimizer.proposers.reasoned import ReasonedProposer, ReasonedReflector
from optimizer.proposers.reflecting import ReflectingProposer
from optimizer.proposers.rewriting import RewritingProposer
from optimizer.protocols import ChatModel, PairwiseJudge, ReasonGiver, Scorer, SearchLimits, SearchObserver
from optimizer.racing_search import RacingParts, RacingSearch
from optimizer.rollout import RolloutRunner
from optimizer.types import Example, JsonObject, JsonValue, ModelRole, Query, SearchResult, Spend
from store.calls import LedgerScope
from store.records.calls import CallSpend
from store.records.optimizations import Claim

_SHARED_ROLES = frozenset({ModelRole.SELECTOR.value, ModelRole.EMBEDDER.value})
"""What these gave is kept for all jobs, and may not be asked for again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunModels:
    """The roles of one run; ``gate_judge`` is None where the judge of the search judges the gate, too."""

    target: ChatModel
    proposer: ChatModel
    selector: ChatModel
    judge: ChatModel
    gate_judge: ChatModel | None = None

    @classmethod
    async def open(
        cls, registry: ModelRegistry, target: str, run: RunContext, *, gate_judge: bool
    ) -> "RunModels":
        """Open the roles, with a ``gate_judge`` where the job has one; probes backends never asked before.

        Raises:
            InvalidInputError: there is no such target.
            ModelError: a backend that had to be probed did not answer.
        """
        return cls(
            target=await registry.open_role(ModelRole.TARGET, target, run),
            proposer=await registry.open_role(ModelRole.PROPOSER, None, run),
            selector=await registry.open_role(ModelRole.SELECTOR, None, run),
            judge=await registry.open_role(ModelRole.JUDGE, None, run),
            gate_judge=await registry.open_role(ModelRole.GATE_JUDGE, None, run) if gate_judge else None,
        )

    def names(self) -> JsonObject:
        """Role to ``backend/model``."""
        names: JsonObject = {
            "target": self.target.name,
            "proposer": self.proposer.name,
            "selector": self.selector.name,
            "judge": self.judge.name,
        }
        if self.gate_judge is not None:
            names["gate_judge"] = self.gate_judge.name
        return names


async def describe_backends(
    registry: ModelRegistry, target: str, run: RunContext, models: RunModels
) -> JsonObject:
    """Role to what its backend says about its build and model, for those that say anything.

    A run that replays another one asks nobody: what is known then is what the record holds. Roles whose
    answers all jobs share are left out: who gave those is no matter of this run.
    """
    roles = [ModelRole(name) for name in models.names() if name not in _SHARED_ROLES]
    said: list[JsonObject] = [{} for _ in roles]
    if run.replay is None:  # together, so that each backend is asked once
        said = await run_together(registry.describe_backend(role, target) for role in roles)
    described: JsonObject = {}
    for role, about in zip(roles, said, strict=True):
        seen: list[JsonValue] = list(run.builds.seen(role))
        if about or seen:
            described[role.value] = {**about, "fingerprints": seen}
    return described


def open_budget(limits: Limits, scope: LedgerScope, *, elapsed: float) -> Budget:
    """A job's budget with what earlier attempts have spent.

    Answers in the ledger are asked for again and count as spent only then (``Budget.replay``), so that
    decisions between rounds repeat. Criteria and vectors come from caches that all jobs share and may not be
    asked for again; their calls count from the start.
    """
    spent = _sum(scope.totals().values())
    replayable = _sum(spend for role, spend in scope.finished_spend().items() if role not in _SHARED_ROLES)
    return Budget(
        limits,
        clock=time.monotonic,
        spent=spent,
        elapsed=elapsed,
        replayable=replayable,
    )


def open_context(
    claim: Claim, scope: LedgerScope, budget: Budget, *, seed: int, tenure: Tenure
) -> RunContext:
    """What all models of a run share: its ledger, its budget, what it uses, and whether it may go on."""
    context = RunContext(
        scope=claim.lease.optimization_id,
        budget=budget,
        meter=Meter(),
        seed=seed,
        records=StoredCalls(scope),
    )
    context.permit = tenure.assured
    return context


class PromptSearch(Protocol):
    """A search of any kind."""

    async def run(self, seed_prompt: str, queries: Sequence[Query]) -> SearchResult:
        """Search from ``seed_prompt`` over ``queries``, taken in their order.

        Raises:
            InvalidInputError: there are too few queries.
            ModelError: a backend cannot be used.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchParts:
    """What both the search and the gate are made of."""

    spec: JobSpec
    models: RunModels
    base_model: bool
    scorer: Scorer
    observer: SearchObserver
    retrievers: Retrievers
    context: RunContext
    reasons: ReasonGiver | None = None

    async def evaluator(
        self, examples: Sequence[Example], k: int, retrieval: RetrievalSpec, queries: Sequence[Query]
    ) -> Evaluator:
        """An evaluator that shows ``k`` of ``examples`` with each query.

        Args:
            examples: the bank.
            k: examples shown.
            retrieval: what they are found by.
            queries: those that will be asked: what finding examples for them takes is done in a few calls.

        Raises:
            ModelError: the embedding model cannot be used.
        """
        retriever = await self.retrievers.for_job(retrieval, examples if k else (), self.context)
        with contextlib.suppress(BudgetExceededError):  # the search meets it again, and ends as it should
            await retriever.prepare([query.text for query in queries])
        runner = RolloutRunner(
            self.models.target,
            retriever,
            k=k,
            sampling=self.spec.config.target.to_sampling(),
            base_model=self.base_model,
            place=self.spec.example_place,
        )
        return Evaluator(runner, self.scorer, self.observer, seed=self.spec.config.seed)

    async def own_evaluator(self, examples: Sequence[Example], queries: Sequence[Query]) -> Evaluator:
        """The evaluator that the job's settings ask for; see ``evaluator``."""
        return await self.evaluator(examples, self.spec.config.k, self.spec.retrieval, queries)

    def search(self, evaluator: Evaluator, pairwise: PairwiseJudge, limits: SearchLimits) -> PromptSearch:
        """The search that the job's settings ask for; ``pairwise`` breaks the ties of a racing one."""
        config, model = self.spec.config, self.models.proposer
        if config.racing is not None:
            sampling = config.proposer.to_sampling()
            reflecting = ReflectingProposer(model, sampling, seed=config.seed)
            reads = config.reads_instructions
            parts = RacingParts(
                proposer=ReasonedReflector(reflecting, self.reasons) if self.reasons else reflecting,
                evaluator=evaluator,
                pairwise=pairwise,
                observer=self.observer,
                limits=limits,
                rates=self.spec.rates,
                reader=ModelInstructionReader(model, sampling, seed=config.seed) if reads else None,
            )
            return RacingSearch(config, parts)
        rewriting = RewritingProposer(
            model, config.proposer.to_sampling(), history=config.history, seed=config.seed
        )
        return BeamSearch(
            config=config,
            proposer=ReasonedProposer(rewriting, self.reasons) if self.reasons else rewriting,
            evaluator=evaluator,
            observer=self.observer,
            stop=limits,
            rates=self.spec.rates,
        )


def _sum(spends: Iterable[CallSpend]) -> Spend:
    total = sum(spends, CallSpend())
    return Spend(
        calls=total.calls,
        prompt_tokens=total.prompt_tokens,
        completion_tokens=total.completion_tokens,
        cost=total.cost,
    )
