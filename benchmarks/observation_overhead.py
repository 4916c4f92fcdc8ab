"""What being seen costs on the path of a request: nothing, metrics, lines of the log, traces.

Each case is a service in a process of its own, on an SQLite file, before one simulated provider that answers
at once. The cases take turns in short bursts, so that a noisy machine hurts all alike.
"""

import argparse
import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from app.llm.connections import open_plain_transport
from benchmarks.key_overhead import ADMIN, burst, report, service
from benchmarks.provider_process import provider

CASES = {
    "nothing": ("observability.metrics = false", "logging.requests = false"),
    "metrics": ("logging.requests = false",),
    "metrics, log": (),
    "metrics, log, traces": ('observability.traces_endpoint = "{provider}/v1/traces"',),
}


async def measure(rounds: int) -> None:
    """Print medians, and their ratios to the first case."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(provider(0.0))
        clients: dict[str, httpx.AsyncClient] = {}
        for name, lines in CASES.items():
            settings = [line.replace("{provider}", backend) for line in lines]
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = await stack.enter_async_context(service(Path(folder), backend, *settings))
            transport = open_plain_transport()
            client = httpx.AsyncClient(base_url=url, transport=transport, trust_env=False, timeout=60)
            clients[name] = await stack.enter_async_context(client)
        for connections in (1, 32):
            taken: dict[str, list[float]] = {name: [] for name in clients}
            for client in clients.values():
                await burst(client, ADMIN, connections)
            for _ in range(rounds):
                for name, client in clients.items():
                    taken[name] += await burst(client, ADMIN, connections)
            report(connections, taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    asyncio.run(measure(parser.parse_args().rounds))
