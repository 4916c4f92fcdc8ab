"""Example banks: create, look at, control."""

from app.example_banks.creation import build_bank_spec, check_prices
from app.example_banks.schemas import AnswerObject, CreateExampleBank, ExampleBankObject
from app.example_banks.views import show_answer, show_bank, show_examples
from app.jobs.banks.spec import BankSpec, draft_from_json
from app.jobs.idempotency import Shown
from app.jobs.schemas import ChangeJob
from app.resources import Resources
from app.stored_examples import example_from_json
from optimizer.types import JsonObject
from store.records.optimizations import JobKind, JobTerms, OptimizationRecord, OptimizationStatus

_KIND = JobKind.EXAMPLE_BANK


class ExampleBankService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._resources = resources
        self._control = resources.control(_KIND)

    async def create(self, request: CreateExampleBank, key: str | None) -> Shown[ExampleBankObject]:
        """Store a bank, or a job that makes it better, unless a request with the same ``key`` has done so.

        Raises:
            InvalidInputError: the request cannot work.
            ApiError: 422, the key was used for another request.
        """

        async def create(terms: JobTerms) -> OptimizationRecord:
            spec = await build_bank_spec(request, self._resources)
            result: JsonObject | None = None if spec.refine else {"bank_id": spec.drafts_id}
            return await self._resources.optimizations.create(
                spec=spec.to_json(), target="", kind=_KIND, result=result, terms=terms
            )

        asked: JsonObject = request.model_dump(mode="json")
        made = await self._control.make(
            key,
            {"create": asked},
            create,
            terms=JobTerms(priority=request.priority),
            may_see=lambda _: True,  # banks belong to no model
        )
        return Shown(await self._show(made.record, whole=True), repeated=made.repeated)

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

    async def pause(self, bank_id: str) -> ExampleBankObject:
        """Ask for a pause; see ``JobControl.pause``."""
        return await self._show(await self._control.pause(bank_id), whole=True)

    async def resume(self, bank_id: str) -> ExampleBankObject:
        """Go on; see ``JobControl.resume``."""
        return await self._show(await self._control.resume(bank_id), whole=True)

    async def cancel(self, bank_id: str) -> ExampleBankObject:
        """Ask for the end; see ``JobControl.cancel``."""
        return await self._show(await self._control.cancel(bank_id), whole=True)

    async def change(self, bank_id: str, change: ChangeJob) -> ExampleBankObject:
        """Change limits or priority; see ``JobControl.change``.

        Raises:
            InvalidInputError: money is to be bounded, and no backend has a price.
        """
        if change.budget is not None and change.budget.cost is not None:
            check_prices(self._resources)
        changed = await self._control.change(bank_id, change.budget, change.priority)
        return await self._show(changed, whole=True)

    async def delete(self, bank_id: str, *, actor: str) -> None:
        """Delete a job that has ended; see ``JobControl.delete``."""
        await self._control.delete(bank_id, used_by=(), actor=actor)

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
