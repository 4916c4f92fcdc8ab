"""Releases: set, look at, and end them."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Literal

from app.errors import ApiError, conflict, invalid_request, not_found
from app.labelled_prompts import PRODUCTION
from app.release_control.plan import SHADOW_ARM, arm_tallies, plan_of
from app.release_control.policy import ReleasePolicy, UnreadablePolicyError
from app.releases.schemas import (
    ArmObject,
    LoggedAnswerObject,
    ReleaseChangeObject,
    ReleaseObject,
)
from app.resources import Resources
from store.errors import StoreError
from store.records.releases import ArmKey, ArmTally, LoggedAnswer, ReleaseView

_LOGGER = logging.getLogger(__name__)
_MICROS: Final = 1_000_000
_NOTHING: Final = ArmTally()
_OUTCOMES: Final[tuple[Literal["answered", "failed", "client_left"], ...]] = (
    "answered",
    "failed",
    "client_left",
)


class ReleaseService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._resources = resources
        self._control = resources.release_control

    async def set(self, model: str, policy: ReleasePolicy, *, actor: str) -> ReleaseObject:
        """Set the policy of ``model``; requests are split by it from now on.

        Raises:
            ApiError: 404, there is no such target; 400, its settings name another label or a version.
        """
        self._check_target(model)
        view = await self._control.releases.put(model, policy.model_dump(mode="json"), actor=actor)
        await self._read_again()
        return await self._show(view, {})  # a stretch that begins now has counted nothing

    async def get(self, model: str) -> ReleaseObject:
        """The release of ``model`` with what has come of it.

        Raises:
            ApiError: 404, it has none; 409, a newer version of this service has set it.
        """
        views = await self._control.releases.views(model)
        if not views:
            raise not_found(f"{model} has no release", param="model", code="release_not_found")
        try:
            return await self._show(views[0], await self._control.counts.of(model))
        except UnreadablePolicyError:
            raise conflict(
                f"the release of {model} was set by a newer version of this service, whose policy this one "
                "cannot read: set it anew, or end it"
            ) from None

    async def all(self) -> list[ReleaseObject]:
        """All releases that this version of the service can read, by model."""
        found = []
        for view in await self._control.releases.views():
            with suppress(UnreadablePolicyError):  # the book has said so
                found.append(await self._show(view, await self._control.counts.of(view.release.model)))
        return found

    async def end(self, model: str, *, actor: str) -> None:
        """End the release of ``model``: production answers all, once each process has read of it.

        Raises:
            NotFoundError: it has none.
        """
        await self._control.releases.end(model, actor=actor)
        await self._read_again()

    async def _read_again(self) -> None:
        """Have this process know of a change at once, which is made also where that fails."""
        try:
            await self._control.book.refresh()
        except StoreError as error:
            _LOGGER.warning("a change of a release is made, and will be read a little later: %s", error)

    async def changes(self, model: str) -> list[ReleaseChangeObject]:
        """The audit log of the release of ``model``, newest first."""
        return [
            ReleaseChangeObject(id=change.id, policy=change.policy, actor=change.actor, at=change.at)
            for change in await self._control.releases.changes(model)
        ]

    async def answers(self, model: str, *, after: int, limit: int) -> list[LoggedAnswerObject]:
        """The answers that are on record, oldest first."""
        found = await self._control.feedback.answers(model, after=after, limit=limit)
        return [_logged(answer) for answer in found]

    def _check_target(self, model: str) -> None:
        if model not in self._resources.models.target_names():
            raise unknown_model(model)
        alignment = self._resources.models.target(model).alignment
        if not alignment.align or alignment.prompt_version is not None or alignment.label != PRODUCTION:
            raise invalid_request(
                f"a release splits what the label production answers, and [targets.{model}.alignment] has "
                "requests answered otherwise: change that first",
                param="model",
            )

    @staticmethod
    async def _show(view: ReleaseView, tallies: Mapping[ArmKey, ArmTally]) -> ReleaseObject:
        release = view.release
        plan = await asyncio.to_thread(plan_of, view, tallies)
        counted = arm_tallies(tallies, plan.stretch)
        pointers = {record.label: record.version_id for record in view.labels}
        shares = {arm.label: arm.share for arm in plan.arms}
        shadow = plan.policy.shadow
        return ReleaseObject(
            model=release.model,
            policy=plan.policy,
            since=plan.stretch / _MICROS,
            arms=[
                _arm(label, pointers.get(label), shares.get(label, 0.0), counted.get(label, _NOTHING))
                for label in plan.policy.labels
            ],
            shadow=None
            if shadow is None
            else _arm(
                shadow.label, pointers.get(shadow.label), shadow.share, counted.get(SHADOW_ARM, _NOTHING)
            ),
            suspect_since=release.suspect_since,
            quiet_until=release.quiet_until,
            changed_at=release.changed_at,
            changed_by=release.changed_by,
        )


def unknown_model(model: str) -> ApiError:
    """The 404 for a model that does not exist, or not for this caller."""
    return not_found(f"there is no model {model!r}", param="model", code="model_not_found")


def _arm(label: str, version_id: str | None, share: float, tally: ArmTally) -> ArmObject:
    requests = tally.requests
    return ArmObject(
        label=label,
        version=version_id,
        share=share,
        requests=requests,
        errors=tally.errors,
        rated=tally.rated,
        negative=tally.negative,
        mean_score=2 * tally.reward / tally.rated - 1 if tally.rated else None,
        mean_seconds=tally.milliseconds / 1000 / requests if requests else None,
        mean_tokens=tally.tokens / requests if requests else None,
        cost=tally.micros / _MICROS,
    )


def _logged(answer: LoggedAnswer) -> LoggedAnswerObject:
    return LoggedAnswerObject(
        id=answer.id,
        answer=answer.token.hex(),
        at=answer.at,
        version=answer.version_id or None,
        arm=answer.arm,
        propensity=answer.propensity,
        since=answer.stretch / _MICROS,
        outcome=_OUTCOMES[answer.ending],
        error_code=answer.error_code,
        seconds=answer.total_ms / 1000,
        score=answer.score,
    )
