"""curl against the service, as the README shows it."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator

import pytest

from tests.app.chat.serving import BASE_MODEL, MODEL, Listening, add_version, question, serve_service
from tests.fakes.openai_server import Stream, sse

CURL = shutil.which("curl")

pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")


@pytest.fixture
async def listening(sqlite_url: str) -> AsyncIterator[Listening]:
    async with serve_service(sqlite_url) as opened:
        yield opened


async def curl(url: str, body: object, *options: str, path: str = "/v1/chat/completions") -> str:
    """What curl prints."""
    assert CURL is not None
    command = [
        CURL,
        "--silent",
        "--show-error",
        "--no-buffer",
        "--max-time",
        "30",
        "--noproxy",
        "*",
        *options,
    ]
    running = await asyncio.create_subprocess_exec(
        *command,
        f"{url}{path}",
        "--header",
        "content-type: application/json",
        "--data",
        json.dumps(body),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await running.communicate()
    assert (running.returncode, complaint) == (0, b"")
    return output.decode()


async def test_a_whole_answer_names_its_version(listening: Listening) -> None:
    version = await add_version(listening.prompts)
    printed = await curl(listening.url, question(), "--include")
    head, _, body = printed.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert f"x-drpo-prompt-version: {version.id}" in head.splitlines()
    assert json.loads(body)["choices"][0]["message"]["content"]


async def test_a_stream_ends_with_done(listening: Listening) -> None:
    printed = await curl(listening.url, question(stream=True))
    assert printed.endswith("data: [DONE]\n\n")
    assert all(frame.startswith("data: {") for frame in printed.split("\n\n")[:-2])


async def test_a_broken_stream_ends_with_an_error_and_without_done(listening: Listening) -> None:
    listening.fake.push(Stream(chunks=[sse({"choices": []})], drop=True))
    printed = await curl(listening.url, question(stream=True))
    *_, last, rest = printed.split("\n\n")
    assert rest == ""
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "backend_unavailable"


async def test_a_header_switches_alignment_off(listening: Listening) -> None:
    await add_version(listening.prompts)
    printed = await curl(listening.url, question(), "--include", "--header", "x-drpo-align: false")
    assert "x-drpo-prompt-version: none" in printed.splitlines()


async def test_a_response_streams_numbered_events(listening: Listening) -> None:
    body = {"model": MODEL, "input": "Why is the sea blue?", "stream": True}
    printed = await curl(listening.url, body, path="/v1/responses")
    frames = printed.split("\n\n")[:-1]
    assert frames[0].startswith("event: response.created\ndata: {")
    assert frames[-1].startswith("event: response.completed\ndata: {")
    numbers = [json.loads(frame.partition("data: ")[2])["sequence_number"] for frame in frames]
    assert numbers == list(range(len(frames)))


async def test_a_text_is_completed(listening: Listening) -> None:
    printed = await curl(listening.url, {"model": BASE_MODEL, "prompt": "The sea"}, path="/v1/completions")
    assert json.loads(printed)["choices"][0]["text"]


@pytest.mark.parametrize("name", ["responses", "completions", "embeddings"])
async def test_an_error_says_which_field_to_change(listening: Listening, name: str) -> None:
    field = "prompt" if name == "completions" else "input"
    printed = await curl(listening.url, {"model": MODEL, field: [None]}, path=f"/v1/{name}")
    assert json.loads(printed)["error"]["param"].startswith(field)
