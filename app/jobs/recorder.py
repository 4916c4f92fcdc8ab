"""From search events to rows: candidates, evaluations, rounds and the event log."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from typing_extensions import override

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
from store.progress import ProgressLog
from store.records.optimizations import Lease
from store.records.progress import (
    CandidateDraft,
    EvaluationDraft,
    EventDraft,
    ProgressBatch,
    RoundDraft,
)

INCUMBENT_ID = "incumbent"
"""Candidate id of a served version that takes part in the gate but is no node of the tree."""

_MAX_BATCH = 200
_LAST_SECONDS = 2.0
"""For the last events of a run that failed or was stopped; a replay announces them again."""
_GROUP_SECONDS = 0.1
"""Events are gathered for so long: people look on, and the ledger waits for the same connection."""


class RunRecorder(SearchObserver):
    """Records events in the background, in their order, whatever waits in one transaction.

    The search never waits for it: what a kill loses here is announced again when the run is replayed from the
    call ledger. Use as ``async with RunRecorder(...) as recorder``; leaving the block writes what waits.
    """

    def __init__(
        self,
        log: ProgressLog,
        lease: Lease,
        provenance: JsonObject,
        *,
        spend: Callable[[], JsonObject],
        answers_kept: Callable[[], Awaitable[object]],
    ) -> None:
        """A recorder for the run under ``lease``.

        Args:
            log: where to write.
            lease: the run's.
            provenance: models and template versions, stored with each evaluation.
            spend: what the run has spent by now, stored with each round.
            answers_kept: returns when all answers so far are in the ledger: what follows from them must not
                be on record without them.
        """
        self._log = log
        self._lease = lease
        self._provenance = provenance
        self._spend = spend
        self._answers_kept = answers_kept
        self._waiting: asyncio.Queue[SearchEvent | None] = asyncio.Queue()
        self._ending = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the writer."""
        self._writer = asyncio.create_task(self._write_forever(), name="run recorder")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what waits, then stop; where the block has failed, not for long.

        Raises:
            LostLeaseError: the lease was lost; only where the block itself did not fail.
        """
        if self._writer is not None:
            self._waiting.put_nowait(None)
            self._ending.set()
            try:
                if exc is None:
                    await asyncio.wait([self._writer])
            finally:  # also where this wait is cancelled: whoever has the lease next must find it at rest
                await _come_to_rest(self._writer)
            if exc is None:
                self._writer.result()
            elif not self._writer.cancelled():
                self._writer.exception()

    @override
    async def notify(self, event: SearchEvent) -> None:
        if self._writer is not None and self._writer.done():
            self._writer.result()
        self._waiting.put_nowait(event)

    async def _write_forever(self) -> None:
        is_open = True
        while is_open:
            waiting = [await self._waiting.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GROUP_SECONDS):
                    await self._ending.wait()
            while len(waiting) < _MAX_BATCH and not self._waiting.empty():
                waiting.append(self._waiting.get_nowait())
            is_open = None not in waiting
            events = [event for event in waiting if event is not None]
            if events:
                await self._answers_kept()
                await self._log.record(self._lease, self._batch(events))

    def _batch(self, events: list[SearchEvent]) -> ProgressBatch:
        return ProgressBatch(
            candidates=tuple(draft for event in events for draft in _candidates(event)),
            evaluations=tuple(
                self._evaluation(event) for event in events if isinstance(event, EvaluationFinished)
            ),
            rounds=tuple(
                _round(event, self._spend()) for event in events if isinstance(event, RoundFinished)
            ),
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
            models=self._provenance,
            seed=rollout.seed,
            prompt_tokens=None if usage is None else usage.prompt_tokens,
            completion_tokens=None if usage is None else usage.completion_tokens,
            seconds=rollout.seconds,
        )


async def _come_to_rest(writer: asyncio.Task[None]) -> None:
    await asyncio.wait([writer], timeout=_LAST_SECONDS)
    writer.cancel()
    await asyncio.wait([writer])


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
