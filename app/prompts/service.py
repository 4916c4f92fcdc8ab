"""Prompt versions and labels: look at them, move them."""

from dataclasses import asdict

from app.errors import ApiError, not_found
from app.prompts.schemas import (
    CurrentLabel,
    LabelMoveObject,
    LabelObject,
    MoveLabel,
    PromptVersionObject,
    Provenance,
    ServedPrompt,
    UndoMove,
)
from app.resources import Resources
from store.errors import NotFoundError
from store.records.prompts import LabelMoveDraft, LabelRecord, PromptVersionRecord
from store.repositories.label_states import LabelStateRepository
from store.repositories.label_writes import ANYTHING

PRODUCTION = "production"
_VERSION = "pv_"
_DIGITS = 19
"""Digits of which every number fits into 64 bits."""


class PromptService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._resources = resources
        self._prompts = resources.prompts

    async def served(self) -> list[ServedPrompt]:
        """What each target is answered with: its best version, since only a proven gain moves the label."""
        labels = await self._prompts.labels()
        newest = {item.version.model: item for item in await self._prompts.served(PRODUCTION)}
        served = []
        for model in self._resources.models.target_names():
            item = newest.get(model)
            version = _show(item.version, labels) if item is not None and item.labelled else None
            served.append(ServedPrompt(model=model, label=PRODUCTION, version=version))
        return served

    async def versions(
        self, model: str, *, before: int | None = None, limit: int | None = None
    ) -> list[PromptVersionObject]:
        """A model's versions, newest first: those with numbers below ``before``, ``limit`` at most.

        Raises:
            ApiError: 404, there is no such target and never was a version for it.
        """
        versions = await self._prompts.versions(model, before=before, limit=limit)
        if not versions:
            self._refuse_unknown(model)
        labels = await self._prompts.labels(model)
        return await self._with_deletions([_show(version, labels) for version in versions])

    async def version(self, model: str, name: str) -> PromptVersionObject:
        """One version with its examples; ``name`` is its id, its number, or a label that points to it.

        Raises:
            NotFoundError: the model has no such version.
        """
        return await self.shown(await self._find(model, name))

    async def shown(self, version: PromptVersionRecord) -> PromptVersionObject:
        """``version`` with its examples."""
        model = version.model
        (shown,) = await self._with_deletions([_show(version, await self._prompts.labels(model))])
        bank_id = version.example_bank_id
        examples = () if bank_id is None else await self._prompts.example_bank(bank_id)
        return shown.model_copy(update={"examples": list(examples)})

    async def _find(self, model: str, name: str) -> PromptVersionRecord:
        missing = NotFoundError(f"{model} has no prompt version {name}")
        try:
            if name.isascii() and name.isdecimal() and len(name) < _DIGITS:
                return await self._prompts.get_version(await self._prompts.version_id(model, int(name)))
            if not name.startswith(_VERSION):
                labelled = await self._prompts.labelled(model, name)
                if labelled is None:
                    raise missing
                return labelled
            version = await self._prompts.get_version(name)
        except NotFoundError:
            raise missing from None
        if version.model != model:  # the same words: whoever asks may not know that model
            raise missing
        return version

    def check_target(self, model: str) -> None:
        """See to it that ``model`` is a target: for others no version is stored.

        Raises:
            ApiError: 404, it is none.
        """
        self._refuse_unknown(model)

    async def move_label(self, model: str, label: str, move: MoveLabel, *, actor: str) -> LabelObject:
        """Point ``label`` of ``model`` elsewhere; it is served from now on.

        Raises:
            ApiError: 404, the model has no such version, or nobody knows the model.
            ConflictError: the label does not point where the caller expected.
        """
        draft = LabelMoveDraft(
            model=model, label=label, version_id=move.version, actor=actor, reason=move.reason
        )
        expected = move.expected if "expected" in move.model_fields_set else ANYTHING
        try:
            record = await self._prompts.move_label(draft, expected=expected)
        except NotFoundError as error:
            if not await self._prompts.versions(model, limit=1):
                self._refuse_unknown(model)
            raise not_found(f"{error}: see GET /v1/prompts/{model}/versions", param="version") from error
        await self._shown(model)
        return LabelObject(
            model=record.model, label=record.label, version=record.version_id, moved_at=record.moved_at
        )

    async def undo_move(self, model: str, label: str, undo: UndoMove, *, actor: str) -> LabelMoveObject:
        """Take the last move of ``label`` back; what it pointed to before is served from now on.

        Raises:
            ApiError: 404, nobody knows the model.
            NotFoundError: the label has no such move.
            ConflictError: the label was moved since.
        """
        try:
            made = await self._prompts.undo_move(
                model, label, move_id=undo.move, actor=actor, reason=undo.reason
            )
        except NotFoundError:
            if not await self._prompts.versions(model, limit=1):
                self._refuse_unknown(model)
            raise
        await self._shown(model)
        return LabelMoveObject.model_validate(asdict(made))

    async def _shown(self, model: str) -> None:
        """Let what was moved be served from here on."""
        self._resources.labelled.invalidate(model)
        await self._resources.release_control.book.refresh()

    async def labels(self, model: str, *, after: str | None, limit: int) -> list[CurrentLabel]:
        """Where the labels of a model point now: those ``after`` one of them by name, ``limit`` at most.

        Raises:
            ApiError: 404, there is no such target and it has no labels.
        """
        found = await LabelStateRepository(self._resources.database).of(model, after=after, limit=limit)
        if not found:
            self._refuse_unknown(model)
        return [
            CurrentLabel(
                model=model,
                label=state.label.label,
                version=state.label.version_id,
                moved_at=state.label.moved_at,
                number=state.number,
                last_move=LabelMoveObject.model_validate(asdict(state.last_move)),
            )
            for state in found
        ]

    async def history(self, model: str, *, before: int | None, limit: int) -> list[LabelMoveObject]:
        """The audit log of a model's labels, newest first: moves ``before`` one of them, ``limit`` at most.

        Raises:
            ApiError: 404, there is no such target and none of its labels was ever moved.
        """
        moves = await self._prompts.label_history(model, before=before, limit=limit)
        if not moves:
            self._refuse_unknown(model)
        return [LabelMoveObject.model_validate(asdict(move)) for move in moves]

    async def _with_deletions(self, versions: list[PromptVersionObject]) -> list[PromptVersionObject]:
        """``versions``, which say whether the jobs that they came of have been deleted."""
        jobs = frozenset(item.optimization_id for item in versions if item.optimization_id is not None)
        deleted = await self._resources.deletion.deleted(jobs)
        return [
            item.model_copy(update={"optimization_deleted": item.optimization_id in deleted})
            for item in versions
        ]

    def _refuse_unknown(self, model: str) -> None:
        if model not in self._resources.models.target_names():
            raise unknown_model(model)


def unknown_model(model: str) -> ApiError:
    """The error for a model of which nobody knows anything."""
    return not_found(f"there is no model {model!r}", param="model", code="model_not_found")


def _show(version: PromptVersionRecord, labels: tuple[LabelRecord, ...]) -> PromptVersionObject:
    return PromptVersionObject(
        id=version.id,
        model=version.model,
        number=version.number,
        system_prompt=version.system_prompt,
        k=version.k,
        retrieval=version.retrieval,
        sampling=version.sampling,
        optimization_id=version.optimization_id,
        candidate_id=version.candidate_id,
        evidence=version.evidence or {},
        provenance=_provenance(version),
        labels=[record.label for record in labels if record.version_id == version.id],
        created_at=version.created_at,
    )


def _provenance(version: PromptVersionRecord) -> Provenance:
    if version.provenance is not None:
        return Provenance.model_validate(version.provenance)
    return Provenance(how="by_hand" if version.optimization_id is None else "optimization")
