"""Starting the simulated provider and ending it."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

_START_SECONDS = 20


@asynccontextmanager
async def provider(latency_ms: float) -> AsyncIterator[str]:
    """A simulated provider with ``latency_ms`` a call; gives its root URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.provider", str(port), str(latency_ms)
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_ready(url)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _until_ready(url: str) -> None:
    async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                await client.get(f"{url}/timings")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
