"""What the prompt endpoints take and give."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from optimizer.types import JsonObject

LABEL_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"


class Provenance(BaseModel):
    """Who has stored a version, and how.

    Attributes:
        how: found by a job, written by hand, or imported.
        by: the name of the key; null where a job has stored it.
        format: of what was imported.
        left_out: what that said beside, and a version has no place for.
        source: where a bundle was exported first, with the gate's verdict there, which proves nothing here.
    """

    how: Literal["optimization", "by_hand", "imported"]
    by: str | None = None
    name: str | None = None
    note: str | None = None
    format: Literal["bundle", "openai", "dspy", "promptfoo"] | None = None
    left_out: list[str] = Field(default_factory=list)
    source: JsonObject | None = None


class PromptVersionObject(BaseModel):
    """An immutable bundle that answers are aligned with.

    Attributes:
        number: counts the model's versions from 1.
        k: in-context examples shown per request, out of ``examples``.
        retrieval: what finds them; null for shared words (BM25).
        optimization_id: the job that it came of; null for one written by hand.
        optimization_deleted: whether that job has been deleted since.
        evidence: the gate's verdict and who judged; empty for a version that no job has made.
        provenance: who has stored it first, and how.
        labels: labels that point here now.
        examples: the bank; left out of lists.
    """

    id: str
    object: Literal["prompt_version"] = "prompt_version"
    model: str
    number: int
    system_prompt: str
    k: int
    retrieval: JsonObject | None
    sampling: JsonObject
    optimization_id: str | None
    optimization_deleted: bool = False
    candidate_id: str | None
    evidence: JsonObject
    provenance: Provenance
    labels: list[str]
    created_at: float
    examples: list[JsonObject] | None = None


class ServedPrompt(BaseModel):
    """What a model is answered with; ``version`` is null where it is served as it is."""

    model: str
    label: str
    version: PromptVersionObject | None


class ServedPromptList(BaseModel):
    """One entry for each target."""

    object: Literal["list"] = "list"
    data: list[ServedPrompt]


class PromptVersionList(BaseModel):
    """A model's versions, newest first; ``has_more`` says to ask again ``before`` the last one's number."""

    object: Literal["list"] = "list"
    data: list[PromptVersionObject]
    has_more: bool = False


class MoveLabel(BaseModel):
    """Point a label to a version.

    Attributes:
        version: the version's id.
        reason: for the audit log.
        expected: the version that the label has to point to now, or null for no label yet; leave it out to
            move it from wherever it points.
    """

    model_config = ConfigDict(extra="forbid")

    version: str = Field(min_length=1)
    reason: str = Field(min_length=1, max_length=1000)
    expected: str | None = None


class LabelObject(BaseModel):
    """Where a label points."""

    object: Literal["label"] = "label"
    model: str
    label: str
    version: str
    moved_at: float


class UndoMove(BaseModel):
    """Take the last move of a label back.

    Attributes:
        move: the move's id, as the audit log has it; refused where the label was moved since. Leave it out
            for the last move, unless that is an undoing itself.
        reason: for the audit log.
    """

    model_config = ConfigDict(extra="forbid")

    move: int | None = Field(default=None, ge=1, lt=2**63)
    reason: str = Field(default="undone", min_length=1, max_length=1000)


class LabelMoveObject(BaseModel):
    """One line of the audit log.

    Attributes:
        to_version: null where the label was taken away.
        undoes: the move that this one took back.
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


class CurrentLabel(LabelObject):
    """Where a label points now, with the number of that version, and the move that brought it there."""

    number: int
    last_move: LabelMoveObject


class LabelList(BaseModel):
    """A model's labels, by name; ``has_more`` says to ask again ``after`` the last one."""

    object: Literal["list"] = "list"
    data: list[CurrentLabel]
    has_more: bool = False


class LabelMoveList(BaseModel):
    """Moves of a model's labels, newest first; ``has_more`` says to ask again ``before`` the last id."""

    object: Literal["list"] = "list"
    data: list[LabelMoveObject]
    has_more: bool = False
