"""Connections to backends, over real sockets."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp.connector
import httpx
import pytest
import uvicorn

from app.llm.connections import open_plain_transport

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@asynccontextmanager
async def counting_server() -> AsyncIterator[tuple[str, list[None]]]:
    """A server that never closes a connection; its URL, and an entry for each connection."""
    connections: list[None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(None)
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(_ANSWER)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/", connections


@pytest.mark.parametrize(("idle_share", "connections"), [(0.5, 1), (0.9, 2)])
async def test_no_connection_is_used_that_a_common_server_is_about_to_close(
    monkeypatch: pytest.MonkeyPatch, idle_share: float, connections: int
) -> None:
    kept_by_servers = uvicorn.Config(lambda: None).timeout_keep_alive
    async with counting_server() as (url, opened):
        transport = open_plain_transport()
        try:
            await _get(transport, url)
            idle = idle_share * kept_by_servers
            monkeypatch.setattr(aiohttp.connector, "monotonic", lambda: time.monotonic() + idle)
            await _get(transport, url)
        finally:
            await transport.aclose()
    assert len(opened) == connections


async def _get(transport: httpx.AsyncBaseTransport, url: str) -> None:
    response = await transport.handle_async_request(httpx.Request("GET", url))
    await response.aread()
    await response.aclose()


def test_certificates_are_read_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    open_plain_transport()

    def load(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
    open_plain_transport()
