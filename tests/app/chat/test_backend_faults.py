"""The fault campaign: every way in which a backend fails, streamed and not, alone and with a fallback.

Each has a documented result (ARCHITECTURE.md, "When a backend fails while it serves"), leaves no task, place
or connection behind, and one usage row.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import select

from app.resources import Resources, open_resources
from app.server import embedded_app
from optimizer.types import JsonObject
from store.connections import Database
from store.models.served_request import ServedRequest
from store.records.usage import Ending
from tests.app.chat.routed import PATH, settings_of
from tests.app.chat.serving import MODEL, question
from tests.fakes.faulty_backend import FaultyBackend, Misbehave, Talk, serve_faulty
from tests.fakes.openai_server import FakeOpenAIServer, serve, sse

DONE = b"data: [DONE]\n\n"
ERROR = b'{"error": {"message": "overloaded", "type": "server_error", "code": null}}'
FRAME = sse({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "a"}}]})
WHOLE = json.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a" * 400}}]}
).encode()
IMPATIENT: JsonObject = {
    "timeouts": {
        "read_seconds": 0.5,
        "total_seconds": 0.5,
        "first_token_seconds": 0.5,
        "idle_seconds": 0.5,
        "stream_seconds": 30,
    }
}


async def limits_politely(talk: Talk) -> None:
    await talk.answer("429 Too Many Requests", ERROR, headers="retry-after: 7\r\n")


async def limits(talk: Talk) -> None:
    await talk.answer("429 Too Many Requests", ERROR)


async def fails(talk: Talk) -> None:
    await talk.answer("500 Internal Server Error", ERROR)


async def hangs(talk: Talk) -> None:
    await talk.hang()


async def resets(talk: Talk) -> None:
    talk.reset()


async def closes(talk: Talk) -> None:
    talk.close()


async def truncates(talk: Talk) -> None:
    await talk.answer("200 OK", WHOLE, promised=len(WHOLE) + 10)
    talk.close()


async def sends_bad_json(talk: Talk) -> None:
    await talk.answer("200 OK", WHOLE[:-5])


async def sends_no_http(talk: Talk) -> None:
    await talk.say(b"nonsense\r\n\r\n")
    talk.close()


async def errs_in_a_200(talk: Talk) -> None:
    await talk.answer("200 OK", ERROR)


async def drips(talk: Talk) -> None:
    await talk.answer("200 OK", b"", promised=len(WHOLE))
    await talk.drip(WHOLE)


async def begins_no_stream(talk: Talk) -> None:
    await talk.begin_stream(b": ping\n\n")
    await talk.hang()


async def truncates_before_a_frame(talk: Talk) -> None:
    await talk.begin_stream(FRAME[:20])
    talk.close()


async def ends_before_a_frame(talk: Talk) -> None:
    await talk.begin_stream()
    await talk.end_stream()


async def sends_a_bad_frame(talk: Talk) -> None:
    await talk.begin_stream(b"data: {nonsense\n\n", DONE)
    await talk.end_stream()


async def errs_in_the_first_frame(talk: Talk) -> None:
    await talk.begin_stream(b"data: " + ERROR + b"\n\n", DONE)
    await talk.end_stream()


async def drips_a_stream(talk: Talk) -> None:
    await talk.begin_stream()
    await talk.drip(FRAME * 4, chunked=True)


async def resets_in_a_stream(talk: Talk) -> None:
    await talk.begin_stream(FRAME)
    await talk.go.wait()  # a reset takes along what was not read yet
    talk.reset()


async def closes_in_a_stream(talk: Talk) -> None:
    await talk.begin_stream(FRAME)
    talk.close()


async def truncates_a_stream(talk: Talk) -> None:
    await talk.begin_stream(FRAME)
    await talk.end_stream()


async def hangs_in_a_stream(talk: Talk) -> None:
    await talk.begin_stream(FRAME)
    await talk.hang()


async def sends_a_bad_frame_later(talk: Talk) -> None:
    await talk.begin_stream(FRAME, b"data: {nonsense\n\n", DONE)
    await talk.end_stream()


async def errs_in_a_later_frame(talk: Talk) -> None:
    await talk.begin_stream(FRAME, b"data: " + ERROR + b"\n\n", DONE)
    await talk.end_stream()


async def drips_after_a_frame(talk: Talk) -> None:
    await talk.begin_stream(FRAME)
    await talk.drip(FRAME * 4, chunked=True)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a client is told."""

    status: int
    code: str
    retry_after: str | None = None


AWAY = Result(status=503, code="backend_unavailable", retry_after="1")
MALFORMED = Result(status=502, code="backend_malformed")
BOTH: dict[Misbehave, Result] = {
    limits_politely: Result(status=429, code="rate_limit_exceeded", retry_after="7"),
    limits: Result(status=429, code="rate_limit_exceeded", retry_after="1"),
    fails: AWAY,
    hangs: AWAY,
    resets: AWAY,
    closes: AWAY,
    sends_no_http: MALFORMED,
}
WHOLE_ONLY: dict[Misbehave, Result] = {
    truncates: AWAY,
    sends_bad_json: MALFORMED,
    errs_in_a_200: AWAY,
    drips: AWAY,
}
STREAMS_ONLY: dict[Misbehave, Result] = {
    sends_bad_json: MALFORMED,
    errs_in_a_200: MALFORMED,
    begins_no_stream: AWAY,
    truncates_before_a_frame: AWAY,
    ends_before_a_frame: AWAY,
    sends_a_bad_frame: MALFORMED,
    errs_in_the_first_frame: AWAY,
    drips_a_stream: AWAY,
}
LATER: dict[Misbehave, str] = {
    resets_in_a_stream: "backend_unavailable",
    closes_in_a_stream: "backend_unavailable",
    truncates_a_stream: "backend_unavailable",
    hangs_in_a_stream: "backend_unavailable",
    sends_a_bad_frame_later: "backend_malformed",
    errs_in_a_later_frame: "backend_unavailable",
    drips_after_a_frame: "backend_unavailable",
}
SLOW = {hangs, drips, begins_no_stream, drips_a_stream, hangs_in_a_stream, drips_after_a_frame}
BEFORE = [
    *((fault, False, result) for fault, result in (BOTH | WHOLE_ONLY).items()),
    *((fault, True, result) for fault, result in (BOTH | STREAMS_ONLY).items()),
]


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", None)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """The service between a faulty backend and a good one."""

    faulty: FaultyBackend
    good: FakeOpenAIServer
    client: httpx.AsyncClient
    resources: Resources
    store: Database

    async def rows(self) -> list[ServedRequest]:
        """What is on record of served requests."""
        await self.resources.access.recorder.flush()
        async with self.store.read() as session:
            return list((await session.scalars(select(ServedRequest))).all())

    async def is_clean(self, before: set["asyncio.Task[object]"]) -> None:
        """Wait until nothing is left of the request: no connection, no place at a backend, no task."""
        async with asyncio.timeout(20):
            await self.faulty.until_idle()
            routes = self.resources.models.routes(MODEL)
            while any(route.probed.limiter.serving for route in routes):  # noqa: ASYNC110 - nothing says so
                await asyncio.sleep(0.01)
            while {task for task in asyncio.all_tasks() if _is_ours(task)} - before:  # noqa: ASYNC110 - nor here
                await asyncio.sleep(0.01)


def _is_ours(task: "asyncio.Task[object]") -> bool:
    """A task of the application: those of loops that run for ever, of the fakes and of the test are not."""
    place = str(task.get_coro())
    return any(
        word in place for word in ("while_client_listens", "_relay", "_asked", "_disconnected", "run_asgi")
    )


@asynccontextmanager
async def campaign(database_url: str, fault: Misbehave, *, fallback: bool) -> AsyncIterator[Campaign]:
    target: JsonObject = {} if fallback else {"fallbacks": []}
    async with serve_faulty() as faulty, serve() as good:
        faulty.fault = fault
        settings = settings_of(
            database_url,
            faulty.url,
            good.url,
            first_backend=IMPATIENT if fault in SLOW else {},
            target=target,
        )
        store = Database(database_url)
        async with (
            open_resources(settings) as resources,
            embedded_app(resources) as url,
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client,
        ):
            yield Campaign(faulty=faulty, good=good, client=client, resources=resources, store=store)
        await store.close()


@pytest.mark.parametrize(("fault", "stream", "result"), BEFORE, ids=name_of)
async def test_a_fault_before_the_answer_has_its_own_status(
    sqlite_url: str, fault: Misbehave, stream: bool, result: Result
) -> None:
    async with campaign(sqlite_url, fault, fallback=False) as running:
        before = {task for task in asyncio.all_tasks() if _is_ours(task)}
        response = await running.client.post(PATH, json=question(stream=stream))
        told = response.json()["error"]
        assert (response.status_code, told["code"]) == (result.status, result.code)
        assert set(told) == {"message", "type", "param", "code"}
        assert response.headers.get("retry-after") == result.retry_after
        assert running.faulty.requests == 1
        await running.is_clean(before)
        (row,) = await running.rows()
        assert row.request_id == response.headers["x-request-id"]
        assert (row.ending, row.error_code, row.streamed) == (Ending.FAILED, result.code, stream)


@pytest.mark.parametrize(("fault", "stream", "result"), BEFORE, ids=name_of)
async def test_a_fallback_answers_in_its_place(
    sqlite_url: str, fault: Misbehave, stream: bool, result: Result
) -> None:
    async with campaign(sqlite_url, fault, fallback=True) as running:
        before = {task for task in asyncio.all_tasks() if _is_ours(task)}
        response = await running.client.post(PATH, json=question(stream=stream))
        assert response.status_code == 200, result
        assert response.headers["x-drpo-backend"] == "second"
        assert response.headers["x-drpo-attempts"] == "2"
        assert response.content.endswith(DONE) is stream
        assert (running.faulty.requests, len(running.good.requests)) == (1, 1)
        await running.is_clean(before)
        (row,) = await running.rows()
        assert row.request_id == response.headers["x-request-id"]
        assert (row.ending, row.error_code, row.attempts) == (Ending.ANSWERED, None, 2)
        assert row.prompt_tokens >= 7


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("fault", list(LATER), ids=name_of)
async def test_a_fault_in_a_stream_is_an_error_frame_and_no_end(
    sqlite_url: str, fault: Misbehave, fallback: bool
) -> None:
    async with campaign(sqlite_url, fault, fallback=fallback) as running:
        before = {task for task in asyncio.all_tasks() if _is_ours(task)}
        async with running.client.stream("POST", PATH, json=question(stream=True)) as response:
            assert response.status_code == 200
            pieces = response.aiter_bytes()
            content = await anext(pieces)
            running.faulty.go.set()
            content += b"".join([piece async for piece in pieces])
        first, last = [frame for frame in content.split(b"\n\n") if frame]
        assert b'"content":"a"' in first
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == LATER[fault]
        assert (running.faulty.requests, len(running.good.requests)) == (1, 0)
        await running.is_clean(before)
        (row,) = await running.rows()
        assert (row.ending, row.error_code) == (Ending.FAILED, LATER[fault])
        # a token for each frame that came, the bad one among them
        assert row.completion_tokens == (2 if fault is sends_a_bad_frame_later else 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_a_hanging_backend_leaves_nothing(sqlite_url: str, stream: bool) -> None:
    async with campaign(sqlite_url, begins_no_stream if stream else hangs, fallback=True) as running:
        before = {task for task in asyncio.all_tasks() if _is_ours(task)}
        asking = asyncio.ensure_future(running.client.post(PATH, json=question(stream=stream)))
        async with asyncio.timeout(20):
            while not running.faulty.busy:  # noqa: ASYNC110 - nothing says so
                await asyncio.sleep(0.01)
        asking.cancel()
        await running.is_clean(before)
        assert not running.good.requests
        (row,) = await running.rows()
        assert row.ending == Ending.CLIENT_LEFT
