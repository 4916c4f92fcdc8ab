"""What is done to the processes and servers of an installation while its jobs run."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from tests.chaos.cluster import Store, Worker, until
from tests.chaos.ledger import Finished, all_ended, finished_calls
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.redis import RedisServer


@dataclass(frozen=True, kw_only=True)
class Installation:
    """All that can be disturbed.

    Attributes:
        provider: its counters; it holds its answers while something happens, so that nothing is over before.
        finished: the calls that the ledger had as finished after each disturbance, by key.
        starting: processes that take the place of others.
    """

    workers: list[Worker]
    store: Store
    postgres: PostgresServer
    redis: RedisServer
    provider: httpx.AsyncClient
    draw: random.Random
    finished: Finished = field(default_factory=dict)
    starting: "dict[Worker, asyncio.Task[None]]" = field(default_factory=dict)

    async def disturb(self, requests: int) -> None:
        """One thing after the other, each when the jobs have come a step further.

        Args:
            requests: how many the jobs take in all, undisturbed.
        """
        things: list[Callable[[], Awaitable[None]]] = [
            *[self.kill_a_worker] * 3,
            *[self.freeze_a_worker] * 2,
            self.stop_a_worker,
            self.restart_postgres,
            self.restart_redis,
            self.drop_connections,
        ]
        self.draw.shuffle(things)
        for number, thing in enumerate(things, start=1):
            await self.provider.post(f"/hold/{requests * number // (len(things) + 1)}")
            await self.until_held()
            await thing()
            await self.note_finished()
            await self.provider.post("/release")
        await self.all_started()

    async def until_held(self) -> None:
        """Wait until the jobs have come so far.

        Raises:
            AssertionError: they have ended before: nothing would be disturbed any more.
        """
        held = asyncio.create_task(self.provider.get("/held", timeout=None))
        try:
            await until(lambda: True if held.done() else all_ended(self.store))
            assert held.done(), "the jobs ended before they were disturbed"
        finally:
            held.cancel()
            await asyncio.wait([held])

    async def note_finished(self) -> None:
        """Note what nobody may ask for any more."""
        self.finished.update(await finished_calls(self.store) | self.finished)

    async def kill_a_worker(self) -> None:
        """kill -9, and a new process in its place."""
        worker = await self._pick()
        await worker.kill()
        self._start(worker)

    async def freeze_a_worker(self) -> None:
        """SIGSTOP, until all that it held is in other hands, and SIGCONT."""
        await self.all_started()
        worker = await self._busy_one()
        worker.send(signal.SIGSTOP)
        try:
            await until(lambda: self._holds_nothing(worker))  # its leases run out
        finally:
            worker.send(signal.SIGCONT)

    async def stop_a_worker(self) -> None:
        """SIGTERM: it hands over, ends well, and a new process comes in its place."""
        worker = await self._pick()
        code = await worker.stop()
        assert code == 0, worker.log.read_text(errors="replace")[-3000:]
        self._start(worker)

    async def restart_postgres(self) -> None:
        """kill -9 of all its processes, and a start on what lies on disk."""
        await asyncio.to_thread(self.postgres.kill)
        await asyncio.to_thread(self.postgres.start_again)

    async def restart_redis(self) -> None:
        """It comes back empty."""
        await asyncio.to_thread(self.redis.kill)
        self.redis.begin()
        await self.redis.until_up()

    async def drop_connections(self) -> None:
        """All that processes hold open to the database."""
        await self.store.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    async def all_started(self) -> None:
        """Wait for the new processes."""
        for starting in self.starting.values():
            await starting

    def _start(self, worker: Worker) -> None:
        self.starting[worker] = asyncio.create_task(worker.start())

    async def _pick(self) -> Worker:
        """One that runs."""
        worker = self.draw.choice(self.workers)
        if worker in self.starting:
            await self.starting[worker]
        return worker

    async def _busy_one(self) -> Worker:
        """One that has a job: freezing another one would disturb nothing."""
        busy: list[Worker] = []

        async def found() -> bool:
            busy[:] = [worker for worker in self.workers if not await self._holds_nothing(worker)]
            return bool(busy)

        await until(found)
        return self.draw.choice(busy)

    async def _holds_nothing(self, worker: Worker) -> bool:
        owners = await self.store.rows("SELECT owner FROM optimizations WHERE status = 'running'")
        return not any(f":{worker.pid}:" in str(owner) for (owner,) in owners)
