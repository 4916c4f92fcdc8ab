"""Evaluation tools against the service, run as their users run them: Inspect and promptfoo.

Not part of the ordinary run: they are installed by ``make client-tests``.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from app.access.key_limits import KeyLimits, Period, Quota
from tests.app.access.stored_keys import add_key
from tests.app.chat.serving import MODEL, Listening
from tests.clients.backend import CALLS, EMBEDDER, broken_stream
from tests.clients.environment import installed, run

TASKS = "tests/clients/programs/inspect_tasks.py"
QUESTION = "Why is the sea blue?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


async def inspect(
    listening: Listening, key: str, home: Path, task: str, *options: str, model: str = MODEL
) -> Any:
    """The log of ``inspect eval`` on one task."""
    ended = await run(
        installed() / "bin" / "inspect",
        "eval",
        f"{TASKS}@{task}",
        f"--model=openai-api/drpo/{model}",
        "--max-retries=0",
        "--display=none",
        "--log-format=json",
        *options,
        home=home,
        DRPO_API_KEY=key,
        DRPO_BASE_URL=f"{listening.url}/v1",
    )
    logs = list((home / "logs").glob("*.json"))
    assert len(logs) == 1, ended
    return json.loads(logs[0].read_text())


WAYS = pytest.mark.parametrize("way", ["-Mstream=false", "-Mstream=true", "-Mresponses_api=true"])


@WAYS
async def test_inspect_asks(listening: Listening, key: str, tmp_path: Path, way: str) -> None:
    log = await inspect(listening, key, tmp_path, "question", way)
    [sample] = log["samples"]
    assert (log["status"], sample["scores"]["includes"]["value"]) == ("success", "C")
    assert sample["output"]["model"] == MODEL
    assert (sample["output"]["usage"]["input_tokens"], sample["output"]["usage"]["output_tokens"]) == (7, 5)
    asked = listening.fake.requests
    assert [bool(exchange.body.get("stream")) for exchange in asked] == [way == "-Mstream=true"]


@WAYS
async def test_inspect_uses_tools(listening: Listening, key: str, tmp_path: Path, way: str) -> None:
    log = await inspect(listening, key, tmp_path, "tools", way)
    [sample] = log["samples"]
    assert (log["status"], sample["scores"]["includes"]["value"]) == ("success", "C")
    calls = [call for turn in sample["messages"] for call in turn.get("tool_calls") or ()]
    assert [(call["function"], json.dumps(call["arguments"])) for call in calls] == list(CALLS)


@WAYS
async def test_inspect_gets_structure(listening: Listening, key: str, tmp_path: Path, way: str) -> None:
    log = await inspect(listening, key, tmp_path, "structured", way)
    assert log["samples"][0]["scores"]["includes"]["value"] == "C"
    assert "json_schema" in str(listening.fake.requests[0].body["response_format"])


@pytest.mark.parametrize(
    ("model", "own_key", "message"),
    [
        ("gpt-nothing", True, "there is no model 'gpt-nothing'"),
        (MODEL, False, "the API key is missing or wrong"),
    ],
)
async def test_inspect_says_what_is_wrong(
    listening: Listening, key: str, tmp_path: Path, model: str, own_key: bool, message: str
) -> None:
    log = await inspect(listening, key if own_key else "sk-other", tmp_path, "question", model=model)
    assert log["status"] == "error"
    assert message in log["error"]["message"]
    assert listening.fake.requests == []


async def test_inspect_does_not_take_a_broken_stream_for_an_answer(
    listening: Listening, key: str, tmp_path: Path
) -> None:
    listening.fake.push(broken_stream())
    log = await inspect(listening, key, tmp_path, "question", "-Mstream=true", "--max-retries=1")
    assert log["samples"][0]["scores"]["includes"]["value"] == "C"
    assert len(listening.fake.requests) == 2


async def test_inspect_meets_a_used_up_quota(listening: Listening, tmp_path: Path) -> None:
    limits = KeyLimits(quotas=(Quota(period=Period.TOTAL, requests=1),))
    key, _ = await add_key(listening.resources.access.keys, limits=limits)
    log = await inspect(listening, key, tmp_path, "tools")
    assert log["status"] == "error"
    assert "raised RateLimitError" in log["error"]["message"]
    assert len(listening.fake.requests) == 1


async def promptfoo(
    listening: Listening,
    key: str,
    home: Path,
    *assertions: dict[str, Any],
    provider: str = f"openai:chat:{MODEL}",
    **config: Any,
) -> Any:
    """The one result of ``promptfoo eval`` with one provider and one question."""
    about = {"apiBaseUrl": f"{listening.url}/v1", "apiKey": key, **config}
    told = {
        "prompts": ["{{question}}"],
        "providers": [{"id": provider, "config": about}],
        "tests": [{"vars": {"question": QUESTION}, "assert": list(assertions)}],
    }
    settings, results = home / "promptfooconfig.json", home / "results.json"
    settings.write_text(json.dumps(told))
    program = installed() / "node" / "node_modules" / ".bin" / "promptfoo"
    options = ("--no-cache", "--no-table", "--no-progress-bar", "--max-concurrency=1")
    ended = await run(program, "eval", "-c", settings, "-o", results, *options, home=home)
    assert results.exists(), ended
    [result] = json.loads(results.read_text())["results"]["results"]
    return result


ANSWERED = {"type": "contains", "value": "an answer"}


@pytest.mark.parametrize("kind", ["chat", "responses", "completion"])
async def test_promptfoo_asks(listening: Listening, key: str, tmp_path: Path, kind: str) -> None:
    result = await promptfoo(listening, key, tmp_path, ANSWERED, provider=f"openai:{kind}:{MODEL}")
    assert result["success"], result
    usage = result["response"]["tokenUsage"]
    assert [usage["prompt"], usage["completion"]] == [7, 5]
    assert len(listening.fake.requests) == 1


async def test_promptfoo_takes_tool_calls(listening: Listening, key: str, tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name, _ in CALLS]
    valid = {"type": "is-valid-openai-tools-call"}
    result = await promptfoo(listening, key, tmp_path, valid, tools=tools)
    assert result["success"], result
    called = [call["function"] for call in result["response"]["output"]]
    assert [(call["name"], call["arguments"]) for call in called] == list(CALLS)


async def test_promptfoo_gets_structure(listening: Listening, key: str, tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "degrees": {"type": "number"}},
        "required": ["city", "degrees"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": schema}}
    fits = {"type": "is-json", "value": schema}
    result = await promptfoo(listening, key, tmp_path, fits, response_format=wanted)
    assert result["success"], result
    assert listening.fake.requests[0].body["response_format"] == wanted


async def test_promptfoo_compares_by_embeddings(listening: Listening, key: str, tmp_path: Path) -> None:
    about = {"apiBaseUrl": f"{listening.url}/v1", "apiKey": key}
    embedder = {"id": f"openai:embedding:{EMBEDDER}", "config": about}
    near = {"type": "similar", "value": "an answer", "threshold": 0.99, "provider": embedder}
    result = await promptfoo(listening, key, tmp_path, near)
    assert result["success"], result
    assert [exchange.path for exchange in listening.fake.requests][1:] == ["/v1/embeddings"] * 2


@pytest.mark.parametrize(
    ("provider", "own_key", "message"),
    [
        ("openai:chat:gpt-nothing", True, "there is no model 'gpt-nothing'"),
        (f"openai:chat:{MODEL}", False, "the API key is missing or wrong"),
    ],
)
async def test_promptfoo_says_what_is_wrong(
    listening: Listening, key: str, tmp_path: Path, provider: str, own_key: bool, message: str
) -> None:
    asked = key if own_key else "sk-other"
    result = await promptfoo(listening, asked, tmp_path, ANSWERED, provider=provider)
    assert not result["success"]
    assert message in result["error"]
    assert listening.fake.requests == []
