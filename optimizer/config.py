"""The validated, frozen settings of a search, with named presets."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from optimizer.types import Sampling


class PathAggregation(StrEnum):
    """How the rewards along a lineage become its rank."""

    MEAN = "mean"
    LAST = "last"


RACING_QUERIES = 400
"""Queries that a racing search is given at most: those that it screens, and fresh ones for each round."""


def _aggregation_for_width(validated: dict[str, object]) -> PathAggregation:
    """A single lineage is ranked by its last reward, as in the authors' script."""
    return PathAggregation.LAST if validated.get("beam_width") == 1 else PathAggregation.MEAN


class SamplingConfig(BaseModel):
    """Sampling parameters of one role; see ``optimizer.types.Sampling``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int = Field(default=2048, ge=1, le=10_000_000)
    stop: tuple[str, ...] = ()

    def to_sampling(self) -> Sampling:
        """The same as the value that requests carry."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=self.stop,
        )


class RacingConfig(BaseModel):
    """Settings of a racing search, which plans its rounds by the calls that it has.

    Attributes:
        calls: calls to plan for, where the budget's limits would allow more; None plans for all of them.
        aims: criteria that one request to the proposer is to raise.
        failures: failed answers that it shows.
        earlier: earlier prompts that it shows, with their rewards.
        max_instructions: items in the list of a prompt that is put together from known instructions.
        max_prompt_length: characters of a candidate; a longer one is not tried. It caps what serving costs.
        length_price: reward that 100 further words of a prompt have to bring.
        drop_deviations: posterior standard deviations behind the leader at which a candidate is given up.
        patience: rounds without a gain after which the search has converged.
        least_gain: reward by which the best prompt has to grow within them.
        finalists: candidates that are compared on all queries at the end.
        tie_margin: finalists that are closer than this reward are compared pair by pair.
        reads_instructions: whether the optimizer model says in each round what the new instructions are
            about, before any is tried.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int | None = Field(default=None, ge=40, le=1_000_000)
    aims: int = Field(default=2, ge=1, le=5)
    failures: int = Field(default=4, ge=1, le=32)
    earlier: int = Field(default=4, ge=0, le=32)
    max_instructions: int = Field(default=8, ge=1, le=40)
    max_prompt_length: int = Field(default=8000, ge=100, le=20_000)
    length_price: float = Field(default=0.02, ge=0, le=1)
    drop_deviations: float = Field(default=1.0, ge=0, le=10)
    patience: int = Field(default=6, ge=1, le=1000)
    least_gain: float = Field(default=0.02, ge=0, le=4)
    finalists: int = Field(default=4, ge=2, le=16)
    tie_margin: float = Field(default=0.03, ge=0, le=4)
    reads_instructions: bool = False  # jobs stored before this existed have it not


class SearchConfig(BaseModel):
    """Settings of a search over system prompts: a racing one where ``racing`` is set, else a beam search.

    The names follow the paper (arXiv 2411.08733); ``preset("paper")`` is what the authors' script runs with.

    Attributes:
        beam_width: lineages kept after each round (W).
        proposals_per_candidate: rewrites asked for per kept candidate and round (M).
        depth: steps of a path, the seed prompt's included (D).
        max_depth_increase: rounds that skips may add, at most one each (E).
        skip_threshold: a candidate whose mean reward in the last round is above this is kept as it is; 5
            rewrites every one.
        history: prompts of the lineage shown to the proposer, the current one included.
        path_aggregation: mean of a lineage's rewards, or its last reward.
        minibatch_size: queries per round, the same for all candidates; 1 in the paper.
        racing: the racing search's own settings. It has no use for those from ``beam_width`` to
            ``minibatch_size`` but ``proposals_per_candidate``.
        k: in-context examples retrieved per query; 0 for none.
        max_unscored_share: above this share of evaluations without a score nothing is chosen (looked at from
            ten evaluations on, and at the end).
        seed: everything random derives from it.
        target / proposer / selector / judge: sampling of the roles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    beam_width: int = Field(default=2, ge=1, le=64)
    proposals_per_candidate: int = Field(default=3, ge=1, le=64)
    depth: int = Field(default=20, ge=2, le=1000)
    max_depth_increase: int = Field(default=10, ge=0, le=1000)
    skip_threshold: float = Field(default=4.5, ge=1, le=5)
    history: int = Field(default=5, ge=1, le=100)
    path_aggregation: PathAggregation = Field(default_factory=_aggregation_for_width)
    minibatch_size: int = Field(default=1, ge=1, le=256)
    racing: RacingConfig | None = None
    k: int = Field(default=2, ge=0, le=16)
    max_unscored_share: float = Field(default=0.5, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    target: SamplingConfig = SamplingConfig(temperature=0, top_p=1)
    proposer: SamplingConfig = SamplingConfig(temperature=0.2, top_p=0.95)
    selector: SamplingConfig = SamplingConfig(temperature=0, top_p=1)
    judge: SamplingConfig = SamplingConfig(temperature=0, top_p=1)

    @property
    def max_rounds(self) -> int:
        """Rounds after the seed's at most, with every skip's extension."""
        return self.depth - 1 + self.max_depth_increase

    @property
    def queries_needed(self) -> int:
        """Distinct queries that the longest search consumes; a racing search can do with fewer."""
        if self.racing is not None:
            return RACING_QUERIES
        return (self.max_rounds + 1) * self.minibatch_size

    @property
    def reads_instructions(self) -> bool:
        """Whether the optimizer model says what new instructions are about; see ``RacingConfig``."""
        return self.racing is not None and self.racing.reads_instructions


BEAM_SETTINGS = (
    "beam_width",
    "depth",
    "max_depth_increase",
    "skip_threshold",
    "history",
    "path_aggregation",
    "minibatch_size",
)
"""Settings of which a racing search has no use."""

PRESETS: dict[str, SearchConfig] = {
    "default": SearchConfig(
        racing=RacingConfig(reads_instructions=True),
        proposals_per_candidate=4,
        proposer=SamplingConfig(temperature=0.7, top_p=0.95),
    ),
    "paper": SearchConfig(),
    "mini": SearchConfig(
        proposals_per_candidate=3,
        depth=6,
        max_depth_increase=0,
        minibatch_size=3,
    ),
}
