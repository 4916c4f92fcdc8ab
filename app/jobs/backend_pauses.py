"""Jobs whose backend is away: paused instead of failed, asked after, and queued again."""

import asyncio
import dataclasses
import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Protocol, Self, TypeAlias

from app.background import BackgroundLoop
from app.job_settings import JobSettings
from app.llm.http_scorer import BACKEND as SCORER
from optimizer.errors import (
    BackendUnavailableError,
    DrpoError,
    MisconfiguredError,
    ModelError,
    QuotaExhaustedError,
    RateLimitedError,
)
from store.errors import JobStateError, NotFoundError, StoreUnavailableError
from store.records.optimizations import Lease, OptimizationRecord, PauseCause, PauseReason
from store.repositories.optimizations import OptimizationRepository

_LOGGER = logging.getLogger(__name__)
_HOLD_SECONDS = 90.0
"""For which a job that is being asked after is nobody else's to ask after; longer than an answer may take."""
_LARGEST_POWER = 20

AwayError: TypeAlias = BackendUnavailableError | RateLimitedError | QuotaExhaustedError


class Liveness(Protocol):
    """Knows whether backends answer."""

    async def check(self, backend: str) -> None:
        """Return where ``backend`` answers.

        Raises:
            ModelError: it does not, or says that no request can work.
        """
        ...


def away(error: DrpoError) -> AwayError | None:
    """``error``, if it may pass by itself or with the account's next filling; None where it will not.

    A user's own scorer is no backend: nobody here knows what to ask it for.
    """
    if isinstance(error, AwayError) and error.backend != SCORER:
        return error
    return None


class BackendPauses:
    """Pauses jobs for backends."""

    def __init__(self, optimizations: OptimizationRepository, settings: JobSettings) -> None:
        """Pauses in ``optimizations``, as long as ``settings`` say."""
        self._optimizations = optimizations
        self._settings = settings

    async def pause(self, lease: Lease, error: AwayError, *, elapsed: float) -> OptimizationRecord | None:
        """Pause the job under ``lease`` until the backend of ``error`` answers.

        Returns:
            None, and nothing is changed, where it has paused for backends in vain too often.

        Raises:
            LostLeaseError: it is not ours any more.
        """
        job = lease.optimization_id
        answered = await self._optimizations.answered_calls(job)
        fruitless = await self._optimizations.fruitless_pauses(job, answered=answered)
        if fruitless >= self._settings.fruitless_pauses:
            return None
        reason = PauseReason(
            cause=PauseCause.BACKEND,
            message=f"{error}; the job goes on by itself when the backend answers again",
            backend=error.backend,
            answered=answered,
        )
        return await self._optimizations.pause_for_backend(
            lease, reason, probe_in=delay(self._settings, fruitless), elapsed=elapsed
        )


class BackendProbes:
    """Asks, in the background, after the backends that jobs are paused for. Use as ``async with``."""

    def __init__(
        self, optimizations: OptimizationRepository, liveness: Liveness, settings: JobSettings
    ) -> None:
        """Probes by ``liveness``, as often as ``settings`` say."""
        self._optimizations = optimizations
        self._liveness = liveness
        self._settings = settings
        self._probing: dict[str, asyncio.Task[None]] = {}
        self._looking = BackgroundLoop("backend probes", self._look, every_seconds=settings.poll_seconds)

    async def __aenter__(self) -> Self:
        """Begin."""
        if self._settings.max_running:
            await self._looking.__aenter__()
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Stop; who was being asked after is asked after by another process."""
        await self._looking.__aexit__(kind, exc, trace)
        probing = tuple(self._probing.values())
        for task in probing:
            task.cancel()
        if probing:
            await asyncio.wait(probing)

    async def _look(self) -> None:
        if not await self._optimizations.has_due_probes():
            return
        for backend, jobs in _by_backend(await self._optimizations.due_probes(hold=_HOLD_SECONDS)).items():
            if backend not in self._probing:
                task = asyncio.create_task(self._probe(backend, jobs), name=f"probe of {backend}")
                self._probing[backend] = task
                task.add_done_callback(partial(self._ended, backend))

    def _ended(self, backend: str, _: "asyncio.Task[None]") -> None:
        del self._probing[backend]

    async def _probe(self, backend: str, jobs: list[OptimizationRecord]) -> None:
        try:
            try:
                await self._liveness.check(backend)
            except ModelError as error:
                if isinstance(error, QuotaExhaustedError) or not isinstance(error, MisconfiguredError):
                    await self._put_off(jobs, error)
                    return
                _LOGGER.warning("backend %s answers, but: %s", backend, error)  # its jobs will say so
            else:
                _LOGGER.info("backend %s answers again", backend)
            for job in await self._optimizations.waiting_for_backend(backend):
                with suppress(JobStateError, NotFoundError):  # somebody was faster
                    await self._optimizations.resume_after_backend(job)
        except StoreUnavailableError as error:
            _LOGGER.warning("what a probe of %s has found is lost: %s", backend, error)
        except Exception:
            _LOGGER.exception("backend %s could not be asked", backend)

    async def _put_off(self, jobs: Iterable[OptimizationRecord], error: ModelError) -> None:
        for job in jobs:
            if job.paused_because is not None:
                probes = job.paused_because.probes + 1
                reason = dataclasses.replace(job.paused_because, probes=probes)
                wait = delay(self._settings, probes)
                await self._optimizations.put_off_probe(job.id, reason, probe_in=wait)
                _LOGGER.info("%s: asked again in %.0f s: %s", job.id, wait, error)


def delay(settings: JobSettings, failed: int) -> float:
    """Seconds until the next probe after ``failed`` in vain."""
    doubled = settings.probe_seconds * float(2 ** min(failed, _LARGEST_POWER))
    return min(doubled, settings.longest_probe_seconds)


def _by_backend(jobs: Iterable[OptimizationRecord]) -> dict[str, list[OptimizationRecord]]:
    grouped: dict[str, list[OptimizationRecord]] = {}
    for job in jobs:
        if job.paused_because is not None and job.paused_because.backend is not None:
            grouped.setdefault(job.paused_because.backend, []).append(job)
    return grouped
