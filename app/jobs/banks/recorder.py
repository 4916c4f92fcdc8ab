"""From stage 1's events to rows: answers, rounds and the event log."""

from collections.abc import Sequence

from typing_extensions import override

from app.jobs.background_recorder import BackgroundRecorder
from app.jobs.banks.event_bodies import refinement_event_body, refinement_event_type
from app.jobs.event_bodies import criteria_body
from optimizer.examples.events import AnswerJudged, RefinementEvent, RefinementRoundFinished
from optimizer.examples.ports import RefinementObserver
from optimizer.types import JsonObject, Scored, Unscored
from store.records.progress import AnswerDraft, EventDraft, ProgressBatch, RoundDraft


class BankRecorder(BackgroundRecorder[RefinementEvent], RefinementObserver):
    """Records what stage 1 announces."""

    @override
    def _batch(self, events: Sequence[RefinementEvent]) -> ProgressBatch:
        return ProgressBatch(
            answers=tuple(
                _answer(event, self.provenance) for event in events if isinstance(event, AnswerJudged)
            ),
            rounds=tuple(
                _round(event, self.spend()) for event in events if isinstance(event, RefinementRoundFinished)
            ),
            events=tuple(
                EventDraft(
                    key=event.key, type=refinement_event_type(event), body=refinement_event_body(event)
                )
                for event in events
            ),
        )


def _answer(event: AnswerJudged, provenance: JsonObject) -> AnswerDraft:
    answer, score = event.judged.answer, event.judged.score
    return AnswerDraft(
        example_id=event.draft.id,
        id=answer.id,
        text=answer.text,
        parent_id=answer.parent_id,
        round=answer.round,
        rationale=answer.rationale,
        reward=event.judged.reward,
        unscored_reason=score.reason if isinstance(score, Unscored) else None,
        criteria=tuple(criteria_body(score)),
        selection_rationale=score.selection_rationale if isinstance(score, Scored) else "",
        models=provenance,
    )


def _round(event: RefinementRoundFinished, spend: JsonObject) -> RoundDraft:
    return RoundDraft(
        round=event.round,
        ranking=(),
        best_candidate_id=None,
        best_reward=event.mean_best,
        spend=spend,
        rounds_left=event.rounds_left if event.open else 0,
    )
