"""Jobs, candidates and evaluations as the API shows them, from what the store has recorded."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Final, Literal

from app.jobs.spending import show_spend
from app.jobs.views import job_spec, show_budget, show_controls, show_error
from app.optimizations.estimates import estimate_rest, progress_now
from app.optimizations.forecast_schemas import Forecast
from app.optimizations.schemas import (
    BestSoFar,
    CandidateObject,
    CriterionCell,
    CriterionMean,
    Drop,
    EvaluationObject,
    OptimizationObject,
    Progress,
)
from optimizer.events import CandidateDropped
from optimizer.types import JsonObject, StopReason
from store.records.calls import LedgerShare
from store.records.optimizations import OptimizationRecord, OptimizationStatus
from store.records.progress import CandidateRecord, EvaluationRecord, RoundRecord
from store.repositories.criterion_means import CriterionSum
from store.repositories.search_tree import CandidateScore, EvaluationCounts

SEARCH: Final = "search"
HELD_OUT: Final = "held_out"


def show_optimization(
    record: OptimizationRecord,
    rounds: Sequence[RoundRecord],
    counts: EvaluationCounts,
    best: CandidateRecord | None,
    share: LedgerShare,
) -> OptimizationObject:
    """A job with its progress."""
    spec = job_spec(record)
    last = rounds[-1] if rounds else None
    calls = sum(spend.calls for spend in share.by_role.values())
    rest = estimate_rest(record, spec, rounds, counts, calls_spent=calls)
    return OptimizationObject(
        id=record.id,
        name=spec.name,
        status=record.status.value,
        target=record.target,
        preset=spec.preset,
        settings=spec.config,
        gate=spec.gate,
        seed_prompt=spec.seed_prompt,
        budget=show_budget(record, spec.budget),
        rewards=spec.rewards,
        label=spec.label,
        replay_of=None if spec.replay is None else spec.replay.of,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        elapsed_seconds=record.elapsed_seconds,
        **show_controls(record).model_dump(),
        error=show_error(record),
        progress=Progress(
            phase=_phase(record, counts),
            round=None if last is None else last.round,
            rounds_left=None if last is None else last.rounds_left,
            evaluations=counts.search,
            unscored=counts.unscored,
            **progress_now(record, spec, rounds, counts, calls_spent=calls).model_dump(),
        ),
        best=_best(record, last, best),
        usage=show_spend(share, replayed=_replayed(record)),
        estimate=rest,
        estimate_before=None if spec.forecast is None else Forecast.model_validate(spec.forecast),
        result=record.result,
    )


def best_candidate(record: OptimizationRecord, rounds: Sequence[RoundRecord]) -> str | None:
    """The candidate that leads the search or, once there is one, that the gate's verdict is about."""
    gate = None if record.result is None else record.result.get("gate")
    chosen = gate.get("candidate_id") if isinstance(gate, dict) else None
    if isinstance(chosen, str):
        return chosen
    return rounds[-1].best_candidate_id if rounds else None


def show_candidates(
    candidates: Sequence[CandidateRecord],
    rounds: Sequence[RoundRecord],
    evaluations: Sequence[CandidateScore],
    drops: Mapping[str, JsonObject],
) -> list[CandidateObject]:
    """Nodes of the search tree with what is known about each; ``drops`` by candidate."""
    by_candidate: defaultdict[str, list[CandidateScore]] = defaultdict(list)
    for evaluation in evaluations:
        by_candidate[evaluation.candidate_id].append(evaluation)
    kept: defaultdict[str, list[int]] = defaultdict(list)
    for finished in rounds:
        for place in finished.ranking:
            if place["kept"]:
                kept[str(place["candidate_id"])].append(finished.round)
    return [
        _show_candidate(item, by_candidate[item.id], kept[item.id], drops.get(item.id)) for item in candidates
    ]


def drop_keys(candidates: Iterable[CandidateRecord], rounds: Sequence[RoundRecord]) -> list[str]:
    """The keys of the events that may say why races have dropped ``candidates``, later rounds last."""
    until = max((item.round for item in rounds), default=0)
    return [
        CandidateDropped.key_of(number, item.id)
        for item in candidates
        if item.dropped_in_round is not None
        for number in range(item.round, until + 1)
    ]


def show_evaluation(evaluation: EvaluationRecord) -> EvaluationObject:
    """One rollout with its score and provenance."""
    return EvaluationObject(
        id=evaluation.key,
        candidate_id=evaluation.candidate_id,
        round=evaluation.round,
        phase=HELD_OUT if evaluation.phase == HELD_OUT else SEARCH,
        query={
            "id": evaluation.query_id,
            "text": evaluation.query,
            "kind": evaluation.query_kind,
        },
        answer=evaluation.answer,
        failure=evaluation.failure,
        example_ids=list(evaluation.example_ids),
        reward=evaluation.reward,
        unscored_reason=evaluation.unscored_reason,
        criteria=list(evaluation.criteria),
        selection_rationale=evaluation.selection_rationale,
        models=evaluation.models,
        seed=evaluation.seed,
        prompt_tokens=evaluation.prompt_tokens,
        completion_tokens=evaluation.completion_tokens,
        seconds=evaluation.seconds,
        at=evaluation.at,
    )


def show_criterion(cell: CriterionSum) -> CriterionCell:
    """The mean of a criterion in a round."""
    return CriterionCell(
        round=cell.round,
        last_round=cell.last_round,
        phase=HELD_OUT if cell.phase == HELD_OUT else SEARCH,
        criterion=cell.criterion,
        mean=cell.mean,
        evaluations=cell.evaluations,
    )


def _show_candidate(
    candidate: CandidateRecord,
    evaluations: Sequence[CandidateScore],
    kept: list[int],
    drop: JsonObject | None,
) -> CandidateObject:
    search = [item for item in evaluations if item.phase == SEARCH]
    held_out = [item for item in evaluations if item.phase == HELD_OUT]
    return CandidateObject(
        id=candidate.id,
        parent_id=candidate.parent_id,
        round=candidate.round,
        system_prompt=candidate.system_prompt,
        rationale=candidate.rationale,
        reward=_mean_reward(search),
        held_out_reward=_mean_reward(held_out),
        evaluations=len(search),
        unscored=sum(item.reward is None for item in search),
        kept_in_rounds=kept,
        dropped_in_round=candidate.dropped_in_round,
        # a later ranking may have taken it back
        drop=None if drop is None or candidate.dropped_in_round is None else Drop.model_validate(drop),
        criteria=_criterion_means(search),
        held_out_criteria=_criterion_means(held_out),
    )


def _mean_reward(evaluations: Iterable[CandidateScore]) -> float | None:
    rewards = [item.reward for item in evaluations if item.reward is not None]
    return fmean(rewards) if rewards else None


def _criterion_means(evaluations: Iterable[CandidateScore]) -> list[CriterionMean]:
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for evaluation in evaluations:
        for item in evaluation.criteria:
            score = item["score"]
            if isinstance(score, int | float):
                scores[str(item["criterion"])].append(float(score))
    return [
        CriterionMean(criterion=name, mean=fmean(values), evaluations=len(values))
        for name, values in sorted(scores.items())
    ]


def _best(
    record: OptimizationRecord, last: RoundRecord | None, best: CandidateRecord | None
) -> BestSoFar | None:
    if best is None or last is None:
        return None
    if record.result is not None and record.result["stop_reason"] == StopReason.UNSCORED:
        return None  # nothing was chosen
    rewards = {place["candidate_id"]: place["reward"] for place in last.ranking}
    reward = rewards.get(best.id)
    return BestSoFar(
        candidate_id=best.id,
        system_prompt=best.system_prompt,
        reward=float(reward) if isinstance(reward, int | float) else None,
    )


def _replayed(record: OptimizationRecord) -> int:
    """Calls that were answered from the record of another job."""
    result = record.result or {}
    for part, name in (("replay", "answered"), ("restart", "taken")):
        found = result.get(part)
        count = found.get(name) if isinstance(found, dict) else None
        if isinstance(count, int):
            return count
    return 0


def _phase(
    record: OptimizationRecord, counts: EvaluationCounts
) -> Literal["queued", "search", "gate", "finished"]:
    if record.status.is_final:
        return "finished"
    if record.status is OptimizationStatus.QUEUED:
        return "queued"
    return "gate" if counts.held_out else "search"
