"""Best-of-N: several drafts of an answer, of which a judge picks one, within bounds of time and money."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import orjson
from typing_extensions import override

from app.chat.picking import Pick, Picker, PickLimits
from app.llm.http import RawResponse
from app.llm.passthrough import Upstream
from app.llm.prices import Price
from app.llm.sse import DONE
from app.llm.wire import Path, read_usage
from optimizer.errors import ModelError
from optimizer.types import JsonObject, JsonValue, Spend, Usage

DRAFTS_HEADER: Final = "x-drpo-drafts"
PICKED_HEADER: Final = "x-drpo-picked"
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftPlan:
    """How the drafts of one request are made.

    Attributes:
        count: how many, at least two.
        max_seconds: until one of them has to be picked; only the first one is waited for longer.
        max_cost: what drafts and judge may cost together; None for any amount.
        at_once: whether the backend writes several answers to one request.
        price: of the model.
    """

    count: int
    max_seconds: float
    max_cost: float | None
    at_once: bool
    price: Price


class BestOf(Upstream):
    """Asks another upstream for several drafts, and gives the best of them as if it were the only one.

    A stream begins when a draft has been picked, and is then sent in one piece. Where the judge says nothing,
    for whatever reason, the first draft is the answer. Drafts that call tools or hold no text are not judged.

    Attributes:
        judged: what judging has used.
    """

    def __init__(self, upstream: Upstream, picker: Picker, *, plan: DraftPlan, conversation: str) -> None:
        """The best of several answers of ``upstream`` to one request; ``conversation`` is what was asked."""
        self.judged = Spend()
        self._upstream = upstream
        self._picker = picker
        self._plan = plan
        self._conversation = conversation
        self._drafts = 0
        self._pick: Pick | None = None

    def headers(self) -> dict[str, str]:
        """How many drafts there were, and whether the judge has picked one (``judge``) or not (``first``)."""
        if not self._drafts:
            return {}
        return {DRAFTS_HEADER: str(self._drafts), PICKED_HEADER: "first" if self._pick is None else "judge"}

    @override
    async def send(self, body: bytes, path: Path) -> RawResponse:
        ends_at = time.monotonic() + self._plan.max_seconds
        asked: JsonObject = orjson.loads(body)
        for name in ("stream", "stream_options"):
            asked.pop(name, None)
        first, replies = await self._replies(asked, path, ends_at)
        choices = [choice for reply in replies for choice in _choices(reply)]
        self._drafts = len(choices)
        if not choices:
            return first  # whoever reads it says what is wrong with it
        usage = _summed([reply.get("usage") for reply in replies])
        chosen = await self._chosen(choices, usage, ends_at)
        answer = {**replies[0], "choices": [{**chosen, "index": 0}]}
        if usage is not None:
            answer["usage"] = usage
        return RawResponse(status=first.status, headers=first.headers, body=orjson.dumps(answer))

    @override
    @asynccontextmanager
    async def stream(self, body: bytes, path: Path) -> AsyncIterator[AsyncIterator[bytes]]:
        response = await self.send(body, path)
        yield _frames(response.body)

    async def _replies(
        self, asked: JsonObject, path: Path, ends_at: float
    ) -> tuple[RawResponse, list[JsonObject]]:
        """The first response, and all that can be read."""
        if self._plan.at_once:
            response = await self._upstream.send(orjson.dumps(asked), path)
            return response, _readable([response])
        asked.pop("n", None)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._one(orjson.dumps(_with_seed(asked, place)), path))
                for place in range(self._plan.count)
            ]
            done, late = await asyncio.wait(tasks, timeout=max(0.0, ends_at - time.monotonic()))
            while late and not any(isinstance(task.result(), RawResponse) for task in done):
                fresh, late = await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
                done |= fresh
            for task in late:
                task.cancel()
        results = [task.result() for task in tasks if task in done]
        responses = [result for result in results if isinstance(result, RawResponse)]
        if not responses:
            raise next(result for result in results if isinstance(result, ModelError))
        return responses[0], _readable(responses)

    async def _one(self, body: bytes, path: Path) -> RawResponse | ModelError:
        try:
            return await self._upstream.send(body, path)
        except ModelError as error:
            return error

    async def _chosen(
        self, choices: Sequence[JsonObject], usage: JsonObject | None, ends_at: float
    ) -> JsonObject:
        texts = [_text(choice) for choice in choices]
        known = [text for text in texts if text]
        if len(known) < len(texts) or len(set(known)) == 1:
            return choices[0]
        self._pick = await self._picker.pick(
            self._conversation,
            known,
            PickLimits(seconds=max(0.0, ends_at - time.monotonic()), cost=self._cost_left(usage)),
        )
        self.judged = self._picker.spend
        return choices[0 if self._pick is None else self._pick.place]

    def _cost_left(self, usage: JsonObject | None) -> float | None:
        if self._plan.max_cost is None:
            return None
        used = read_usage(usage) if usage is not None else None
        return max(0.0, self._plan.max_cost - self._plan.price.spend(used or Usage()).cost)


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
    return {**asked, "seed": seed + place} if isinstance(seed, int) and not isinstance(seed, bool) else asked


def _readable(responses: Sequence[RawResponse]) -> list[JsonObject]:
    found = []
    for response in responses:
        try:
            reply: JsonValue = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            continue
        if isinstance(reply, dict):
            found.append(reply)
    return found


def _choices(reply: JsonObject) -> list[JsonObject]:
    choices = reply.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _text(choice: JsonObject) -> str | None:
    """What a draft says; None where there is more to it than text."""
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")
        return text if isinstance(text, str) else None
    content = message.get("content")
    return content if isinstance(content, str) and not message.get("tool_calls") else None


def _summed(usages: Sequence[JsonValue]) -> JsonObject | None:
    """The token counts of all drafts together; None unless each has some."""
    if len(usages) == 1:
        return usages[0] if isinstance(usages[0], dict) else None
    total: JsonObject = {}
    for name in _COUNTS:
        values = [usage.get(name) if isinstance(usage, dict) else None for usage in usages]
        numbers = [value for value in values if isinstance(value, int)]
        if len(numbers) < len(values):
            return None
        total[name] = sum(numbers)
    return total


async def _frames(body: bytes) -> AsyncIterator[bytes]:
    """A whole answer as a stream: its message in one piece, why it ended, its token counts, and the end."""
    answer: JsonObject = orjson.loads(body)
    shared: JsonObject = {
        name: answer[name] for name in ("id", "created", "model", "system_fingerprint") if name in answer
    }
    choice = _choices(answer)[0]
    is_chat = isinstance(choice.get("message"), dict)
    shared["object"] = "chat.completion.chunk" if is_chat else "text_completion"
    piece = {"delta": choice["message"]} if is_chat else {"text": choice.get("text")}
    end: JsonObject = {"delta": {}} if is_chat else {"text": ""}
    if "logprobs" in choice:
        piece["logprobs"] = choice["logprobs"]
    yield _frame({**shared, "choices": [{"index": 0, **piece, "finish_reason": None}]})
    yield _frame({**shared, "choices": [{"index": 0, **end, "finish_reason": choice.get("finish_reason")}]})
    if isinstance(answer.get("usage"), dict):
        yield _frame({**shared, "choices": [], "usage": answer["usage"]})
    yield DONE


def _frame(event: JsonObject) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"
