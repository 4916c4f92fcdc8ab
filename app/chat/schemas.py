"""What a chat request says, and our extension of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from app.serving_settings import MOST_DRAFTS, MOST_EXAMPLES, CallerSystemName, ExamplePlaceName
from optimizer.quick_values import quick
from optimizer.types import JsonObject

MOST_NAME = 256
Name = Annotated[str, Field(min_length=1, max_length=MOST_NAME, pattern=r"^[^\x00]+$")]


class AlignmentOptions(BaseModel):
    """The body's field ``drpo``: how this one request is aligned; by default as the model's settings say.

    Attributes:
        prompt_version: answer with this version instead of a labelled one.
        label: answer with the version that this label points to; it has to exist.
        align: false asks the model as it is, whatever else is said here.
        caller_system: what becomes of the caller's own system message.
        k: examples shown.
        examples: where they stand.
        best_of: drafts of which the judge picks one; 1 for a single one.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prompt_version: Name | None = Field(
        default=None, description="Answer with this prompt version; it has to belong to the model."
    )
    label: Name | None = Field(
        default=None, description="Answer with the version that this label points to; default: production."
    )
    align: bool | None = Field(default=None, description="false asks the model as it is.")
    caller_system: CallerSystemName | None = Field(
        default=None, description="Where the caller's own system message goes, seen from ours."
    )
    k: int | None = Field(
        default=None,
        ge=0,
        le=MOST_EXAMPLES,
        description="In-context examples shown; default: as many as the version was tuned with.",
    )
    examples: ExamplePlaceName | None = Field(
        default=None,
        description="Examples stand first, before the last question, or in the system message, at its end "
        "or (system_first) at its beginning.",
    )
    best_of: int | None = Field(
        default=None,
        ge=1,
        le=MOST_DRAFTS,
        description="Drafts of the answer, of which the judge picks one; 1 for a single one.",
    )


AS_USUAL: Final = AlignmentOptions()
"""What nearly all requests say: nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptReference:
    """OpenAI's ``prompt`` object: a stored prompt, with texts for its variables.

    Attributes:
        id: of a prompt version, or the name of a model or of a label.
        version: number of the version, or a label; None for what ``production`` points to.
    """

    id: str
    version: str | None
    variables: Mapping[str, str]


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """A request for chat completions.

    Attributes:
        model: the target asked for; empty where only ``prompt`` says for which model it is.
        messages: the conversation as it came, at least one message, each with a ``role``.
        stream: whether the answer is streamed.
        options: how to align it.
        prompt: the stored prompt that it names.
        sticky_key: what its header says that it belongs to, so that a release gives it the same arm again.
        body: the whole body without our extension and without ``prompt``.
    """

    model: str
    messages: tuple[JsonObject, ...]
    stream: bool
    options: AlignmentOptions
    body: JsonObject
    prompt: PromptReference | None = None
    sticky_key: str | None = None
