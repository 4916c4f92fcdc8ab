"""What a search needs around it, small and deterministic: target, scorer, proposer, observer, clock."""

import asyncio
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence

from typing_extensions import override

from optimizer.events import SearchEvent
from optimizer.protocols import ChatModel, Proposer, Scorer, SearchObserver
from optimizer.types import (
    BeamPath,
    Completion,
    CompletionRequest,
    CompletionResult,
    CriterionScore,
    Proposal,
    Query,
    Score,
    Scored,
    Unscored,
)

Pause = Callable[[], Awaitable[None]]


async def no_pause() -> None:
    """Answer at once."""


async def one_second() -> None:
    """Answer after a second; in virtual time the seconds count the dependent calls."""
    await asyncio.sleep(1)


def shuffled_pause(seed: int) -> Pause:
    """Answer after a time that ``seed`` decides, so that calls finish in another order."""
    source = random.Random(seed)

    async def pause() -> None:
        await asyncio.sleep(source.choice((0, 0, 0.5, 1, 3, 10)))

    return pause


def scored(reward: float) -> Scored:
    """A score with one criterion."""
    verdict = CriterionScore(criterion="Clarity", score=reward, rationale="as the test wants it")
    return Scored(reward=reward, criteria=(verdict,))


def hashed_reward(*parts: str) -> float:
    """A reward in 1..5, in steps of a quarter, that ``parts`` decide."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return 1 + digest[0] % 17 / 4


def hashed_score(query: Query, response: str) -> Score:
    """A score that the query and the response decide."""
    return scored(hashed_reward(query.id, response))


class CountingModel(ChatModel):
    """Counts the requests that reach ``inner`` and the completions asked for, each after a pause."""

    def __init__(self, inner: ChatModel, pause: Pause = no_pause) -> None:
        self._inner = inner
        self._pause = pause
        self.requests = 0
        self.completions = 0

    @property
    @override
    def name(self) -> str:
        return self._inner.name

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        self.requests += 1
        self.completions += request.n
        await self._pause()
        return await self._inner.complete(request)


class FakeScorer(Scorer):
    """Scores by a function of query and response text.

    Attributes:
        prepared: how often the preparation of each query was really done.
        judged: the (query id, response) pairs judged, in the order in which the judging began.
        seeds: the seeds of the judge calls.
    """

    def __init__(
        self, verdict: Callable[[Query, str], Score] = hashed_score, *, pause: Pause = no_pause
    ) -> None:
        self._verdict = verdict
        self._pause = pause
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.prepared: Counter[str] = Counter()
        self.judged: list[tuple[str, str]] = []
        self.seeds: list[int] = []

    @override
    async def prepare(self, query: Query) -> None:
        async with self._locks[query.id]:
            if query.id not in self.prepared:
                await self._pause()
                self.prepared[query.id] += 1

    @override
    async def score(self, query: Query, response: Completion, *, seed: int) -> Score:
        await self.prepare(query)
        self.judged.append((query.id, response.text))
        self.seeds.append(seed)
        await self._pause()
        return self._verdict(query, response.text)


class FakeProposer(Proposer):
    """Proposes prompts that say where in the tree they come from.

    Attributes:
        calls: the (round, slot, count) of each request.
        paths: the lineages that it was shown.
    """

    def __init__(
        self,
        propose: Callable[[BeamPath, int, int, int], Proposal] | None = None,
        *,
        pause: Pause = no_pause,
    ) -> None:
        self._propose = propose or numbered_proposal
        self._pause = pause
        self.calls: list[tuple[int, int, int]] = []
        self.paths: list[BeamPath] = []

    @property
    @override
    def template_version(self) -> str:
        return "fake-1"

    @override
    async def propose(
        self, path: BeamPath, *, round_number: int, slot: int, draw: int, count: int
    ) -> Sequence[Proposal]:
        self.calls.append((round_number, slot, count))
        self.paths.append(path)
        await self._pause()
        return [self._propose(path, round_number, slot, position) for position in range(count)]


def numbered_proposal(path: BeamPath, round_number: int, slot: int, position: int) -> Proposal:
    """A prompt that names its place in the tree."""
    text = f"prompt {round_number}.{slot}.{position} after {path.candidate.id}"
    return Proposal(system_prompt=text, rationale="the next number")


def unreadable(*_: object) -> Proposal:
    """A proposal that could not be read."""
    return Proposal(system_prompt=None, rationale="the reply holds no JSON object")


def never_scored(*_: object) -> Score:
    """A judge that cannot be read."""
    return Unscored(reason="the judge's reply could not be read")


class RecordingObserver(SearchObserver):
    """Keeps every event in the order in which it came."""

    def __init__(self) -> None:
        self.events: list[SearchEvent] = []

    @override
    async def notify(self, event: SearchEvent) -> None:
        self.events.append(event)


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds."""
        return self.now
