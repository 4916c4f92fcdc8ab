"""A small world for racing searches: instructions that do something, queries that call for something."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from optimizer.bearing import Bearing, InstructionReader
from optimizer.budget import Budget, Limits
from optimizer.config import RacingConfig, SearchConfig
from optimizer.evaluation import Evaluator
from optimizer.events import (
    CandidateDropped,
    CandidateProposed,
    EvaluationFinished,
    FinalistsCompared,
    ProposalFailed,
    RoundFinished,
    RoundStarted,
    SearchEvent,
)
from optimizer.examples.retrieval import LexicalRetriever
from optimizer.prompt_lines import read_prompt
from optimizer.protocols import ChatModel, PairwiseJudge, Reflector, Scorer, SearchLimits
from optimizer.racing_search import RacingParts, RacingSearch
from optimizer.rollout import RolloutRunner
from optimizer.standings import Standings
from optimizer.types import (
    Candidate,
    Completion,
    CriterionScore,
    Evaluation,
    Query,
    Rollout,
    Score,
    Scored,
    SearchResult,
    Step,
    Unscored,
)
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.racing import FakePairwiseJudge, FakeReflector, PlannedCalls
from tests.fakes.search import CountingModel, FakeScorer, ManualClock, Pause, RecordingObserver, hashed_reward
from tests.optimizer.searching import answer_from_messages

CRITERIA = ("Clarity", "Depth", "Safety", "Tone")
SEED_PROMPT = "You are a helpful assistant."
SMALL_RACE = SearchConfig(racing=RacingConfig(patience=3), proposals_per_candidate=2)


def gain(line: str, criterion: str) -> float:
    """What an instruction does to a criterion: nothing, unless it names it; then -0.2..0.8."""
    return (hashed_reward(line) - 1.8) / 4 if criterion in line else 0.0


def bearing_of(line: str) -> Bearing:
    """What an instruction of this world is about: the criteria that it names."""
    named = {criterion: gain(line, criterion) for criterion in CRITERIA if criterion in line}
    return Bearing(
        raises=frozenset(name for name, amount in named.items() if amount >= 0),
        lowers=frozenset(name for name, amount in named.items() if amount < 0),
    )


def worth(system_prompt: str) -> float:
    """The true quality of a prompt, up to a constant."""
    lines = read_prompt(system_prompt).instructions
    return sum(gain(line, criterion) for line in lines for criterion in CRITERIA)


def called_for(query: Query) -> tuple[str, str]:
    """The two criteria that a query is judged on."""
    first = int(hashed_reward("first", query.id) * 4) % 4
    step = 1 + int(hashed_reward("second", query.id) * 4) % 3
    return CRITERIA[first], CRITERIA[(first + step) % 4]


def judged(query: Query, response: str) -> Score:
    """A verdict on an answer that says under which prompt it was given (``answer_from_messages``)."""
    prompt = response.rpartition(" / ")[0]
    scores = {}
    for criterion in called_for(query):
        level = 2.6 + sum(gain(line, criterion) for line in read_prompt(prompt).instructions)
        noise = (hashed_reward(response, criterion) - 3) / 8 + (hashed_reward(query.id) - 3) / 8
        scores[criterion] = min(5.0, max(1.0, round(2 * (level + noise)) / 2))
    return score_of(scores)


def score_of(scores: Mapping[str, float]) -> Scored:
    """A score with these criteria, all of the same weight."""
    criteria = tuple(
        CriterionScore(criterion=name, score=score, rationale=f"{name} is {score}")
        for name, score in scores.items()
    )
    return Scored(reward=sum(scores.values()) / len(scores), criteria=criteria)


def evaluated(
    candidate_id: str, query: Query, scores: Mapping[str, float] | Score | None, *, answer: str | None = "yes"
) -> Evaluation:
    """A candidate on a query; None is unscored."""
    found: Score = Unscored(reason="not read")
    if scores is not None:
        found = score_of(scores) if isinstance(scores, Mapping) else scores
    completion = None if answer is None else Completion(text=answer)
    rollout = Rollout(candidate_id=candidate_id, query=query, completion=completion)
    return Evaluation(round=0, rollout=rollout, score=found)


def step_of(candidate: Candidate, *evaluations: Evaluation) -> Step:
    """What a candidate did."""
    return Step(candidate=candidate, evaluations=evaluations)


def bullets(*lines: str, introduction: str = SEED_PROMPT) -> str:
    """A prompt with these instructions."""
    return "\n".join([introduction, "", *(f"- {line}" for line in lines)])


def make_standings(prompts: Mapping[str, str], *, length_price: float = 0.0) -> Standings:
    """Standings of these prompts by id, the seed prompt's first; each was aimed at what its lines name."""
    candidates = [Candidate(id=name, system_prompt=text, round=1) for name, text in prompts.items()]
    standings = Standings(candidates[0], length_price=length_price)
    for candidate in candidates[1:]:
        aims = [name for name in CRITERIA if name in candidate.system_prompt]
        assert standings.add(candidate, aims)
    return standings


@dataclass(kw_only=True)
class RacingWorld:
    """A racing search and everything that it talks to."""

    config: SearchConfig = SMALL_RACE
    target: ChatModel = field(default_factory=lambda: ScriptedModel(answer_from_messages))
    scorer: Scorer = field(default_factory=lambda: FakeScorer(judged))
    reflector: Reflector = field(default_factory=FakeReflector)
    pairwise: PairwiseJudge | None = None
    reader: InstructionReader | None = None
    limits: SearchLimits = field(default_factory=lambda: PlannedCalls(200))
    observer: RecordingObserver = field(default_factory=RecordingObserver)

    def build(self) -> RacingSearch:
        """The search, wired."""
        return RacingSearch(
            self.config,
            RacingParts(
                proposer=self.reflector,
                evaluator=self.evaluator(),
                pairwise=self.pairwise,
                observer=self.observer,
                limits=self.limits,
                reader=self.reader,
            ),
        )

    def evaluator(self) -> Evaluator:
        """The evaluator, wired."""
        runner = RolloutRunner(
            self.target,
            LexicalRetriever(()),
            k=0,
            sampling=self.config.target.to_sampling(),
            base_model=False,
        )
        return Evaluator(runner, self.scorer, self.observer, seed=self.config.seed)

    async def run(self, queries: Sequence[Query], seed_prompt: str = SEED_PROMPT) -> SearchResult:
        """Search from ``seed_prompt``."""
        return await self.build().run(seed_prompt, queries)

    @property
    def evaluations(self) -> list[Evaluation]:
        return [event.evaluation for event in self.observer.events if isinstance(event, EvaluationFinished)]

    @property
    def proposed(self) -> list[CandidateProposed]:
        return [event for event in self.observer.events if isinstance(event, CandidateProposed)]

    @property
    def failed(self) -> list[ProposalFailed]:
        return [event for event in self.observer.events if isinstance(event, ProposalFailed)]

    @property
    def dropped(self) -> list[CandidateDropped]:
        return [event for event in self.observer.events if isinstance(event, CandidateDropped)]

    @property
    def compared(self) -> list[FinalistsCompared]:
        return [event for event in self.observer.events if isinstance(event, FinalistsCompared)]

    @property
    def rounds_started(self) -> list[RoundStarted]:
        return [event for event in self.observer.events if isinstance(event, RoundStarted)]

    @property
    def rounds_finished(self) -> list[RoundFinished]:
        return [event for event in self.observer.events if isinstance(event, RoundFinished)]

    def recorded(self) -> dict[str, SearchEvent]:
        """Every event by its key."""
        return {event.key: event for event in self.observer.events}


def paused_world(pause: Pause) -> RacingWorld:
    """A world whose calls all take as long as ``pause`` says."""
    return RacingWorld(
        target=CountingModel(ScriptedModel(answer_from_messages), pause),
        scorer=FakeScorer(judged, pause=pause),
        reflector=FakeReflector(pause=pause),
        pairwise=FakePairwiseJudge(pause=pause),
    )


def broke_after(calls: int) -> Budget:
    """A budget of so many calls."""
    return Budget(Limits(calls=calls), clock=ManualClock())
