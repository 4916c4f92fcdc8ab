"""Storing prompt versions and example banks, as a part of whatever transaction they belong to."""

from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, select

from store.json_values import JsonObject, content_hash
from store.models.base import storable_json, storable_text
from store.models.example_bank import ExampleBank
from store.models.prompt_version import PromptVersion
from store.named_locks import serialise
from store.records.prompts import PromptVersionDraft, PromptVersionRecord
from store.repositories.prompt_rows import to_version
from store.statements import Statement

_OF_MODEL: Final = PromptVersion.model == bindparam("of_model")
_KNOWN: Final = Statement(
    select(PromptVersion).where(_OF_MODEL, PromptVersion.content_hash == bindparam("of_content"))
)
_LAST_NUMBER: Final = Statement(select(func.max(PromptVersion.number)).where(_OF_MODEL))
_ADD_VERSION: Final = Statement(
    insert(PromptVersion).returning(PromptVersion),
    columns=(
        "id",
        "model",
        "number",
        "content_hash",
        "system_prompt",
        "example_bank_id",
        "k",
        "retrieval",
        "sampling",
        "optimization_id",
        "candidate_id",
        "evidence",
        "provenance",
    ),
)
_KNOWN_BANK: Final = Statement(select(ExampleBank.id).where(ExampleBank.id == bindparam("of_id")))
_ADD_BANK: Final = Statement(insert(ExampleBank), columns=("id", "examples"))


def store_version(connection: Connection, draft: PromptVersionDraft) -> tuple[PromptVersionRecord, bool]:
    """Add a version, or find the one of the same model with the same content; whether it is new."""
    bank_id = _bank_id(draft.examples)
    content = _content_hash(draft, bank_id)
    serialise(connection, f"prompt_versions:{draft.model}")
    known = _KNOWN.first(connection, {"of_model": draft.model, "of_content": content})
    if known is not None:
        return to_version(known), False
    if bank_id is not None:
        _add_bank(connection, bank_id, draft.examples)
    last = _LAST_NUMBER.scalar(connection, {"of_model": draft.model})
    row = {
        "id": f"pv_{content_hash([draft.model, content])[:24]}",
        "model": draft.model,
        "number": (last or 0) + 1,
        "content_hash": content,
        "system_prompt": draft.system_prompt,
        "example_bank_id": bank_id,
        "k": draft.k,
        "retrieval": draft.retrieval,
        "sampling": draft.sampling,
        "optimization_id": draft.optimization_id,
        "candidate_id": draft.candidate_id,
        "evidence": draft.evidence,
        "provenance": draft.provenance,
    }
    return to_version(_ADD_VERSION.one(connection, row)), True


def store_bank(connection: Connection, examples: tuple[JsonObject, ...]) -> str | None:
    """Store a bank, or find the one with the same examples in the same order.

    Returns:
        Its id; None for a bank without examples.
    """
    bank_id = _bank_id(examples)
    if bank_id is not None:
        _add_bank(connection, bank_id, examples)
    return bank_id


def _add_bank(connection: Connection, bank_id: str, examples: tuple[JsonObject, ...]) -> None:
    serialise(connection, f"example_banks:{bank_id}")
    if _KNOWN_BANK.scalar(connection, {"of_id": bank_id}) is None:
        _ADD_BANK.execute(connection, [{"id": bank_id, "examples": list(examples)}])


def _bank_id(examples: tuple[JsonObject, ...]) -> str | None:
    if not examples:
        return None
    return f"eb_{content_hash([storable_json(example) for example in examples])[:24]}"


def _content_hash(draft: PromptVersionDraft, bank_id: str | None) -> str:
    content: JsonObject = {
        "system_prompt": storable_text(draft.system_prompt),
        "example_bank": bank_id,
        "k": draft.k,
        "sampling": storable_json(draft.sampling),
    }
    if draft.retrieval is not None:  # versions from before there was a choice keep their hash
        content["retrieval"] = storable_json(draft.retrieval)
    return content_hash(content)
