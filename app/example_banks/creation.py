"""From a request to a bank, and to the row of the job that makes it better."""

from collections.abc import Sequence

from pydantic import ValidationError

from app.datasets.builtin_sets import builtin_examples
from app.example_banks.schemas import CreateExampleBank
from app.jobs.banks.inputs import BankReference
from app.jobs.banks.lookup import find_drafts
from app.jobs.banks.spec import BankSpec, draft_to_json
from app.jobs.spec import BudgetSpec
from app.resources import Resources
from optimizer.errors import InvalidInputError
from optimizer.examples.answers import ExampleDraft
from optimizer.examples.config import REFINEMENT_PRESETS, RefinementConfig
from optimizer.examples.estimate import first_calls, refinement_calls
from optimizer.types import JsonObject, ModelRole


async def build_bank_spec(request: CreateExampleBank, resources: Resources) -> BankSpec:
    """Everything that the bank depends on, stored where it has to be.

    Raises:
        InvalidInputError: something in the request cannot work; the message says what to change.
    """
    config = merged_refinement(request.preset, request.settings)
    drafts = await _drafts(request, resources)
    missing = [draft.id for draft in drafts if draft.answer is None]
    if missing and not request.refine:
        raise InvalidInputError(
            f"{missing[0]} has no answer: give one, or set refine to true and have it written",
            param="examples",
        )
    _check_budget(request, config, drafts)
    if request.budget.cost is not None:
        check_prices(resources)
    drafts_id = await resources.prompts.add_example_bank(tuple(draft_to_json(draft) for draft in drafts))
    return BankSpec(
        name=request.name,
        refine=request.refine,
        preset=request.preset,
        config=config,
        drafts_id=str(drafts_id),
        examples=len(drafts),
        calls_max=refinement_calls(config, drafts) if request.refine else 0,
        budget=BudgetSpec.model_validate(request.budget.model_dump()),
    )


def merged_refinement(preset: str, settings: JsonObject) -> RefinementConfig:
    """The preset with ``settings`` on top; groups such as ``judge`` are merged field by field.

    Raises:
        InvalidInputError: a setting is unknown or out of range.
    """
    merged: JsonObject = REFINEMENT_PRESETS[preset].model_dump(mode="json")
    for name, value in settings.items():
        group = merged.get(name)
        merged[name] = {**group, **value} if isinstance(group, dict) and isinstance(value, dict) else value
    try:
        return RefinementConfig.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(["settings", *(str(part) for part in first["loc"])])
        raise InvalidInputError(f"{param}: {first['msg']}", param=param) from error


async def _drafts(request: CreateExampleBank, resources: Resources) -> tuple[ExampleDraft, ...]:
    source = request.examples
    if source is None:
        return tuple(
            ExampleDraft(id=item.id, query=item.query, answer=item.answer, kind=item.kind)
            for item in builtin_examples()
        )
    if isinstance(source, BankReference):
        return await find_drafts(source.bank, resources.optimizations, resources.prompts)
    drafts = tuple(
        ExampleDraft(id=f"ex-{number:03d}", query=item.query, answer=item.answer, kind=item.kind)
        for number, item in enumerate(source, start=1)
    )
    if len({draft.query for draft in drafts}) < len(drafts):
        raise InvalidInputError("two examples have the same query: leave one out", param="examples")
    return drafts


def _check_budget(
    request: CreateExampleBank, config: RefinementConfig, drafts: Sequence[ExampleDraft]
) -> None:
    calls, least = request.budget.calls, min(first_calls(config, draft) for draft in drafts)
    if request.refine and calls is not None and calls < least:
        raise InvalidInputError(
            f"budget.calls is {calls}; the first answer of one example alone takes {least}: give more calls",
            param="budget.calls",
        )


def check_prices(resources: Resources) -> None:
    """A budget of money holds only where something costs money.

    Raises:
        InvalidInputError: no backend of such a job has a price.
    """
    roles = (ModelRole.REWRITER, ModelRole.SELECTOR, ModelRole.EXAMPLE_JUDGE)
    prices = [resources.models.price(role) for role in roles]
    has_price = any(price.input_per_million or price.output_per_million for price in prices)
    if not has_price:
        raise InvalidInputError(
            "budget.cost bounds nothing: no backend of this job has a price; set backends.<name>.price, or "
            "give a budget of calls, tokens or seconds",
            param="budget.cost",
        )
