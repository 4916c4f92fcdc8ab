"""Best-of-N: several drafts of an answer, of which a judge picks one, within bounds of time and money."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import orjson
from typing_extensions import override

from app.access.estimates import tokens_in
from app.chat.base_models import choices_of
from app.chat.picking import Picker, PickLimits
from app.llm.accounting import spend_without_answer
from app.llm.http import RawResponse
from app.llm.passthrough import Frames, Upstream
from app.llm.prices import Price
from app.llm.sse import DONE
from app.llm.wire import Path, read_json, read_usage
from optimizer.concurrency import end_all
from optimizer.errors import MalformedResponseError, ModelError
from optimizer.types import JsonObject, JsonValue, Spend, Usage

DRAFTS_HEADER: Final = "x-drpo-drafts"
PICKED_HEADER: Final = "x-drpo-picked"
_SEEDS: Final = 2**63


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftPlan:
    """How the drafts of one request are made.

    Attributes:
        backend: who writes them.
        count: how many, at least two.
        max_seconds: until one of them has to be picked; only the first one is waited for longer.
        max_cost: what drafts and judge may cost together; None for any amount.
        at_once: whether the backend writes several answers to one request.
        price: of the model.
        most: what one draft can use.
    """

    backend: str
    count: int
    max_seconds: float
    max_cost: float | None
    at_once: bool
    price: Price
    most: Usage


class BestOf(Upstream):
    """Asks another upstream for several drafts, and gives the best of them as if it were the only one.

    A stream begins when a draft has been picked, and is then sent in one piece. Where the judge says nothing,
    for whatever reason, the first draft with a text is the answer.

    Attributes:
        tokens: about how many tokens the drafts have that came.
    """

    def __init__(self, upstream: Upstream, picker: Picker, *, plan: DraftPlan, conversation: str) -> None:
        """The best of several answers of ``upstream`` to one request; ``conversation`` is what was asked."""
        self.tokens = 0
        self._upstream = upstream
        self._picker = picker
        self._plan = plan
        self._conversation = conversation
        self._lost = Spend()
        self._drafts = 0
        self._is_picked = False

    @property
    def beside(self) -> Spend:
        """What was used beside the drafts that came: by the judge, and for drafts that were lost."""
        return self._lost + self._picker.spend

    def headers(self) -> dict[str, str]:
        """How many drafts there were, and whether the judge has picked one (``judge``) or not (``first``)."""
        if not self._drafts:
            return {}
        return {DRAFTS_HEADER: str(self._drafts), PICKED_HEADER: "judge" if self._is_picked else "first"}

    @override
    async def send(self, body: bytes, path: Path) -> RawResponse:
        return RawResponse(status=200, headers={}, body=orjson.dumps(await self._answer(body, path)))

    @override
    @asynccontextmanager
    async def stream(self, body: bytes, path: Path) -> AsyncIterator[Frames]:
        yield _frames(await self._answer(body, path))

    async def _answer(self, body: bytes, path: Path) -> JsonObject:
        """The answer with the chosen draft.

        Raises:
            ModelError: there is no draft.
        """
        ends_at = time.monotonic() + self._plan.max_seconds
        asked: JsonObject = orjson.loads(body)
        for name in ("stream", "stream_options"):
            asked.pop(name, None)
        replies = await self._replies(asked, path, ends_at)
        choices = [choice for reply in replies for choice in choices_of(reply)]
        self._drafts = len(choices)
        usage = _total([read_usage(reply.get("usage")) for reply in replies])
        if usage is not None:
            self.tokens = usage.completion_tokens
        chosen = await self._chosen(choices, usage, ends_at)
        answer: JsonObject = {**replies[0], "choices": [{**chosen, "index": 0}]}
        if len(replies) > 1:
            answer.pop("usage", None)
            if usage is not None:
                answer["usage"] = _told(usage)
        return answer

    async def _replies(self, asked: JsonObject, path: Path, ends_at: float) -> list[JsonObject]:
        """All replies that came in time and hold a draft, at least one."""
        if self._plan.at_once:
            return [self._read(await self._upstream.send(orjson.dumps(asked), path))]
        asked.pop("n", None)
        tasks = [
            asyncio.create_task(self._one(orjson.dumps(_with_seed(asked, place)), path))
            for place in range(self._plan.count)
        ]
        try:
            late = set(tasks)
            while late and (left := ends_at - time.monotonic()) > 0:
                _, late = await asyncio.wait(late, timeout=left)
            while late and not any(task.done() and isinstance(task.result(), dict) for task in tasks):
                _, late = await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
        finally:
            results = [task.result() for task in tasks if task.done() and not task.cancelled()]
            await end_all(tasks)
        failed = [result for result in results if isinstance(result, ModelError)]
        for error in (*failed, *(TimeoutError() for _ in late)):
            self._lost += spend_without_answer(error, self._plan.price.spend(self._plan.most))
        replies = [result for result in results if isinstance(result, dict)]
        if not replies:
            self._lost = Spend()  # a request that fails as a whole is counted as a whole
            raise failed[0]
        return replies

    async def _one(self, body: bytes, path: Path) -> JsonObject | ModelError:
        try:
            return self._read(await self._upstream.send(body, path))
        except ModelError as error:
            return error

    def _read(self, response: RawResponse) -> JsonObject:
        reply: JsonValue = read_json(response.body, backend=self._plan.backend)
        if not isinstance(reply, dict) or not choices_of(reply):
            backend = self._plan.backend
            raise MalformedResponseError(f"backend {backend} sent an answer without choices", backend=backend)
        self.tokens += tokens_in(len(response.body))
        return reply

    async def _chosen(self, choices: Sequence[JsonObject], usage: Usage | None, ends_at: float) -> JsonObject:
        spoken = [(choice, text) for choice in choices if (text := _text(choice))]
        if not spoken:
            return choices[0]
        texts = [text for _, text in spoken]
        if len(set(texts)) == 1:
            return spoken[0][0]
        limits = PickLimits(seconds=max(0.0, ends_at - time.monotonic()), cost=self._cost_left(usage))
        place = await self._picker.pick(self._conversation, texts, limits)
        self._is_picked = place is not None
        return spoken[place or 0][0]

    def _cost_left(self, usage: Usage | None) -> float | None:
        plan = self._plan
        if plan.max_cost is None:
            return None
        drafts = self._drafts * plan.price.spend(plan.most).cost
        used = drafts if usage is None else plan.price.spend(usage).cost
        return max(0.0, plan.max_cost - used - self._lost.cost)


def affordable(count: int, *, draft_cost: float, max_cost: float | None) -> int:
    """How many of ``count`` drafts ``max_cost`` allows, one or more; each costs ``draft_cost`` at most.

    A draft of no known cost is no reason for fewer.
    """
    if max_cost is None or draft_cost * count <= max_cost:
        return count
    return max(1, min(count, int(max_cost / draft_cost)))


def _with_seed(asked: JsonObject, place: int) -> JsonObject:
    """The request for one draft: the same seed would give the same draft."""
    seed = asked.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool):
        return asked
    return {**asked, "seed": (seed + place) % _SEEDS}


def _text(choice: JsonObject) -> str | None:
    """What a draft says; None where there is more to it than text."""
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")
        return text if isinstance(text, str) else None
    content = message.get("content")
    return content if isinstance(content, str) and not message.get("tool_calls") else None


def _total(usages: Sequence[Usage | None]) -> Usage | None:
    """The tokens of all drafts together; None unless each was counted."""
    known = [usage for usage in usages if usage is not None]
    return sum(known, Usage()) if len(known) == len(usages) else None


def _told(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


async def _frames(answer: JsonObject) -> Frames:
    """A whole answer as a stream: its message in one piece, why it ended, its token counts, and the end."""
    shared: JsonObject = {
        name: answer[name] for name in ("id", "created", "model", "system_fingerprint") if name in answer
    }
    choice = choices_of(answer)[0]
    is_chat = isinstance(choice.get("message"), dict)
    shared["object"] = "chat.completion.chunk" if is_chat else "text_completion"
    piece: JsonObject = {"delta": choice["message"]} if is_chat else {"text": choice.get("text")}
    end: JsonObject = {"delta": {}} if is_chat else {"text": ""}
    if "logprobs" in choice:
        piece["logprobs"] = choice["logprobs"]
    events: list[JsonObject] = [
        {**shared, "choices": [{"index": 0, **piece, "finish_reason": None}]},
        {**shared, "choices": [{"index": 0, **end, "finish_reason": choice.get("finish_reason")}]},
    ]
    if isinstance(answer.get("usage"), dict):
        events.append({**shared, "choices": [], "usage": answer["usage"]})
    yield [*(_frame(event) for event in events), DONE]


def _frame(event: JsonObject) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"
