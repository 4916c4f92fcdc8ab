"""What the optimization endpoints take and give."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from app.datasets.parsing import MAX_QUERIES, AnyQuery
from app.jobs.banks.inputs import BankReference, ExampleInput, inline_or_stored
from app.jobs.reward_spec import RewardSpec
from app.jobs.schemas import BudgetInput, JobControls, ListPage, OptimizationError, SpendReport, Status
from app.optimizations.forecast_schemas import Forecast, Range
from optimizer.config import SearchConfig
from optimizer.gate_config import GateConfig
from optimizer.types import JsonObject, JsonValue

BUILTIN_DATASET = "builtin"
DEFAULT_SEED_PROMPT = "You are a helpful assistant."
PROMPT_LIMIT = 20_000


class DatasetReference(BaseModel):
    """A stored query set, or ``builtin``."""

    model_config = ConfigDict(extra="forbid")

    dataset: str = Field(min_length=1)


class CreateOptimization(BaseModel):
    """A job to run.

    Attributes:
        target: a configured target.
        preset: named search settings.
        settings: single settings that differ from the preset's; see ``SearchConfig``.
        seed_prompt: where the search starts; by default the prompt labelled ``label`` for this target, else
            ``You are a helpful assistant.``.
        queries: inline, or a stored dataset; by default the built-in set.
        held_out: queries kept for the final comparison; 0 runs none and promotes nothing.
        gate: how they decide; see ``GateConfig``.
        examples: the in-context bank, inline or a stored one; by default the built-in one, an empty list for
            none.
        budget: what the job may use.
        rewards: what answers are scored by; by default the criteria that the selector chooses, all alike.
        label: the label that moves to the new version if it proves better; null moves none.
        name: shown in lists.
        priority: -100 to 100; jobs with a higher one are begun first.
    """

    model_config = ConfigDict(extra="forbid")

    target: str = Field(min_length=1, max_length=256)
    preset: Literal["default", "paper", "mini"] = "default"
    settings: JsonObject = Field(default_factory=dict)
    seed_prompt: str | None = Field(default=None, max_length=PROMPT_LIMIT)
    queries: Annotated[
        Annotated[list[AnyQuery], Field(min_length=1, max_length=MAX_QUERIES), Tag("inline")]
        | Annotated[DatasetReference, Tag("stored")],
        Discriminator(inline_or_stored),
    ] = DatasetReference(dataset=BUILTIN_DATASET)
    held_out: int = Field(default=30, ge=0, le=10_000)
    gate: GateConfig = GateConfig()
    examples: (
        Annotated[
            Annotated[list[ExampleInput], Field(max_length=1000), Tag("inline")]
            | Annotated[BankReference, Tag("stored")],
            Discriminator(inline_or_stored),
        ]
        | None
    ) = None
    budget: BudgetInput = BudgetInput()
    rewards: RewardSpec | None = None
    label: str | None = Field(default="production", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    name: str | None = Field(default=None, max_length=200)
    priority: int = Field(default=0, ge=-100, le=100)


class RestartOptimization(BaseModel):
    """A job that takes over the first rounds of another one that has ended, and goes on anew.

    Attributes:
        from_round: the first round that is made anew; those before it, the seed prompt's round 0 among them,
            are taken from the record.
        budget: what the new job itself may use; by default the limits of the old one. With a budget of its
            own it plans anew from ``from_round`` on, without one it keeps to the plan of the old job.
        name: shown in lists; by default the old job's.
        priority: -100 to 100.
    """

    model_config = ConfigDict(extra="forbid")

    from_round: int = Field(ge=1, le=10_000)
    budget: BudgetInput | None = None
    name: str | None = Field(default=None, max_length=200)
    priority: int = Field(default=0, ge=-100, le=100)


class ReplayOptimization(BaseModel):
    """A replay of a job that has ended: what it would have found, from its recorded calls alone.

    Attributes:
        settings: settings that differ from the job's; none replays it as it was.
        name: shown in lists.
    """

    model_config = ConfigDict(extra="forbid")

    settings: JsonObject = Field(default_factory=dict)
    name: str | None = Field(default=None, max_length=200)


class BestSoFar(BaseModel):
    """The candidate that leads, or that the gate has decided on; its reward is the search's: it flatters."""

    candidate_id: str
    system_prompt: str
    reward: float | None


class RoundProgress(BaseModel):
    """How far a job is.

    Attributes:
        calls / calls_expected: made so far, and in all if nothing more is skipped.
        seconds_left: of work, pauses left out: before the first round by earlier jobs on these models, later
            by what the waves of this one took; null where nothing was measured.
    """

    calls: int
    calls_expected: int
    seconds_left: Range | None


class Progress(RoundProgress):
    """How far the job is now.

    Attributes:
        phase: ``queued``, ``search``, ``gate`` or ``finished``.
        round: rounds finished, the seed prompt's being round 0; null before it.
        rounds_left: rounds that are still to come, as known now.
        evaluations / unscored: rollouts judged so far, and those without a score.
    """

    phase: Literal["queued", "search", "gate", "finished"]
    round: int | None
    rounds_left: int | None
    evaluations: int
    unscored: int


class Estimate(BaseModel):
    """What is left within the budget; retries and repair requests come on top.

    Attributes:
        calls_left / calls_left_max: if nothing more is skipped, and at most.
    """

    calls_left: int
    calls_left_max: int


class OptimizationObject(JobControls):
    """A job as the API shows it; times are Unix seconds."""

    id: str
    object: Literal["optimization"] = "optimization"
    name: str | None
    status: Status
    target: str
    preset: str
    settings: SearchConfig
    gate: GateConfig
    seed_prompt: str
    budget: BudgetInput
    rewards: RewardSpec | None = None
    label: str | None
    replay_of: str | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    elapsed_seconds: float
    error: OptimizationError | None
    progress: Progress
    best: BestSoFar | None
    usage: SpendReport
    estimate: Estimate | None
    estimate_before: Forecast | None
    result: JsonValue


class CriterionMean(BaseModel):
    """Mean score of a criterion over the evaluations in which it mattered."""

    criterion: str
    mean: float
    evaluations: int


class Drop(BaseModel):
    """Why a candidate left a race.

    Attributes:
        reason: ``beaten``, which is shown, or ``unpromising``: the budget was better spent on others.
        leader_id: whom it was compared with, on ``pairs`` queries.
        difference: mean of the paired differences to it; null where there are none.
    """

    reason: str
    leader_id: str
    pairs: int
    difference: float | None


class CandidateObject(BaseModel):
    """A node of the search tree.

    Attributes:
        reward: mean reward over all its evaluations in the search; null where none was scored.
        held_out_reward: the same over the gate's evaluations.
        kept_in_rounds / dropped_in_round: its fate in the rankings.
        drop: why it was dropped, where a race has dropped it; a beam goes by the ranking alone.
        criteria / held_out_criteria: means per criterion, in the search and in the gate.
    """

    id: str
    parent_id: str | None
    round: int
    system_prompt: str
    rationale: str
    reward: float | None
    held_out_reward: float | None
    evaluations: int
    unscored: int
    kept_in_rounds: list[int]
    dropped_in_round: int | None
    drop: Drop | None
    criteria: list[CriterionMean]
    held_out_criteria: list[CriterionMean]


class EvaluationObject(BaseModel):
    """One rollout with its score and where it comes from; ``id`` is its own within the job."""

    id: str
    candidate_id: str
    round: int
    phase: Literal["search", "held_out"]
    query: JsonObject
    answer: str | None
    failure: str
    example_ids: list[str]
    reward: float | None
    unscored_reason: str | None
    criteria: list[JsonObject]
    selection_rationale: str
    models: JsonObject
    seed: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
    at: float


class OptimizationPage(ListPage):
    """A page of jobs, newest first."""

    data: list[OptimizationObject]


class CandidateList(ListPage):
    """A page of a job's tree, in the order of the rounds: parents before their children."""

    data: list[CandidateObject]


class EvaluationList(ListPage):
    """A page of a job's evaluations, by round."""

    data: list[EvaluationObject]


class CriterionCell(CriterionMean):
    """How the answers of a round did on a criterion, over all its candidates.

    Attributes:
        last_round: of several rounds that are taken together the last one, else ``round``.
    """

    round: int
    last_round: int
    phase: Literal["search", "held_out"]


class CriterionTable(BaseModel):
    """The means of all criteria in all rounds; the gate's are of the phase ``held_out``."""

    object: Literal["criteria"] = "criteria"
    data: list[CriterionCell]
