"""The runner of a process: claims jobs of the database and works on them."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from typing import Self

from app.job_settings import JobSettings
from app.jobs.software import this_software
from app.jobs.tenure import Tenure
from app.jobs.worker import JobWorker
from app.telemetry.current import working_on
from optimizer.budget import Budget
from store.errors import StoreUnavailableError
from store.records.optimizations import Claim
from store.repositories.optimizations import OptimizationRepository
from store.wakeups import Wakeups

_LOGGER = logging.getLogger(__name__)
_LAST_CLAIM_SECONDS = 2.0


def worker_name() -> str:
    """Who holds a job: machine, process, and something that no other process of that number has had."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class LocalRunner:
    """Claims waiting jobs up to a limit and works on them. Use as ``async with runner``."""

    def __init__(
        self,
        optimizations: OptimizationRepository,
        worker: JobWorker,
        wakeups: Wakeups,
        settings: JobSettings,
    ) -> None:
        """A runner.

        Args:
            optimizations: where jobs wait.
            worker: works on them.
            wakeups: tell when there is something to do.
            settings: how many at once, and how often to look.
        """
        self._optimizations = optimizations
        self._worker = worker
        self._max_running = settings.max_running
        self._lease_seconds = settings.lease_seconds
        self._poll_seconds = settings.poll_seconds
        self._wakeups = wakeups
        self._hearing = contextlib.ExitStack()
        self._owner = worker_name()
        self._wake = asyncio.Event()
        self._cancels: dict[str, asyncio.Event] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._tenures: dict[str, Tenure] = {}
        self._loop: asyncio.Task[None] | None = None
        self._is_retired = False

    async def __aenter__(self) -> Self:
        """Start to claim."""
        if self._max_running:
            self._hearing.enter_context(self._wakeups.listen_for_work(self._hear))
            self._loop = asyncio.create_task(self._claim_forever(), name="local runner")
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Stop as ``retire`` does, and wait until all is given back."""
        self.retire()
        tasks = [task for task in (self._loop, *self._running) if task is not None]
        if tasks:
            await asyncio.wait(tasks)

    @property
    def owner(self) -> str:
        """Under which name this process holds jobs."""
        return self._owner

    def budgets(self) -> tuple[Budget, ...]:
        """Those of the jobs that run here now."""
        found = (tenure.limits.budget for tenure in self._tenures.values())
        return tuple(budget for budget in found if budget is not None)

    def retire(self) -> None:
        """Stop to claim and begin to give back what is running; it goes on where another runner claims it."""
        if self._is_retired:
            return
        self._is_retired = True
        self._hearing.close()
        for task in (self._loop, *self._running):
            if task is not None:
                task.cancel()

    def _hear(self, optimization_id: str | None) -> None:
        """Look for waiting jobs now; and have the job look at its row, if it runs here."""
        self._wake.set()
        for job in tuple(self._cancels) if optimization_id is None else (optimization_id,):
            if job in self._cancels:
                self._cancels[job].set()

    async def _claim_forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                while len(self._running) < self._max_running:
                    tenure = Tenure(self._lease_seconds)
                    claim = await self._claim()
                    if claim is None:
                        break
                    self._start(claim, tenure)
            except StoreUnavailableError as error:
                _LOGGER.warning("waiting for the store: %s", error)
            except Exception:
                # a service that takes jobs and never runs one again would look healthy
                _LOGGER.exception("no job could be claimed; trying again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._wake.wait()

    async def _claim(self) -> Claim | None:
        """The next job; one that is claimed while this runner is told to stop is given back."""
        claiming = asyncio.create_task(
            self._optimizations.claim_next(
                owner=self._owner, ttl=self._lease_seconds, software=this_software()
            )
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.wait([claiming], timeout=_LAST_CLAIM_SECONDS)
            if claiming.done() and claiming.exception() is None and (claim := claiming.result()) is not None:
                await self._optimizations.release(claim.lease)
            claiming.cancel()
            raise

    def _start(self, claim: Claim, tenure: Tenure) -> None:
        job = claim.lease.optimization_id
        cancel = self._cancels[job] = asyncio.Event()
        self._tenures[job] = tenure
        with working_on(job):
            task = asyncio.create_task(self._worker.work(claim, cancel, tenure), name=f"work {job}")
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(job, done))

    def _ended(self, job: str, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._cancels.pop(job, None)
        self._tenures.pop(job, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("%s: its worker failed and lets the lease run out", job, exc_info=error)
