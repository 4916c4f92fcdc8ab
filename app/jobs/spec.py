"""What an optimization's row says about the job: all that its run depends on, fixed at its creation."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from app.jobs.reward_spec import Judging, RewardSpec
from app.retrieval import RetrievalSpec
from optimizer.budget import Limits
from optimizer.config import SearchConfig
from optimizer.estimate import USUAL_RATES, CallRates, GateSize
from optimizer.gate_config import GateConfig
from optimizer.rendering import ExamplePlace
from optimizer.types import JsonObject


def most_finalists(gate: GateConfig, config: SearchConfig) -> int:
    """How many candidates a search under ``config`` can send to a gate under ``gate``."""
    found = config.beam_width if config.racing is None else config.racing.finalists
    return min(gate.finalists, found)


class BudgetSpec(BaseModel):
    """The limits of a job; None is no limit. See ``optimizer.budget.Limits``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None

    def to_limits(self) -> Limits:
        """The same as the value that the budget takes."""
        return Limits(calls=self.calls, tokens=self.tokens, cost=self.cost, seconds=self.seconds)

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """Read a part of a row; what a newer version has added to it is passed over."""
        return cls.model_validate(stored, extra="ignore")


class ReplaySpec(BaseModel):
    """The job that another one replays.

    Attributes:
        of: the job whose recorded calls are all that the replay has.
        config: its settings: they part the queries, whatever the replay's are.
        exact: whether the settings of both are the same, so that the replay has to find the same.
        finished: whether that job came to its end; the record of another one just ends somewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str
    config: SearchConfig
    exact: bool
    finished: bool


class RestartSpec(BaseModel):
    """The job from which another one takes its first rounds.

    Attributes:
        of: that job.
        from_round: the first round that is made anew.
        plans_anew: whether the search plans by limits of its own from there on, or keeps to the old plan.
        draws: the rounds from which on models are asked for other draws, each with the number of its draws;
            the last one is ``from_round``, those before it are those of ``of``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str
    from_round: int
    plans_anew: bool
    draws: tuple[tuple[int, int], ...]


class JobSpec(BaseModel):
    """One job.

    Attributes:
        name: shown in lists.
        preset / config: the preset named and the settings that it came to.
        seed_prompt: where the search starts.
        dataset_id: the queries; a dataset never changes.
        example_bank_id: the in-context bank, which never changes either; None for none.
        retrieval: what examples are found by.
        held_out: queries wanted for the gate.
        search_queries / held_out_queries: queries that the search and the gate have once they are parted.
        budget: what the job may use.
        label: the label to move on promotion; None moves none.
        incumbent_version_id: the version that the label pointed to when the job was made; the gate compares
            with it, and with the seed prompt where there is none.
        replay: the job that this one replays; None for a job that asks models.
        restart: the job whose first rounds this one takes; None for one that begins at its beginning.
        target_api: how the target was spoken to, for replays of a target that has left the settings; None
            where the settings say it.
        example_place: where the target's in-context examples stand.
        rewards: what answers are scored by; None for the paper's dynamic reward.
        forecast: what it was expected to take when it was made, as the API says it.
        gate: how the finalists are compared.
        gate_judge: whether another model than the search's judges the gate.
        seed_is_incumbent: whether the seed prompt is what is served now, shown with the same examples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None
    preset: str
    config: SearchConfig
    seed_prompt: str
    dataset_id: str
    example_bank_id: str | None
    retrieval: RetrievalSpec = RetrievalSpec()
    held_out: int
    search_queries: int
    held_out_queries: int
    budget: BudgetSpec
    label: str | None
    incumbent_version_id: str | None
    replay: ReplaySpec | None = None
    restart: RestartSpec | None = None
    target_api: Literal["chat", "completions"] | None = None
    example_place: ExamplePlace = ExamplePlace.FIRST
    rewards: RewardSpec | None = None
    forecast: JsonObject | None = None
    gate: GateConfig = GateConfig()
    gate_judge: bool = False
    seed_is_incumbent: bool = True

    @property
    def gate_size(self) -> GateSize:
        """How much the gate compares at most."""
        return GateSize(
            queries=self.held_out_queries,
            finalists=most_finalists(self.gate, self.config),
            with_seed_prompt=not self.seed_is_incumbent,
            judged_again=self.gate.judged_again,
        )

    @property
    def sources(self) -> frozenset[str]:
        """The jobs whose records this one reads."""
        if self.replay is not None:
            return frozenset({self.replay.of})
        return frozenset() if self.restart is None else frozenset({self.restart.of})

    @property
    def draws(self) -> tuple[tuple[int, int], ...]:
        """Where models are asked for other draws; see ``RestartSpec``."""
        return () if self.restart is None else self.restart.draws

    @property
    def split_config(self) -> SearchConfig:
        """The settings that part the queries."""
        return self.config if self.replay is None else self.replay.config

    @property
    def rates(self) -> CallRates:
        """The calls that scoring takes."""
        return USUAL_RATES if self.rewards is None else self.rewards.rates(self.config)

    @property
    def version(self) -> int:
        """What a process has to know to run it: 1, or 2 to 4 for what came later.

        2 are scores read from log-probabilities, 3 examples that stand elsewhere than first, 4 instructions
        that are read. It goes up where an older version would run such a job wrongly; all other jobs keep the
        lower number.
        """
        if self.config.reads_instructions:
            return 4
        if self.example_place is not ExamplePlace.FIRST:
            return 3
        return 1 if self.rewards is None or self.rewards.judging is Judging.TEXT else 2

    def to_json(self) -> JsonObject:
        """As the row stores it, without what the job makes no use of.

        Versions that don't know a feature may refuse its name, so a job without it does not say so. Groups of
        settings are stored whole: their defaults may be others in another version.
        """
        unused = {
            name
            for name, field in type(self).model_fields.items()
            if not isinstance(field.default, BaseModel) and getattr(self, name) == field.default
        }
        stored: JsonObject = self.model_dump(mode="json", by_alias=True, exclude=unused)
        return stored

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """Read a row; what a newer version has added to it is passed over (see ``version``)."""
        return cls.model_validate(stored, extra="ignore")
