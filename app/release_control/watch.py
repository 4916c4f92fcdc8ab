"""Watching releases in every process: what looks bad for long enough is moved back, by one of them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from app.access_settings import UsageSettings
from app.background import BackgroundLoop
from app.labelled_prompts import PRODUCTION
from app.release_control.evidence import Finding, find_worse
from app.release_control.plan import Plan, plan_of
from app.release_control.policy import UnreadablePolicyError, policy_of
from store.records.prompts import LabelMoveDraft
from store.records.releases import ReleaseView
from store.repositories.feedback import FeedbackRepository
from store.repositories.prompts import PromptRepository
from store.repositories.release_counts import ReleaseCountRepository
from store.repositories.releases import ReleaseRepository

_LOGGER = logging.getLogger(__name__)
ACTOR: Final = "release"
"""Who moves labels here, as the audit log has it."""
WAIT_SECONDS: Final = 7200.0
"""Feedback waits so long for its answer, which may be a stream that goes on."""
_EVERY_SECONDS: Final = 2.0
_DROP_EVERY: Final = 1800
"""Looks, about an hour."""
_DAY_SECONDS: Final = 86_400.0


class ReleaseWatch:
    """Settles feedback, looks at all releases, and moves labels back."""

    def __init__(
        self,
        releases: ReleaseRepository,
        counts: ReleaseCountRepository,
        feedback: FeedbackRepository,
        prompts: PromptRepository,
        settings: UsageSettings,
        *,
        on_moved: Callable[[str], None],
    ) -> None:
        """A watch.

        Args:
            releases: what is watched.
            counts: what is known of their arms.
            feedback: what is to be added to that.
            prompts: labels and their audit log.
            settings: how long feedback is kept.
            on_moved: hears of a model whose label was moved here.
        """
        self._releases = releases
        self._counts = counts
        self._feedback = feedback
        self._prompts = prompts
        self._keep_seconds = settings.keep_days * _DAY_SECONDS
        self._on_moved = on_moved
        self._looks = 0

    def in_background(self) -> BackgroundLoop:
        """Looking, every two seconds."""
        return BackgroundLoop("release watch", self.look, every_seconds=_EVERY_SECONDS, waits_first=True)

    async def look(self) -> None:
        """Look once.

        Raises:
            StoreUnavailableError: the database is away.
        """
        while await self._feedback.settle():
            pass
        for view in await self._releases.views():
            await self._look_at(view)
        self._looks += 1
        if self._looks % _DROP_EVERY == 0:
            await self._feedback.drop(older_than=self._keep_seconds, waiting_longer_than=WAIT_SECONDS)

    async def _look_at(self, view: ReleaseView) -> None:
        model = view.release.model
        try:
            rule = policy_of(view.release.policy).rollback
        except UnreadablePolicyError:
            return  # the book has said so
        if rule is None:
            return
        tallies = await self._counts.of(model)
        plan = await asyncio.to_thread(plan_of, view, tallies)
        moves = await self._prompts.label_history(model, PRODUCTION, limit=1)
        last = moves[0] if moves else None
        found = find_worse(plan, tallies, last, is_ours=last is not None and last.actor == ACTOR)
        if found is None:
            if view.release.suspect_since is not None:
                await self._releases.suspect(model, None, None)
            return
        seconds = await self._releases.suspect(model, plan.stretch, found.label)
        if seconds is not None and seconds >= rule.dwell_seconds:
            await self._roll_back(plan, found, rule.dwell_seconds)

    async def _roll_back(self, plan: Plan, found: Finding, quiet_seconds: float) -> None:
        move = LabelMoveDraft(
            model=plan.model,
            label=found.label,
            version_id=found.back_to,
            actor=ACTOR,
            reason=f"rolled back: {found.reason}",
        )
        is_moved = await self._releases.roll_back(
            move, expected=found.version_id, stretch=plan.stretch, quiet_seconds=quiet_seconds
        )
        if is_moved:
            _LOGGER.warning(
                "%s of %s was moved back to %s: %s", found.label, plan.model, found.back_to, found.reason
            )
            self._on_moved(plan.model)
