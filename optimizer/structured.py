"""Asking a model for a JSON object: extract it from the reply, read it, repair once."""

import dataclasses
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from optimizer.concurrency import run_together
from optimizer.errors import MalformedReplyError, MisconfiguredError, RequestRefusedError
from optimizer.protocols import ChatModel
from optimizer.quoting import quote_inline
from optimizer.seeds import derive_seed
from optimizer.templating import PromptTemplate
from optimizer.types import Completion, CompletionRequest, JsonObject, JsonValue, Message

T = TypeVar("T")

_MAX_FAILURES = 100  # each may read to the end of the text: a long reply of braces must not hold the loop
_UNSTORABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_REPAIR = PromptTemplate.load("optimizer.templates", "repair.md.j2", variables=frozenset({"error"}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A reply that could not be read, also after the repair request."""

    reason: str


def extract_object(text: str) -> JsonObject:
    """The outermost JSON object in ``text``: bare, fenced, or after a preface.

    Where several stand side by side the longest is taken.

    Raises:
        MalformedReplyError: there is none.
    """
    decoder = json.JSONDecoder(strict=False, parse_float=_finite, parse_constant=_finite)
    best: tuple[int, JsonObject] | None = None
    position = text.find("{")
    while position != -1:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position = text.find("{", position + 1)
            continue
        if best is None or end - position > best[0]:
            best = (end - position, value)
        position = text.find("{", end)
    if best is None:
        raise MalformedReplyError("the reply holds no JSON object")
    return best[1]


def read_text(value: JsonValue) -> str:
    """``value`` without what no request and no table takes (NUL, lone surrogates); empty if it is no text."""
    return _UNSTORABLE.sub("", value).strip() if isinstance(value, str) else ""


def _finite(number: str) -> float:
    """``number``, refused where it is none: Python reads NaN and Infinity, which no mean survives."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a number")
    return value


async def ask(
    model: ChatModel, request: CompletionRequest, read: Callable[[JsonObject], T]
) -> tuple[T | Failure, ...]:
    """Send ``request`` and read each of its ``n`` completions as a JSON object.

    A completion that cannot be read is followed by one request that shows the model its reply and what is
    wrong with it. A refusal of that request concerns its completion alone.

    Args:
        model: whom to ask.
        request: a conversation with ``output`` set.
        read: turns the object into the value wanted, or raises MalformedReplyError saying what is missing.

    Returns:
        One value or failure for each completion, in order.

    Raises:
        ModelError: the first call failed, or the backend became unavailable during a repair.
        BudgetExceededError: no call left.
    """
    result = await model.complete(request)
    readings = (
        _read_or_repair(model, request, completion, read, draw)
        for draw, completion in enumerate(result.completions)
    )
    return tuple(await run_together(readings))


async def _read_or_repair(
    model: ChatModel,
    request: CompletionRequest,
    completion: Completion,
    read: Callable[[JsonObject], T],
    draw: int,
) -> T | Failure:
    try:
        return read(extract_object(completion.text))
    except MalformedReplyError as error:
        repair = _repair_request(request, completion, str(error), draw)
    try:
        result = await model.complete(repair)
    except MisconfiguredError:
        raise
    except RequestRefusedError as error:
        return Failure(reason=f"the repair request was refused: {error}")
    try:
        return read(extract_object(result.completions[0].text))
    except MalformedReplyError as error:
        return Failure(reason=str(error))


def _repair_request(
    request: CompletionRequest, completion: Completion, error: str, draw: int
) -> CompletionRequest:
    if isinstance(request.prompt, str):
        raise TypeError("a structured request needs a conversation")
    follow_up = (
        Message(role="assistant", content=completion.text or "(empty)"),
        Message(role="user", content=_REPAIR.render({"error": quote_inline(error)})),
    )
    seed = None if request.seed is None else derive_seed(request.seed, "repair", draw)
    return dataclasses.replace(request, prompt=request.prompt + follow_up, n=1, seed=seed)
