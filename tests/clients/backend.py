"""What the backend answers to clients: tools are called, structure is given, texts are embedded."""

import base64
import json
import re
import struct
from typing import Final

from optimizer.types import JsonObject, JsonValue
from tests.fakes.openai_server import Answer, Exchange, Reply, Stream, sse, well_behaved

EMBEDDER: Final = "org/embedder"
WEATHER: Final[JsonObject] = {"city": "Bern", "degrees": 4.5}
CALLS: Final = (("weather", '{"city": "Bern"}'), ("time", '{"city": "Lima"}'))
VECTOR: Final = (0.5, -0.25, 0.125)
_ABOUT: Final[JsonObject] = {"id": "c-1", "created": 1, "model": "vendor-model-1"}
_USAGE: Final[JsonObject] = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def script(exchange: Exchange) -> Reply:
    """A reply that fits the request."""
    if exchange.path.endswith("/embeddings"):
        return embedded(exchange.body)
    if exchange.path.endswith("/chat/completions"):
        return chatted(exchange.body)
    return well_behaved(exchange)


def chatted(body: JsonObject) -> Reply:
    """Calls of tools where there are any, what they have given once they have, else structure or words."""
    messages, streamed = body["messages"], bool(body.get("stream"))
    assert isinstance(messages, list)
    results = [turn["content"] for turn in messages if isinstance(turn, dict) and turn["role"] == "tool"]
    if results:
        return said("; ".join(map(str, results)), streamed=streamed)
    if body.get("tools"):
        return streamed_calls() if streamed else whole_calls()
    wanted = body.get("response_format")
    return said(json.dumps(WEATHER) if wanted else "an answer in some words", streamed=streamed)


def said(text: str, *, streamed: bool) -> Reply:
    """An answer of ``text``."""
    if not streamed:
        return whole({"role": "assistant", "content": text})
    pieces: list[JsonValue] = [{"content": piece} for piece in re.findall(r" ?[^ ]+", text)]
    return Stream(chunks=_frames([{"role": "assistant", "content": ""}, *pieces], "stop"))


def whole(message: JsonObject, finish_reason: str = "stop") -> Answer:
    """A chat completion of one message."""
    choice: JsonObject = {"index": 0, "message": message, "finish_reason": finish_reason}
    return Answer(body={**_ABOUT, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def whole_calls() -> Answer:
    """Two functions called at once."""
    calls: list[JsonValue] = [
        {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for name, arguments in CALLS
    ]
    return whole({"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls")


def streamed_calls() -> Stream:
    """The same, their arguments in pieces."""
    deltas: list[JsonValue] = [{"role": "assistant", "content": None}]
    for index, (name, arguments) in enumerate(CALLS):
        called: JsonObject = {"name": name, "arguments": ""}
        begun: JsonObject = {"index": index, "id": f"call_{name}", "type": "function", "function": called}
        deltas.append({"tool_calls": [begun]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in (arguments[:6], arguments[6:])
        ]
    return Stream(chunks=_frames(deltas, "tool_calls"))


def broken_stream() -> Stream:
    """A stream that breaks after two pieces."""
    frames = _frames([{"role": "assistant", "content": "The"}, {"content": " sea"}], "stop")
    return Stream(chunks=frames[:2], drop=True)


def embedded(body: JsonObject) -> Answer:
    """A vector for each text."""
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector: JsonValue = packed if body.get("encoding_format") == "base64" else list(VECTOR)
    told: list[JsonValue] = [
        {"object": "embedding", "index": index, "embedding": vector} for index in range(len(texts))
    ]
    usage: JsonObject = {"prompt_tokens": 2, "total_tokens": 2}
    return Answer(body={"object": "list", "model": "vendor-embedder-1", "data": told, "usage": usage})


def _frames(deltas: list[JsonValue], finish_reason: str) -> list[bytes]:
    about: JsonObject = {**_ABOUT, "object": "chat.completion.chunk"}
    last: JsonObject = {"index": 0, "delta": {}, "finish_reason": finish_reason}
    choices: list[JsonValue] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    frames = [sse({**about, "choices": [choice]}) for choice in (*choices, last)]
    return [*frames, sse({**about, "choices": [], "usage": _USAGE}), b"data: [DONE]\n\n"]
