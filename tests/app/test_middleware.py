import asyncio
import gc
import json
import logging
import weakref
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, UploadFile
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.errors import install_error_handlers
from app.middleware import RequestContextMiddleware
from app.request_reports import RequestReports
from tests.app.listening import listening

LIMIT = 2000
SECRET = "what only the log may know"


class Body(BaseModel):
    text: str


def edge_app() -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)
    app.add_middleware(RequestContextMiddleware, max_body_bytes=LIMIT, reports=RequestReports())

    @app.post("/typed")
    async def typed(body: Body) -> int:
        return len(body.text)

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.post("/file")
    async def file(file: UploadFile) -> int:
        return len(await file.read())

    @app.get("/id")
    async def request_id(request: Request) -> str:
        found: str = request.state.request_id
        return found

    @app.get("/other-id")
    async def other_id() -> Response:
        return Response(headers={"X-Request-ID": "somebody-else"})

    @app.get("/bug/{place}")
    async def bug(place: str) -> None:
        raise RuntimeError(SECRET)

    @app.get("/broken")
    async def broken() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"the first half"
            raise RuntimeError(SECRET)

        return StreamingResponse(pieces())

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        listening(edge_app()) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as opened,
    ):
        yield opened


async def test_every_response_has_an_id_and_its_time(client: httpx.AsyncClient) -> None:
    first, second = await client.get("/id"), await client.get("/nowhere")
    ids = [response.headers["x-request-id"] for response in (first, second)]
    assert len(set(ids)) == 2
    assert all(name.startswith("req_") for name in ids)
    assert first.json() == ids[0]
    assert int(second.headers["openai-processing-ms"]) >= 0


async def test_a_response_has_one_id_whatever_an_endpoint_says(client: httpx.AsyncClient) -> None:
    (found,) = (await client.get("/other-id")).headers.get_list("x-request-id")
    assert found.startswith("req_")


async def test_a_client_s_own_id_is_kept(client: httpx.AsyncClient) -> None:
    response = await client.get("/id", headers={"x-request-id": "order 66/b"})
    assert response.headers["x-request-id"] == "order 66/b"
    assert response.json() == "order 66/b"


@pytest.mark.parametrize(
    "hostile", [b"", b"x" * 129, b"\x1b[31mred", "é".encode(), b"a\tb", "\u202e".encode()]
)
async def test_a_hostile_id_is_replaced(client: httpx.AsyncClient, hostile: bytes) -> None:
    headers = [(b"x-request-id", hostile), (b"host", b"drpo.test")]
    scope: Scope = {"type": "http", "method": "GET", "path": "/id", "headers": headers, "query_string": b""}
    sent = await exchange(scope, [{"type": "http.request", "body": b"", "more_body": False}])
    told = dict(sent[0]["headers"])[b"x-request-id"].decode()
    assert told.startswith("req_")
    assert json.loads(sent[1]["body"]) == told


async def exchange(scope: Scope, messages: list[Message]) -> list[Message]:
    """What the application sends to a server that gives it ``messages``."""
    sent: list[Message] = []
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        sent.append(message)

    await edge_app()(scope, receive, send)
    return sent


async def test_a_bug_is_a_500_that_names_the_request_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await client.get("/bug/a")
    request_id = response.headers["x-request-id"]
    assert response.status_code == 500
    assert response.json()["error"] == {
        "message": f"an internal error occurred; it was logged as {request_id}",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
    }
    assert SECRET not in response.text
    assert "Traceback" not in response.text
    (record,) = [record for record in caplog.records if record.name == "app.middleware"]
    assert record.levelno == logging.ERROR
    assert request_id in record.getMessage()
    assert SECRET in str(record.exc_info)


async def test_a_path_cannot_forge_a_line_of_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.get("/bug/a%0A2026-01-01%20ERROR%20forged")
    (record,) = [record for record in caplog.records if record.name == "app.middleware"]
    assert "\n" not in record.getMessage()
    assert "forged" in record.getMessage()


async def test_a_bug_after_the_start_of_a_response_breaks_the_connection(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/broken")
    assert any(record.name == "app.middleware" for record in caplog.records)
    assert (await client.get("/id")).status_code == 200


async def pieces_of(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 100):
        yield b"x" * 100


async def test_a_body_up_to_the_limit_is_read(client: httpx.AsyncClient) -> None:
    announced = await client.post("/raw", content=b"x" * LIMIT)
    chunked = await client.post("/raw", content=pieces_of(LIMIT))
    assert (announced.json(), chunked.json()) == (LIMIT, LIMIT)


def is_too_large(response: httpx.Response) -> bool:
    error = response.json()["error"]
    assert str(LIMIT) in error["message"]
    assert "server.max_body_bytes" in error["message"]
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-request-id"].startswith("req_")
    return bool(response.status_code == 413 and error["code"] == "body_too_large")


@pytest.mark.parametrize("path", ["/raw", "/typed", "/nowhere"])
async def test_a_larger_body_is_refused_before_it_is_read(client: httpx.AsyncClient, path: str) -> None:
    assert is_too_large(await client.post(path, content=b"x" * (LIMIT + 1)))


@pytest.mark.parametrize("path", ["/raw", "/typed"])
async def test_a_larger_body_in_pieces_is_refused(client: httpx.AsyncClient, path: str) -> None:
    headers = {"content-type": "application/json"}
    assert is_too_large(await client.post(path, content=pieces_of(LIMIT + 100), headers=headers))


async def test_a_larger_file_in_pieces_is_refused(client: httpx.AsyncClient) -> None:
    async def form() -> AsyncIterator[bytes]:
        yield b'--edge\r\ncontent-disposition: form-data; name="file"; filename="q"\r\n\r\n'
        async for piece in pieces_of(LIMIT):
            yield piece
        yield b"\r\n--edge--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=edge"}
    assert is_too_large(await client.post("/file", content=form(), headers=headers))


async def test_a_client_that_stops_in_the_middle_of_a_body_costs_nothing(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = client.base_url.host, client.base_url.port
    _, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /typed HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.get("/id")).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_other_protocols_pass_through() -> None:
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def never() -> Message:
        raise AssertionError

    async def ignore(_: Message) -> None: ...

    await RequestContextMiddleware(inner, LIMIT, RequestReports())({"type": "lifespan"}, never, ignore)
    assert seen == ["lifespan"]


async def test_a_bug_while_a_body_is_too_large_is_still_a_413() -> None:
    async def careless(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
        finally:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError(SECRET)

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * (LIMIT + 1), "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    await RequestContextMiddleware(careless, LIMIT, RequestReports())(scope, receive, send)
    assert [message.get("status") for message in sent] == [413, None]


async def test_a_request_is_freed_at_its_end_without_the_garbage_collector() -> None:
    class Cycle:
        """The server's side of a request, which holds its scope."""

        def __init__(self) -> None:
            self.scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": []}

        async def receive(self) -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(self, message: Message) -> None:
            pass

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(await Request(scope, receive).body())(scope, receive, send)

    middleware = RequestContextMiddleware(answer, LIMIT, RequestReports())
    cycle = Cycle()
    left = weakref.ref(cycle)
    gc.disable()
    try:
        await middleware(cycle.scope, cycle.receive, cycle.send)
        del cycle
        assert left() is None
    finally:
        gc.enable()
