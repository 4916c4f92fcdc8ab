"""Workers and an API of one installation as processes, and everything that can happen to them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from store.connections import Database
from store.errors import StoreUnavailableError
from tests.e2e.processes import free_port

KEY_VARIABLE = "CHAOS_PROVIDER_KEY"
BACKEND = f'api_key_env = "{KEY_VARIABLE}"\nmax_concurrency = 8'
"""Each worker has a key of its own, so that the provider can tell who asks."""
_LOOK_SECONDS = 0.05
_MOST_STARTS = 10


class Worker:
    """One ``drpo worker`` or ``drpo serve`` after the other under the same name, as a supervisor runs it."""

    def __init__(self, name: str, command: tuple[str, ...], folder: Path, env: dict[str, str]) -> None:
        """Called ``name``, which is also its key at the provider; it writes to a log in ``folder``."""
        self.name = name
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self._command = (*command, "--port", str(self.port))
        self._env = {**os.environ, **env, KEY_VARIABLE: name}
        self._process: asyncio.subprocess.Process | None = None
        self._starts = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start a process and wait until one answers: without a database it ends, and the next follows."""
        self._starts = 0
        await self._spawn()
        async with httpx.AsyncClient(trust_env=False) as client:
            await until(lambda: self._answers(client))

    async def kill(self) -> None:
        """End the process as a power cut would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> int:
        """Tell it to stop; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def said(self, text: str) -> bool:
        """Whether it has logged ``text``."""
        return text in self.log.read_text(errors="replace")

    async def _spawn(self) -> None:
        self._starts += 1
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app.cli", *self._command, env=self._env, stdout=log, stderr=log
            )

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            assert self._starts < _MOST_STARTS, self.log.read_text(errors="replace")[-3000:]
            await self._spawn()
        try:
            return (await client.get(f"{self.url}/livez")).status_code == 200
        except httpx.TransportError:
            return False


class Store:
    """The database as an onlooker sees it, whatever happens to the server."""

    def __init__(self, url: str) -> None:
        """The one at ``url``."""
        self._database = Database(url, pool_size=1)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The answer to ``query``, as soon as there is one."""
        while True:
            try:
                async with self._database.read() as session:
                    return [tuple(row) for row in await session.execute(text(query))]
            except StoreUnavailableError:
                await asyncio.sleep(_LOOK_SECONDS)

    async def number(self, query: str) -> int:
        """The number that ``query`` gives."""
        ((found,),) = await self.rows(query)
        return int(found)

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()


async def until(true: Callable[[], Awaitable[bool] | bool]) -> None:
    """Look until ``true`` is: other processes tell nobody when they get somewhere."""
    while True:
        found = true()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def running(workers: list[Worker]) -> AsyncIterator[None]:
    """All of ``workers``; none of them is left at the end."""
    try:
        async with asyncio.TaskGroup() as starting:
            for worker in workers:
                starting.create_task(worker.start())
        yield
    finally:
        for worker in workers:
            await worker.kill()
