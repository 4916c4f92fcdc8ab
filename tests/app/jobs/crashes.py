"""Crashes without a crash: what lies on disk at a moment is what a kill -9 at that moment leaves behind."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from store.connections import Database
from store.progress import ProgressLog
from tests.app.jobs.service import JobService, open_service


@dataclass(frozen=True, kw_only=True)
class Crash:
    """A copy of a store, taken while a job ran on it.

    Attributes:
        url: the copy.
        after: what had just become durable.
    """

    url: str
    after: str


class Crashes:
    """Copies an SQLite store whenever it is told to, between two transactions.

    What the process has only in memory is not in the copy; a call under way is there as an intent.

    Attributes:
        taken: the copies, in their order.
    """

    def __init__(self, service: JobService, folder: Path) -> None:
        self._database = service.resources.database
        self._folder = folder
        self.taken: list[Crash] = []

    async def take(self, after: str) -> None:
        """Copy the store as it is now."""
        source = Path(str(self._database.url.database))
        copy = self._folder / f"crash-{len(self.taken):03d}.db"
        async with self._database._turn():
            shutil.copyfile(source, copy)
            log = source.with_name(f"{source.name}-wal")
            if log.exists():
                shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
        self.taken.append(Crash(url=f"sqlite:///{copy}", after=after))

    def after_each_event(self, log: ProgressLog) -> None:
        """Take one after each event that is recorded in ``log``."""
        record = log.record

        async def recording(lease: Any, batch: Any) -> int:
            added = await record(lease, batch)
            await self.take(", ".join(event.key for event in batch.events))
            return added

        log.record = recording  # type: ignore[method-assign]


async def finished_calls(url: str) -> dict[str, tuple[int, int]]:
    """Attempts and fence of each call that is answered, by key."""
    database = Database(url)
    try:
        async with database.read() as session:
            rows = await session.execute(
                text("SELECT key, calls, fence FROM model_calls WHERE status = 'done'")
            )
            return {key: (calls, fence) for key, calls, fence in rows}
    finally:
        await database.close()


async def go_on(crash: Crash, job: str, found: Any) -> tuple[Any, int]:
    """Start again after a crash; what ``found`` gives at the end, and how many requests were sent."""
    async with open_service(crash.url) as service:
        await service.finished(job)
        return await found(service, job), service.backend.requests.total()
