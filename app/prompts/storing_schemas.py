"""What storing, importing and exporting prompt versions takes and gives."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from app.jobs.banks.inputs import BankReference, ExampleInput, inline_or_stored
from app.prompts.formats.bundle import Bundle, Sampling
from app.prompts.formats.content import MOST_EXAMPLES, PROMPT_LIMIT
from app.retrieval import RetrievalSpec
from optimizer.types import JsonObject, JsonValue

FormatName: TypeAlias = Literal["bundle", "openai", "dspy", "promptfoo"]
MOST_SHOWN = 16


class _Noted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=200)
    note: str | None = Field(default=None, max_length=2000)


class CreateVersion(_Noted):
    """A prompt version written by hand.

    Attributes:
        name / note: kept with it; they are not part of what it is.
        system_prompt: may be blank where there are examples.
        examples: the bank: inline, or a stored one; by default none.
        k: in-context examples shown per request, no more than there are; by default two.
        retrieval: what finds them; by default shared words.
        sampling: for requests that name none; by default the backend's own.
    """

    system_prompt: str = Field(max_length=PROMPT_LIMIT)
    examples: (
        Annotated[
            Annotated[list[ExampleInput], Field(max_length=MOST_EXAMPLES), Tag("inline")]
            | Annotated[BankReference, Tag("stored")],
            Discriminator(inline_or_stored),
        ]
        | None
    ) = None
    k: int | None = Field(default=None, ge=0, le=MOST_SHOWN)
    retrieval: RetrievalSpec | None = None
    sampling: Sampling = Sampling()


class ImportBundle(_Noted):
    """A bundle that another service of this kind has exported; what comes of it is the same content."""

    format: Literal["bundle"]
    content: Bundle


class ImportOpenai(_Noted):
    """Messages of OpenAI's API: a list, or an object with ``messages`` and sampling values.

    Leading system messages become the system prompt, user and assistant messages after them its examples.
    """

    format: Literal["openai"]
    content: JsonObject | list[JsonValue]


class ImportDspy(_Noted):
    """The JSON state of a DSPy predictor, or of a module with one: instructions and demos."""

    format: Literal["dspy"]
    content: JsonObject


class ImportPromptfoo(_Noted):
    """A promptfoo configuration with one prompt: ``config``, and in ``files`` the files that it names."""

    format: Literal["promptfoo"]
    content: JsonObject


ImportPrompt: TypeAlias = ImportBundle | ImportOpenai | ImportDspy | ImportPromptfoo
ImportBody = Annotated[ImportPrompt, Field(discriminator="format")]


class ExportedPrompt(BaseModel):
    """A version as another program takes it.

    Attributes:
        content: the document itself, as ``POST …/import`` takes it again.
    """

    object: Literal["exported_prompt"] = "exported_prompt"
    format: FormatName
    model: str
    version: str
    content: JsonObject
