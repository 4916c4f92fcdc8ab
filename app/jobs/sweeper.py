"""Keeping jobs, the call ledger and the vectors of texts within their bounds, in the background."""

import logging

from app.background import BackgroundLoop
from app.jobs.readers import jobs_that_read
from app.settings import LedgerSettings
from store.errors import NotFoundError
from store.repositories.call_retention import CallRetention
from store.repositories.job_deletion import JobDeletion
from store.repositories.optimizations import OptimizationRepository
from store.repositories.vector_retention import VectorRetention

_LOGGER = logging.getLogger(__name__)
_DAY_SECONDS = 86_400.0


class LedgerSweeper:
    """Drops calls of old jobs, then the jobs, and old vectors, whenever ``sweep`` is called."""

    def __init__(
        self,
        retention: CallRetention,
        optimizations: OptimizationRepository,
        settings: LedgerSettings,
        *,
        deletion: JobDeletion,
        vectors: VectorRetention,
        keep_jobs_days: float | None,
    ) -> None:
        """A sweeper of ``retention`` by the bounds in ``settings``.

        Args:
            retention: drops calls.
            optimizations: the jobs.
            settings: bounds of the call ledger and of the vectors.
            deletion: deletes jobs.
            vectors: drops vectors.
            keep_jobs_days: how long jobs are kept after their end; None for ever.
        """
        self._deletion = deletion
        self._vectors = vectors
        self._keep_jobs_days = keep_jobs_days
        self._retention = retention
        self._optimizations = optimizations
        self._settings = settings

    def in_background(self) -> BackgroundLoop:
        """Sweeping, now and then; what is half deleted is deleted the next time."""
        return BackgroundLoop(
            "ledger sweeper", self._work, every_seconds=self._settings.sweep_seconds, waits_first=True
        )

    async def sweep(self) -> tuple[str, ...]:
        """Delete the jobs whose time is over, and bring the ledger and the vectors within bounds.

        Returns:
            The jobs whose calls were dropped.
        """
        while await self._retention.summarise():
            pass
        days, read = self._settings.keep_days, frozenset(await jobs_that_read(self._optimizations))
        await self._delete_old_jobs(read)
        dropped = await self._retention.drop_due(
            keep_seconds=None if days is None else days * _DAY_SECONDS,
            max_bytes=self._settings.max_bytes,
            protected=read,
        )
        for optimization_id in dropped:
            _LOGGER.info("%s: its recorded calls are dropped", optimization_id)
        while await self._retention.delete_dropped():
            pass
        await self._sweep_vectors()
        return dropped

    async def _sweep_vectors(self) -> None:
        days = self._settings.vector_keep_days
        dropped = await self._vectors.drop_due(
            keep_seconds=None if days is None else days * _DAY_SECONDS,
            max_bytes=self._settings.vector_max_bytes,
        )
        if dropped:
            _LOGGER.info("%d vectors of texts are dropped", dropped)

    async def _delete_old_jobs(self, read: frozenset[str]) -> None:
        if self._keep_jobs_days is None:
            return
        seconds = self._keep_jobs_days * _DAY_SECONDS
        while due := await self._deletion.expired(keep_seconds=seconds, protected=read):
            for job in due:
                try:
                    await self._deletion.delete(job)
                except NotFoundError:
                    continue  # another process sweeps, too
                _LOGGER.info("%s was deleted: it ended more than %s days ago", job, self._keep_jobs_days)

    async def _work(self) -> None:
        await self.sweep()
