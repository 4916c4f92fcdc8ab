"""The kinds of jobs behind one door."""

from contextlib import AbstractContextManager, nullcontext

from app.jobs.banks.run import BankFinding, BankRun
from app.jobs.run import Finding, OptimizationRun
from app.jobs.tenure import Tenure
from app.llm.opened_backend import CallTracing
from store.records.optimizations import Claim, JobKind


class JobRuns:
    """Runs whatever a worker has claimed."""

    def __init__(self, prompts: OptimizationRun, banks: BankRun, tracing: CallTracing | None = None) -> None:
        """Searches by ``prompts``, example banks by ``banks``; ``tracing`` traces them, if wanted."""
        self._tracing = tracing
        self._prompts = prompts
        self._banks = banks

    async def run(self, claim: Claim, tenure: Tenure) -> Finding | BankFinding:
        """What the job found.

        Raises:
            DrpoError: the job cannot be done.
            LostLeaseError: somebody else has it now.
        """
        job = claim.optimization
        traced: AbstractContextManager[None] = nullcontext()
        if self._tracing is not None:
            traced = self._tracing.job(job.id, kind=job.kind.value, target=job.target)
        with traced:
            if job.kind is JobKind.EXAMPLE_BANK:
                return await self._banks.run(claim, tenure)
            return await self._prompts.run(claim, tenure)
