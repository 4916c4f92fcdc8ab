"""Which of several drafts is the best: the dynamic reward of each, by the roles that judge in searches."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

from app.llm.metering import Meter
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.llm.wire import message_from_json
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.config import PRESETS
from optimizer.errors import DrpoError
from optimizer.seeds import content_seed
from optimizer.types import Completion, JsonObject, ModelRole, Query, Scored, Spend
from rewards.catalog import packaged_catalog
from rewards.judge import Judge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from store.errors import StoreError

_LOGGER = logging.getLogger(__name__)
_SCOPE: Final = "best-of"
_SYSTEM: Final = frozenset({"system", "developer"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PickLimits:
    """What judging may take: ``seconds``, and ``cost`` in the currency of the prices, None for any amount."""

    seconds: float
    cost: float | None


class Picker(Protocol):
    """Chooses between drafts, once.

    Attributes:
        spend: what it has used so far.
    """

    @property
    def spend(self) -> Spend: ...  # noqa: D102 - see above

    async def pick(self, conversation: str, drafts: Sequence[str], limits: PickLimits) -> int | None:
        """The place of the best of ``drafts`` that were scored within ``limits``; None where none was."""
        ...


class JudgePicker(Picker):
    """Has the selector choose criteria for the conversation, and the judge score each draft on them.

    Nobody's answer waits for a judge that does not answer: whatever goes wrong, what was scored before
    counts, or nothing is picked.
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
    async def pick(self, conversation: str, drafts: Sequence[str], limits: PickLimits) -> int | None:
        rewards: dict[str, float] = {}
        try:
            async with asyncio.timeout(limits.seconds):
                scorer = await self._scorer(limits)
                query = Query(id=_SCOPE, text=conversation)
                await run_together(
                    _note_reward(scorer, query, text, rewards) for text in dict.fromkeys(drafts)
                )
        except (DrpoError, StoreError, TimeoutError) as error:
            _LOGGER.warning("not all drafts were scored: %s", str(error) or "judging took too long")
        return drafts.index(max(rewards, key=lambda text: rewards[text])) if rewards else None

    async def _scorer(self, limits: PickLimits) -> DynamicRewardScorer:
        config = PRESETS["default"]
        budget = Budget(Limits(cost=limits.cost, seconds=limits.seconds), clock=time.monotonic)
        run = RunContext(scope=_SCOPE, budget=budget, meter=self._meter, seed=0)
        run.serves = True
        selector = await self._models.open_role(ModelRole.SELECTOR, None, run)
        judge = await self._models.open_role(ModelRole.JUDGE, None, run)
        return DynamicRewardScorer(
            Selector(selector, catalog=packaged_catalog(), sampling=config.selector.to_sampling()),
            Judge(judge, sampling=config.judge.to_sampling()),
            seed=0,
        )


async def _note_reward(
    scorer: DynamicRewardScorer, query: Query, text: str, rewards: dict[str, float]
) -> None:
    score = await scorer.score(query, Completion(text=text), seed=content_seed(0, _SCOPE, text))
    if isinstance(score, Scored):
        rewards[text] = score.reward


def spoken(messages: Sequence[JsonObject]) -> str:
    """What a judge is told of a conversation: the question alone, or who has said what where there is more.

    System messages are left out: they say how to answer, and the criteria say what a good answer is.
    """
    turns = [message_from_json(turn) for turn in messages if turn["role"] not in _SYSTEM]
    if len(turns) == 1:
        return turns[0].text
    return "\n\n".join(f"{turn.role}: {turn.text}" for turn in turns)
