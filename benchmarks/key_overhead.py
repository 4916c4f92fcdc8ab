"""What a key costs on the path of a request: the settings' key against a stored one, with rates, with quotas.

The service runs in another process on an SQLite file, before a simulated provider in a third one that answers
at once. The cases take turns in short bursts, so that a noisy machine hurts all alike.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from app.llm.connections import open_plain_transport
from benchmarks.provider_process import provider

ADMIN = "sk-benchmark-0123456789"
BURST = 64
CASES: dict[str, dict[str, object] | None] = {
    "the settings' key": None,
    "a stored key": {},
    "with rates": {"requests_per_minute": 10**9, "tokens_per_minute": 10**12},
    "with rates and quotas": {
        "requests_per_minute": 10**9,
        "tokens_per_minute": 10**12,
        "quotas": [
            {"period": "day", "requests": 10**9, "tokens": 10**12},
            {"period": "month", "tokens": 10**13},
        ],
    },
}
_BODY = json.dumps(
    {"model": "small", "messages": [{"role": "user", "content": "Hello " * 150}], "max_tokens": 16}
)


@asynccontextmanager
async def service(folder: Path, provider_url: str, *settings: str) -> AsyncIterator[str]:
    """The service in a process of its own, on a free port, with further lines of settings."""
    role = '{ backend = "b", model = "simulated-critic" }'
    lines = [
        f'database.url = "sqlite:///{folder}/drpo.db"',
        "server.port = 0",
        f'server.api_key = "{ADMIN}"',
        f'backends.b = {{ base_url = "{provider_url}/v1", capabilities = {{ usage_in_stream = true }} }}',
        'targets.small = { backend = "b", model = "simulated-small" }',
        f"roles = {{ proposer = {role}, selector = {role}, judge = {role} }}",
        "jobs.max_running = 0",
        *settings,
    ]
    config = folder / "drpo.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "serve", "--config", str(config)),
        stdout=asyncio.subprocess.DEVNULL,  # its log
        stderr=asyncio.subprocess.PIPE,
    )
    told = process.stderr or asyncio.StreamReader()
    try:
        async with asyncio.timeout(60):
            while b"drpo serves" not in (line := await told.readline()):
                pass
        yield line.decode().split("serves ")[1].split("/v1")[0]
    finally:
        process.terminate()
        await process.communicate()


async def burst(client: httpx.AsyncClient, key: str, connections: int) -> list[float]:
    """The seconds that each request of a burst took."""
    left, taken = iter(range(BURST)), []
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    async def worker() -> None:
        for _ in left:
            began = time.perf_counter()
            response = await client.post("/v1/chat/completions", content=_BODY, headers=headers)
            response.raise_for_status()
            taken.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(worker())
    return taken


async def make_keys(client: httpx.AsyncClient) -> dict[str, str]:
    """A key for each case."""
    keys = {}
    for name, limits in CASES.items():
        keys[name] = ADMIN
        if limits is not None:
            made = await client.post(
                "/v1/keys",
                json={"name": name, "limits": limits},
                headers={"authorization": f"Bearer {ADMIN}"},
            )
            keys[name] = made.raise_for_status().json()["key"]
    return keys


async def measure(rounds: int) -> None:
    """Print medians, and their ratios to the first case."""
    with tempfile.TemporaryDirectory() as folder:
        async with provider(0.0) as backend, service(Path(folder), backend) as url:
            transport = open_plain_transport()
            async with httpx.AsyncClient(
                base_url=url, transport=transport, trust_env=False, timeout=60
            ) as client:
                keys = await make_keys(client)
                for connections in (1, 32):
                    taken: dict[str, list[float]] = {name: [] for name in keys}
                    for key in keys.values():
                        await burst(client, key, connections)
                    for _ in range(rounds):
                        for name, key in keys.items():
                            taken[name] += await burst(client, key, connections)
                    report(connections, taken)


def report(connections: int, taken: dict[str, list[float]]) -> None:
    """Print the cases."""
    base = statistics.median(next(iter(taken.values())))
    print(f"{connections} connections, {len(next(iter(taken.values())))} requests a case")
    for name, seconds in taken.items():
        median, last = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
        print(
            f"  {name:22} p50 {median * 1e3:8.2f} ms   p99 {last * 1e3:8.2f} ms   ratio {median / base:5.2f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    asyncio.run(measure(parser.parse_args().rounds))
