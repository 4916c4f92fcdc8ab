"""From the body of an OpenAI request to what the engine takes."""

from dataclasses import dataclass
from typing import Final

from app.llm.engine.port import Engine, RefusedByEngineError
from app.llm.wire import Api, message_from_json
from optimizer.types import JsonObject, JsonValue

_PASSED_ON: Final = (
    "n", "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty",
    "repetition_penalty", "seed", "stop", "stop_token_ids", "ignore_eos", "min_tokens", "structured_outputs",
)  # fmt: skip
_REFUSED: Final = ("tools", "functions", "echo", "suffix", "use_beam_search", "audio")
_TEMPLATE_OPTIONS: Final = ("add_generation_prompt", "continue_final_message")
_NO_VARIABLES: Final = frozenset({
    "conversation", "messages", "tools", "documents", "chat_template", "tokenize", "padding", "truncation",
    "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs",
})  # fmt: skip
"""What ``apply_chat_template`` of the tokenizers takes for itself. A template of the caller's is a program
that would run here, and a padding of theirs takes all memory."""
_COMPLETION_TOKENS: Final = 16
"""OpenAI's default for plain completions."""
_FORMATS: Final = ("text", "json_object", "json_schema")


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineRequest:
    """A request as the engine takes it.

    Attributes:
        model: what it calls the model.
        fingerprint: of the engine.
        tokens: the prompt.
        sampling: as vLLM's ``SamplingParams`` names it.
        top_logprobs: likeliest tokens wanted at each place; None for no log-probabilities at all.
        prompt_logprobs: the same of the prompt, its own tokens aside.
        streams / counts_stream: whether a stream is wanted, and its tokens at its end.
        priority: lower goes first.
    """

    model: str
    fingerprint: str
    tokens: list[int]
    sampling: JsonObject
    top_logprobs: int | None
    prompt_logprobs: int | None
    streams: bool
    counts_stream: bool
    priority: int


def read_request(body: JsonValue, *, api: Api, name: str, engine: Engine) -> EngineRequest:
    """``body`` for the model called ``name``.

    Raises:
        RefusedByEngineError: it asks for what the engine in this process does not do, or cannot be read.
        LookupError: it asks another model.
    """
    body = _checked(body, name)
    for field in _REFUSED:
        if body.get(field):
            raise RefusedByEngineError(
                f"{field} is not possible with the engine in this process: use a server (kind = 'openai')"
            )
    tokens = _chat_tokens(body, engine) if api == "chat" else _text_tokens(body, engine)
    top_logprobs = _top_logprobs(body, api)
    prompt_logprobs = _prompt_logprobs(body)
    options = body.get("stream_options")
    sampling = _sampling(body, api, engine, room=engine.context - len(tokens), logprobs=top_logprobs)
    if prompt_logprobs is not None:
        sampling["prompt_logprobs"] = prompt_logprobs
    return EngineRequest(
        model=name,
        fingerprint=engine.fingerprint,
        tokens=tokens,
        sampling=sampling,
        top_logprobs=top_logprobs,
        prompt_logprobs=prompt_logprobs,
        streams=bool(body.get("stream")),
        counts_stream=isinstance(options, dict) and bool(options.get("include_usage")),
        priority=_whole(body.get("priority") or 0, "priority"),
    )


def count_tokens(body: JsonValue, *, name: str, engine: Engine) -> int:
    """The tokens of the prompt in ``body``, a conversation or a text, for the model called ``name``.

    Raises:
        RefusedByEngineError: it cannot be read.
        LookupError: it asks another model.
    """
    body = _checked(body, name)
    return len(_text_tokens(body, engine) if "prompt" in body else _chat_tokens(body, engine))


def _checked(body: JsonValue, name: str) -> JsonObject:
    if not isinstance(body, dict):
        raise RefusedByEngineError("the body is no JSON object")
    if body.get("model") != name:
        raise LookupError(f"The model {body.get('model')!r} does not exist: this engine has {name!r}")
    return body


def _chat_tokens(body: JsonObject, engine: Engine) -> list[int]:
    turns = body.get("messages")
    if not isinstance(turns, list) or not turns:
        raise RefusedByEngineError("messages is no list of turns")
    messages: list[JsonObject] = []
    for turn in turns:
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
            raise RefusedByEngineError("a turn without a role")
        parts = turn.get("content")
        if isinstance(parts, list):
            if any(not isinstance(part, dict) or part.get("type") != "text" for part in parts):
                raise RefusedByEngineError("the engine in this process takes text alone")
            turn = {**turn, "content": message_from_json(turn).text}  # noqa: PLW2901 - the same turn
        messages.append(turn)
    options: JsonObject = {name: body[name] for name in _TEMPLATE_OPTIONS if name in body}
    return engine.chat_tokens(messages, {**options, **_template_variables(body)})


def _template_variables(body: JsonObject) -> JsonObject:
    given = body.get("chat_template_kwargs")
    variables = given if isinstance(given, dict) else {}
    if refused := sorted(_NO_VARIABLES & variables.keys()):
        raise RefusedByEngineError(
            f"chat_template_kwargs has {', '.join(refused)}: only variables of the model's own template can "
            "be given"
        )
    return variables


def _text_tokens(body: JsonObject, engine: Engine) -> list[int]:
    text = body.get("prompt")
    if not isinstance(text, str):
        raise RefusedByEngineError("prompt is no text")
    return engine.text_tokens(text)


def _top_logprobs(body: JsonObject, api: Api) -> int | None:
    wanted, top = body.get("logprobs"), body.get("top_logprobs")
    if api == "completions":
        return None if wanted is None or wanted is False else _whole(wanted, "logprobs")
    if not wanted:
        if top:
            raise RefusedByEngineError("top_logprobs needs logprobs: true")
        return None
    return _whole(top or 0, "top_logprobs")


def _prompt_logprobs(body: JsonObject) -> int | None:
    wanted = body.get("prompt_logprobs")
    if wanted is None:
        return None
    if body.get("stream"):
        raise RefusedByEngineError("prompt_logprobs is not possible in a stream")
    return _whole(wanted, "prompt_logprobs")


def _sampling(body: JsonObject, api: Api, engine: Engine, *, room: int, logprobs: int | None) -> JsonObject:
    if room < 1:
        raise RefusedByEngineError(
            f"the prompt is longer than the {engine.context} tokens of the model's context"
        )
    given = {name: body[name] for name in _PASSED_ON if body.get(name) is not None}
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    usual = room if api == "chat" else min(_COMPLETION_TOKENS, room)
    most = usual if asked is None else _whole(asked, "max_tokens")
    if most > room:
        raise RefusedByEngineError(
            f"max_tokens is {most}, and the model's context of {engine.context} tokens has room for {room}"
        )
    sampling: JsonObject = {**engine.defaults, **given, "max_tokens": most}
    if logprobs is not None:
        sampling["logprobs"] = logprobs
    bias = body.get("logit_bias")
    if isinstance(bias, dict):
        sampling["logit_bias"] = bias
    structured = _structured(body.get("response_format"))
    return {**sampling, "structured_outputs": structured} if structured is not None else sampling


def _structured(wanted: JsonValue) -> JsonObject | None:
    if wanted is None:
        return None
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or kind not in _FORMATS:
        raise RefusedByEngineError(f"response_format has none of the types {', '.join(_FORMATS)}")
    if kind == "json_object":
        return {"json_object": True}
    if kind == "text":
        return None
    described = wanted.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    if not isinstance(schema, dict):
        raise RefusedByEngineError("response_format.json_schema has no schema")
    return {"json": schema}


def _whole(value: JsonValue, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RefusedByEngineError(f"{name} is no whole number")
    return value
