"""How long a job stands still where its worker dies or is told to stop, and how late its events are.

``python -m benchmarks.job_takeover [REPETITIONS]``. Workers and services are processes on one PostgreSQL
database (``DRPO_TEST_POSTGRES_URL``, else a server of its own) or one SQLite file. The provider is another
process, with 50 ms a call, and notes when each request came. Printed are the median and the worst.
"""

import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from app.event_loop import run
from benchmarks.provider_process import provider
from store.schema import upgrade
from tests.chaos.cluster import Worker, running, until
from tests.e2e.test_kill import write_settings
from tests.fixtures.database import PostgresDatabases
from tests.fixtures.postgres import postgres_server

LATENCY_MS = 50.0
LEASE_SECONDS = 12.0
WARM_CALLS = 60
"""Requests for the job before something happens to it."""
FOLLOWED_SECONDS = 8.0
JOB = {
    "target": "simulated-small",
    "preset": "paper",
    "label": None,
    "held_out": 0,
    "settings": {"depth": 150, "max_depth_increase": 0},
}
"""Long enough not to end by itself."""


class Site:
    """The processes of one installation, and the provider that they ask."""

    def __init__(self, folder: Path, config: Path, provider_url: str) -> None:
        self._folder = folder
        self._config = config
        self._provider = httpx.AsyncClient(base_url=provider_url, trust_env=False, timeout=60)

    def process(self, name: str, *command: str) -> Worker:
        """One that is not started yet."""
        return Worker(name, (*command, "--config", str(self._config)), self._folder, {})

    async def requests(self) -> list[float]:
        """When each answered request came (monotonic)."""
        timings: list[tuple[float, float]] = (await self._provider.get("/timings")).json()
        return sorted(began for began, _ in timings)

    async def first_after(self, moment: float) -> float:
        """When the first request after ``moment`` came."""

        async def came() -> bool:
            return (await self.requests())[-1] > moment

        await until(came)
        return min(at for at in await self.requests() if at > moment)

    async def begin(self, api: Worker) -> str:
        """Start a job, and wait until it runs well; its path."""
        before = len(await self.requests())
        job = await call(api, "POST", "/v1/optimizations", JOB)

        async def warm() -> bool:
            return len(await self.requests()) >= before + WARM_CALLS

        await until(warm)
        return f"/v1/optimizations/{job['id']}"

    async def aclose(self) -> None:
        """Close the connection to the provider."""
        await self._provider.aclose()


@asynccontextmanager
async def site(url: str) -> AsyncIterator[Site]:
    """A place for processes on the store at ``url``."""
    with tempfile.TemporaryDirectory() as name:
        async with provider(LATENCY_MS) as provider_url:
            config = Path(name) / "drpo.toml"
            write_settings(config, url, provider_url, lease_seconds=LEASE_SECONDS)
            config.write_text(config.read_text().replace("poll_seconds = 0.2", "poll_seconds = 1.0"))
            place = Site(Path(name), config, provider_url)
            yield place
            await place.aclose()


async def call(api: Worker, method: str, path: str, body: object = None) -> dict[str, Any]:
    """The answer of ``api``."""
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as client:
        answer: dict[str, Any] = (await client.request(method, path, json=body)).raise_for_status().json()
        return answer


async def attempt_began(api: Worker, path: str, attempt: int) -> float:
    """When this attempt at the job began (monotonic)."""
    apart = datetime.now(UTC).timestamp() - time.monotonic()
    async with (
        httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as client,
        client.stream("GET", f"{path}/events") as response,
    ):
        async for line in response.aiter_lines():
            body = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            if body.get("type") == "optimization_started" and body["attempt"] == attempt:
                return float(body["at"]) - apart
    raise AssertionError("the job has ended")


async def stands_still(url: str, how: signal.Signals) -> float:
    """Seconds from the signal to a worker until another one asks for the job's next call."""
    async with site(url) as place:
        api, first = place.process("api", "serve", "--no-jobs"), place.process("first", "worker")
        second = place.process("second", "worker")
        async with running([api, first]):
            path = await place.begin(api)
            async with running([second]):
                moment = time.monotonic()
                first.send(how)
                goes_on = await place.first_after(await attempt_began(api, path, 2))
                await call(api, "POST", f"{path}/cancel")
                return goes_on - moment


async def cancelled(url: str) -> float:
    """Seconds from the request to cancel until the last call that was made."""
    async with site(url) as place:
        api, worker = place.process("api", "serve", "--no-jobs"), place.process("worker", "worker")
        async with running([api, worker]):
            path = await place.begin(api)
            moment = time.monotonic()
            await call(api, "POST", f"{path}/cancel")

            async def ended() -> bool:
                return bool((await call(api, "GET", path))["status"] == "cancelled")

            await until(ended)
            return max(0.0, (await place.requests())[-1] - moment)


async def resumed_on_sqlite(folder: Path) -> float:
    """Seconds from when the service listens again, after kill -9, until the job's next call."""
    async with site(f"sqlite:///{folder / 'drpo.db'}") as place:
        service = place.process("service", "serve")
        async with running([service]):
            path = await place.begin(service)
            await service.kill()
            await service.start()
            listens = time.monotonic()
            goes_on = await place.first_after(await attempt_began(service, path, 2))
            await call(service, "POST", f"{path}/cancel")
            return max(0.0, goes_on - listens)


async def event_delays(url: str) -> list[float]:
    """Seconds from an event's time in the store to its arrival through a replica beside the job."""
    async with site(url) as place:
        api, worker = place.process("api", "serve", "--no-jobs"), place.process("worker", "worker")
        async with running([api, worker]):
            path = await place.begin(api)
            delays: list[float] = []
            async with (
                httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as client,
                client.stream("GET", f"{path}/events") as response,
            ):
                begins = datetime.now(UTC).timestamp()
                async for line in response.aiter_lines():
                    now = datetime.now(UTC).timestamp()
                    at = json.loads(line.removeprefix("data: "))["at"] if line.startswith("data: ") else 0.0
                    if at > begins:
                        delays.append(now - at)
                    if now > begins + FOLLOWED_SECONDS:
                        break
            await call(api, "POST", f"{path}/cancel")
            return delays


async def repeated(repetitions: int, measure: Callable[[], Awaitable[float]]) -> str:
    """Median and worst of several measurements."""
    found = [await measure() for _ in range(repetitions)]
    return f"{statistics.median(found):8.2f} s {max(found):8.2f} s"


async def compare(repetitions: int) -> None:
    """Measure and print."""
    with postgres_server() as server:
        databases = PostgresDatabases(server)
        try:
            url = databases.create()
            await upgrade(url)
            print(f"lease {LEASE_SECONDS:g} s, {repetitions} repetitions{'median':>24}{'worst':>11}")
            for name, measure in (
                ("worker killed (-9): next call by another", lambda: stands_still(url, signal.SIGKILL)),
                ("worker told to stop: next call by another", lambda: stands_still(url, signal.SIGTERM)),
                ("cancel: last call after the request", lambda: cancelled(url)),
            ):
                print(f"{name:<46}{await repeated(repetitions, measure)}", flush=True)
            delays = sorted(await event_delays(url))
            middle, high = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
            name = f"event through another replica ({len(delays)}), p50/p99"
            print(f"{name:<46}{middle * 1000:7.1f} ms {high * 1000:7.1f} ms")
        finally:
            databases.drop_all()
    with tempfile.TemporaryDirectory() as name:

        async def resumed() -> float:
            with tempfile.TemporaryDirectory(dir=name) as folder:
                return await resumed_on_sqlite(Path(folder))

        what = "SQLite, killed (-9): next call after it listens"
        print(f"{what:<46}{await repeated(repetitions, resumed)}")


if __name__ == "__main__":
    run(compare(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
