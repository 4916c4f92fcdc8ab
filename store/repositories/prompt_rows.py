"""Rows of prompt versions, labels and their moves, as records."""

from store.models.label_move import LabelMove
from store.models.prompt_label import PromptLabel
from store.models.prompt_version import PromptVersion
from store.records.prompts import LabelMoveRecord, LabelRecord, PromptVersionRecord
from store.statements import NamedRow


def to_version(row: PromptVersion | NamedRow) -> PromptVersionRecord:
    """``row`` as a value."""
    return PromptVersionRecord(
        id=row.id,
        model=row.model,
        number=row.number,
        content_hash=row.content_hash,
        system_prompt=row.system_prompt,
        example_bank_id=row.example_bank_id,
        k=row.k,
        retrieval=row.retrieval,
        sampling=row.sampling,
        optimization_id=row.optimization_id,
        candidate_id=row.candidate_id,
        evidence=row.evidence,
        provenance=row.provenance,
        created_at=row.created_at,
    )


def to_label(row: PromptLabel | NamedRow) -> LabelRecord:
    """``row`` as a value."""
    return LabelRecord(model=row.model, label=row.label, version_id=row.version_id, moved_at=row.moved_at)


def to_move(row: LabelMove | NamedRow) -> LabelMoveRecord:
    """``row`` as a value."""
    return LabelMoveRecord(
        id=row.id,
        model=row.model,
        label=row.label,
        from_version=row.from_version,
        to_version=None if row.removes else row.to_version,
        actor=row.actor,
        reason=row.reason,
        at=row.at,
        undoes=row.undoes,
    )
