"""Settings of what is served: the models that the public API offers, and how they are answered."""

from typing import Literal, TypeAlias

from pydantic import Field

from app.backend_settings import Group, Seconds

MOST_EXAMPLES = 64

CallerSystemName: TypeAlias = Literal["after", "before", "replace", "drop"]
ExamplePlaceName: TypeAlias = Literal["first", "last", "system"]


class AlignmentSettings(Group):
    """How requests for a model are aligned where they do not say so themselves.

    Attributes:
        align: false asks the model as it is.
        label / prompt_version: the version that serves it; the label may point to none.
        caller_system: what becomes of the caller's own system message; by default as for all models.
        k: examples shown; by default as many as the version was tuned with.
        examples: they stand ``first``, before the ``last`` question, or in the ``system`` message.
    """

    align: bool = True
    label: str = Field(default="production", min_length=1)
    prompt_version: str | None = Field(default=None, min_length=1)
    caller_system: CallerSystemName | None = None
    k: int | None = Field(default=None, ge=0, le=MOST_EXAMPLES)
    examples: ExamplePlaceName = "first"


class TargetSettings(Group):
    """A model to align; its name in ``targets`` is its name in the public API.

    Attributes:
        model: the backend's name for it.
        api: ``chat``, or ``completions`` for a base model without a chat template.
    """

    backend: str
    model: str = Field(min_length=1)
    api: Literal["chat", "completions"] = "chat"
    alignment: AlignmentSettings = AlignmentSettings()


class EmbedderSettings(Group):
    """An embedding model; its name in ``embedders`` is its name in the public API."""

    backend: str
    model: str = Field(min_length=1)


class ChatSettings(Group):
    """The serving path.

    Attributes:
        caller_system: ``after``: the caller's own system message goes after ours; ``before``; ``replace``: it
            takes ours' place; ``drop``: it is left out.
        refresh_seconds: age at which the labels held in memory are read again.
        keep_alive_seconds: a stream that sends nothing for so long gets a comment.
    """

    caller_system: CallerSystemName = "after"
    refresh_seconds: Seconds = 1.0
    keep_alive_seconds: Seconds = 15.0
