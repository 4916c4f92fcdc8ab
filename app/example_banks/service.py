"""Example banks: create, look at, cancel."""

from app.example_banks.creation import build_bank_spec
from app.example_banks.schemas import AnswerObject, CreateExampleBank, ExampleBankObject
from app.example_banks.views import show_answer, show_bank, show_examples
from app.jobs.banks.spec import BankSpec, draft_from_json
from app.resources import Resources
from app.stored_examples import example_from_json
from optimizer.types import JsonObject
from store.records.optimizations import JobKind, OptimizationRecord, OptimizationStatus

_KIND = JobKind.EXAMPLE_BANK


class ExampleBankService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._resources = resources

    async def create(self, request: CreateExampleBank) -> ExampleBankObject:
        """Store a bank, or a job that makes it better, and wake the runner.

        Raises:
            InvalidInputError: the request cannot work.
        """
        spec = await build_bank_spec(request, self._resources)
        result: JsonObject | None = None if spec.refine else {"bank_id": spec.drafts_id}
        record = await self._resources.optimizations.create(
            spec=spec.to_json(), target="", kind=_KIND, result=result
        )
        self._resources.runner.wake()
        return await self._show(record, whole=True)

    async def get(self, bank_id: str) -> ExampleBankObject:
        """One bank with its examples.

        Raises:
            NotFoundError: there is none.
        """
        return await self._show(await self._resources.optimizations.get(bank_id, kind=_KIND), whole=True)

    async def page(
        self, *, after: str | None, limit: int, status: OptimizationStatus | None
    ) -> tuple[list[ExampleBankObject], bool]:
        """A page of banks, newest first, and whether more follow."""
        records = await self._resources.optimizations.list(
            after=after, limit=limit + 1, status=status, kind=_KIND
        )
        return [await self._show(record) for record in records[:limit]], len(records) > limit

    async def cancel(self, bank_id: str) -> ExampleBankObject:
        """Ask for the end of the job; what it has done is kept.

        Raises:
            NotFoundError: there is none.
        """
        await self._resources.optimizations.get(bank_id, kind=_KIND)
        record = await self._resources.optimizations.request_cancel(bank_id)
        self._resources.runner.cancel(bank_id)
        return await self._show(record, whole=True)

    async def answers(self, bank_id: str, *, example_id: str | None) -> list[AnswerObject]:
        """The answers that were tried.

        Raises:
            NotFoundError: there is no such bank.
        """
        await self._resources.optimizations.get(bank_id, kind=_KIND)
        found = await self._resources.answers.answers(bank_id, example_id=example_id)
        return [show_answer(answer) for answer in found]

    async def _show(self, record: OptimizationRecord, *, whole: bool = False) -> ExampleBankObject:
        resources = self._resources
        rewards = await resources.answers.rewards(record.id)
        rounds = await resources.tree.rounds(record.id)
        shown = show_bank(record, rounds, rewards, await resources.spends.of(record.id))
        if not whole:
            return shown
        stored = await resources.prompts.example_bank(BankSpec.from_json(record.spec).drafts_id)
        bank = () if shown.bank_id is None else await resources.prompts.example_bank(shown.bank_id)
        examples = show_examples(
            record,
            [draft_from_json(item) for item in stored],
            [example_from_json(item) for item in bank],
            rewards,
        )
        return shown.model_copy(update={"examples": examples})
