"""httpx's own connection pool against httpx on aiohttp's: requests a second at the same concurrency.

A simulated provider in another process answers small chat requests after 50 ms. The two transports take
turns, so that a noisy machine hurts both alike.
"""

import asyncio
import json
import statistics
import time

import httpx

from app.llm.connections import open_plain_transport
from benchmarks.provider_process import provider

LATENCY_MS = 50.0
CONCURRENCY = 200
REQUESTS = 1000
ROUNDS = 3
_BODY = json.dumps(
    {"model": "simulated-small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
)
_HEADERS = {"content-type": "application/json"}


async def throughput(client: httpx.AsyncClient, concurrency: int) -> float:
    """Requests a second with ``concurrency`` workers."""
    left = iter(range(REQUESTS))

    async def worker() -> None:
        for _ in left:
            response = await client.post("chat/completions", content=_BODY, headers=_HEADERS)
            response.raise_for_status()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())
    return REQUESTS / (time.perf_counter() - began)


async def main() -> None:
    """Print medians and their ratio."""
    rates: dict[str, list[float]] = {"httpx": [], "httpx on aiohttp": []}
    async with provider(LATENCY_MS) as url:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with (
            httpx.AsyncClient(base_url=f"{url}/v1/", limits=limits, trust_env=False, timeout=60) as plain,
            httpx.AsyncClient(
                base_url=f"{url}/v1/", transport=open_plain_transport(), trust_env=False, timeout=60
            ) as ours,
        ):
            for _ in range(ROUNDS):
                rates["httpx"].append(await throughput(plain, CONCURRENCY))
                rates["httpx on aiohttp"].append(await throughput(ours, CONCURRENCY))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{CONCURRENCY} requests in flight, provider at {LATENCY_MS:.0f} ms, {ROUNDS} rounds in turn")
    for name, rate in medians.items():
        print(f"  {name:18} {rate:8.0f} requests/s")
    print(f"  ratio              {medians['httpx on aiohttp'] / medians['httpx']:8.2f}")


if __name__ == "__main__":
    asyncio.run(main())
