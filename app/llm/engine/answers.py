"""From what the engine gives to bodies and frames of OpenAI's protocol, as vLLM's own server writes them."""

from collections.abc import Mapping, Sequence

import orjson

from app.llm.engine.port import Output, RequestOutput, TokenLogprob
from app.llm.engine.requests import EngineRequest
from app.llm.sse import DONE
from app.llm.wire import Api
from optimizer.types import JsonObject, JsonValue


def whole_body(name: str, output: RequestOutput, request: EngineRequest, *, api: Api, created: int) -> bytes:
    """The whole answer, called ``name`` and made at ``created`` (Unix seconds)."""
    choices: list[JsonValue] = []
    prompt = _prompt_logprobs(output, request)
    for one in sorted(output.outputs, key=lambda each: each.index):
        if api == "chat":
            message: JsonObject = {"role": "assistant", "content": one.text}
            choice: JsonObject = {"index": one.index, "message": message}
        else:
            choice = {"index": one.index, "text": one.text, **prompt}
        choices.append(choice | _end(one, request, api))
    written = sum(len(one.token_ids) for one in output.outputs)
    about = _about(name, request, api, created=created, streams=False)
    usage = usage_of(request, written=written, cached=output.num_cached_tokens)
    beside = prompt if api == "chat" else {}
    return orjson.dumps({**about, "choices": choices, "usage": usage, **beside})


def first_frames(name: str, request: EngineRequest, *, created: int) -> list[bytes]:
    """What a chat stream begins with: the role of each choice."""
    n = request.sampling.get("n", 1)
    return [
        _frame(
            _about(name, request, "chat", created=created, streams=True),
            {"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None},
        )
        for index in range(n if isinstance(n, int) else 1)
    ]


def frames(
    name: str, output: RequestOutput, request: EngineRequest, *, api: Api, created: int
) -> list[bytes]:
    """A frame for what each choice has got since the last time."""
    about = _about(name, request, api, created=created, streams=True)
    found: list[bytes] = []
    for one in output.outputs:
        choice: JsonObject = {"index": one.index, **_end(one, request, api)}
        new: JsonObject = {"delta": {"content": one.text}} if api == "chat" else {"text": one.text}
        found.append(_frame(about, choice | new))
    return found


def last_frames(
    name: str, request: EngineRequest, *, api: Api, created: int, written: int, cached: int | None
) -> list[bytes]:
    """What a stream ends with: its tokens, where they are wanted, and its end."""
    if not request.counts_stream:
        return [DONE]
    about = _about(name, request, api, created=created, streams=True)
    usage = usage_of(request, written=written, cached=cached)
    return [b"data: " + orjson.dumps({**about, "choices": [], "usage": usage}) + b"\n\n", DONE]


def usage_of(request: EngineRequest, *, written: int, cached: int | None) -> JsonObject:
    """The tokens of an answer; ``cached`` are those of the prompt that were not computed again."""
    asked = len(request.tokens)
    return {
        "prompt_tokens": asked,
        "completion_tokens": written,
        "total_tokens": asked + written,
        "prompt_tokens_details": {"cached_tokens": cached or 0},
    }


def error_body(status: int, message: str) -> bytes:
    """An error as vLLM's server writes it."""
    kind = {400: "BadRequestError", 404: "NotFoundError"}.get(status, "InternalServerError")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": status}})


def _about(name: str, request: EngineRequest, api: Api, *, created: int, streams: bool) -> JsonObject:
    kind = "text_completion" if api == "completions" else "chat.completion"
    if streams and api == "chat":
        kind = "chat.completion.chunk"
    about: JsonObject = {"id": name, "object": kind, "created": created, "model": request.model}
    return {**about, "system_fingerprint": request.fingerprint}


def _frame(about: JsonObject, choice: JsonObject) -> bytes:
    return b"data: " + orjson.dumps({**about, "choices": [choice]}) + b"\n\n"


def _end(one: Output, request: EngineRequest, api: Api) -> JsonObject:
    logprobs: JsonValue = None
    if request.top_logprobs is not None and one.logprobs is not None:
        shape = _chat_logprobs if api == "chat" else _text_logprobs
        logprobs = shape(one.token_ids, one.logprobs, request.top_logprobs)
    return {"logprobs": logprobs, "finish_reason": one.finish_reason}


def _prompt_logprobs(output: RequestOutput, request: EngineRequest) -> JsonObject:
    """Each place of the prompt: the token that stands there first, then the likeliest."""
    if request.prompt_logprobs is None or output.prompt_logprobs is None:
        return {}
    places: list[JsonValue] = []
    for token, place in zip(request.tokens, output.prompt_logprobs, strict=True):
        if place is None:  # nothing goes before the first one
            places.append(None)
            continue
        found = {token: place[token], **place}
        places.append(
            {
                str(one): {"logprob": _finite(told.logprob), "decoded_token": told.decoded_token}
                for one, told in found.items()
            }
        )
    return {"prompt_logprobs": places}


def _chat_logprobs(
    tokens: Sequence[int], places: Sequence[Mapping[int, TokenLogprob]], top: int
) -> JsonObject:
    return {
        "content": [
            {
                **_described(place[token]),
                "top_logprobs": [_described(each) for each in list(place.values())[:top]],
            }
            for token, place in zip(tokens, places, strict=True)
        ]
    }


def _described(found: TokenLogprob) -> JsonObject:
    text = found.decoded_token or ""
    return {"token": text, "logprob": _finite(found.logprob), "bytes": list(text.encode())}


def _text_logprobs(
    tokens: Sequence[int], places: Sequence[Mapping[int, TokenLogprob]], top: int
) -> JsonObject:
    texts: list[JsonValue] = []
    offsets: list[JsonValue] = []
    offset = 0
    for token, place in zip(tokens, places, strict=True):
        text = place[token].decoded_token or ""
        texts.append(text)
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": texts,
        "text_offset": offsets,
        "token_logprobs": [
            _finite(place[token].logprob) for token, place in zip(tokens, places, strict=True)
        ],
        "top_logprobs": [
            {each.decoded_token or "": _finite(each.logprob) for each in list(place.values())[: top + 1]}
            for place in places
        ],
    }


def _finite(logprob: float) -> float:
    """What is impossible reads -9999, as vLLM's server says it: JSON knows no infinity."""
    return max(logprob, -9999.0)
