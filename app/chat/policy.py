"""How a request is aligned: what it says itself, else what its model's settings say, else those of all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from app.chat.schemas import AS_USUAL, AlignmentOptions, PromptReference
from app.errors import invalid_request
from app.labelled_prompts import PRODUCTION
from app.serving_settings import AlignmentSettings, BestOfSettings
from optimizer.quick_values import quick
from optimizer.rendering import CallerSystem, ExamplePlace
from optimizer.types import JsonObject, JsonValue


@quick
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
    if options is AS_USUAL and prompt is None:
        return _usual(settings, default)
    is_named = options.prompt_version is not None or options.label is not None
    if prompt is not None and (is_named or options.align is False):
        raise invalid_request(
            "prompt names the prompt already: leave out drpo.prompt_version, drpo.label and drpo.align",
            param="prompt",
        )
    return _policy(options, settings, default, usually=settings.align or is_named or prompt is not None)


@lru_cache(maxsize=256)
def _usual(settings: AlignmentSettings, default: CallerSystem) -> AlignmentPolicy:
    """The policy for requests that say nothing: the same one again and again."""
    return _policy(AS_USUAL, settings, default, usually=settings.align)


def _policy(
    options: AlignmentOptions, settings: AlignmentSettings, default: CallerSystem, *, usually: bool
) -> AlignmentPolicy:
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


def best_of(
    options: AlignmentOptions, settings: AlignmentSettings, *, body: JsonObject, most_drafts: int
) -> BestOfSettings | None:
    """How the answer to a request is chosen from several drafts; None where there is one.

    Where the model's settings want drafts, a request that calls tools, asks for several answers, or for the
    likeliest one (temperature 0) has its answer without.

    Raises:
        ApiError: 400, the request itself asks for drafts, and for more than it may or beside such a thing.
    """
    asked, usual = options.best_of, settings.best_of
    if asked == 1 or (asked is None and usual is None):
        return None
    against = next((name for name, stands in _AGAINST.items() if stands(body.get(name))), None)
    if asked is None:
        return usual if against is None else None
    if asked > most_drafts:
        limit = f"at most {most_drafts}" if most_drafts > 1 else "none here"
        raise invalid_request(f"drpo.best_of: {asked} drafts are too many, {limit}", param="drpo.best_of")
    if against is not None:
        raise invalid_request(
            f"drpo.best_of cannot be combined with this value of {against}: there would be nothing to choose "
            "between, or nothing that a judge reads",
            param=against,
        )
    return (usual or BestOfSettings()).model_copy(update={"drafts": asked})


_AGAINST: Mapping[str, Callable[[JsonValue], bool]] = {
    "n": lambda value: value is not None and value != 1,
    "temperature": lambda value: value is not None and value == 0,
    "tools": bool,
    "functions": bool,
}
"""Fields of a request, and whether their value leaves nothing to choose between."""
