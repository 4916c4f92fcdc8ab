"""All releases, in memory: read again in the background, so that no request waits for it."""

import logging
import random
import time
from collections.abc import Callable, Mapping

from pydantic import ValidationError

from app.background import BackgroundLoop
from app.labelled_prompts import labels_too_old
from app.release_control.plan import Plan, plan_of
from app.release_control.policy import ReleasePolicy
from app.serving_settings import ChatSettings
from store.records.releases import ArmKey, ArmTally, ReleaseView
from store.repositories.release_counts import ReleaseCountRepository
from store.repositories.releases import ReleaseRepository

_LOGGER = logging.getLogger(__name__)


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
        self._read_at = clock()

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
        """Read all again.

        Raises:
            StoreUnavailableError: the database is away; what was known stays.
        """
        began = self._clock()
        plans = {}
        for view in await self._releases.views():
            try:
                plans[view.release.model] = plan_of(view, await self._tallies(view))
            except ValidationError as error:  # written by a newer version
                _LOGGER.warning("the release of %s is ignored: %s", view.release.model, error)
        self._plans, self._read_at = plans, began

    async def _tallies(self, view: ReleaseView) -> Mapping[ArmKey, ArmTally]:
        policy = ReleasePolicy.model_validate(view.release.policy)
        if policy.bandit is None and policy.shadow is None:
            return {}
        return await self._counts.of(view.release.model)
