"""One suite for all client libraries: what a user gets out of each, set up as it comes, retries included.

Not part of the ordinary run: the clients are installed by ``make client-tests``.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.access.key_limits import KeyLimits, Period, Quota
from tests.app.access.stored_keys import add_key
from tests.app.chat.serving import MODEL, Listening
from tests.clients.backend import EMBEDDER, VECTOR, WEATHER, broken_stream
from tests.clients.environment import installed, run
from tests.fakes.openai_server import error

PROGRAMS = Path("tests/clients/programs")
PYTHON_PROGRAM = "tests.clients.programs"
CLIENTS = ("openai_python", "openai_node", "langchain")


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client library, and whom it asks.

    Attributes:
        home: a folder for what it wants to keep.
    """

    name: str
    listening: Listening
    key: str
    home: Path

    async def run(self, scenario: str, *, model: str = MODEL, key: str | None = None) -> dict[str, Any]:
        """What a scenario comes to: ``attempts`` and either ``result`` or ``error`` and ``pieces``."""
        if self.name == "openai_node":
            command: list[str | Path] = ["node", PROGRAMS / f"{self.name}.cjs"]
        else:
            command = [installed() / "bin" / "python", "-m", f"{PYTHON_PROGRAM}.{self.name}"]
        ended = await run(*command, self.listening.url, key or self.key, model, scenario, home=self.home)
        assert ended.code == 0, ended.err
        told = json.loads(ended.out)
        assert isinstance(told, dict)
        return told

    async def result(self, scenario: str, *, model: str = MODEL) -> dict[str, Any]:
        """The result of a scenario that ends well, at the first attempt."""
        told = await self.run(scenario, model=model)
        assert "error" not in told, told
        result = told["result"]
        assert isinstance(result, dict)
        return result


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, listening: Listening, key: str, tmp_path: Path) -> Client:
    return Client(name=request.param, listening=listening, key=key, home=tmp_path)


def sent(client: Client, place: int = -1) -> Any:
    return client.listening.fake.requests[place].body


async def test_chat_is_aligned_and_counted(client: Client) -> None:
    told = await client.result("chat")
    assert told["text"] == "an answer in some words"
    assert told["usage"] == [7, 5]
    assert told["version"].startswith("pv_")
    assert told["model"] == MODEL
    assert sent(client)["messages"][0] == {"role": "system", "content": "Be {{how}}."}


@pytest.mark.parametrize("scenario", ["stream", "response_stream"])
async def test_a_stream_comes_in_pieces_with_its_usage(client: Client, scenario: str) -> None:
    told = await client.result(scenario)
    assert [piece for piece in told["pieces"] if piece] == ["an", " answer", " in", " some", " words"]
    assert told["usage"] == [7, 5]


@pytest.mark.parametrize("scenario", ["tools", "tools_streamed", "response_tools"])
async def test_parallel_calls_of_tools_and_their_results(client: Client, scenario: str) -> None:
    told = await client.result(scenario)
    assert told["calls"] == [
        {"name": "weather", "arguments": {"city": "Bern"}},
        {"name": "time", "arguments": {"city": "Lima"}},
    ]
    assert told["text"] == "rain in Bern; noon in Lima"
    assert len(client.listening.fake.requests) == 2
    assert [turn["role"] for turn in sent(client)["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert [turn.get("tool_call_id") for turn in sent(client)["messages"][3:]] == [
        "call_weather",
        "call_time",
    ]


@pytest.mark.parametrize("scenario", ["structured", "response_structured"])
async def test_structured_output_is_parsed(client: Client, scenario: str) -> None:
    told = await client.result(scenario)
    assert told["value"] == WEATHER
    wanted = sent(client)["response_format"]
    assert wanted["type"] == "json_schema"
    assert set(wanted["json_schema"]["schema"]["properties"]) == {"city", "degrees"}


async def test_a_response_is_read(client: Client) -> None:
    told = await client.result("response")
    assert told["text"] == "an answer in some words"
    assert (told["model"], told["usage"]) == (MODEL, [7, 5])


@pytest.mark.parametrize("scenario", ["prompt", "response_prompt"])
async def test_a_prompt_object_is_filled_in(client: Client, scenario: str) -> None:
    told = await client.result(scenario)
    assert (told["text"], told["model"]) == ("an answer in some words", MODEL)
    assert sent(client)["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "prompt" not in sent(client)


async def test_texts_are_embedded(client: Client) -> None:
    told = await client.result("embeddings", model=EMBEDDER)
    assert told == {"lengths": [len(VECTOR)] * 2, "first": VECTOR[0]}
    assert sent(client)["model"] == "vendor-embedder-1"


@pytest.mark.parametrize(
    ("scenario", "kind", "status", "code"),
    [
        ("wrong_key", "AuthenticationError", 401, "invalid_api_key"),
        ("unknown_model", "NotFoundError", 404, "model_not_found"),
        ("refused", "BadRequestError", 400, None),
    ],
)
async def test_refusals_are_the_clients_own_errors(
    client: Client, scenario: str, kind: str, status: int, code: str | None
) -> None:
    asked = {"wrong_key": {"key": "sk-other"}, "unknown_model": {"model": "gpt-nothing"}}
    told = await client.run("refused" if scenario == "refused" else "chat", **asked.get(scenario, {}))
    assert [told["error"][name] for name in ("status", "code")] == [status, code]
    assert kind in told["error"]["kinds"]
    assert told["attempts"] == 1
    assert client.listening.fake.requests == []


async def test_a_used_up_quota_is_not_tried_again(client: Client) -> None:
    limits = KeyLimits(quotas=(Quota(period=Period.TOTAL, requests=1),))
    key, _ = await add_key(client.listening.resources.access.keys, limits=limits)
    assert (await client.run("chat", key=key))["attempts"] == 1
    told = await client.run("chat", key=key)
    assert [told["error"][name] for name in ("status", "code")] == [429, "insufficient_quota"]
    assert told["attempts"] == 1
    assert len(client.listening.fake.requests) == 1


async def test_a_backend_that_is_away_for_a_moment_is_asked_again(client: Client) -> None:
    client.listening.fake.push(error(503, "restarting"))
    told = await client.run("chat")
    assert told["result"]["model"] == MODEL
    assert told["attempts"] == len(client.listening.fake.requests) == 2


@pytest.mark.parametrize("scenario", ["stream", "response_stream"])
async def test_a_stream_that_breaks_is_an_error(client: Client, scenario: str) -> None:
    client.listening.fake.push(broken_stream())
    told = await client.run(scenario)
    assert "result" not in told
    assert told["pieces"] == ["The", " sea"]
    assert told["error"]["code"] == "backend_unavailable"
    assert told["attempts"] == 1
