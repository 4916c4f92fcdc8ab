"""What a chat request says, and our extension of it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from optimizer.types import JsonObject

Name = Annotated[str, Field(min_length=1, max_length=256)]


class AlignmentOptions(BaseModel):
    """The body's field ``drpo``: how this one request is aligned.

    Attributes:
        prompt_version: answer with this version instead of a labelled one.
        label: answer with the version that this label points to; it has to exist.
        align: false asks the model as it is, whatever else is said here.
        caller_system: what becomes of the caller's own system message; by default as configured.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prompt_version: Name | None = Field(
        default=None, description="Answer with this prompt version; it has to belong to the model."
    )
    label: Name | None = Field(
        default=None, description="Answer with the version that this label points to; default: production."
    )
    align: bool = Field(default=True, description="false asks the model as it is.")
    caller_system: Literal["after", "before", "replace"] | None = Field(
        default=None,
        description="Where the caller's own system message goes, seen from ours; default: as configured.",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """A request for chat completions.

    Attributes:
        model: the target asked for.
        messages: the conversation as it came, at least one message, each with a ``role``.
        stream: whether the answer is streamed.
        options: how to align it.
        body: the whole body without our extension.
    """

    model: str
    messages: tuple[JsonObject, ...]
    stream: bool
    options: AlignmentOptions
    body: JsonObject
