"""What the row of an example bank says about its job, fixed at its creation."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from app.jobs.spec import BudgetSpec
from optimizer.examples.answers import ExampleDraft
from optimizer.examples.config import RefinementConfig
from optimizer.types import JsonObject


class BankSpec(BaseModel):
    """One job.

    Attributes:
        name: shown in lists.
        refine: whether the answers are made better; else the bank is stored as it was given.
        preset / config: the preset named and the settings that it came to.
        drafts_id: the examples as they were given, with or without answers.
        examples: how many they are.
        calls_max: the most calls that refining them takes; retries and repair requests come on top.
        budget: what the job may use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None
    refine: bool
    preset: str
    config: RefinementConfig
    drafts_id: str
    examples: int
    calls_max: int
    budget: BudgetSpec

    def to_json(self) -> JsonObject:
        """As the row stores it."""
        stored: JsonObject = self.model_dump(mode="json")
        return stored

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """Read a row; what a newer version has added to it is passed over."""
        return cls.model_validate(stored, extra="ignore")


def draft_to_json(draft: ExampleDraft) -> JsonObject:
    """A draft as it is stored: an example whose answer may be missing."""
    return {"id": draft.id, "query": draft.query, "answer": draft.answer, "kind": draft.kind}


def draft_from_json(stored: JsonObject) -> ExampleDraft:
    """A draft out of the store."""
    answer, kind = stored.get("answer"), stored.get("kind")
    return ExampleDraft(
        id=str(stored["id"]),
        query=str(stored["query"]),
        answer=answer if isinstance(answer, str) else None,
        kind=kind if isinstance(kind, str) else None,
    )
