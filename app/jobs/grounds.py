"""What an attempt stands on: the job's own record, or that of the job which it replays."""

import time
from dataclasses import dataclass, replace
from typing import Protocol

from app.jobs.decisions import Decisions
from app.jobs.records import ReplayedCalls
from app.jobs.restarts import Beginning
from app.jobs.selections import InheritedSelections, JobSelections, ReplayedSelections
from app.jobs.spec import BudgetSpec, JobSpec, ReplaySpec, RestartSpec
from app.jobs.tenure import Tenure
from app.jobs.wiring import open_budget, open_context
from app.llm.metering import Meter
from app.llm.replay import Replay, share
from app.llm.run_context import RunContext
from optimizer.budget import Budget, Limits
from optimizer.errors import BudgetExceededError, InvalidInputError
from optimizer.types import JsonObject
from rewards.types import SelectionRecords
from store.calls import CallLedger, LedgerScope
from store.records.optimizations import Claim
from store.repositories.selections import SelectionRepository


class AnyConfig(Protocol):
    """Settings of a job of any kind."""

    @property
    def seed(self) -> int:
        """Everything random derives from it."""
        ...


class AnySpec(Protocol):
    """A job of any kind."""

    @property
    def budget(self) -> BudgetSpec:
        """What the job may use."""
        ...

    @property
    def config(self) -> AnyConfig:
        """Its settings."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Grounds:
    """Where the answers, the decisions and the criteria of an attempt come from.

    ``given`` are the limits that the job was made with; None where nobody can change them.
    """

    context: RunContext
    decisions: Decisions
    selections: SelectionRecords
    given: Limits | None = None

    def taken(self) -> int:
        """Calls that were taken from the record of another job."""
        return 0 if self.context.ledger is None else self.context.ledger.taken


async def own_grounds(
    claim: Claim, tenure: Tenure, spec: AnySpec, scope: LedgerScope, selections: SelectionRepository
) -> Grounds:
    """The models, under the job's budget, with what earlier attempts have left in its ledger."""
    limits = tenure.limits
    limits.hear(claim.optimization.limits)
    budget = open_budget(limits.of(spec.budget), scope, elapsed=claim.optimization.elapsed_seconds)
    limits.govern(budget)
    return Grounds(
        context=open_context(claim, scope, budget, seed=spec.config.seed, tenure=tenure),
        decisions=Decisions(scope.decisions, scope.decide),
        selections=await JobSelections.open(selections, claim.lease, ledger=scope),
        given=spec.budget.to_limits(),
    )


async def restarted_grounds(
    own: Grounds,
    restart: RestartSpec,
    scope: LedgerScope,
    ledger: CallLedger,
    selections: SelectionRepository,
) -> Grounds:
    """``own`` grounds behind the first rounds of another job.

    Raises:
        InvalidInputError: its record is gone.
    """
    record = await ledger.recorded(restart.of)
    if not len(record):
        raise InvalidInputError(f"{restart.of} has no recorded calls any more: they have been dropped")
    context = own.context
    beginning = Beginning(spec=restart, record=record, draws=context.draws)
    if context.ledger is not None:
        context.ledger.earlier = beginning.calls(scope)
    return replace(
        own,
        decisions=beginning.decisions(scope.decisions, scope.decide),
        selections=InheritedSelections(own.selections, await selections.pins(restart.of)),
    )


async def replayed_grounds(
    spec: JobSpec, source: ReplaySpec, ledger: CallLedger, selections: SelectionRepository
) -> Grounds:
    """The record of another job, and nothing else: no model is asked.

    Under the same settings that job's decisions are repeated, and the search ends where its record ends.
    Under others its budget is applied to what the recorded calls have cost.

    Raises:
        InvalidInputError: the record is gone.
    """
    record = await ledger.recorded(source.of)
    if not len(record):
        raise InvalidInputError(f"{source.of} has no recorded calls any more: they have been dropped")
    limits = Limits() if source.exact else spec.budget.model_copy(update={"seconds": None}).to_limits()
    budget, meter = Budget(limits, clock=time.monotonic), Meter()
    decisions = Decisions(record.decisions, _forget)
    replay = Replay(
        ReplayedCalls(record),
        scope=source.of,
        models=record.models,
        budget=budget,
        meter=meter,
        ends_with=BudgetExceededError(decisions.refused_by or "calls") if source.exact else None,
    )
    return Grounds(
        context=RunContext(scope=source.of, budget=budget, meter=meter, seed=spec.config.seed, replay=replay),
        decisions=decisions if source.exact else Decisions({}, replay.hear_decision),
        selections=ReplayedSelections(await selections.pins(source.of)),
    )


def describe_replay(source: ReplaySpec, replay: Replay) -> JsonObject:
    """How far the record has reached, as the result says it.

    ``complete`` means that the finding is what the job would have found under these settings.
    """
    not_recorded = replay.not_recorded
    missing = sum(not_recorded.values())
    complete = source.finished if source.exact else missing == 0
    if complete:
        note = "every call of this search is on record: this is what the job would have found"
    elif source.exact:
        note = "the job did not come to its end: this is what it had found where its record ends"
    else:
        note = (
            f"{missing} calls are not on record: what depends on them is unscored or missing. What was "
            "answered stands; what a new job would find is not known"
        )
    return {
        "of": source.of,
        "exact": source.exact,
        "complete": complete,
        "answered": replay.answered,
        "not_recorded": missing,
        "not_recorded_by_role": dict(not_recorded),
        "share": round(share(replay.answered, missing), 4),
        "answered_rounds": replay.answered_rounds,
        "note": note,
    }


def _forget(_name: str, _value: int) -> None:
    """A replay decides nothing that anybody has to repeat."""
