"""The trace of a job: the attempt, its rounds, and the scores that answers get.

Calls are many: a job's first ones get a span each, and of those after them one in a hundred; so do answers
that are scored. A job of 100,000 calls leaves some thousands of spans.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, set_span_in_context
from typing_extensions import override

from app.telemetry import semconv
from app.telemetry.job_watch import CURRENT, JobWatch
from app.telemetry.tracing import CANCELLED, Tracing, fail
from optimizer.events import (
    EvaluationFinished,
    GateFinished,
    GateStarted,
    RoundFinished,
    RoundStarted,
    SearchEvent,
)
from optimizer.protocols import SearchObserver
from optimizer.types import Evaluation, Scored

_THEN_EVERY: Final = 100
_ID: Final = "drpo.job.id"
_GATE: Final = -1
"""The gate in place of a round's number."""


class JobSpans(JobWatch):
    """The spans of one attempt at a job."""

    def __init__(self, tracing: Tracing, span: Span, job: str) -> None:
        """Below ``span``, that of the attempt at ``job``."""
        self._tracing = tracing
        self._span = span
        self._job = job
        self._rounds: dict[int, Span] = {}
        self._calls = self._evaluations = 0
        self.records_content = tracing.options.records_content

    @property
    def parent(self) -> Context:
        """What a call that is made now belongs to: the round that began last, or the attempt."""
        span = next(reversed(self._rounds.values()), self._span)
        return set_span_in_context(span, Context())

    def takes_call(self) -> bool:
        """Whether the next call gets a span; asked once for each."""
        self._calls += 1
        return self._is_chosen(self._calls)

    def begin(self, number: int, name: str) -> None:
        """A round begins."""
        self._rounds[number] = self._tracing.start(
            name,
            parent=set_span_in_context(self._span, Context()),
            attributes={_ID: self._job, "drpo.round": number},
        )

    def end(self, number: int) -> None:
        """It is over."""
        span = self._rounds.pop(number, None)
        if span is not None:
            span.end()

    def end_all(self) -> None:
        """So is everything else."""
        for number in tuple(self._rounds):
            self.end(number)

    def note_scores(self, evaluation: Evaluation) -> None:
        """An answer has got its scores, or none."""
        self._evaluations += 1
        if not self._is_chosen(self._evaluations):
            return
        rollout, score = evaluation.rollout, evaluation.score
        within = self._rounds.get(evaluation.round, self._span)
        span = self._tracing.start(
            "evaluation",
            parent=set_span_in_context(within, Context()),
            attributes={
                _ID: self._job,
                "drpo.round": evaluation.round,
                "drpo.candidate.id": rollout.candidate_id,
                "drpo.query.id": rollout.query.id,
            },
        )
        if isinstance(score, Scored):
            span.set_attribute("drpo.reward", score.reward)
            for verdict in score.criteria:
                told: dict[str, str | float] = {semconv.EVALUATION_NAME: verdict.criterion}
                if verdict.score is not None:
                    told[semconv.EVALUATION_SCORE_VALUE] = verdict.score
                if self.records_content:
                    told[semconv.EVALUATION_EXPLANATION] = verdict.rationale
                span.add_event(semconv.EVALUATION_RESULT, told)
        else:
            fail(span, "unscored")
        span.end()

    @override
    def search(self, observer: SearchObserver) -> SearchObserver:
        """``observer``, behind these spans."""
        return TracedSearch(observer, self)

    def _is_chosen(self, number: int) -> bool:
        return number <= self._tracing.options.calls or number % _THEN_EVERY == 0


@contextmanager
def traced_job(tracing: Tracing, job: str, *, kind: str, target: str) -> Iterator[None]:
    """What happens inside, also in tasks that begin there, is an attempt at ``job``, with its own trace."""
    span = tracing.start(
        f"job {kind}", parent=None, attributes={_ID: job, "drpo.job.kind": kind, "drpo.job.target": target}
    )
    spans = JobSpans(tracing, span, job)
    token = CURRENT.set(spans)
    try:
        yield
    except Exception as error:
        fail(span, type(error).__name__)
        raise
    except BaseException:
        fail(span, CANCELLED)
        raise
    finally:
        CURRENT.reset(token)
        spans.end_all()
        span.end()


class TracedSearch(SearchObserver):
    """Tells the spans of a job what its search does, before another observer hears of it."""

    def __init__(self, observer: SearchObserver, spans: JobSpans) -> None:
        """In front of ``observer``."""
        self._observer = observer
        self._spans = spans

    @override
    async def notify(self, event: SearchEvent) -> None:
        match event:
            case RoundStarted():
                self._spans.begin(event.round, "round")
            case RoundFinished():
                self._spans.end(event.round)
            case GateStarted():
                self._spans.begin(_GATE, "gate")
            case GateFinished():
                self._spans.end(_GATE)
            case EvaluationFinished():
                self._spans.note_scores(event.evaluation)
            case _:
                pass
        await self._observer.notify(event)
