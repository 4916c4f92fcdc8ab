"""Limits that processes share through Redis: what a place costs, and how much of the limit they make use of.

``python -m benchmarks.shared_limits`` starts a Redis of its own (``redis-server`` must be on the path). Each
process has a job of its own, whose calls are waits of 50 ms, so that only the limits are measured.
"""

import asyncio
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pydantic import SecretStr

from app.llm.limits.limiter import BackendLimiter
from app.llm.limits.opening import own_limiters
from app.llm.limits.redis_exchange import RedisMeeting
from app.settings import BackendSettings

CALL_SECONDS = 0.05
MAXIMUM = 16
CALLERS = 64
SECONDS = 4.0
WARM_UP_SECONDS = 2.5
ROUNDS = 3
PLACES = 2000


@asynccontextmanager
async def redis() -> AsyncIterator[str]:
    """The URL of a Redis that lives as long as the block."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise SystemExit("there is no redis-server on the path")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220, S603
        try:
            meeting = RedisMeeting(SecretStr(f"redis://127.0.0.1:{port}/0"), prefix="probe")
            while not await meeting.answers():  # noqa: ASYNC110 - it says nothing when it is up
                await asyncio.sleep(0.05)
            await meeting.aclose()
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
            server.wait()


@asynccontextmanager
async def limiter(url: str, prefix: str, maximum: int) -> AsyncIterator[BackendLimiter]:
    """The limits of a backend: shared through ``url``, or this process's own where it is empty."""
    settings = BackendSettings.model_validate({"kind": "simulated", "max_concurrency": maximum})
    if not url:
        yield own_limiters("backend", settings)
        return
    meeting = RedisMeeting(SecretStr(url), prefix=prefix)
    opened = meeting.limiters()("backend", settings)
    yield opened
    await opened.aclose()
    await meeting.aclose()


async def place_cost(url: str, at_once: int) -> tuple[float, float]:
    """Milliseconds that a place takes, and of this process's CPU, with so many askers beside each other."""
    async with limiter(url, secrets.token_hex(4), 10_000) as places:
        async with places.slot("job"):
            pass  # connected, and what is shared has settled
        left = iter(range(PLACES))

        async def ask() -> None:
            for _ in left:
                async with places.slot("job"):
                    pass

        began, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(ask())
        wall = (time.perf_counter() - began) * at_once / PLACES
        return wall * 1000, (time.process_time() - cpu) / PLACES * 1000


async def call_for_ever(url: str, prefix: str, maximum: int, callers: int) -> None:
    """Call until ``SECONDS`` after the warm-up; print how many calls ended after it."""
    counted = 0
    async with limiter(url, prefix, maximum) as places:
        begins = time.monotonic() + WARM_UP_SECONDS

        async def call() -> None:
            nonlocal counted
            while (now := time.monotonic()) < begins + SECONDS:
                async with places.slot(str(os.getpid())):
                    await asyncio.sleep(CALL_SECONDS)
                counted += now >= begins

        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(call())
    print(counted)


async def throughput(*processes: tuple[str, int, int]) -> list[float]:
    """Calls a second of each process, which are given Redis' URL, the maximum and callers."""
    prefix = secrets.token_hex(4)
    running = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.shared_limits", "call"),
            json.dumps([url, prefix, maximum, callers]),
            stdout=subprocess.PIPE,
        )
        for url, maximum, callers in processes
    ]
    return [int((await process.communicate())[0]) / SECONDS for process in running]


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


async def main() -> None:
    """Print medians and ratios; what is compared takes turns."""
    ideal = MAXIMUM / CALL_SECONDS
    cases: dict[str, Callable[[str], tuple[tuple[str, int, int], ...]]] = {
        "one process, its own limit": lambda _: (("", MAXIMUM, CALLERS),),
        "two processes, half the limit each": lambda _: (("", MAXIMUM // 2, CALLERS),) * 2,
        "two processes, shared": lambda url: ((url, MAXIMUM, CALLERS),) * 2,
        "two processes, shared, one with 2 callers": lambda url: ((url, MAXIMUM, CALLERS), (url, MAXIMUM, 2)),
    }
    async with redis() as url:
        print(f"a place, nobody waits (median of {ROUNDS} rounds in turn): ms, CPU ms")
        for at_once in (1, 16, 64):
            own, shared = [], []
            for _ in range(ROUNDS):
                own.append(await place_cost("", at_once))
                shared.append(await place_cost(url, at_once))
            wall, cpu = (median([cost[part] for cost in shared]) for part in (0, 1))
            own_cpu = median([cost[1] for cost in own])
            print(
                f"  {at_once:3} at once: {wall:6.3f} {cpu:6.3f}   in process {own_cpu:6.4f}"
                f"   share of a call of 1 s {wall / 1000:.2%}"
            )
        print(f"{MAXIMUM} places, calls of {CALL_SECONDS * 1000:.0f} ms, ideally {ideal:.0f} calls/s")
        for name, case in cases.items():
            rounds = [await throughput(*case(url)) for _ in range(ROUNDS)]
            each = [median([found[part] for found in rounds]) for part in range(len(rounds[0]))]
            told = " + ".join(f"{rate:.0f}" for rate in each)
            print(f"  {name:42} {told:10} calls/s   {sum(each) / ideal:.3f} of the ideal")


if __name__ == "__main__":
    if sys.argv[1:2] == ["call"]:
        asyncio.run(call_for_ever(*json.loads(sys.argv[2])))
    else:
        asyncio.run(main())
