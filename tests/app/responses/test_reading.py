"""What requests for responses become on their way to the backend, and which are refused."""

from typing import Any

import pytest

from optimizer.types import JsonObject
from tests.app.chat.serving import (
    MODEL,
    UPSTREAM_MODEL,
    Service,
)
from tests.app.responses.asking import PATH, respond, said

ITEMS: list[JsonObject] = [
    {"role": "developer", "content": "Short."},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:,", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:,"},
            {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        ],
    },
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm."}],
    },
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
    },
    {"type": "function_call", "id": "fc_1", "call_id": "t1", "name": "look", "arguments": "{}"},
    {"type": "function_call", "call_id": "t2", "name": "look", "arguments": "[]"},
    {"type": "function_call_output", "call_id": "t1", "output": "a sea"},
    {"type": "function_call_output", "call_id": "t2", "output": [{"type": "input_text", "text": "blue"}]},
    {"type": "function_call", "call_id": "t3", "name": "look", "arguments": "{}"},
    {"role": "user", "content": [{"type": "refusal", "refusal": "no"}]},
]


async def test_every_kind_of_item_becomes_a_message(service: Service) -> None:
    items: list[JsonObject] = ITEMS
    response = await respond(service, items)
    assert response.status_code == 200, response.text

    def call(name: str, arguments: str) -> JsonObject:
        return {"id": name, "type": "function", "function": {"name": "look", "arguments": arguments}}

    assert service.sent.body["messages"] == [
        {"role": "developer", "content": "Short."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:,"}},
                {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Hm.",
            "tool_calls": [call("t1", "{}"), call("t2", "[]")],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "a sea"},
        {"role": "tool", "tool_call_id": "t2", "content": "blue"},
        {"role": "assistant", "content": None, "tool_calls": [call("t3", "{}")]},
        {"role": "user", "content": [{"type": "refusal", "refusal": "no"}]},
    ]


async def test_options_become_those_of_chat(service: Service) -> None:
    tool = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": True}
    form = {"name": "colour", "schema": {"type": "object"}, "strict": True}
    service.fake.push(said(content="{}"))
    response = await respond(
        service,
        tools=[{"type": "function", **tool}],
        tool_choice={"type": "function", "name": "look"},
        text={"format": {"type": "json_schema", **form}, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        parallel_tool_calls=False,
        include=["reasoning.encrypted_content"],
        truncation="disabled",
        background=False,
    )
    assert response.status_code == 200, response.text
    sent = dict(service.sent.body)
    del sent["messages"]
    assert sent == {
        "model": UPSTREAM_MODEL,
        "tools": [{"type": "function", "function": tool}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_schema", "json_schema": form},
        "verbosity": "low",
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
    }
    told = response.json()
    assert told["tools"] == [{"type": "function", **tool}]
    assert told["text"]["format"]["name"] == "colour"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": 3}, "input"),
    ({"input": ["a"]}, "input.0"),
    ({"input": [{"role": "tool", "content": "a"}]}, "input.0.role"),
    ({"input": [{"role": ["user"], "content": "a"}]}, "input.0.role"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0.type"),
    ({"input": [{"type": ["message"]}]}, "input.0.type"),
    ({"input": [{"role": "user", "content": 3}]}, "input.0.content"),
    ({"input": [{"role": "user", "content": ["a"]}]}, "input.0.content.0"),
    ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input.0.content.0.type"),
    ({"input": [{"role": "user", "content": [{"type": {}}]}]}, "input.0.content.0.type"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input.0.content.0.text"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input.0.content.0.file_id",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        "input.0.content.0.file_id",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": "x"}]}]},
        "input.0.content.0.input_audio",
    ),
    ({"input": [{"type": "function_call", "name": "a", "arguments": "{}"}]}, "input.0.call_id"),
    ({"input": [{"type": "function_call_output", "call_id": "a"}]}, "input.0.output"),
    ({"instructions": ["a"]}, "instructions"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"store": True}, "store"),
    ({"store": 0}, "store"),
    ({"background": True}, "background"),
    ({"truncation": "auto"}, "truncation"),
    ({"tools": {}}, "tools"),
    ({"tools": ["a"]}, "tools.0"),
    ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
    ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
    ({"text": "json"}, "text"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
    ({"reasoning": {"summary": {}}}, "reasoning.summary"),
    ({"include": "all"}, "include"),
    ({"include": ["file_search_call.results"]}, "include"),
    ({"include": [{}]}, "include"),
    ({"stream": "yes"}, "stream"),
    ({"model": None}, "model"),
    ({"prompt": "pv_1"}, "prompt"),
    ({"drpo": {"k": -1}}, "drpo.k"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
async def test_what_cannot_be_honoured_is_named(service: Service, fields: dict[str, Any], param: str) -> None:
    response = await service.client.post(PATH, json={"model": MODEL, "input": "a", **fields})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param
    assert service.fake.requests == []
