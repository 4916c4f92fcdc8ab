import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app.server import embedded_service, serve
from app.settings import Settings
from optimizer.errors import InvalidInputError


def settings_for(url: str, **server: object) -> Settings:
    return Settings.model_validate({"database": {"url": url}, "server": {"port": 0, **server}})


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[str, "asyncio.Task[None]"]]:
    """``serve`` while the block runs: its URL and its task."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ready.set_result))
    try:
        task.add_done_callback(lambda _: ready.done() or ready.cancel())
        yield await ready, task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])


async def is_alive(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{url}/livez")).status_code == 200


async def test_it_says_where_it_serves_once_it_does(sqlite_url: str) -> None:
    async with serving(settings_for(sqlite_url)) as (url, _):
        assert url.startswith("http://127.0.0.1:")
        assert await is_alive(url)


async def test_a_name_is_an_address(sqlite_url: str) -> None:
    async with serving(settings_for(sqlite_url, host="localhost")) as (url, _):
        assert await is_alive(url)


async def test_a_port_in_use_is_a_clear_message(sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInputError, match=f"cannot listen on 127.0.0.1, port {port}: .*--port"):
            await serve(settings_for(sqlite_url, port=port), lambda _: None)
    async with serving(settings_for(sqlite_url)) as (url, _):
        assert await is_alive(url), "the store was left locked"


async def test_a_service_that_is_cancelled_lets_go_of_its_store_and_its_port(sqlite_url: str) -> None:
    async with serving(settings_for(sqlite_url)) as (url, task):
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        with pytest.raises(httpx.ConnectError):
            await is_alive(url)
    async with serving(settings_for(sqlite_url)) as (url, _):
        assert await is_alive(url)


async def test_two_services_on_one_sqlite_file_exclude_each_other(sqlite_url: str) -> None:
    async with embedded_service(settings_for(sqlite_url)) as url:
        with pytest.raises(InvalidInputError, match="another process serves the database file"):
            await serve(settings_for(sqlite_url), lambda _: None)
        assert await is_alive(url)


async def test_an_embedded_service_leaves_signals_alone(sqlite_url: str) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with embedded_service(settings_for(sqlite_url)) as url:
        assert await is_alive(url)
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_an_embedded_service_ends_with_its_block(sqlite_url: str) -> None:
    async with embedded_service(settings_for(sqlite_url)) as url:
        pass
    with pytest.raises(httpx.ConnectError):
        await is_alive(url)
