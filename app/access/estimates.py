"""What a request can cost at most, before it is made: from its size and the length it allows its answer."""

from dataclasses import dataclass
from typing import Final

from pydantic import PositiveInt, TypeAdapter, ValidationError

from optimizer.quick_values import quick
from optimizer.types import JsonObject, JsonValue, Usage

_ANSWER_LIMITS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_TOKENS_PER_ATTACHMENT: Final = 4096
_BYTES_PER_TOKEN: Final = 4
_ATTACHMENTS: Final = {
    "image_url": ("image_url", "url"),
    "input_audio": ("input_audio", "data"),
    "file": ("file", "file_data"),
}
"""By the type of a part of a message: where its content is. All else in it may be read as text."""
_MOST: Final = 2**31 - 1
_COUNT: Final = TypeAdapter(PositiveInt)


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class SizedRequest:
    """A request as it is about to be sent to a backend.

    Attributes:
        body: what is sent.
        size: its length in bytes, as JSON.
        generates: False for an API without answers, such as embeddings.
    """

    body: JsonObject
    size: int
    generates: bool = True


def upper_bound(request: SizedRequest, *, assumed_answer: int) -> Usage:
    """The tokens that a request can use.

    A token stands for at least one byte, so bytes bound the prompt; an attachment counts flat, or a token for
    four bytes where it is no image. An answer without a limit of its own counts as ``assumed_answer`` tokens.
    """
    body = request.body
    attached, tokens = _attachments(body.get("messages"))
    prompt = request.size - attached + tokens
    if not request.generates:
        return Usage(prompt_tokens=prompt, completion_tokens=0)
    # which of several limits holds is the backend's affair
    answer = max(_counts(body, _ANSWER_LIMITS), default=assumed_answer)
    return Usage(prompt_tokens=prompt, completion_tokens=min(_MOST, answer * _draws(body)))


class Bound:
    """Finds out what a request can use at most once that is asked for: without limits it is rarely needed."""

    __slots__ = ("_assumed_answer", "_found", "_request")

    def __init__(self, request: SizedRequest, *, assumed_answer: int) -> None:
        """That of ``request``; see ``upper_bound``."""
        self._request = request
        self._assumed_answer = assumed_answer
        self._found: Usage | None = None

    def __call__(self) -> Usage:
        """The tokens that it can use."""
        if self._found is None:
            self._found = upper_bound(self._request, assumed_answer=self._assumed_answer)
        return self._found


def likely_tokens(bound: Usage) -> int:
    """What a rate counts a request as until it is answered: four bytes are a token, as usual."""
    return bound.prompt_tokens // _BYTES_PER_TOKEN + bound.completion_tokens


def uncounted(bound: Usage, seen_tokens: int) -> Usage:
    """What a request is taken to have used whose tokens nobody has counted, after about so many of them."""
    return Usage(
        prompt_tokens=bound.prompt_tokens // _BYTES_PER_TOKEN,
        completion_tokens=seen_tokens if bound.completion_tokens else 0,
    )


def tokens_in(size: int) -> int:
    """The tokens that ``size`` bytes of text usually are."""
    return size // _BYTES_PER_TOKEN


def _draws(body: JsonObject) -> int:
    """How many answers are written: for each of the prompts of plain completions, which may be a list."""
    prompt = body.get("prompt")
    # a list of numbers is one prompt, of tokens
    is_many = isinstance(prompt, list) and not all(isinstance(item, int) for item in prompt)
    prompts = len(prompt) if is_many and isinstance(prompt, list) else 1
    return prompts * max(_counts(body, ("n", "best_of")), default=1)


def _counts(body: JsonObject, names: tuple[str, ...]) -> list[int]:
    """The fields that are positive whole numbers, also where those are written as 5.0 or as a text."""
    found = []
    for name in names:
        if (value := body.get(name)) is not None:
            try:
                found.append(_COUNT.validate_python(value))
            except ValidationError:
                continue
    return found


def _attachments(messages: JsonValue) -> tuple[int, int]:
    """At most the bytes of the attachments in the parts of messages, and the tokens that they count as."""
    size = tokens = 0
    for message in messages if isinstance(messages, list) else ():
        parts = message.get("content") if isinstance(message, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and (attached := _attached(part)):
                size += attached
                tokens += _TOKENS_PER_ATTACHMENT
                if part["type"] != "image_url":
                    tokens += max(0, attached // _BYTES_PER_TOKEN - _TOKENS_PER_ATTACHMENT)
    return size, tokens


def _attached(part: JsonObject) -> int:
    """The characters of what is attached, which have at least as many bytes; 0 where nothing is."""
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _ATTACHMENTS:
        return 0
    outer, inner = _ATTACHMENTS[kind]
    content = part.get(outer)
    if isinstance(content, dict):
        content = content.get(inner)
    return len(content) if isinstance(content, str) else 0
