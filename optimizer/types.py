"""The frozen values that travel between the search, the rewards, the store and the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from typing_extensions import TypeAliasType

from optimizer.quick_values import quick

JsonValue = TypeAliasType(
    "JsonValue", "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
)
JsonObject: TypeAlias = dict[str, JsonValue]


class ModelRole(StrEnum):
    """What a model is used for in an optimization."""

    TARGET = "target"
    PROPOSER = "proposer"
    SELECTOR = "selector"
    JUDGE = "judge"
    GATE_JUDGE = "gate_judge"
    REWRITER = "rewriter"
    EXAMPLE_JUDGE = "example_judge"
    EMBEDDER = "embedder"
    SCORER = "scorer"


class ScoreSource(StrEnum):
    """Who gave a criterion's score: a model, code, or the user's own service."""

    JUDGE = "judge"
    CHECK = "check"
    HTTP = "http"


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: ``system``, ``developer``, ``user``, ``assistant`` or ``tool``.
        content: text, or OpenAI content parts, or None (an assistant turn with tool calls only).
        extra: every other wire field (``name``, ``tool_calls``, ...), kept as it came.
    """

    role: str
    content: JsonValue
    extra: Mapping[str, JsonValue] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def text(self) -> str:
        """The textual part of ``content``; content parts that are not text are left out."""
        if isinstance(self.content, str):
            return self.content
        if not isinstance(self.content, list):
            return ""
        texts = (part.get("text") for part in self.content if isinstance(part, dict))
        return "\n".join(text for text in texts if isinstance(text, str))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a model samples. None leaves the choice to the backend."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSchema:
    """The JSON object a reply has to be, by its JSON schema; ``name`` (``[a-z_]+``) is sent to backends."""

    name: str
    schema: Mapping[str, JsonValue]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionRequest:
    """One request to a model, for one or more completions.

    Attributes:
        prompt: a conversation, or plain text for a base model without a chat template.
        sampling: sampling parameters.
        n: completions wanted, at least 1.
        seed: seed passed to the backend where it has one; 0..2**31-1.
        output: the JSON object wanted, or None for free text.
        top_logprobs: how many alternatives' log-probabilities to give with each token, 0..20; None for
            none at all. A backend that has none gives none.
    """

    prompt: tuple[Message, ...] | str
    sampling: Sampling = Sampling()
    n: int = 1
    seed: int | None = None
    output: OutputSchema | None = None
    top_logprobs: int | None = None


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of calls. The cached ones are among the prompt's; None where the backend does not say them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int | None = None

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        """Sum of two usages."""
        told = [item for item in (self.cached_prompt_tokens, other.cached_prompt_tokens) if item is not None]
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_prompt_tokens=sum(told) if told else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One answer of a model.

    Attributes:
        text: the answer; may be empty.
        finish_reason: ``stop``, ``length``, ``content_filter``, ... as the backend said, or None.
        logprobs: the backend's log-probabilities as they came, or None.
    """

    text: str
    finish_reason: str | None = None
    logprobs: JsonValue = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionResult:
    """The answers to one request.

    Attributes:
        completions: exactly ``request.n`` of them.
        usage: tokens of the whole request; None where the backend does not say.
        model: the model id that the backend reports.
        seconds: time from sending to the complete answer.
        fingerprint: what the backend calls its build and configuration; None where it does not say.
    """

    completions: tuple[Completion, ...]
    usage: Usage | None
    model: str
    seconds: float
    fingerprint: str | None = None


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Spend:
    """What calls have cost, in the prices' currency. Sums from the store lack ``cached_prompt_tokens``."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    cached_prompt_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Spend") -> "Spend":
        """Sum of two spends."""
        return Spend(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=self.cost + other.cost,
            cached_prompt_tokens=self.cached_prompt_tokens + other.cached_prompt_tokens,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One user input.

    Attributes:
        id: unique within a job.
        text: what the user asks; untrusted.
        kind: the sort of request (``code``, ``emotional``, ...), or None where unknown.
    """

    id: str
    text: str
    kind: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """An in-context pair of the example bank."""

    id: str
    query: str
    answer: str
    kind: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A system prompt under test and where it comes from.

    Attributes:
        id: position in the tree, ``c0`` for the seed prompt, else
            ``c<round>.<parent slot>.<proposal slot>``; the same in every run with the same seed.
        system_prompt: the text.
        parent_id: the candidate it was rewritten from; None for the seed prompt.
        round: the round that made it; 0 for the seed prompt.
        rationale: why the proposer changed what it changed.
    """

    id: str
    system_prompt: str
    parent_id: str | None = None
    round: int = 0
    rationale: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CriterionScore:
    """One criterion's verdict on one response.

    Attributes:
        score: 1..5.
        rationale: why.
        weight: how much it counts in the reward, 0 or more.
        source: who gave it.
        spread: highest minus lowest score where several judges gave one; None where one did.
        required: whether the lowest score here makes the reward the lowest one.
    """

    criterion: str
    score: float
    rationale: str
    weight: float = 1.0
    source: ScoreSource = ScoreSource.JUDGE
    spread: float | None = None
    required: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A response that was judged.

    Attributes:
        reward: aggregate of the criterion scores, 1..5.
        criteria: the verdicts, at least one.
        selection_rationale: why these criteria matter for the query.
    """

    reward: float
    criteria: tuple[CriterionScore, ...]
    selection_rationale: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unscored:
    """A response without a reward. It enters no mean and is never read as 0.

    Attributes:
        reason: what happened, for a person.
    """

    reason: str


Score: TypeAlias = Scored | Unscored


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One candidate run on one query.

    Attributes:
        completion: the answer, or None where the backend refused this request.
        failure: why there is no answer; empty where there is one.
        example_ids: the in-context examples that were shown, most similar first.
        seed: the seed of the call.
        usage: tokens of the call, None where unknown.
        seconds: duration of the call.
    """

    candidate_id: str
    query: Query
    completion: Completion | None
    failure: str = ""
    example_ids: tuple[str, ...] = ()
    seed: int | None = None
    usage: Usage | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A rollout with its score.

    Attributes:
        round: the round it belongs to; 0 is the seed prompt's. The gate's carry -1.
    """

    round: int
    rollout: Rollout
    score: Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A candidate with its evaluations in one round: one record of a beam path."""

    candidate: Candidate
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BeamPath:
    """A lineage: one step for each round so far, the seed prompt's first."""

    steps: tuple[Step, ...]

    @property
    def last(self) -> Step:
        """The newest step."""
        return self.steps[-1]

    @property
    def candidate(self) -> Candidate:
        """The prompt that this lineage ends in."""
        return self.last.candidate


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """What a proposer wrote.

    Attributes:
        system_prompt: the new prompt, not blank; None where the reply could not be read.
        rationale: why it differs, or why it could not be read.
    """

    system_prompt: str | None
    rationale: str


class StopReason(StrEnum):
    """Why a search ended."""

    DEPTH = "depth"
    QUERIES = "queries_exhausted"
    BUDGET = "budget"
    CONVERGED = "converged"
    UNSCORED = "too_many_unscored"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        best: the candidate that the search would serve. It is the seed prompt where
            ``stop_reason`` is ``too_many_unscored``: nothing was chosen.
        best_reward: reward it was selected on, 1..5, or None; optimistic, since it was selected
            on it.
        finalists: candidates that the gate may compare, best first and ``best`` among them, no two with the
            same prompt; empty where nothing was chosen.
        seed_prompt: the first candidate.
        beam: the last beam, best first.
        rounds: rounds completed after the seed's.
        stop_reason: why it ended.
        unscored: evaluations without a score.
        evaluations: all evaluations.
    """

    best: Candidate
    best_reward: float | None
    finalists: tuple[Candidate, ...]
    seed_prompt: Candidate
    beam: tuple[BeamPath, ...]
    rounds: int
    stop_reason: StopReason
    unscored: int
    evaluations: int
