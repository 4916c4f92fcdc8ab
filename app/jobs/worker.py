"""A claimed job to its end: kept alive by beats, stopped on request, finished under its fence."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from app.job_settings import JobSettings
from app.jobs.backend_pauses import BackendPauses, away
from app.jobs.banks.run import BankFinding
from app.jobs.run import Finding
from app.jobs.tenure import Tenure
from app.jobs.watch import LeaseWatch
from app.stored_examples import example_to_json
from optimizer.errors import DrpoError, InvalidInputError, MisconfiguredError, ModelError
from optimizer.types import JsonObject, StopReason
from optimizer.verdicts import Verdict
from store.connections import Transaction
from store.errors import ConflictError, LostLeaseError, StoreUnavailableError
from store.records.optimizations import (
    BeatResult,
    Claim,
    OptimizationError,
    OptimizationStatus,
)
from store.records.prompts import LabelMoveDraft, PromptVersionDraft
from store.repositories.label_writes import move_label
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository
from store.repositories.version_writes import store_bank, store_version

_LOGGER = logging.getLogger(__name__)
_GIVE_BACK_SECONDS = 5.0
"""For giving back a lease, so that the next worker need not wait for its end."""
_GIVE_BACK_PAUSE = 0.2
_IN_VAIN = "the backend answered whenever it was asked after, but nothing of this job each time it went on"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStore:
    """The parts of the store that a worker writes."""

    optimizations: OptimizationRepository
    prompts: PromptRepository


class JobRun(Protocol):
    """What a job is."""

    async def run(self, claim: Claim, tenure: Tenure) -> Finding | BankFinding:
        """What the job found; it asks for nothing while ``tenure`` is not sure.

        Raises:
            DrpoError: it cannot be done.
            LostLeaseError: somebody else has it now.
        """
        ...


class JobWorker:
    """Takes claimed jobs to their end."""

    def __init__(
        self,
        store: WorkerStore,
        run: JobRun,
        *,
        settings: JobSettings,
        on_label_moved: Callable[[str], None],
    ) -> None:
        """A worker.

        Args:
            store: where jobs end.
            run: what a job is.
            settings: how long a lease lasts without a beat, and a pause for a backend.
            on_label_moved: told the model whose label has moved.
        """
        self._store = store
        self._run = run
        self._lease_seconds = settings.lease_seconds
        self._pauses = BackendPauses(store.optimizations, settings)
        self._on_label_moved = on_label_moved

    async def work(self, claim: Claim, cancel: asyncio.Event, tenure: Tenure | None = None) -> None:
        """Run ``claim`` until it ends, its row asks for its end or a pause, or its lease is lost.

        ``cancel`` makes the worker look at the row at once. ``tenure`` has begun before the job was claimed;
        by default it begins now.

        When this task itself is cancelled the lease is given back, so that the next worker need not wait.
        That takes a few seconds at most, and is not cut short by being cancelled once more.
        """
        job = claim.optimization
        _LOGGER.info("%s begins on %s", job.id, job.target or "the answers of an example bank")
        clock, tenure = _Clock(), tenure or Tenure(self._lease_seconds)
        running = asyncio.create_task(self._run.run(claim, tenure), name=f"run {job.id}")
        watch = LeaseWatch(
            self._store.optimizations, claim.lease, tenure, lease_seconds=self._lease_seconds, lap=clock.lap
        )
        watching = asyncio.create_task(watch.until_stopped(cancel))
        try:
            await asyncio.wait([running, watching], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _see_through(self._hand_over(claim, clock, running, watching))
            raise
        if running.done():
            await _stop(watching)
            await self._finish(claim, running, clock)
            return
        await _stop(running)
        found = watching.result()
        if found is BeatResult.CANCEL_REQUESTED:
            await self._end(claim, OptimizationStatus.CANCELLED, clock)
        elif found is BeatResult.PAUSE_REQUESTED:
            await self._pause(claim, clock)
        else:
            _LOGGER.warning("%s: the lease is lost, another worker goes on", claim.lease.optimization_id)

    async def _hand_over(
        self,
        claim: Claim,
        clock: "_Clock",
        running: "asyncio.Task[Finding | BankFinding]",
        watching: "asyncio.Task[BeatResult]",
    ) -> None:
        await _stop(running, watching)
        await self._give_back(claim, clock)

    async def _give_back(self, claim: Claim, clock: "_Clock") -> None:
        """Give the lease back as soon as the store can be reached; where it stays away the lease runs out."""
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await self._release_when_possible(claim, clock)
        except TimeoutError:
            _LOGGER.warning("%s: its lease could not be given back and runs out", claim.lease.optimization_id)

    async def _release_when_possible(self, claim: Claim, clock: "_Clock") -> None:
        while True:
            try:
                await self._store.optimizations.release(claim.lease, elapsed=clock.lap())
            except StoreUnavailableError:
                await asyncio.sleep(_GIVE_BACK_PAUSE)
            else:
                return

    async def _finish(
        self, claim: Claim, running: "asyncio.Task[Finding | BankFinding]", clock: "_Clock"
    ) -> None:
        job = claim.lease.optimization_id
        try:
            found = running.result()
            if isinstance(found, BankFinding):
                await self._store_bank(claim, found, clock)
            else:
                await self._store_finding(claim, found, clock)
        except LostLeaseError:
            _LOGGER.warning("%s: the lease is lost, another worker goes on", job)
        except StoreUnavailableError as error:
            _LOGGER.warning("%s: the store went away, the job goes on when it is back: %s", job, error)
            await self._give_back(claim, clock)
        except DrpoError as error:
            await self._give_up(claim, error, clock)
        except Exception:
            incident = f"err_{secrets.token_hex(8)}"
            _LOGGER.exception("%s failed with a bug, %s", job, incident)
            message = f"an internal error occurred; it was logged as {incident}"
            error_value = OptimizationError(code="internal_error", message=message)
            await self._end(claim, OptimizationStatus.FAILED, clock, error=error_value)

    async def _give_up(self, claim: Claim, error: DrpoError, clock: "_Clock") -> None:
        """Pause the job where its backend is away, else end it."""
        missing, failure = away(error), _explain(error)
        if missing is not None:
            try:
                paused = await self._pauses.pause(claim.lease, missing, elapsed=clock.lap())
            except LostLeaseError:
                _LOGGER.warning("%s: the lease is lost, another worker goes on", claim.lease.optimization_id)
                return
            if paused is not None:
                told = "%s %s for backend %s: %r"
                _LOGGER.info(told, paused.id, paused.status.value, missing.backend, str(missing))
                return
            failure = OptimizationError(code=failure.code, message=f"{failure.message}; {_IN_VAIN}")
        await self._end(claim, OptimizationStatus.FAILED, clock, error=failure)

    async def _store_bank(self, claim: Claim, finding: BankFinding, clock: "_Clock") -> None:
        """Bank and end of the job in one transaction."""

        def store_all(transaction: Transaction) -> JsonObject:
            return {"bank_id": store_bank(transaction, finding.bank)}

        await self._succeed(claim, finding.to_json(), store_all, clock)

    async def _store_finding(self, claim: Claim, finding: Finding, clock: "_Clock") -> None:
        """Version, label and end of the job in one transaction."""
        target = claim.optimization.target
        result = finding.to_json()
        nothing_chosen = await self._nothing_chosen(finding)

        def store_all(transaction: Transaction) -> JsonObject:
            version_id, moved, note = None, None, nothing_chosen
            if note is None:
                version, _ = store_version(transaction, _version_draft(claim, finding, result))
                version_id = version.id
                moved, note = _move_label(transaction, target, finding, version_id)
            return {"prompt_version": version_id, "label_moved": moved, "label_note": note}

        await self._succeed(claim, result, store_all, clock)
        self._on_label_moved(target)
        _LOGGER.info("%s succeeded: %s", claim.lease.optimization_id, finding.compared.conclusion.reason)

    async def _succeed(
        self,
        claim: Claim,
        result: JsonObject,
        store_all: Callable[[Transaction], JsonObject],
        clock: "_Clock",
    ) -> None:
        """End the job in the transaction that stores what it has found."""
        await self._store.optimizations.finish(
            claim.lease, OptimizationStatus.SUCCEEDED, result=result, elapsed=clock.lap(), before=store_all
        )

    async def _nothing_chosen(self, finding: Finding) -> str | None:
        """Why the search has chosen no prompt that would be a new version; None where it has."""
        if finding.spec.replay is not None:
            return "a replay stores no prompt version and moves no label"
        search, incumbent = finding.search, finding.spec.incumbent_version_id
        if search.stop_reason is StopReason.UNSCORED or search.rounds == 0:
            return finding.compared.conclusion.reason
        chosen, reason = finding.compared.chosen, finding.compared.conclusion.reason
        if chosen.id != search.seed_prompt.id:
            return None
        if incumbent is not None:
            served = await self._store.prompts.get_version(incumbent)
            if served.system_prompt != chosen.system_prompt:
                return None
        return reason

    async def _pause(self, claim: Claim, clock: "_Clock") -> None:
        try:
            paused = await self._store.optimizations.pause(claim.lease, elapsed=clock.lap())
        except LostLeaseError:
            _LOGGER.warning("%s: the lease is lost, another worker pauses it", claim.lease.optimization_id)
            return
        _LOGGER.info("%s %s", claim.lease.optimization_id, paused.status.value)

    async def _end(
        self,
        claim: Claim,
        status: OptimizationStatus,
        clock: "_Clock",
        *,
        error: OptimizationError | None = None,
    ) -> None:
        try:
            await self._store.optimizations.finish(claim.lease, status, error=error, elapsed=clock.lap())
        except LostLeaseError:
            _LOGGER.warning("%s: the lease is lost, another worker ends it", claim.lease.optimization_id)
            return
        # repr: a message may hold line breaks, and a log line must not be forged with them
        told = status.value if error is None else f"{status.value}: {error.message!r}"
        _LOGGER.info("%s %s", claim.lease.optimization_id, told)


class _Clock:
    """Seconds worked since the last look."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        now = time.monotonic()
        elapsed, self._last = now - self._last, now
        return elapsed


def _move_label(
    transaction: Transaction, target: str, finding: Finding, version_id: str
) -> tuple[str | None, str]:
    """The label that was moved, if any, and why or why not."""
    spec, conclusion = finding.spec, finding.compared.conclusion
    if conclusion.verdict is not Verdict.PROMOTED:
        return None, conclusion.reason
    if spec.label is None:
        return None, "the job was not asked to move a label"
    move = LabelMoveDraft(
        model=target,
        label=spec.label,
        version_id=version_id,
        actor="optimization",
        reason=conclusion.reason,
    )
    try:
        move_label(transaction, move, expected=spec.incumbent_version_id)
    except ConflictError:
        return None, f"{spec.label} was moved by somebody else while the job ran"
    return spec.label, conclusion.reason


def _version_draft(claim: Claim, finding: Finding, result: JsonObject) -> PromptVersionDraft:
    config = finding.spec.config
    return PromptVersionDraft(
        model=claim.optimization.target,
        system_prompt=finding.compared.chosen.system_prompt,
        examples=tuple(example_to_json(example) for example in finding.examples),
        k=config.k,
        retrieval=finding.spec.retrieval.to_version(),
        sampling={"temperature": config.target.temperature, "top_p": config.target.top_p},
        optimization_id=claim.lease.optimization_id,
        candidate_id=finding.compared.chosen.id,
        evidence={name: result[name] for name in ("gate", "judge", "models", "rewards")},
    )


def _explain(error: DrpoError) -> OptimizationError:
    code = "job_failed"
    if isinstance(error, InvalidInputError):
        code = "invalid_input"
    elif isinstance(error, MisconfiguredError):
        code = "backend_misconfigured"
    elif isinstance(error, ModelError):
        code = "backend_unavailable"
    return OptimizationError(code=code, message=str(error))


async def _see_through(work: Coroutine[object, object, None]) -> None:
    """Let ``work`` come to its end, however often this task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    task.result()


async def _stop(*tasks: "asyncio.Task[Finding | BankFinding] | asyncio.Task[BeatResult]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()
