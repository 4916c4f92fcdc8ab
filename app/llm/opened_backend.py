"""A backend with everything that a process opens for it, and the models that are asked there."""

from dataclasses import dataclass

from app.llm.capability_finder import ProbedModel
from app.llm.errors import Origin
from app.llm.http import BackendClient
from app.llm.limits.limiter import BackendLimiter
from app.llm.passthrough import Passthrough
from app.llm.prices import Price
from app.llm.wire import Api
from app.settings import BackendSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedBackend:
    """What all requests to a backend share."""

    settings: BackendSettings
    client: BackendClient
    limiter: BackendLimiter
    price: Price

    def passthrough(self, origin: Origin) -> Passthrough:
        """The raw interface of the model that ``origin`` names."""
        return Passthrough(self.client, self.settings, origin=origin, limiter=self.limiter)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Which model a role, a target or a route of it is."""

    origin: Origin
    api: Api
    backend: OpenedBackend

    def probed(self) -> ProbedModel:
        """As who is asked what it can do."""
        return ProbedModel(
            origin=self.origin,
            api=self.api,
            settings=self.backend.settings,
            client=self.backend.client,
            limiter=self.backend.limiter,
        )
