"""What being seen costs on the path of a request: nothing, metrics, lines of the log, traces.

Each case is a service in a process of its own, on an SQLite file, before one simulated provider that answers
at once. The cases take turns in short bursts, so that a noisy machine hurts all alike.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from app.llm.http import open_transport
from app.settings import BackendSettings
from benchmarks.key_overhead import ADMIN, burst, report
from benchmarks.provider_process import provider

CASES = {
    "nothing": ("observability.metrics = false", "logging.requests = false"),
    "metrics": ("logging.requests = false",),
    "metrics, log": (),
    "metrics, log, traces": ('observability.traces_endpoint = "{provider}/v1/traces"',),
}


@asynccontextmanager
async def service(folder: Path, provider_url: str, lines: tuple[str, ...]) -> AsyncIterator[str]:
    """The service in a process of its own, on a free port; its log goes nowhere."""
    role = '{ backend = "b", model = "simulated-critic" }'
    config = folder / "drpo.toml"
    config.write_text(
        "\n".join(
            [
                f'database.url = "sqlite:///{folder}/drpo.db"',
                "server.port = 0",
                f'server.api_key = "{ADMIN}"',
                f'backends.b.base_url = "{provider_url}/v1"',
                "backends.b.capabilities.usage_in_stream = true",
                'targets.small = { backend = "b", model = "simulated-small" }',
                f"roles = {{ proposer = {role}, selector = {role}, judge = {role} }}",
                "jobs.max_running = 0",
                *(line.replace("{provider}", provider_url) for line in lines),
            ]
        ),
        encoding="utf-8",
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "serve", "--config", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    told = process.stderr or asyncio.StreamReader()
    try:
        async with asyncio.timeout(60):
            while b"drpo serves" not in (line := await told.readline()):
                if not line:
                    raise RuntimeError("the service has ended")
        yield line.decode().split("serves ")[1].split("/v1")[0]
    finally:
        process.terminate()
        await process.communicate()


async def measure(rounds: int) -> None:
    """Print medians, and their ratios to the first case."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(provider(0.0))
        clients: dict[str, httpx.AsyncClient] = {}
        for name, lines in CASES.items():
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = await stack.enter_async_context(service(Path(folder), backend, lines))
            transport = open_transport(BackendSettings.model_validate({"base_url": f"{url}/v1/"}))
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
