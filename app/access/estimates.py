"""What a request can cost at most, before it is made: from its size and the length it allows its answer."""

from typing import Final

import orjson

from optimizer.types import JsonObject, JsonValue, Usage

_ANSWER_LIMITS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_TOKENS_PER_ATTACHMENT: Final = 4096
_BYTES_PER_TOKEN: Final = 4
_ATTACHMENTS: Final = frozenset({"image_url", "input_image", "input_audio", "file", "input_file"})
_MOST: Final = 2**31 - 1


def upper_bound(body: JsonObject, *, assumed_answer: int) -> Usage:
    """The tokens that a request can use.

    A token stands for at least one byte, so bytes bound the prompt; an attachment counts flat, or a token for
    four bytes where it is no image. An answer without a limit of its own counts as ``assumed_answer``.

    Args:
        body: as it is sent to the backend.
        assumed_answer: tokens; 0 for an API without answers, such as embeddings.
    """
    size = _size(body)
    attached, tokens = _attachments(body.get("messages"))
    more, more_tokens = _attachments(body.get("input"))
    prompt = size - attached - more + tokens + more_tokens
    limits = [value for name in _ANSWER_LIMITS if isinstance(value := body.get(name), int) and value > 0]
    answer = (limits[0] if limits else assumed_answer) if assumed_answer else 0
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
    """The bytes of all attachments in messages, and the tokens that they count as."""
    if isinstance(value, list) and depth:
        found = [_attachments(item, depth - 1) for item in value]
        return sum(item[0] for item in found), sum(item[1] for item in found)
    if not isinstance(value, dict):
        return 0, 0
    if value.get("type") not in _ATTACHMENTS:
        return _attachments(value.get("content"), depth - 1) if depth else (0, 0)
    size = _size(value)
    is_image = "image" in str(value["type"])
    return size, _TOKENS_PER_ATTACHMENT if is_image else max(_TOKENS_PER_ATTACHMENT, size // _BYTES_PER_TOKEN)


def _size(value: JsonValue) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # half a character: it will be refused when it is sent
        return len(repr(value))
