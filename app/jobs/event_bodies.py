"""Search events as the JSON that the API streams."""

from functools import singledispatch
from typing import Final

from app.jobs.gate_bodies import conclusion_body, judge_body
from optimizer.events import (
    CandidateDropped,
    CandidateKept,
    CandidateProposed,
    EvaluationFinished,
    FinalistsCompared,
    GateFinished,
    GateStarted,
    JudgeChecked,
    ProposalFailed,
    RoundFinished,
    RoundStarted,
    SearchEvent,
    SearchFinished,
    SearchStarted,
)
from optimizer.types import CriterionScore, JsonObject, JsonValue, Score, Scored

_TYPES: Final[dict[type[SearchEvent], str]] = {
    SearchStarted: "search_started",
    RoundStarted: "round_started",
    CandidateKept: "candidate_kept",
    CandidateProposed: "candidate_proposed",
    ProposalFailed: "proposal_failed",
    EvaluationFinished: "evaluation_finished",
    CandidateDropped: "candidate_dropped",
    FinalistsCompared: "finalists_compared",
    RoundFinished: "round_finished",
    SearchFinished: "search_finished",
    GateStarted: "gate_started",
    JudgeChecked: "judge_checked",
    GateFinished: "gate_finished",
}


def event_type(event: SearchEvent) -> str:
    """The event's name on the wire."""
    return _TYPES[type(event)]


@singledispatch
def event_body(event: SearchEvent) -> JsonObject:
    """The event's fields; texts that the candidate and evaluation endpoints give are left out."""
    raise TypeError(f"{type(event).__name__} is not a search event")


@event_body.register
def _search_started(event: SearchStarted) -> JsonObject:
    return {
        "candidate_id": event.seed_prompt.id,
        "max_rounds": event.max_rounds,
        "queries": event.queries,
    }


@event_body.register
def _round_started(event: RoundStarted) -> JsonObject:
    return {"round": event.round, "query_ids": list(event.query_ids)}


@event_body.register
def _candidate_kept(event: CandidateKept) -> JsonObject:
    return {
        "round": event.round,
        "slot": event.slot,
        "candidate_id": event.candidate_id,
        "reason": event.reason,
    }


@event_body.register
def _candidate_proposed(event: CandidateProposed) -> JsonObject:
    return {
        "candidate_id": event.candidate.id,
        "parent_id": event.candidate.parent_id,
        "round": event.candidate.round,
        "rationale": event.candidate.rationale,
        "system_prompt": event.candidate.system_prompt,
    }


@event_body.register
def _proposal_failed(event: ProposalFailed) -> JsonObject:
    return {
        "round": event.round,
        "parent_id": event.parent_id,
        "proposal_slot": event.proposal_slot,
        "reason": event.reason,
    }


@event_body.register
def _evaluation_finished(event: EvaluationFinished) -> JsonObject:
    evaluation, score = event.evaluation, event.evaluation.score
    return {
        "candidate_id": evaluation.rollout.candidate_id,
        "query_id": evaluation.rollout.query.id,
        "round": evaluation.round,
        "reward": score.reward if isinstance(score, Scored) else None,
        "unscored_reason": None if isinstance(score, Scored) else score.reason,
    }


@event_body.register
def _candidate_dropped(event: CandidateDropped) -> JsonObject:
    return {
        "round": event.round,
        "candidate_id": event.candidate_id,
        "reason": event.reason,
        "leader_id": event.leader_id,
        "pairs": event.pairs,
        "difference": event.difference,
    }


@event_body.register
def _finalists_compared(event: FinalistsCompared) -> JsonObject:
    return {
        "round": event.round,
        "first_id": event.first_id,
        "second_id": event.second_id,
        "pairs": event.pairs,
        "uncompared": event.uncompared,
        "preference": event.preference,
        "winner_id": event.winner_id,
    }


@event_body.register
def _round_finished(event: RoundFinished) -> JsonObject:
    return {
        "round": event.round,
        "rounds_left": event.rounds_left,
        "ranking": list[JsonValue](ranking_body(event)),
    }


@event_body.register
def search_body(event: SearchFinished) -> JsonObject:
    """How a search ended."""
    result = event.result
    return {
        "stop_reason": result.stop_reason.value,
        "best_candidate_id": result.best.id,
        "best_reward": result.best_reward,
        "rounds": result.rounds,
        "evaluations": result.evaluations,
        "unscored": result.unscored,
    }


@event_body.register
def _gate_started(event: GateStarted) -> JsonObject:
    return {
        "incumbent_id": event.incumbent.id,
        "candidate_ids": [candidate.id for candidate in event.finalists],
        "seed_prompt_id": None if event.seed_prompt is None else event.seed_prompt.id,
        "queries": event.queries,
    }


@event_body.register
def _judge_checked(event: JudgeChecked) -> JsonObject:
    return judge_body(event.report)


@event_body.register
def _gate_finished(event: GateFinished) -> JsonObject:
    return conclusion_body(event.conclusion)


def ranking_body(event: RoundFinished) -> list[JsonObject]:
    """A round's ranking, best first."""
    return [
        {
            "candidate_id": place.candidate_id,
            "reward": place.reward,
            "round_reward": place.round_reward,
            "kept": place.kept,
        }
        for place in event.ranking
    ]


def criteria_body(score: Score) -> list[JsonObject]:
    """The verdicts of a score; none where it is unscored."""
    if not isinstance(score, Scored):
        return []
    return [_criterion_body(item) for item in score.criteria]


def _criterion_body(item: CriterionScore) -> JsonObject:
    body: JsonObject = {
        "criterion": item.criterion,
        "score": item.score,
        "rationale": item.rationale,
        "weight": item.weight,
        "source": item.source.value,
    }
    if item.spread is not None:
        body["spread"] = item.spread
    if item.required:
        body["required"] = True
    return body
