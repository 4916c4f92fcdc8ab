"""What comparing two prompt versions gives."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.text_diff import Change
from optimizer.types import JsonObject, JsonValue


class DiffPiece(BaseModel):
    """A stretch of text that both versions have, or one of them alone."""

    change: Change
    text: str


class DiffLine(BaseModel):
    """One line; ``before`` and ``after`` are its numbers, from 1, null where a version has not got it."""

    change: Change
    before: int | None
    after: int | None
    text: str


class ChangedAnswer(BaseModel):
    """An example whose answer is another one."""

    query: str
    before: str
    after: str
    words: list[DiffPiece]


class ExamplesDiff(BaseModel):
    """How the example banks differ.

    Attributes:
        added / removed: those whose query only one version has.
        unchanged: how many both have with the same answer.
        reordered: whether those that both have stand in another order.
    """

    added: list[JsonObject]
    removed: list[JsonObject]
    changed: list[ChangedAnswer]
    unchanged: int
    reordered: bool


class SettingChange(BaseModel):
    """``k``, ``retrieval`` or a sampling value that differs."""

    name: str
    before: JsonValue
    after: JsonValue


class VersionPlace(BaseModel):
    """Which version it is."""

    id: str
    number: int
    labels: list[str]
    created_at: float


class PromptDiff(BaseModel):
    """What ``to`` has that ``from`` has not, and the other way round.

    Attributes:
        same: whether they are one version.
        words: the system prompts, piece by piece: without those ``added`` it is the one of ``from``.
        lines: the same, line by line.
        settings: ``k``, ``retrieval`` and sampling values that differ.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    object: Literal["prompt_diff"] = "prompt_diff"
    model: str
    from_: VersionPlace = Field(alias="from")
    to: VersionPlace
    same: bool
    words: list[DiffPiece]
    lines: list[DiffLine]
    examples: ExamplesDiff
    settings: list[SettingChange]
