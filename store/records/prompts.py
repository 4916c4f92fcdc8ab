"""Prompt versions and labels as values."""

from dataclasses import dataclass

from store.json_values import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptVersionDraft:
    """A bundle to serve.

    Attributes:
        model: public name of the target that it is for.
        examples: the example bank, objects as the application wrote them; empty for none.
        k: examples shown per request, at least 0.
        retrieval: what they are found by, as the application wrote it; None for its default.
        sampling: sampling parameters.
        optimization_id / candidate_id: where it comes from; None for one written by hand.
        evidence: why it may be served, such as the gate's verdict. It is not part of the content.
        provenance: who has stored it, and how, where no job has. It is not part of the content either.
    """

    model: str
    system_prompt: str
    examples: tuple[JsonObject, ...] = ()
    k: int = 0
    retrieval: JsonObject | None = None
    sampling: JsonObject
    optimization_id: str | None = None
    candidate_id: str | None = None
    evidence: JsonObject | None = None
    provenance: JsonObject | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptVersionRecord:
    """An immutable version: ``number`` counts a model's versions from 1; the bank is read by its id."""

    id: str
    model: str
    number: int
    content_hash: str
    system_prompt: str
    example_bank_id: str | None
    k: int
    retrieval: JsonObject | None
    sampling: JsonObject
    optimization_id: str | None
    candidate_id: str | None
    evidence: JsonObject | None
    provenance: JsonObject | None
    created_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRecord:
    """Where a label points; ``moved_at`` in seconds since 1970."""

    model: str
    label: str
    version_id: str
    moved_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMoveDraft:
    """A label's move to a version, by whom and why."""

    model: str
    label: str
    version_id: str
    actor: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMoveRecord:
    """One line of the audit log.

    Attributes:
        from_version: None for a label's first move.
        to_version: None where the label was taken away, which only undoing its first move does.
        undoes: the move that this one takes back.
    """

    id: int
    model: str
    label: str
    from_version: str | None
    to_version: str | None
    actor: str
    reason: str
    at: float
    undoes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelState:
    """Where a label points, with that version's number, and the move that brought it there."""

    label: LabelRecord
    number: int
    last_move: LabelMoveRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedVersion:
    """The version that stands for a model; ``labelled`` is False where it is merely the newest."""

    version: PromptVersionRecord
    labelled: bool
