"""From a job that has ended to one that takes over its first rounds and goes on anew."""

from collections.abc import Mapping, Sequence

from app.errors import conflict, gone
from app.jobs.restarts import new_restart
from app.jobs.spec import BudgetSpec, JobSpec
from app.jobs.views import job_spec
from app.optimizations.schemas import RestartOptimization
from app.resources import Resources
from optimizer.errors import InvalidInputError
from optimizer.types import ModelRole
from store.records.calls import LedgerShare
from store.records.optimizations import OptimizationRecord
from store.records.progress import RoundRecord

_ROLES = (ModelRole.TARGET, ModelRole.PROPOSER, ModelRole.SELECTOR, ModelRole.JUDGE)


async def build_restart(
    source: OptimizationRecord, request: RestartOptimization, resources: Resources
) -> JobSpec:
    """The job that goes on anew from a round of ``source``.

    Raises:
        InvalidInputError: ``source`` is a replay, or has not made so many rounds.
        ApiError: it has not ended, other models fill its roles now (409), or its calls are dropped (410).
    """
    spec = job_spec(source)
    if spec.replay is not None:
        raise InvalidInputError(
            f"{source.id} is a replay and has no calls of its own: restart {spec.replay.of}"
        )
    if not source.status.is_final:
        raise conflict(f"{source.id} has not ended: wait for its end, or cancel it first")
    _check_record(source, await resources.spends.of(source.id))
    _check_round(source, request.from_round, await resources.tree.rounds(source.id))
    _check_models(source, await resources.recorded.models(source.id), resources)
    budget = None if request.budget is None else BudgetSpec.model_validate(request.budget.model_dump())
    restart = new_restart(
        source.id, spec.restart, from_round=request.from_round, plans_anew=budget is not None
    )
    return spec.model_copy(
        update={
            "name": request.name or spec.name,
            "budget": budget or spec.budget,
            "forecast": None,
            "restart": restart,
        }
    )


def _check_record(source: OptimizationRecord, share: LedgerShare) -> None:
    if share.dropped_at is not None:
        raise gone(
            f"the recorded calls of {source.id} have been dropped to keep the ledger small "
            "(ledger.keep_days, ledger.max_bytes): clone it, which asks for everything anew",
            code="ledger_dropped",
        )


def _check_round(source: OptimizationRecord, from_round: int, rounds: Sequence[RoundRecord]) -> None:
    if not rounds:
        raise conflict(f"{source.id} has finished no round: clone it")
    last = rounds[-1].round
    latest = max(1, last)  # what follows the first round is made anew also where it was not made before
    if from_round > latest:
        raise InvalidInputError(
            f"from_round: {source.id} has made the rounds 0 to {last}; name one of 1 to {latest}",
            param="from_round",
        )


def _check_models(
    source: OptimizationRecord, asked: Mapping[str, tuple[str, ...]], resources: Resources
) -> None:
    """Answers of other models would not be found in the record: each round would be paid for again."""
    for role in _ROLES:
        now, then = resources.models.model_name(role, source.target), asked.get(role.value, ())
        if then and now not in then:
            raise conflict(
                f"the {role.value} of {source.id} was {then[0]}, and is {now} now: clone it, which asks for "
                "everything anew"
            )
