"""A whole search over fakes, ready to run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from optimizer.beam_search import BeamSearch
from optimizer.budget import Budget, Limits
from optimizer.config import SearchConfig
from optimizer.evaluation import Evaluator
from optimizer.events import (
    CandidateKept,
    CandidateProposed,
    EvaluationFinished,
    RoundFinished,
    RoundStarted,
    SearchEvent,
)
from optimizer.examples.retrieval import LexicalRetriever
from optimizer.protocols import ChatModel, Proposer, Scorer, StopCondition
from optimizer.rollout import RolloutRunner
from optimizer.types import CompletionRequest, Evaluation, Query, Score, SearchResult
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.fakes.search import FakeProposer, FakeScorer, ManualClock, RecordingObserver, hashed_reward, scored

SEED_PROMPT = "You are a helpful assistant."


def answer_from_messages(request: CompletionRequest) -> Reply:
    """An answer that says under which prompt it was given."""
    assert not isinstance(request.prompt, str)
    return " / ".join(message.text for message in request.prompt)


def unlimited() -> Budget:
    return Budget(Limits(), clock=ManualClock())


@dataclass(kw_only=True)
class Search:
    """A search and everything that it talks to."""

    config: SearchConfig = field(default_factory=SearchConfig)
    target: ChatModel = field(default_factory=lambda: ScriptedModel(answer_from_messages))
    scorer: Scorer = field(default_factory=FakeScorer)
    proposer: Proposer = field(default_factory=FakeProposer)
    stop: StopCondition = field(default_factory=unlimited)
    observer: RecordingObserver = field(default_factory=RecordingObserver)

    async def run(self, queries: Sequence[Query]) -> SearchResult:
        """Search from ``SEED_PROMPT``."""
        return await self.build().run(SEED_PROMPT, queries)

    def build(self) -> BeamSearch:
        """The search, wired."""
        return BeamSearch(
            config=self.config,
            proposer=self.proposer,
            evaluator=self.evaluator(),
            observer=self.observer,
            stop=self.stop,
        )

    def evaluator(self) -> Evaluator:
        """The evaluator, wired."""
        runner = RolloutRunner(
            self.target,
            LexicalRetriever(()),
            k=self.config.k,
            sampling=self.config.target.to_sampling(),
            base_model=False,
        )
        return Evaluator(runner, self.scorer, self.observer, seed=self.config.seed)

    @property
    def rounds_started(self) -> list[RoundStarted]:
        return [event for event in self.observer.events if isinstance(event, RoundStarted)]

    @property
    def rounds_finished(self) -> list[RoundFinished]:
        return [event for event in self.observer.events if isinstance(event, RoundFinished)]

    @property
    def kept(self) -> list[CandidateKept]:
        return [event for event in self.observer.events if isinstance(event, CandidateKept)]

    @property
    def proposed(self) -> list[CandidateProposed]:
        return [event for event in self.observer.events if isinstance(event, CandidateProposed)]

    def recorded(self) -> dict[str, SearchEvent]:
        """Every event by its key."""
        return {event.key: event for event in self.observer.events}


def failing_after(count: int, error: BaseException) -> Callable[[CompletionRequest], Reply]:
    """A target that answers ``count`` requests and fails from then on."""
    answered = 0

    def reply(request: CompletionRequest) -> Reply:
        nonlocal answered
        answered += 1
        return answer_from_messages(request) if answered <= count else error

    return reply


SMALL = SearchConfig(beam_width=2, proposals_per_candidate=3, depth=5, max_depth_increase=2)


def never_easy(query: Query, response: str) -> Score:
    """A verdict of at most 3.5, so that nothing is skipped."""
    return scored(1 + hashed_reward(query.id, response) / 2)


def always_perfect(query: Query, response: str) -> Score:
    """Full marks."""
    return scored(5)


def evaluations_of(search: Search) -> list[Evaluation]:
    """All evaluations that were announced."""
    return [event.evaluation for event in search.observer.events if isinstance(event, EvaluationFinished)]
