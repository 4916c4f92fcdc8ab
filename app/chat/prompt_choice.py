"""Which stored prompt version aligns a request."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from app.chat.policy import AlignmentPolicy
from app.chat.schemas import PromptReference
from app.errors import ApiError, invalid_request, not_found
from app.labelled_prompts import PRODUCTION, LabelledPrompts, ServedPrompt
from store.errors import NotFoundError

_VERSION_ID = "pv_"


async def labelled_version(
    labelled: LabelledPrompts, model: str, policy: AlignmentPolicy, may_ask: Callable[[str], bool]
) -> ServedPrompt | None:
    """The version of ``model`` that ``policy`` names; None where its label need not point to one.

    Versions of models that the caller may not ask do not exist for it: ``may_ask`` says which it may.

    Raises:
        ApiError: 404, there is none; 400, it is one of another model.
        StoreUnavailableError: the database is down, and memory does not know the answer.
    """
    if policy.prompt_version is not None:
        return await _pinned(labelled, model, policy.prompt_version, may_ask, param="drpo.prompt_version")
    found = await labelled.current(model, policy.label)
    if found is None and policy.must_exist:
        raise _no_label(model, policy.label, param="drpo.label")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptChoice:
    """Finds the versions that OpenAI's prompt objects name.

    Attributes:
        labelled: where they are.
        models: the targets that the caller may ask.
        may_ask: whether it may ask a model, be that a target or not any more.
    """

    labelled: LabelledPrompts
    models: Collection[str]
    may_ask: Callable[[str], bool]

    async def by_reference(self, model: str, prompt: PromptReference) -> ServedPrompt:
        """The version that ``prompt`` names; without a ``model`` it may be one of any.

        Its id is that of a version, or the name of a model with a number or a label as ``version``, or else
        a label of ``model``.

        Raises:
            ApiError: 404, there is none; 400, it is one of another model, or another version of it.
            StoreUnavailableError: the database is down, and memory does not know the answer.
        """
        if prompt.id.startswith(_VERSION_ID):
            found = await _pinned(self.labelled, model, prompt.id, self.may_ask, param="prompt.id")
            return _checked(found, prompt)
        if prompt.id in self.models:
            if model and prompt.id != model:
                raise invalid_request(f"{prompt.id} is not {model}, which is asked for", param="prompt.id")
            return await self._of_model(prompt.id, prompt.version or PRODUCTION)
        if not model:
            raise not_found(
                f"there is no prompt {prompt.id[:64]!r}: use a version's id (pv_...) or a model, or say "
                "which model's label it is with model",
                param="prompt.id",
                code="prompt_not_found",
            )
        return _checked(await self._labelled(model, prompt.id, param="prompt.id"), prompt)

    async def _of_model(self, model: str, version: str) -> ServedPrompt:
        if not (version.isascii() and version.isdecimal() and len(version) < 10):  # noqa: PLR2004 - 32 bits
            return await self._labelled(model, version, param="prompt.version")
        try:
            return await self.labelled.numbered(model, int(version))
        except NotFoundError as error:
            raise not_found(str(error), param="prompt.version", code="prompt_version_not_found") from None

    async def _labelled(self, model: str, label: str, *, param: str) -> ServedPrompt:
        found = await self.labelled.current(model, label)
        if found is None:
            raise _no_label(model, label, param=param)
        return found


async def _pinned(
    labelled: LabelledPrompts,
    model: str,
    version_id: str,
    may_ask: Callable[[str], bool],
    *,
    param: str,
) -> ServedPrompt:
    try:
        found = await labelled.version(version_id)
    except NotFoundError as error:
        raise _no_version(str(error), param=param) from None
    if not may_ask(found.version.model):
        raise _no_version(f"there is no prompt version {version_id}", param=param)
    if model and found.version.model != model:
        raise invalid_request(
            f"{version_id} is a version of {found.version.model}, not of {model}", param=param
        )
    return found


def _checked(found: ServedPrompt, prompt: PromptReference) -> ServedPrompt:
    if prompt.version is not None and prompt.version != str(found.version.number):
        raise invalid_request(
            f"prompt {prompt.id} is version {found.version.number}, not {prompt.version[:32]}",
            param="prompt.version",
        )
    return found


def _no_version(message: str, *, param: str) -> ApiError:
    return not_found(message, param=param, code="prompt_version_not_found")


def _no_label(model: str, label: str, *, param: str) -> ApiError:
    return not_found(
        f"{model} has no label {label[:64]!r}: see GET /v1/prompts/{model}/versions",
        param=param,
        code="label_not_found",
    )
