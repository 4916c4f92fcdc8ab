"""Which of several drafts is the best: the dynamic reward of each, by the roles that judge in searches."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from typing_extensions import override

from app.llm.metering import Meter
from app.llm.registry import ModelRegistry, RunContext
from app.llm.wire import message_from_json
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.config import PRESETS
from optimizer.errors import DrpoError
from optimizer.seeds import content_seed
from optimizer.types import Completion, JsonObject, ModelRole, Query, Scored, Spend
from rewards.catalog import CriteriaCatalog
from rewards.judge import Judge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector

_LOGGER = logging.getLogger(__name__)
_SCOPE: Final = "best-of"
_SYSTEM: Final = frozenset({"system", "developer"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PickLimits:
    """What judging may take: ``seconds``, and ``cost`` in the currency of the prices, None for any amount."""

    seconds: float
    cost: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """The chosen draft: its place among those that were judged, and its reward, 1..5."""

    place: int
    reward: float


class Picker(Protocol):
    """Chooses between drafts, once.

    Attributes:
        spend: what it has used so far.
    """

    @property
    def spend(self) -> Spend: ...  # noqa: D102 - see above

    async def pick(self, conversation: str, drafts: Sequence[str], limits: PickLimits) -> Pick | None:
        """The best of ``drafts``, the earliest of equals; None where none was scored within ``limits``."""
        ...


class JudgePicker(Picker):
    """Has the selector choose criteria for the conversation, and the judge score each draft on them.

    Nobody's answer waits for a judge that does not answer: whatever goes wrong, nothing is picked.
    """

    def __init__(self, models: ModelRegistry) -> None:
        """A picker that asks the roles of ``models``."""
        self._models = models
        self._meter = Meter()

    @property
    @override
    def spend(self) -> Spend:
        return self._meter.spend

    @override
    async def pick(self, conversation: str, drafts: Sequence[str], limits: PickLimits) -> Pick | None:
        distinct = list(dict.fromkeys(drafts))
        try:
            async with asyncio.timeout(limits.seconds):
                rewards = await self._rewards(conversation, distinct, limits)
        except (DrpoError, TimeoutError) as error:
            _LOGGER.warning("no draft was picked: %s", str(error) or "judging took too long")
            return None
        scored = {text: reward for text, reward in zip(distinct, rewards, strict=True) if reward is not None}
        if not scored:
            return None
        best = max(scored, key=lambda text: scored[text])
        return Pick(place=list(drafts).index(best), reward=scored[best])

    async def _rewards(
        self, conversation: str, drafts: Sequence[str], limits: PickLimits
    ) -> list[float | None]:
        config = PRESETS["default"]
        budget = Budget(Limits(cost=limits.cost, seconds=limits.seconds), clock=time.monotonic)
        run = RunContext(scope=_SCOPE, budget=budget, meter=self._meter, seed=0)
        selector = await self._models.open_role(ModelRole.SELECTOR, None, run)
        judge = await self._models.open_role(ModelRole.JUDGE, None, run)
        scorer = DynamicRewardScorer(
            Selector(selector, catalog=_catalogue(), sampling=config.selector.to_sampling()),
            Judge(judge, sampling=config.judge.to_sampling()),
            seed=0,
        )
        query = Query(id=_SCOPE, text=conversation)
        scores = await run_together(
            scorer.score(query, Completion(text=text), seed=content_seed(0, _SCOPE, text)) for text in drafts
        )
        return [score.reward if isinstance(score, Scored) else None for score in scores]


def spoken(messages: Sequence[JsonObject]) -> str:
    """What a judge is told of a conversation: the question alone, or who has said what where there is more.

    System messages are left out: they say how to answer, and the criteria say what a good answer is.
    """
    turns = [message_from_json(turn) for turn in messages if turn["role"] not in _SYSTEM]
    if len(turns) == 1:
        return turns[0].text
    return "\n\n".join(f"{turn.role}: {turn.text}" for turn in turns)


@cache
def _catalogue() -> CriteriaCatalog:
    return CriteriaCatalog.load()
