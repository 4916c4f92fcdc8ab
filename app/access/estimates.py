"""What a request can cost at most, before it is made: from its size and the length it allows its answer."""

from dataclasses import dataclass
from typing import Final

from optimizer.types import JsonObject, JsonValue, Usage

_ANSWER_LIMITS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_TOKENS_PER_ATTACHMENT: Final = 4096
_BYTES_PER_TOKEN: Final = 4
_ATTACHMENTS: Final = frozenset({"image_url", "input_image", "input_audio", "file", "input_file"})
_MOST: Final = 2**31 - 1


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
    more, more_tokens = _attachments(body.get("input"))
    prompt = request.size - attached - more + tokens + more_tokens
    if not request.generates:
        return Usage(prompt_tokens=prompt, completion_tokens=0)
    limits = [value for name in _ANSWER_LIMITS if isinstance(value := body.get(name), int) and value > 0]
    answer = limits[0] if limits else assumed_answer
    return Usage(prompt_tokens=prompt, completion_tokens=min(_MOST, answer * _draws(body)))


def likely_tokens(bound: Usage) -> int:
    """What a rate counts a request as until it is answered: four bytes are a token, as usual."""
    return bound.prompt_tokens // _BYTES_PER_TOKEN + bound.completion_tokens


def uncounted(bound: Usage, seen_tokens: int) -> Usage:
    """What a request is taken to have used whose tokens nobody has counted, after about so many of them."""
    return Usage(
        prompt_tokens=bound.prompt_tokens // _BYTES_PER_TOKEN,
        completion_tokens=min(bound.completion_tokens, seen_tokens),
    )


def tokens_in(size: int) -> int:
    """The tokens that ``size`` bytes of text usually are."""
    return size // _BYTES_PER_TOKEN


def _draws(body: JsonObject) -> int:
    given = [value for name in ("n", "best_of") if isinstance(value := body.get(name), int) and value > 0]
    return max(given, default=1)


def _attachments(value: JsonValue, depth: int = 4) -> tuple[int, int]:
    """At most the bytes of all attachments in messages, and the tokens that they count as."""
    if isinstance(value, list) and depth:
        found = [_attachments(item, depth - 1) for item in value]
        return sum(item[0] for item in found), sum(item[1] for item in found)
    if not isinstance(value, dict):
        return 0, 0
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _ATTACHMENTS:
        return _attachments(value.get("content"), depth - 1) if depth else (0, 0)
    size = _text_in(value)
    is_image = "image" in kind
    return size, _TOKENS_PER_ATTACHMENT if is_image else max(_TOKENS_PER_ATTACHMENT, size // _BYTES_PER_TOKEN)


def _text_in(value: JsonValue, depth: int = 2) -> int:
    """The characters of the texts in an attachment, which have at least as many bytes."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict) and depth:
        return sum(_text_in(part, depth - 1) for part in value.values())
    return 0
