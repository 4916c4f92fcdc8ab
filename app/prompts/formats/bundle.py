"""Our own format: all that it takes to make the same version elsewhere, bit for bit."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.prompts.formats.content import MOST_EXAMPLES, PromptContent, unreadable
from app.retrieval import RetrievalSpec
from optimizer.types import Example, JsonObject
from store.json_values import content_hash, to_json

FORMAT: Final = "drpo.prompt"
_LONGEST: Final = 1_000_000
"""Characters of a text: more than any that a job writes, since what is exported has to come in again."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BundledExample(_Part):
    """An example with its place in the bank's identity: its id counts, too."""

    id: str = Field(min_length=1, max_length=256)
    query: Annotated[str, Field(min_length=1, max_length=_LONGEST)]
    answer: Annotated[str, Field(min_length=1, max_length=_LONGEST)]
    kind: str | None = None


class Sampling(_Part):
    """Sampling values that requests are sent with where they name none."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)


class BundledContent(_Part):
    """What a version is made of."""

    system_prompt: str = Field(max_length=_LONGEST)
    examples: list[BundledExample] = Field(max_length=MOST_EXAMPLES)
    k: int = Field(ge=0, le=MOST_EXAMPLES)  # conversations come in whole, and have to come out again
    retrieval: RetrievalSpec | None
    sampling: Sampling

    def to_json(self) -> JsonObject:
        """As it is written and hashed; what was left out of ``sampling`` stays left out."""
        told: JsonObject = self.model_dump(mode="json", exclude_none=False, exclude={"sampling", "retrieval"})
        told["retrieval"] = None if self.retrieval is None else self.retrieval.to_version()
        told["sampling"] = self.sampling.model_dump(mode="json", exclude_unset=True)
        return told


class Bundle(_Part):
    """A version, to be imported elsewhere.

    Attributes:
        format_version: of this format; readers refuse what they do not know.
        content_hash: SHA-256, in hex, of ``content`` as JSON with sorted keys and without spaces.
        source: where it was exported first, with the gate's verdict there; it is kept with what is imported,
            and proves nothing.
    """

    format: Literal["drpo.prompt"]
    format_version: Literal[1]
    content_hash: str = Field(pattern="^[0-9a-f]{64}$")
    content: BundledContent
    source: JsonObject = Field(default_factory=dict)

    @field_validator("source")
    @classmethod
    def _is_json(cls, source: JsonObject) -> JsonObject:
        try:
            to_json(source)
        except ValueError:
            raise ValueError("NaN and infinities are no JSON") from None
        return source


def write_bundle(content: PromptContent, source: JsonObject) -> JsonObject:
    """The bundle of ``content``."""
    told = BundledContent(
        system_prompt=content.system_prompt,
        examples=[
            BundledExample(id=item.id, query=item.query, answer=item.answer, kind=item.kind)
            for item in content.examples
        ],
        k=content.k,
        retrieval=None if content.retrieval is None else RetrievalSpec.from_version(content.retrieval),
        sampling=Sampling.model_validate(content.sampling),
    ).to_json()
    return {
        "format": FORMAT,
        "format_version": 1,
        "content_hash": content_hash(told),
        "content": told,
        "source": source,
    }


def read_bundle(bundle: Bundle) -> PromptContent:
    """What ``bundle`` holds.

    Raises:
        ApiError: 400, it is not what was exported, or two of its examples have the same id.
    """
    told = bundle.content.to_json()
    if content_hash(told) != bundle.content_hash:
        raise unreadable(
            "content_hash does not fit: the bundle was changed after it was exported; export it again, or "
            "store what you have with POST /v1/prompts/{model}/versions"
        )
    content = bundle.content
    if len({item.id for item in content.examples}) < len(content.examples):
        raise unreadable("two examples have the same id")
    return PromptContent(
        system_prompt=content.system_prompt,
        examples=tuple(
            Example(id=item.id, query=item.query, answer=item.answer, kind=item.kind)
            for item in content.examples
        ),
        k=content.k,
        retrieval=None if content.retrieval is None else content.retrieval.to_version(),
        sampling=content.sampling.model_dump(mode="json", exclude_unset=True),
    )
