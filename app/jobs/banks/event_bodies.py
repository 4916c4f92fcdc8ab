"""Stage 1's events as the JSON that the API streams."""

from functools import singledispatch

from app.jobs.event_bodies import criteria_body
from optimizer.examples.answers import RefinedExample, RefinementResult
from optimizer.examples.events import (
    AnswerJudged,
    RefinementEvent,
    RefinementFinished,
    RefinementRoundFinished,
    RefinementRoundStarted,
    RefinementStarted,
    RewriteFailed,
)
from optimizer.types import JsonObject, Scored


def refinement_event_type(event: RefinementEvent) -> str:
    """The event's name on the wire."""
    return {
        RefinementStarted: "refinement_started",
        RefinementRoundStarted: "refinement_round_started",
        AnswerJudged: "answer_judged",
        RewriteFailed: "rewrite_failed",
        RefinementRoundFinished: "refinement_round_finished",
        RefinementFinished: "refinement_finished",
    }[type(event)]


@singledispatch
def refinement_event_body(event: RefinementEvent) -> JsonObject:
    """The event's fields; texts that the answers' endpoint gives are left out."""
    raise TypeError(f"{type(event).__name__} is no event of stage 1")


@refinement_event_body.register
def _started(event: RefinementStarted) -> JsonObject:
    return {"examples": event.examples, "rounds": event.rounds}


@refinement_event_body.register
def _round_started(event: RefinementRoundStarted) -> JsonObject:
    return {"round": event.round, "example_ids": list(event.example_ids)}


@refinement_event_body.register
def _answer_judged(event: AnswerJudged) -> JsonObject:
    answer, score = event.judged.answer, event.judged.score
    return {
        "example_id": event.draft.id,
        "answer_id": answer.id,
        "parent_id": answer.parent_id,
        "round": answer.round,
        "reward": event.judged.reward,
        "unscored_reason": None if isinstance(score, Scored) else score.reason,
        "criteria": [*criteria_body(score)],
    }


@refinement_event_body.register
def _rewrite_failed(event: RewriteFailed) -> JsonObject:
    return {
        "example_id": event.example_id,
        "round": event.round,
        "slot": event.slot,
        "position": event.position,
        "reason": event.reason,
    }


@refinement_event_body.register
def _round_finished(event: RefinementRoundFinished) -> JsonObject:
    return {
        "round": event.round,
        "rounds_left": event.rounds_left,
        "improved": event.improved,
        "open": event.open,
        "mean_first": event.mean_first,
        "mean_best": event.mean_best,
    }


@refinement_event_body.register
def _finished(event: RefinementFinished) -> JsonObject:
    return {"end": event.result.end.value, "rounds": event.result.rounds}


def refinement_body(result: RefinementResult) -> JsonObject:
    """What a refinement found, example by example."""
    pairs = [_rewards(item) for item in result.examples]
    scored = [(first, best) for first, best in pairs if first is not None and best is not None]
    return {
        "end": result.end.value,
        "rounds": result.rounds,
        "improved": sum(best > first for first, best in scored),
        "mean_first": sum(first for first, _ in scored) / len(scored) if scored else None,
        "mean_best": sum(best for _, best in scored) / len(scored) if scored else None,
        "examples": [_example_body(item) for item in result.examples],
    }


def _rewards(item: RefinedExample) -> tuple[float | None, float | None]:
    return (
        None if item.first is None else item.first.reward,
        None if item.best is None else item.best.reward,
    )


def _example_body(item: RefinedExample) -> JsonObject:
    first, best = _rewards(item)
    return {
        "id": item.draft.id,
        "first_reward": first,
        "best_reward": best,
        "answer_id": None if item.best is None else item.best.answer.id,
        "end": item.end.value,
        "judged": item.judged,
    }
