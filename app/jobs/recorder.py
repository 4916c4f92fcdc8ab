"""From search events to rows: candidates, evaluations, rounds and the event log."""

from collections.abc import Sequence

from typing_extensions import override

from app.jobs.background_recorder import BackgroundRecorder
from app.jobs.event_bodies import criteria_body, event_body, event_type, ranking_body
from optimizer.evaluation import HELD_OUT_ROUND
from optimizer.events import (
    CandidateProposed,
    EvaluationFinished,
    GateStarted,
    RoundFinished,
    SearchEvent,
    SearchStarted,
)
from optimizer.protocols import SearchObserver
from optimizer.types import Candidate, JsonObject, Scored, Unscored
from store.records.progress import (
    CandidateDraft,
    EvaluationDraft,
    EventDraft,
    ProgressBatch,
    RoundDraft,
)

INCUMBENT_ID = "incumbent"
"""Candidate id of a served version that takes part in the gate but is no node of the tree."""


class RunRecorder(BackgroundRecorder[SearchEvent], SearchObserver):
    """Records what a search announces."""

    @override
    def _batch(self, events: Sequence[SearchEvent]) -> ProgressBatch:
        return ProgressBatch(
            candidates=tuple(draft for event in events for draft in _candidates(event)),
            evaluations=tuple(
                self._evaluation(event) for event in events if isinstance(event, EvaluationFinished)
            ),
            rounds=tuple(_round(event, self.spend()) for event in events if isinstance(event, RoundFinished)),
            events=tuple(
                EventDraft(key=event.key, type=event_type(event), body=event_body(event)) for event in events
            ),
        )

    def _evaluation(self, event: EvaluationFinished) -> EvaluationDraft:
        rollout, score = event.evaluation.rollout, event.evaluation.score
        usage = rollout.usage
        return EvaluationDraft(
            key=event.key,
            candidate_id=rollout.candidate_id,
            round=event.evaluation.round,
            query_id=rollout.query.id,
            query=rollout.query.text,
            query_kind=rollout.query.kind,
            phase="held_out" if event.evaluation.round == HELD_OUT_ROUND else "search",
            answer=None if rollout.completion is None else rollout.completion.text,
            failure=rollout.failure,
            example_ids=rollout.example_ids,
            reward=score.reward if isinstance(score, Scored) else None,
            unscored_reason=score.reason if isinstance(score, Unscored) else None,
            criteria=tuple(criteria_body(score)),
            selection_rationale=score.selection_rationale if isinstance(score, Scored) else "",
            models=self.provenance,
            seed=rollout.seed,
            prompt_tokens=None if usage is None else usage.prompt_tokens,
            completion_tokens=None if usage is None else usage.completion_tokens,
            seconds=rollout.seconds,
        )


def _candidates(event: SearchEvent) -> list[CandidateDraft]:
    match event:
        case SearchStarted():
            return [_candidate(event.seed_prompt, None)]
        case CandidateProposed():
            return [_candidate(event.candidate, event.template_version)]
        case GateStarted() if event.incumbent.id == INCUMBENT_ID:
            return [_candidate(event.incumbent, None)]
        case _:
            return []


def _candidate(candidate: Candidate, template_version: str | None) -> CandidateDraft:
    return CandidateDraft(
        id=candidate.id,
        system_prompt=candidate.system_prompt,
        parent_id=candidate.parent_id,
        round=candidate.round,
        rationale=candidate.rationale,
        template_version=template_version,
    )


def _round(event: RoundFinished, spend: JsonObject) -> RoundDraft:
    best = event.ranking[0]
    return RoundDraft(
        round=event.round,
        ranking=tuple(ranking_body(event)),
        best_candidate_id=best.candidate_id,
        best_reward=best.reward,
        spend=spend,
        rounds_left=event.rounds_left,
        kept=tuple(place.candidate_id for place in event.ranking if place.kept),
        dropped=tuple(place.candidate_id for place in event.ranking if not place.kept),
    )
