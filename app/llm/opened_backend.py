"""A backend with everything that a process opens for it, and the models that are asked there."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from app.llm.capabilities import Capabilities
from app.llm.capability_finder import ProbedModel
from app.llm.concurrency import ConcurrencyLimitedModel
from app.llm.errors import Origin
from app.llm.http import BackendClient
from app.llm.limits.limiter import BackendLimiter
from app.llm.metering import CallWatch
from app.llm.passthrough import ModelUpstream, Passthrough
from app.llm.prices import Price
from app.llm.token_counts import TokenCount, TokenCounter
from app.llm.wire import Api, Path
from app.settings import BackendSettings
from optimizer.budget import Budget
from optimizer.protocols import ChatModel
from optimizer.types import ModelRole


class CallTracing(Protocol):
    """Traces calls, and the jobs that they are made for."""

    def upstream(self, upstream: ModelUpstream, *, settings: BackendSettings) -> ModelUpstream:
        """``upstream`` with a span for each call."""
        ...

    def model(
        self, model: ChatModel, *, role: ModelRole, origin: Origin, settings: BackendSettings, path: Path
    ) -> ChatModel:
        """``model`` of a job, whose requests go to ``path``, with spans for its calls."""
        ...

    def job(self, job: str, *, kind: str, target: str) -> AbstractContextManager[None]:
        """What happens inside is an attempt at ``job``."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CallObservers:
    """Who watches calls: ``watch`` hears how those of jobs end, ``tracing`` traces all."""

    watch: CallWatch | None = None
    tracing: CallTracing | None = None


NOBODY: Final = CallObservers()


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedBackend:
    """What all requests to a backend share."""

    settings: BackendSettings
    client: BackendClient
    limiter: BackendLimiter
    price: Price
    tracing: CallTracing | None = None

    def passthrough(self, origin: Origin) -> ModelUpstream:
        """The raw interface of the model that ``origin`` names."""
        plain = Passthrough(self.client, self.settings, origin=origin, limiter=self.limiter)
        if self.tracing is None:
            return plain
        return self.tracing.upstream(plain, settings=self.settings)

    def limited(self, model: ChatModel, *, job: str, budget: Budget) -> ChatModel:
        """``model`` of a job, whose requests wait for a place here and for room in its ``budget``."""
        return ConcurrencyLimitedModel(
            model,
            self.limiter,
            job=job,
            budget=budget,
            price=self.price,
            order=self.settings.request_order,
        )

    def traced(self, model: ChatModel, *, role: ModelRole, origin: Origin, path: Path) -> ChatModel:
        """``model`` of a job, whose requests go to ``path``; with spans where they are wanted."""
        if self.tracing is None:
            return model
        return self.tracing.model(model, role=role, origin=origin, settings=self.settings, path=path)


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

    def token_count(self, can: Capabilities) -> TokenCount | None:
        """What counts the prompts of this model, which can do ``can``; None where its backend does not."""
        if not can.tokenize:
            return None
        backend = self.backend
        counter = TokenCounter(
            backend.client, backend.settings, origin=self.origin, folds_system=not can.system_role
        )
        return counter.count
