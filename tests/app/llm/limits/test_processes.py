import asyncio
import random
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.architecture.sources import ROOT

_LONG = 60.0


class Backend:
    """Counts who is connected; holds each for a moment that a seed decides."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._changed = asyncio.Condition()
        self.inside: Counter[int] = Counter()
        self.answered: Counter[int] = Counter()
        self.most = 0
        self._handlers = 0

    @property
    def connected(self) -> int:
        """Requests under way."""
        return self.inside.total()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        self._handlers += 1
        try:
            await self._answer(reader, writer)
        finally:
            self._handlers -= 1
            writer.close()
            async with self._changed:
                self._changed.notify_all()

    async def until_empty(self) -> None:
        """Wait until everybody has gone."""
        await self.until(lambda: self._handlers == 0)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        process = int(await reader.readline() or b"0")
        if process:
            self.inside[process] += 1
            self.most = max(self.most, self.connected)
            await asyncio.sleep(self._chance.uniform(0.001, 0.03))
            self.inside[process] -= 1
            self.answered[process] += 1
            writer.write(b".")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds after somebody was answered."""
        async with asyncio.timeout(_LONG), self._changed:
            await self._changed.wait_for(condition)


@asynccontextmanager
async def served(backend: Backend) -> AsyncIterator[int]:
    """``backend`` on a port."""
    server = await asyncio.start_server(backend.answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await backend.until_empty()


@asynccontextmanager
async def crowds(
    url: str, port: int, maximum: int, callers: list[int]
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """A process for each of ``callers``."""
    prefix = f"drpo-test-{secrets.token_hex(6)}"
    command = (sys.executable, "-m", "tests.app.llm.limits.crowd", url, prefix, str(port), str(maximum))
    processes = [await asyncio.create_subprocess_exec(*command, str(count), cwd=ROOT) for count in callers]
    try:
        yield processes
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_three_processes_never_exceed_the_maximum_and_a_killed_one_leaks_nothing(
    redis_url: str, seed: int
) -> None:
    backend, maximum = Backend(seed), 4
    async with served(backend) as port, crowds(redis_url, port, maximum, [8, 8, 8]) as processes:
        await backend.until(lambda: all(backend.answered[process.pid] > 20 for process in processes))
        victim = random.Random(seed).choice(processes)
        await backend.until(lambda: backend.inside[victim.pid] > 0)
        assert backend.most == maximum
        victim.kill()
        await victim.wait()
        await backend.until(lambda: backend.inside[victim.pid] == 0)
        rest = [process.pid for process in processes if process is not victim]
        backend.most = 0
        before = backend.answered.copy()
        await backend.until(lambda: backend.most >= maximum)  # its places are in use again
        await backend.until(lambda: all(backend.answered[pid] > before[pid] + 60 for pid in rest))
    assert backend.most == maximum


@pytest.mark.slow
async def test_a_process_with_two_callers_gets_its_share_beside_one_with_fifty(redis_url: str) -> None:
    backend = Backend(1)
    async with served(backend) as port, crowds(redis_url, port, 4, [50, 2]) as (crowd, pair):
        await backend.until(lambda: backend.answered[crowd.pid] > 20 and backend.answered[pair.pid] > 20)
        before = backend.answered.copy()
        await backend.until(lambda: backend.answered[crowd.pid] > before[crowd.pid] + 200)
        shares = [backend.answered[process.pid] - before[process.pid] for process in (crowd, pair)]
        assert shares[1] > shares[0] / 4  # two of four places at best, and a poll for each turn
        assert backend.most <= 4
