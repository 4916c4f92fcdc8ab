"""How likely a given text is, in the OpenAI wire format: what is asked, and which tokens are the text's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from app.llm.capabilities import Capabilities
from app.llm.wire import Api, message_to_json
from optimizer.types import JsonObject, JsonValue, Message

Way: TypeAlias = Literal["prompt_logprobs", "echo"]
"""How a backend gives log-probabilities of what it is sent: vLLM's field, or an echo of the prompt."""

_REPLACED: Final = "\ufffd"


class UnreadableScoreError(Exception):
    """What is wrong with an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredToken:
    """A token of a text, and the logarithm of its probability after all that goes before it."""

    text: str
    logprob: float


def scoring_way(can: Capabilities, api: Api) -> Way | None:
    """How a model that can do ``can`` tells how likely a text is; None where it does not."""
    if can.prompt_logprobs:
        return "prompt_logprobs"
    return "echo" if can.echo and api == "completions" else None


def scoring_body(prompt: Sequence[Message] | str, text: str, *, way: Way) -> JsonObject:
    """What asks how likely ``text`` is right after ``prompt``, the model's name aside.

    A conversation ends with the text as an answer that is not over yet, by two fields of vLLM.
    One token has to be written, since servers refuse none.
    """
    body: JsonObject = {"max_tokens": 1}
    body |= {"prompt_logprobs": 0} if way == "prompt_logprobs" else {"echo": True, "logprobs": 1}
    if isinstance(prompt, str):
        return {**body, "prompt": prompt + text}
    turns: list[JsonValue] = [
        message_to_json(message) for message in (*prompt, Message(role="assistant", content=text))
    ]
    continued: JsonObject = {"add_generation_prompt": False, "continue_final_message": True}
    return {**body, "messages": turns, **continued}


def read_scored(answer: JsonValue, text: str, *, way: Way) -> tuple[ScoredToken, ...]:
    """The tokens of ``text`` in the answer to ``scoring_body``, in their order.

    Raises:
        UnreadableScoreError: it has none, or what it has does not end with the text.
    """
    if not isinstance(answer, dict):
        raise UnreadableScoreError("a body that is no object")
    places = list(_echoed(answer) if way == "echo" else _prompt_places(answer))
    return _tokens_of(text, places)


def _prompt_places(answer: JsonObject) -> Iterator[tuple[str, float | None]]:
    """Chat has them beside the choices, completions in them."""
    found = answer.get("prompt_logprobs") or _choice(answer).get("prompt_logprobs")
    if not isinstance(found, list):
        raise UnreadableScoreError("no prompt_logprobs")
    for place in found:
        # the token that stands there comes first, and is the only one where no others were asked for
        own = next(iter(place.values()), None) if isinstance(place, dict) else None
        if isinstance(own, dict):
            yield str(own.get("decoded_token") or ""), _number(own.get("logprob"))
        else:
            yield "", None


def _echoed(answer: JsonObject) -> Iterator[tuple[str, float | None]]:
    logprobs = _choice(answer).get("logprobs")
    tokens = logprobs.get("tokens") if isinstance(logprobs, dict) else None
    values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        raise UnreadableScoreError("no log-probabilities of an echo")
    usage = answer.get("usage")
    written = usage.get("completion_tokens") if isinstance(usage, dict) else None
    count = len(tokens) - (written if isinstance(written, int) else 1)
    for token, value in zip(tokens[:count], values[:count], strict=True):
        yield str(token), _number(value)


def _tokens_of(text: str, places: Sequence[tuple[str, float | None]]) -> tuple[ScoredToken, ...]:
    """Those at the end of ``places`` that make up ``text``.

    Blanks do not count: tokenizers drop them from single tokens. Nor does what lies beyond ASCII have to be
    there: a character of several tokens is in none of them.
    """
    rest = _solid(text)
    if not rest:
        raise UnreadableScoreError("the text is blank")
    found: list[ScoredToken] = []
    for token, logprob in reversed(places):
        if not rest:
            break
        if logprob is None:
            raise UnreadableScoreError("a token of the text without a log-probability")
        piece = _solid(token)
        if found and piece and piece[-1] not in rest and not _has_ascii(rest):
            break  # what is left of the text is in none of its tokens, and this one is of what goes before it
        rest = _without(rest, piece)
        found.append(ScoredToken(text=token, logprob=logprob))
    if _has_ascii(rest):
        raise UnreadableScoreError("its tokens do not end with the text")
    return tuple(reversed(found))


def _without(rest: str, piece: str) -> str:
    """``rest`` without the ``piece`` at its end."""
    if rest.endswith(piece):
        return rest[: len(rest) - len(piece)]
    for char in reversed(piece):
        while rest and rest[-1] != char and not rest[-1].isascii():
            rest = rest[:-1]
        if not rest or rest[-1] != char:
            raise UnreadableScoreError("its tokens do not end with the text")
        rest = rest[:-1]
    return rest


def _has_ascii(text: str) -> bool:
    return any(char.isascii() for char in text)


def _solid(text: str) -> str:
    return "".join(text.replace(_REPLACED, "").split())


def _choice(answer: JsonObject) -> JsonObject:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
