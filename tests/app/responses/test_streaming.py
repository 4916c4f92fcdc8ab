"""The Responses API on a real application, store and HTTP backend: streams."""

import pytest

from optimizer.types import JsonObject, JsonValue
from tests.app.chat.serving import (
    UPSTREAM_MODEL,
    Service,
)
from tests.app.responses.asking import COUNTS, DONE, delta, events, respond
from tests.fakes.openai_server import Reply, Stream, error, sse

FUNCTION: JsonObject = {"name": "weather", "arguments": ""}


LIFE = [
    ("created", None),
    ("in_progress", None),
    ("output_item.added", 0),
    ("reasoning_text.delta", 0),
    ("reasoning_text.delta", 0),
    ("reasoning_text.done", 0),
    ("output_item.done", 0),
    ("output_item.added", 1),
    ("content_part.added", 1),
    ("output_text.delta", 1),
    ("output_text.delta", 1),
    ("output_text.done", 1),
    ("content_part.done", 1),
    ("output_item.done", 1),
    ("output_item.added", 2),
    ("output_item.added", 3),
    ("function_call_arguments.delta", 2),
    ("function_call_arguments.delta", 3),
    ("function_call_arguments.delta", 2),
    ("function_call_arguments.done", 2),
    ("output_item.done", 2),
    ("function_call_arguments.done", 3),
    ("output_item.done", 3),
    ("completed", None),
]


CHUNKS = [
    delta(role="assistant", content=""),
    delta(reasoning_content="H"),
    delta(reasoning_content="m."),
    delta(content="I "),
    delta(content="look."),
    delta(tool_calls=[{"index": 0, "id": "t1", "type": "function", "function": FUNCTION}]),
    delta(tool_calls=[{"index": 1, "id": "t2", "type": "function", "function": FUNCTION}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}]),
    delta(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
    delta("tool_calls"),
    sse({"id": "c", "model": UPSTREAM_MODEL, "choices": [], "usage": COUNTS}),
    DONE,
]


async def test_a_stream_is_a_life_of_items_in_order(service: Service) -> None:
    service.fake.push(Stream(chunks=CHUNKS))
    response = await respond(service, stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    assert DONE not in response.content
    told = events(response)
    assert [(event["type"].removeprefix("response."), event.get("output_index")) for event in told] == LIFE
    whole = told[-1]["response"]
    assert [item["type"] for item in whole["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert whole["output"] == [
        event["item"] for event in told if event["type"] == "response.output_item.done"
    ]
    assert whole["output"][1]["content"][0]["text"] == "I look."
    assert [item["arguments"] for item in whole["output"][2:]] == ['{"a": 1}', "{}"]
    assert [item["call_id"] for item in whole["output"][2:]] == ["t1", "t2"]
    assert whole["usage"]["output_tokens"] == 6
    assert {whole["id"]} == {event["response"]["id"] for event in told if "response" in event}
    assert service.sent.body["stream_options"] == {"include_usage": True}


async def test_a_refusal_is_streamed_as_one(service: Service) -> None:
    service.fake.push(
        Stream(chunks=[delta(content="So"), delta(refusal="No"), delta(refusal="pe"), delta("stop"), DONE])
    )
    told = events(await respond(service, stream=True))
    kinds = [event["type"] for event in told]
    assert kinds.count("response.refusal.delta") == 2
    assert [event["refusal"] for event in told if event["type"] == "response.refusal.done"] == ["Nope"]
    assert [item["content"][0]["type"] for item in told[-1]["response"]["output"]] == [
        "output_text",
        "refusal",
    ]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Stream(chunks=[delta(content="a"), delta(content="b")]), "backend_unavailable"),
        (Stream(chunks=[delta(content="a")], drop=True), "backend_unavailable"),
        (Stream(chunks=[delta(content="a"), b"data: hello\n\n", DONE]), "backend_malformed"),
        (
            Stream(chunks=[delta(content="a"), sse({"error": {"message": "x", "code": 429}})]),
            "rate_limit_exceeded",
        ),
    ],
)
async def test_a_stream_that_breaks_ends_with_an_error_and_is_never_completed(
    service: Service, reply: Reply, code: str
) -> None:
    service.fake.push(reply)
    *before, last = events(await respond(service, stream=True))
    assert last["type"] == "error"
    assert last["code"] == last["error"]["code"] == code
    assert last["message"] == last["error"]["message"]
    kinds = {event["type"] for event in before}
    assert "response.output_text.delta" in kinds
    assert not kinds & {"response.completed", "response.incomplete"}


async def test_a_stream_that_never_begins_has_a_status(service: Service) -> None:
    service.fake.push(Stream(chunks=[]), error(500))
    assert (await respond(service, stream=True)).status_code == 503
    assert (await respond(service, stream=True)).status_code == 503


async def test_a_stream_without_an_answer_is_no_response(service: Service) -> None:
    service.fake.push(Stream(chunks=[sse({"id": "c", "choices": [], "usage": COUNTS}), DONE]))
    told = events(await respond(service, stream=True))
    assert [event["type"] for event in told] == ["response.created", "response.in_progress", "error"]
    assert told[-1]["code"] == "backend_malformed"
    service.fake.push(Stream(chunks=[DONE]))
    response = await respond(service, stream=True)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "backend_malformed")


async def test_a_stream_that_only_ends_is_a_response_without_output(service: Service) -> None:
    service.fake.push(Stream(chunks=[delta("stop"), DONE]))
    last = events(await respond(service, stream=True))[-1]
    assert (last["type"], last["response"]["output"]) == ("response.completed", [])


def piece(arguments: str = "", *, name: str = "", **place: JsonValue) -> bytes:
    """A piece of a call; ``place`` are its id and index, as far as the backend tells."""
    function: JsonObject = {"arguments": arguments, **({"name": name} if name else {})}
    return delta(tool_calls=[{**place, "function": function}])


A, B = {"id": "a", "name": "one"}, {"id": "b", "name": "two"}


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("{1", index=0, **A), piece("}", index=0), piece("{2", index=1, **B), piece("}", index=1)],
        [piece("{1", index=0, **A), piece("}", index=0), piece("{2", index=0, **B), piece("}", index=0)],
        [piece("{1}", index=0, **A), piece("{2}", index=0, **B)],
        [piece("{1", **A), piece("}"), piece("{2", **B), piece("}")],
        [piece("{1", **A), piece("{2", **B), piece("}", id="a"), piece("}", id="b")],
        [piece("{1", index=0, **A), piece("{2", index=0, **B), piece("}", index=0, **A), piece("}", **B)],
        [piece("{1", index=0, **A), piece("}", index=0, id="x"), piece("{2}", index=1, **B)],
    ],
    ids=["numbered", "one number", "whole", "no number", "by id", "by turns", "new ids"],
)
async def test_calls_are_told_apart_by_what_the_backend_tells(service: Service, pieces: list[bytes]) -> None:
    service.fake.push(Stream(chunks=[*pieces, delta("tool_calls"), DONE]))
    told = events(await respond(service, stream=True))
    assert [
        (item["call_id"], item["name"], item["arguments"]) for item in told[-1]["response"]["output"]
    ] == [
        ("a", "one", "{1}"),
        ("b", "two", "{2}"),
    ]


async def test_a_call_without_any_place_is_a_call(service: Service) -> None:
    service.fake.push(Stream(chunks=[piece("{", name="one"), piece("}"), delta("tool_calls"), DONE]))
    [item] = events(await respond(service, stream=True))[-1]["response"]["output"]
    assert (item["name"], item["arguments"]) == ("one", "{}")
    assert item["call_id"] == item["id"]


@pytest.mark.parametrize(
    ("chunks", "statuses"),
    [
        ([delta(reasoning_content="Hm")], ["incomplete"]),
        ([delta(reasoning_content="Hm"), delta(content="a")], ["completed", "incomplete"]),
        ([delta(content="a"), piece("{", index=0, **A)], ["completed", "incomplete"]),
        ([piece("{}", index=0, **A), piece("{", index=1, **B)], ["completed", "incomplete"]),
        ([piece("{}", index=0, **A), delta(content="a")], ["completed", "incomplete"]),
    ],
)
async def test_the_item_that_is_cut_short_is_incomplete(
    service: Service, chunks: list[bytes], statuses: list[str]
) -> None:
    service.fake.push(Stream(chunks=[*chunks, delta("length"), DONE]))
    told = events(await respond(service, stream=True))
    assert [item["status"] for item in told[-1]["response"]["output"]] == statuses
    done = {
        event["item"]["id"]: event["item"]["status"]
        for event in told
        if event["type"] == "response.output_item.done"
    }
    assert [done[item["id"]] for item in told[-1]["response"]["output"]] == statuses
