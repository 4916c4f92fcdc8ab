"""Finding a stored example bank by either of its names."""

from app.jobs.banks.spec import draft_from_json
from optimizer.errors import InvalidInputError
from optimizer.examples.answers import ExampleDraft
from optimizer.types import Example
from store.errors import NotFoundError
from store.records.optimizations import JobKind, OptimizationStatus
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository

PARAM = "examples.bank"
_CONTENT = "eb_"


async def find_drafts(
    name: str, optimizations: OptimizationRepository, prompts: PromptRepository
) -> tuple[ExampleDraft, ...]:
    """The examples of the bank called ``name``, with or without answers.

    Args:
        name: the id of the job that made it, or its own.
        optimizations: where jobs are.
        prompts: where banks are.

    Raises:
        InvalidInputError: there is none (yet).
    """
    try:
        bank_id = name
        if not name.startswith(_CONTENT):
            bank_id = await _bank_of(name, optimizations)
        return tuple(draft_from_json(item) for item in await prompts.example_bank(bank_id))
    except NotFoundError as error:
        raise InvalidInputError(f"{error}: see GET /v1/example-banks", param=PARAM) from error


async def find_bank(
    name: str, optimizations: OptimizationRepository, prompts: PromptRepository
) -> tuple[Example, ...]:
    """The examples of the bank called ``name``; as ``find_drafts``, but each has to have an answer.

    Raises:
        InvalidInputError: there is none (yet), or an example in it has no answer.
    """
    examples = []
    for draft in await find_drafts(name, optimizations, prompts):
        if draft.answer is None:
            raise InvalidInputError(
                f"example {draft.id} of {name} has no answer: have the bank refined first "
                "(POST /v1/example-banks)",
                param=PARAM,
            )
        examples.append(Example(id=draft.id, query=draft.query, answer=draft.answer, kind=draft.kind))
    return tuple(examples)


async def _bank_of(job_id: str, optimizations: OptimizationRepository) -> str:
    job = await optimizations.get(job_id, kind=JobKind.EXAMPLE_BANK)
    if job.status is not OptimizationStatus.SUCCEEDED or job.result is None:
        raise InvalidInputError(
            f"the example bank {job_id} is {job.status.value}: wait until it has succeeded", param=PARAM
        )
    return str(job.result["bank_id"])
