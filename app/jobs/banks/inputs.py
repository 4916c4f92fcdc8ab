"""In-context examples as callers give them."""

from pydantic import BaseModel, ConfigDict, Field

TEXT_LIMIT = 20_000
MOST_EXAMPLES = 1000


class ExampleInput(BaseModel):
    """An in-context pair of the caller's own bank."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    query: str = Field(min_length=1, max_length=TEXT_LIMIT)
    answer: str = Field(min_length=1, max_length=TEXT_LIMIT)
    kind: str | None = None


class DraftInput(BaseModel):
    """An example whose answer may still have to be written."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    query: str = Field(min_length=1, max_length=TEXT_LIMIT)
    answer: str | None = Field(default=None, min_length=1, max_length=TEXT_LIMIT)
    kind: str | None = None


class BankReference(BaseModel):
    """An example bank: the id of the job that made it (``ebj_...``), or its own (``eb_...``)."""

    model_config = ConfigDict(extra="forbid")

    bank: str = Field(min_length=1)


def inline_or_stored(value: object) -> str:
    """Tells a list from a reference to something stored."""
    return "inline" if isinstance(value, list) else "stored"
