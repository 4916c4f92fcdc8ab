"""Requests over real sockets, to servers that say what a test writes."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import aiohttp
import pytest
from yarl import URL

from app.backend_settings import TimeoutSettings
from app.llm.errors import Origin
from app.llm.http import read_bounded
from app.llm.network import NetworkConnections
from optimizer.errors import MalformedResponseError

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEADERS = {"accept": "application/json", "authorization": "Bearer sk-1"}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
LARGE = b"x" * 2**24
"""More than sockets hold."""


class Server:
    """What a test's server was asked; each connection is a list of requests."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections: list[list[bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes, one answer after the other; the last one again and again."""
        asked: list[bytes] = []
        self.connections.append(asked)
        while request := await read_request(reader):
            asked.append(request)
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """A request with its body; nothing where the connection is closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


@asynccontextmanager
async def connected(serve: Serve, **timeouts: float) -> AsyncIterator[tuple[NetworkConnections, URL]]:
    """Connections, and where they find ``serve``."""
    connections = NetworkConnections(TimeoutSettings(**timeouts))
    serving: set[asyncio.Task[None]] = set()

    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(until_closed(reader, writer)))

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield connections, URL(f"http://127.0.0.1:{port}/v1/chat/completions?api-version=1")
        finally:
            await connections.aclose()
            await asyncio.gather(*serving)


async def asked(connections: NetworkConnections, url: URL, content: bytes = b"{}") -> tuple[int, bytes]:
    """Status and body of the answer to a POST."""
    response = await connections.post(url, HEADERS, content)
    try:
        return response.status, b"".join([piece async for piece in response.pieces()])
    finally:
        await response.aclose()


async def test_a_request_says_what_it_has_to_and_nothing_else() -> None:
    server = Server(OK)
    async with connected(server.serve) as (connections, url):
        assert await asked(connections, url, b'{"a": 1}') == (200, b"{}")
    head, body = server.connections[0][0].split(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ") for line in lines)}
    assert first == "POST /v1/chat/completions?api-version=1 HTTP/1.1"
    assert body == b'{"a": 1}'
    assert fields.pop("host") == url.authority
    assert fields.pop("content-length") == "8"
    assert HEADERS.items() <= fields.items()
    assert len(fields) == len(lines) - 2
    assert not {"transfer-encoding", "expect", "cookie"} & fields.keys()


async def test_the_user_in_an_address_is_told_as_its_headers_say() -> None:
    server = Server(OK)
    async with connected(server.serve) as (connections, url):
        response = await connections.post(url.with_user("me").with_password("secret"), {}, b"{}")
        await response.aclose()
    assert b"authorization: basic bwu6c2vjcmv0" in server.connections[0][0].lower()


async def test_one_connection_serves_requests_that_follow_each_other_whatever_their_headers() -> None:
    server = Server(OK)
    async with connected(server.serve) as (connections, url):
        for number in range(3):
            response = await connections.post(url, HEADERS | {"traceparent": str(number)}, b"{}")
            assert [piece async for piece in response.pieces()] == [b"{}"]
            await response.aclose()
    assert [len(requests) for requests in server.connections] == [3]
    for number, request in enumerate(server.connections[0]):
        assert b"traceparent: %d\r\n" % number in request


@pytest.mark.parametrize("value", ["sk-1\r\nx-forged: 1", "sk\x00", "sk\x7f"])
async def test_a_header_cannot_begin_another_line(value: str) -> None:
    server = Server(OK)
    async with connected(server.serve) as (connections, url):
        with pytest.raises(ValueError, match="control character"):
            await connections.post(url, {"authorization": value}, b"{}")
    assert server.connections == []


async def test_an_address_without_a_host_is_no_address() -> None:
    connections = NetworkConnections(TimeoutSettings())
    with pytest.raises(aiohttp.InvalidURL):
        await connections.post(URL("/v1"), {}, b"{}")
    await connections.aclose()


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, b"{}"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b"
            % (len(gzip.compress(b"{}", mtime=0)), gzip.compress(b"{}", mtime=0)),
            200,
            b"{}",
        ),
        (b"HTTP/1.1 308 Permanent Redirect\r\nlocation: /v2\r\ncontent-length: 0\r\n\r\n", 308, b""),
    ],
)
async def test_answers_of_all_forms_are_read_and_their_connection_is_used_again(
    answer: bytes, status: int, body: bytes
) -> None:
    server = Server(answer, OK)
    async with connected(server.serve) as (connections, url):
        assert await asked(connections, url) == (status, body)
        assert await asked(connections, url) == (200, b"{}")
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}", b"HTTP/1.0 200 OK\r\n\r\n{}"],
)
async def test_an_answer_may_end_with_its_connection(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)

    async with connected(serve) as (connections, url):
        assert await asked(connections, url) == (200, b"{}")
        assert await asked(connections, url) == (200, b"{}")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", aiohttp.ServerDisconnectedError),
        (b"HTTP/1.1 200 OK\r\nconte", aiohttp.ServerDisconnectedError),
        (b"SSH-2.0-OpenSSH_9.6\r\n", aiohttp.ClientResponseError),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 2**16 + b"\r\n\r\n", aiohttp.ClientResponseError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", aiohttp.ClientPayloadError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", aiohttp.ClientPayloadError),
    ],
)
async def test_an_answer_that_is_none_is_an_error_and_is_not_asked_for_again(
    answer: bytes, kind: type[Exception]
) -> None:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await read_request(reader))
        writer.write(answer)

    async with connected(serve) as (connections, url):
        with pytest.raises(kind):
            await asked(connections, url)
    assert len(requests) == 1


async def test_a_connection_that_was_closed_while_it_was_idle_is_not_used() -> None:
    closed = asyncio.Event()
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await read_request(reader))
        writer.write(OK)
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with connected(serve) as (connections, url):
        for _ in range(2):
            closed.clear()
            assert await asked(connections, url) == (200, b"{}")
            await closed.wait()
            for _ in range(5):  # the news of it reaches this side, too
                await asyncio.sleep(0)
    assert len(requests) == 2


async def test_silence_is_not_waited_for_longer_than_is_allowed() -> None:
    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(2**20):
                pass

    async with connected(serve, read_seconds=0.01) as (connections, url):
        with pytest.raises(aiohttp.SocketTimeoutError):
            await asked(connections, url)
        with pytest.raises(aiohttp.SocketTimeoutError):  # of which much waits to be sent
            await asked(connections, url, LARGE)


async def test_no_connection_in_time_is_told_from_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("aiohappyeyeballs.start_connection", never)
    connections = NetworkConnections(TimeoutSettings(connect_seconds=0.01))
    with pytest.raises(aiohttp.ConnectionTimeoutError):
        await connections.post(URL("http://127.0.0.1:9/"), {}, b"{}")
    await connections.aclose()


async def test_a_large_request_is_sent_whole_and_its_connection_used_again() -> None:
    server = Server(OK)
    async with connected(server.serve) as (connections, url):
        assert await asked(connections, url, LARGE) == (200, b"{}")
        assert await asked(connections, url) == (200, b"{}")
    assert [len(requests) for requests in server.connections] == [2]
    assert server.connections[0][0].endswith(b"\r\n\r\n" + LARGE)


async def test_an_answer_that_does_not_wait_for_a_large_request_is_heard() -> None:
    opened: list[None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(None)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK.replace(b"200 OK", b"413 Too Large") if len(opened) == 1 else OK)
        if len(opened) > 1:
            await read_request(reader)

    async with connected(serve) as (connections, url):
        assert await asked(connections, url, LARGE) == (413, b"{}")
        assert await asked(connections, url) == (200, b"{}")
    assert len(opened) == 2  # nobody takes the rest of the first request for the second one


@pytest.mark.parametrize("content", [b"{}", LARGE])
async def test_a_call_that_is_given_up_closes_its_connection(content: bytes) -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(2**20):
                pass
        gone.set()

    async with connected(serve) as (connections, url):
        call = asyncio.create_task(asked(connections, url, content))
        await came.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await gone.wait()


async def test_an_answer_that_is_not_read_to_its_end_closes_its_connection() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", OK)
    async with connected(server.serve) as (connections, url):
        response = await connections.post(url, HEADERS, b"{}")
        assert await anext(response.pieces()) == b"{}"
        await response.aclose()
        assert await asked(connections, url) == (200, b"{}")
    assert len(server.connections) == 2


@pytest.mark.parametrize("comes_later", [False, True])
async def test_a_body_is_read_at_once_where_it_has_come_and_bounded_in_any_case(*, comes_later: bool) -> None:
    goes_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            head, body = OK[:-2], OK[-2:]
            writer.write(head if comes_later else OK)
            if comes_later:
                await goes_on.wait()
                writer.write(body)

    origin = Origin(backend="b", model="m", setting="roles.judge")
    async with connected(serve) as (connections, url):
        for limit in (2, 1):
            goes_on.clear()
            response = await connections.post(url, HEADERS, b"{}")
            if comes_later:
                assert response.arrived() is None
            goes_on.set()
            if limit == 2:
                assert await read_bounded(response, limit=limit, origin=origin) == b"{}"
            else:
                with pytest.raises(MalformedResponseError, match="more than 1 bytes"):
                    await read_bounded(response, limit=limit, origin=origin)
            await response.aclose()
