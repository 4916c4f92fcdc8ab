"""The kinds of jobs behind one door."""

from app.jobs.banks.run import BankFinding, BankRun
from app.jobs.run import Finding, OptimizationRun
from app.jobs.tenure import Tenure
from store.records.optimizations import Claim, JobKind


class JobRuns:
    """Runs whatever a worker has claimed."""

    def __init__(self, prompts: OptimizationRun, banks: BankRun) -> None:
        """Searches by ``prompts``, example banks by ``banks``."""
        self._prompts = prompts
        self._banks = banks

    async def run(self, claim: Claim, tenure: Tenure) -> Finding | BankFinding:
        """What the job found.

        Raises:
            DrpoError: the job cannot be done.
            LostLeaseError: somebody else has it now.
        """
        if claim.optimization.kind is JobKind.EXAMPLE_BANK:
            return await self._banks.run(claim, tenure)
        return await self._prompts.run(claim, tenure)
