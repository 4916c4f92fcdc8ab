"""What a search has done, as values: drafts go in, records come out."""

from dataclasses import dataclass

from store.json_values import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateDraft:
    """A system prompt under test.

    Attributes:
        id: unique within the optimization.
        parent_id: the candidate it was rewritten from, recorded earlier or in the same batch.
        template_version: version of the meta-prompt that wrote it; None for the seed prompt.
    """

    id: str
    system_prompt: str
    parent_id: str | None = None
    round: int = 0
    rationale: str = ""
    template_version: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateRecord(CandidateDraft):
    """A candidate as recorded.

    Attributes:
        kept: whether it stayed in the beam when it was last ranked; None before that.
        dropped_in_round: the round that dropped it.
        at: seconds since 1970.
    """

    kept: bool | None
    dropped_in_round: int | None
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationDraft:
    """An answer and its reward; exactly one of ``reward`` and ``unscored_reason`` is there.

    Attributes:
        key: unique within the optimization.
        phase: ``search`` or ``held_out``.
        answer: None where the target gave none; ``failure`` says why.
        criteria: objects ``{"criterion", "score", "rationale"}``.
        models: role to model name.
    """

    key: str
    candidate_id: str
    round: int
    query_id: str
    query: str
    query_kind: str | None = None
    phase: str = "search"
    answer: str | None = None
    failure: str = ""
    example_ids: tuple[str, ...] = ()
    reward: float | None = None
    unscored_reason: str | None = None
    criteria: tuple[JsonObject, ...] = ()
    selection_rationale: str = ""
    models: JsonObject
    seed: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRecord(EvaluationDraft):
    """An evaluation as recorded; ``at`` in seconds since 1970."""

    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerDraft:
    """An answer for an example bank; exactly one of ``reward`` and ``unscored_reason`` is there.

    Attributes:
        id: unique within the example.
        criteria: objects ``{"criterion", "score", "rationale"}``.
        models: who wrote and who judged it.
    """

    example_id: str
    id: str
    text: str
    parent_id: str | None = None
    round: int = 0
    rationale: str = ""
    reward: float | None = None
    unscored_reason: str | None = None
    criteria: tuple[JsonObject, ...] = ()
    selection_rationale: str = ""
    models: JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRecord(AnswerDraft):
    """An answer as recorded; ``at`` in seconds since 1970."""

    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleReward:
    """How far an example is.

    Attributes:
        first / best: highest reward of its first answers, and of all; None where none is scored.
        judged / unscored: answers judged, and those of them without a score.
    """

    first: float | None
    best: float | None
    judged: int
    unscored: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundDraft:
    """A finished round.

    Attributes:
        ranking: one object for each ranked candidate, best first.
        spend: what the optimization has cost so far.
        rounds_left: rounds still to come, as known then.
        kept / dropped: ids of the candidates that this ranking keeps in the beam and drops from it.
    """

    round: int
    ranking: tuple[JsonObject, ...]
    best_candidate_id: str | None
    best_reward: float | None
    spend: JsonObject
    rounds_left: int = 0
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundRecord:
    """A round as recorded, with the fence it was recorded under; ``at`` in seconds since 1970."""

    round: int
    fence: int
    ranking: tuple[JsonObject, ...]
    best_candidate_id: str | None
    best_reward: float | None
    spend: JsonObject
    rounds_left: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EventDraft:
    """An announcement. One with a ``key`` that the optimization has already is ignored."""

    key: str
    type: str
    body: JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRecord(EventDraft):
    """An event as recorded: ``seq`` counts from 1 without gaps; ``at`` in seconds since 1970."""

    seq: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressBatch:
    """What is recorded together, or not at all."""

    candidates: tuple[CandidateDraft, ...] = ()
    evaluations: tuple[EvaluationDraft, ...] = ()
    answers: tuple[AnswerDraft, ...] = ()
    rounds: tuple[RoundDraft, ...] = ()
    events: tuple[EventDraft, ...] = ()
