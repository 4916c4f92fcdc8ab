"""Starting processes that listen, and ending them."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

_START_SECONDS = 60


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One Python process, which listens at ``url``."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        await self._process.wait()

    async def terminate(self) -> int:
        """Ask it to end; its exit code."""
        self._process.terminate()
        return await self._process.wait()


@asynccontextmanager
async def started(
    *arguments: str, port: int, ready_path: str, env: dict[str, str] | None = None
) -> AsyncIterator[Process]:
    """``python arguments`` once it answers at ``ready_path``; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env={**os.environ, **(env or {})}
    )
    running = Process(process, f"http://127.0.0.1:{port}")
    try:
        await _until_ready(process, f"{running.url}{ready_path}")
        yield running
    finally:
        if process.returncode is None:
            await running.kill()


async def _until_ready(process: asyncio.subprocess.Process, url: str) -> None:
    async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(trust_env=False) as client:
        while True:
            if process.returncode is not None:
                raise AssertionError(f"the process ended with {process.returncode} before it listened")
            try:
                await client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # there is nothing to wait for but time
            else:
                return
