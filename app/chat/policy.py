"""How a request is aligned: what it says itself, else what its model's settings say, else those of all."""

from dataclasses import dataclass

from app.chat.schemas import AlignmentOptions, PromptReference
from app.errors import invalid_request
from app.labelled_prompts import PRODUCTION
from app.serving_settings import AlignmentSettings
from optimizer.rendering import CallerSystem, ExamplePlace


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignmentPolicy:
    """How one request is aligned.

    Attributes:
        align: false asks the model as it is.
        prompt_version: the version to use, whatever labels say.
        label: else the one that this points to.
        must_exist: whether the label was asked for, so that it is an error where it points to none.
        caller_system: what becomes of the caller's own system message.
        k: examples shown; None for as many as the version was tuned with.
        place: where they stand.
    """

    align: bool
    prompt_version: str | None
    label: str
    must_exist: bool
    caller_system: CallerSystem
    k: int | None
    place: ExamplePlace

    @property
    def is_open(self) -> bool:
        """Whether nobody has named a version or a label, so that a release may choose."""
        return self.prompt_version is None and not self.must_exist and self.label == PRODUCTION


def policy_of(
    options: AlignmentOptions,
    settings: AlignmentSettings,
    *,
    default: CallerSystem,
    prompt: PromptReference | None,
) -> AlignmentPolicy:
    """The policy for a request with ``options`` and perhaps a ``prompt``, for a model with ``settings``.

    A request that names a version, a label or a prompt is aligned also where the model usually is not.

    Raises:
        ApiError: 400, it names a prompt and, in the extension, says otherwise.
    """
    is_named = options.prompt_version is not None or options.label is not None
    if prompt is not None and (is_named or options.align is False):
        raise invalid_request(
            "prompt names the prompt already: leave out drpo.prompt_version, drpo.label and drpo.align",
            param="prompt",
        )
    usually = settings.align or is_named or prompt is not None
    own_version = None if options.label is not None else settings.prompt_version
    return AlignmentPolicy(
        align=usually if options.align is None else options.align,
        prompt_version=options.prompt_version or own_version,
        label=options.label or settings.label,
        must_exist=options.label is not None,
        caller_system=CallerSystem(options.caller_system or settings.caller_system or default),
        k=settings.k if options.k is None else options.k,
        place=ExamplePlace(options.examples or settings.examples),
    )
