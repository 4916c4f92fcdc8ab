"""What models can do: from the settings, from memory, from the store, or by asking them once."""

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import Final

from app.llm.capabilities import DECLARED, Capabilities, CapabilityRecords, settled_by
from app.llm.errors import Origin
from app.llm.http import BackendClient
from app.llm.limits.limiter import BackendLimiter
from app.llm.probe import Prober
from app.llm.retry import Sleep
from app.llm.wire import Api
from app.settings import BackendSettings
from optimizer.shared_calls import SharedCalls

_USER: Final = re.compile(r"(?<=://)[^/?#]*@")
_DIGEST_LENGTH: Final = 8
"""Enough to notice another query, too little to find out a secret by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbedModel:
    """A model that may have to be asked what it can do, and the connection to it."""

    origin: Origin
    api: Api
    settings: BackendSettings
    client: BackendClient
    limiter: BackendLimiter


class CapabilityFinder:
    """Finds what each model can do; nobody is asked twice."""

    def __init__(self, records: CapabilityRecords | None, *, sleep: Sleep) -> None:
        """Keep what was found in ``records``, by default only in memory; ``sleep`` waits between retries."""
        self._records = records
        self._sleep = sleep
        self._probing: SharedCalls[tuple[str, str, Api], Capabilities] = SharedCalls()
        self._found: dict[tuple[str, str, Api], Capabilities] = {}

    async def find(self, model: ProbedModel) -> Capabilities:
        """What ``model`` can do.

        Raises:
            ModelError: it had to be probed and did not answer.
        """
        known = self.known(model)
        if known is not None:
            return known
        found = await self._probing.run(_place(model), partial(self._remembered_or_probed, model))
        return self._take(model, found)

    def known(self, model: ProbedModel) -> Capabilities | None:
        """What it can do, as far as that is in memory or in the settings: it is not asked."""
        settings = model.settings
        found = self._found.get(_place(model))
        if found is not None:
            return found
        declared = DECLARED.get(settings.kind)
        if declared is None and settled_by(settings.capabilities):
            declared = Capabilities()
        return None if declared is None else self._take(model, declared)

    async def recall(self, model: ProbedModel) -> None:
        """Take into memory what was found before this process began; nobody is asked."""
        if self.known(model) is None:
            remembered = await self._remembered(model)
            if remembered is not None:
                self._take(model, remembered)

    def _take(self, model: ProbedModel, found: Capabilities) -> Capabilities:
        """Keep in memory what was found, as the settings have it: every request asks."""
        known = self._found[_place(model)] = found.overridden_by(model.settings.capabilities)
        return known

    async def _remembered(self, model: ProbedModel) -> Capabilities | None:
        origin = model.origin
        record = await self._records.get(origin.backend, origin.model) if self._records else None
        stored = record.get("capabilities") if record and record.get("source") == _source(model) else None
        return Capabilities.from_json(stored) if isinstance(stored, dict) else None

    async def _remembered_or_probed(self, model: ProbedModel) -> Capabilities:
        remembered = await self._remembered(model)
        if remembered is not None:
            return remembered
        origin = model.origin
        found = await Prober(
            client=model.client,
            settings=model.settings,
            origin=origin,
            api=model.api,
            limiter=model.limiter,
            sleep=self._sleep,
        ).probe()
        if self._records is not None:
            await self._records.put(
                origin.backend, origin.model, {"source": _source(model), "capabilities": found.to_json()}
            )
        return found


def _source(model: ProbedModel) -> str:
    """Where answers come from, which is kept with them: a backend that moved is asked again.

    A URL's user and password are left out, and of its query, which may hold a key, there is a digest.
    """
    place, mark, query = str(model.settings.base_url).partition("?")
    digest = hashlib.sha256(query.encode()).hexdigest()[:_DIGEST_LENGTH] if mark else ""
    return f"{model.api} {_USER.sub('', place, count=1)}{mark}{digest}"


def _place(model: ProbedModel) -> tuple[str, str, Api]:
    return model.origin.backend, model.origin.model, model.api
