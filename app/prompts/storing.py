"""Prompt versions that no job has made: written by hand, or taken from another program's file."""

from app.errors import invalid_request
from app.jobs.banks.inputs import BankReference, ExampleInput
from app.jobs.banks.lookup import find_bank
from app.prompts.formats.bundle import read_bundle
from app.prompts.formats.content import PromptContent, ReadPrompt
from app.prompts.formats.dspy_state import read_state
from app.prompts.formats.openai_messages import read_messages
from app.prompts.formats.promptfoo import read_promptfoo
from app.prompts.storing_schemas import (
    CreateVersion,
    ImportBundle,
    ImportDspy,
    ImportOpenai,
    ImportPrompt,
)
from app.resources import Resources
from app.retrieval import RetrievalSpec
from app.stored_examples import example_to_json
from optimizer.types import Example, JsonObject
from store.records.prompts import PromptVersionDraft, PromptVersionRecord

_USUAL_K = 2


class VersionStore:
    """Adds versions. No label moves: that is asked for by itself."""

    def __init__(self, resources: Resources) -> None:
        """Adds to the store of ``resources``."""
        self._resources = resources

    async def write(
        self, model: str, request: CreateVersion, *, actor: str
    ) -> tuple[PromptVersionRecord, bool]:
        """Store what a person has written; says as well whether it is new.

        Raises:
            ApiError: 400, it cannot be served.
            InvalidInputError: there is no such example bank.
        """
        examples = await self._examples(request.examples)
        k = min(_USUAL_K, len(examples)) if request.k is None else request.k
        if k > len(examples):
            raise invalid_request(f"k is {k}, and there are {len(examples)} examples", param="k")
        content = PromptContent(
            system_prompt=request.system_prompt,
            examples=examples,
            k=k,
            retrieval=None if request.retrieval is None else request.retrieval.to_version(),
            sampling=request.sampling.model_dump(mode="json"),
        )
        if not content.system_prompt.strip() and not examples:
            raise invalid_request(
                "system_prompt is blank and there are no examples: nothing would be aligned",
                param="system_prompt",
            )
        return await self._store(model, content, {**_note(request), "how": "by_hand", "by": actor})

    async def take_over(
        self, model: str, request: ImportPrompt, *, actor: str
    ) -> tuple[PromptVersionRecord, bool]:
        """Store what another program, or another service, has written; says as well whether it is new.

        Raises:
            ApiError: 400, it cannot be read, or not be served here.
        """
        read, source = _read(request)
        provenance: JsonObject = {
            **_note(request),
            "how": "imported",
            "by": actor,
            "format": request.format,
            "left_out": list(read.left_out),
            "source": source,
        }
        return await self._store(model, read.content, provenance)

    async def _store(
        self, model: str, content: PromptContent, provenance: JsonObject
    ) -> tuple[PromptVersionRecord, bool]:
        self._check_retrieval(content)
        return await self._resources.prompts.store_version(
            PromptVersionDraft(
                model=model,
                system_prompt=content.system_prompt,
                examples=tuple(example_to_json(example) for example in content.examples),
                k=content.k,
                retrieval=content.retrieval,
                sampling=content.sampling,
                provenance=provenance,
            )
        )

    async def _examples(self, given: list[ExampleInput] | BankReference | None) -> tuple[Example, ...]:
        if isinstance(given, BankReference):
            return await find_bank(given.bank, self._resources.optimizations, self._resources.prompts)
        return tuple(
            Example(id=f"ex-{number:03d}", query=item.query, answer=item.answer, kind=item.kind)
            for number, item in enumerate(given or (), start=1)
        )

    def _check_retrieval(self, content: PromptContent) -> None:
        """What finds the examples has to be there: no caller chooses what else this service opens.

        Raises:
            ApiError: 400, it is not.
        """
        if content.retrieval is None:
            return
        wanted = RetrievalSpec.from_version(content.retrieval)
        settings = self._resources.settings
        if wanted.kind == "backend" and wanted.model and wanted.backend in settings.backends:
            return
        if wanted == RetrievalSpec.from_settings(settings.retrieval):
            return
        raise invalid_request(
            "retrieval: this service finds no examples by that; name a backend of its settings and a model, "
            "or the local model of its [retrieval], or leave it out to have examples found by shared words",
            param="retrieval",
        )


def _read(request: ImportPrompt) -> tuple[ReadPrompt, JsonObject | None]:
    if isinstance(request, ImportBundle):
        return ReadPrompt(content=read_bundle(request.content)), request.content.source or None
    if isinstance(request, ImportOpenai):
        return read_messages(request.content), None
    if isinstance(request, ImportDspy):
        return read_state(request.content), None
    return read_promptfoo(request.content), None


def _note(request: CreateVersion | ImportPrompt) -> JsonObject:
    return {"name": request.name, "note": request.note}
