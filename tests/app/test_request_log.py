"""The line that each request gets, and what no line holds."""

import json
from typing import TypeAlias

import pytest

from app.logs import configure_logging
from app.observability_settings import LoggingSettings
from tests.app.chat.serving import BACKEND_KEY, MODEL, open_service, question
from tests.app.conftest import written
from tests.fakes.openai_server import Drop, Stream, error, sse

pytestmark = pytest.mark.usefixtures("restored_logging")
PROMPT = "quixotic-zephyr-prompt"
REPLY = "quixotic-zephyr-reply"
KEY = "sk-admin-0123456789"
PASSWORD = "quixotic-zephyr-password"


Lines: TypeAlias = list[dict[str, object]]


def logged(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged since the last time."""
    return [json.loads(line) for line in written(capsys).out.splitlines()]


def log_all() -> None:
    configure_logging(LoggingSettings(format="json", level="DEBUG"))


def of_requests(lines: Lines) -> Lines:
    return [line for line in lines if line["logger"] == "app.requests"]


async def test_a_request_is_a_line_of_numbers(sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    log_all()
    async with open_service(sqlite_url) as service:
        logged(capsys)
        answer = await service.ask(question(), x_request_id="order-66")
        (line,) = of_requests(logged(capsys))
    assert line["request_id"] == answer.headers["x-request-id"] == "order-66"
    expected = {
        "level": "INFO",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "caller": "local",
        "model": MODEL,
        "backend": "upstream",
        "version": None,
        "streamed": False,
        "ending": "answered",
        "attempts": 1,
        "was_kept": False,
        "error_code": None,
        "input_tokens": 7,
        "output_tokens": 5,
        "cost": 0.0,
        "first_frame_ms": None,
    }
    assert line.items() >= expected.items()
    for name in ("ms", "overhead_ms", "resolve_ms", "retrieve_ms", "queue_ms", "upstream_ms", "store_ms"):
        assert isinstance(line[name], float), name


async def test_one_that_asks_no_model_has_a_short_line_and_a_probe_has_none(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log_all()
    async with open_service(sqlite_url) as service:
        logged(capsys)
        await service.client.get("/v1/models")
        await service.client.get("/nowhere?key=" + KEY)
        await service.client.get("/livez")
        found = of_requests(logged(capsys))
    assert [(line["level"], line["route"], line["status"]) for line in found] == [
        ("INFO", "/v1/models", 200),
        ("INFO", "unmatched", 404),
        ("DEBUG", "/livez", 200),
    ]
    assert "model" not in found[0]


async def test_lines_of_requests_can_be_switched_off(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log_all()
    async with open_service(sqlite_url, logging={"requests": False}) as service:
        await service.ask(question())
        assert of_requests(logged(capsys)) == []


async def test_no_line_holds_content_or_secrets_whatever_goes_wrong(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log_all()
    frame = sse({"id": "c", "choices": [{"index": 0, "delta": {"content": REPLY}}]})
    async with open_service(
        sqlite_url,
        server={"api_key": KEY},
        redis={"url": f"redis://:{PASSWORD}@127.0.0.1:9/0"},
    ) as service:
        authorization = f"Bearer {KEY}"
        body, streamed = question(PROMPT), question(PROMPT, stream=True)
        await service.ask(body, authorization=authorization)
        service.fake.push(error(500, REPLY), Drop(), error(400, REPLY), Stream(chunks=[frame], drop=True))
        for asked in (body, body, body, streamed):
            await service.ask(asked, authorization=authorization)
        await service.ask(question(PROMPT, model=PROMPT), authorization=authorization)
        await service.ask({"messages": PROMPT}, authorization=authorization)
        await service.ask(body, authorization=f"Bearer {KEY}x")
    captured = written(capsys)
    told = captured.out + captured.err
    assert told.count('"logger":"app.requests"') == 8
    for secret in (PROMPT, KEY, PASSWORD, BACKEND_KEY):
        assert secret not in told, secret
