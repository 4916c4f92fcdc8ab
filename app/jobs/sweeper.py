"""Keeping the call ledger within its bounds, in the background of the process that serves."""

import asyncio
import logging
from types import TracebackType
from typing import Self

from app.jobs.spec import JobSpec
from app.settings import LedgerSettings
from store.errors import StoreUnavailableError
from store.records.optimizations import JobKind, OptimizationStatus
from store.repositories.call_retention import CallRetention
from store.repositories.optimizations import OptimizationRepository

_LOGGER = logging.getLogger(__name__)
_DAY_SECONDS = 86_400.0
_PAGE = 100


class LedgerSweeper:
    """Drops the calls of old jobs. Use as ``async with LedgerSweeper(...)``."""

    def __init__(
        self, retention: CallRetention, optimizations: OptimizationRepository, settings: LedgerSettings
    ) -> None:
        """A sweeper of ``retention`` by the bounds in ``settings``."""
        self._retention = retention
        self._optimizations = optimizations
        self._settings = settings
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to sweep, now and then."""
        self._loop = asyncio.create_task(self._sweep_forever(), name="ledger sweeper")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; what is half deleted is deleted the next time."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])

    async def sweep(self) -> tuple[str, ...]:
        """Bring the ledger within its bounds.

        Returns:
            The jobs whose calls were dropped.
        """
        while await self._retention.summarise():
            pass
        days, replayed = self._settings.keep_days, await self._being_replayed()
        dropped = await self._retention.drop_due(
            keep_seconds=None if days is None else days * _DAY_SECONDS,
            max_bytes=self._settings.max_bytes,
            protected=replayed,
        )
        for optimization_id in dropped:
            _LOGGER.info("%s: its recorded calls are dropped", optimization_id)
        while await self._retention.delete_dropped():
            pass
        return dropped

    async def _being_replayed(self) -> frozenset[str]:
        sources = set()
        for status in OptimizationStatus:
            if status.is_final:
                continue
            after = None
            while page := await self._optimizations.list(
                after=after, limit=_PAGE, status=status, kind=JobKind.PROMPT
            ):
                specs = (JobSpec.from_json(record.spec) for record in page)
                sources |= {spec.replay.of for spec in specs if spec.replay is not None}
                after = page[-1].id
        return frozenset(sources)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep_seconds)
            try:
                await self.sweep()
            except StoreUnavailableError as error:
                _LOGGER.warning("the call ledger is not swept now: %s", error)
            except Exception:
                # a ledger that is swept no more would grow without a sign
                _LOGGER.exception("the call ledger could not be swept; trying again")
