"""All releases, in memory: read again in the background, so that no request waits for it."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.background import BackgroundLoop
from app.labelled_prompts import labels_too_old
from app.release_control.plan import Plan, plan_of
from app.release_control.policy import UnreadablePolicyError, policy_of
from app.serving_settings import ChatSettings
from store.records.releases import ArmKey, ArmTally, ReleaseView
from store.repositories.release_counts import ReleaseCountRepository
from store.repositories.releases import ReleaseRepository

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What was read of a release, and what follows from it: None where it cannot be understood."""

    view: ReleaseView
    tallies: Mapping[ArmKey, ArmTally]
    plan: Plan | None


class ReleaseBook:
    """What releases mean right now; at most ``chat.refresh_seconds`` old while the database is there.

    Attributes:
        chance: draws what no key decides.
    """

    def __init__(
        self,
        releases: ReleaseRepository,
        counts: ReleaseCountRepository,
        settings: ChatSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        """An empty book; ``clock`` gives monotonic seconds, ``chance`` draws, by default anew each time."""
        self.chance = chance or random.Random()
        self._releases = releases
        self._counts = counts
        self._settings = settings
        self._clock = clock
        self._plans: Mapping[str, Plan] = {}
        self._known: Mapping[str, _Known] = {}
        self._read_at = clock()
        self._begun = self._shown = 0

    def in_background(self) -> BackgroundLoop:
        """Reading all again, now and then."""
        every = self._settings.refresh_seconds
        return BackgroundLoop("releases", self.refresh, every_seconds=every, waits_first=True)

    def plan(self, model: str) -> Plan | None:
        """What the release of ``model`` means; None where it has none.

        Raises:
            ApiError: 503, what is known is too old.
        """
        plan = self._plans.get(model)
        if plan is not None and self._clock() - self._read_at > self._settings.max_stale_seconds:
            raise labels_too_old(model, self._settings.max_stale_seconds)
        return plan

    async def refresh(self) -> None:
        """Read all again; a reading that a later one has overtaken is thrown away.

        Raises:
            StoreUnavailableError: the database is away; what was known stays.
        """
        self._begun += 1
        reading, began = self._begun, self._clock()
        known = {view.release.model: await self._read(view) for view in await self._releases.views()}
        if reading < self._shown:
            return
        self._shown, self._known, self._read_at = reading, known, began
        self._plans = {model: item.plan for model, item in known.items() if item.plan is not None}

    async def _read(self, view: ReleaseView) -> "_Known":
        """What ``view`` means; what was found the last time where nothing has changed since."""
        before = self._known.get(view.release.model)
        try:
            policy = policy_of(view.release.policy)
        except UnreadablePolicyError as error:
            if before is None or before.view.release.changed_at != view.release.changed_at:
                _LOGGER.warning("the release of %s is ignored: %s", view.release.model, error)
            return _Known(view=view, tallies={}, plan=None)
        is_counted = policy.bandit is not None or policy.shadow is not None
        tallies = await self._counts.of(view.release.model) if is_counted else {}
        if before is not None and (before.view, before.tallies) == (view, tallies):
            return before
        plan = await asyncio.to_thread(plan_of, view, tallies)
        return _Known(view=view, tallies=tallies, plan=plan)
