"""Prompt versions as other programs keep them."""

from app.errors import invalid_request
from app.prompts.formats.bundle import write_bundle
from app.prompts.formats.content import PromptContent
from app.prompts.formats.dspy_state import write_state
from app.prompts.formats.openai_messages import write_messages
from app.prompts.formats.promptfoo import write_promptfoo
from app.prompts.schemas import PromptVersionObject
from app.prompts.storing_schemas import ExportedPrompt, FormatName
from app.stored_examples import example_from_json
from optimizer.types import JsonObject


def export_version(
    version: PromptVersionObject, wanted: FormatName, *, every_example: bool
) -> ExportedPrompt:
    """``version``, which has its examples, in the format ``wanted``.

    Args:
        version: what is exported.
        wanted: the format.
        every_example: whether formats without retrieval hold the whole bank, instead of its first k examples.
    """
    content = PromptContent(
        system_prompt=version.system_prompt,
        examples=tuple(example_from_json(item) for item in version.examples or ()),
        k=version.k,
        retrieval=version.retrieval,
        sampling=version.sampling,
    )
    return ExportedPrompt(
        format=wanted,
        model=version.model,
        version=version.id,
        content=_written(version, content, wanted, every_example=every_example),
    )


def _written(
    version: PromptVersionObject, content: PromptContent, wanted: FormatName, *, every_example: bool
) -> JsonObject:
    if wanted == "bundle":
        return write_bundle(content, _source(version))
    if wanted == "openai":
        written = write_messages(content, every_example=every_example)
        if not written["messages"]:
            raise invalid_request("the version has neither a system prompt nor examples to export")
        return written
    if wanted == "dspy":
        return write_state(content, every_example=every_example)
    return write_promptfoo(content, model=version.model, every_example=every_example)


def _source(version: PromptVersionObject) -> JsonObject:
    """Where ``version`` comes from; of one that came in a bundle what that said, or each hop would add."""
    if version.provenance.source is not None:
        return version.provenance.source
    return {
        "model": version.model,
        "version": version.id,
        "number": version.number,
        "created_at": version.created_at,
        "optimization_id": version.optimization_id,
        "evidence": version.evidence,
        "provenance": version.provenance.model_dump(mode="json"),
    }
