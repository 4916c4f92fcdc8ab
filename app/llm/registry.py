"""All configured models: opens each backend once and assembles the stack of each role."""

import asyncio
import dataclasses
import time
from collections.abc import Callable
from functools import partial

from app.llm.budgeted import BudgetedModel, waiting_within
from app.llm.builds import BackendSaid, ask_backend
from app.llm.capabilities import Capabilities, CapabilityRecords
from app.llm.capability_finder import CapabilityFinder
from app.llm.concurrency import WatchedModel
from app.llm.embeddings import BackendEmbedder, EmbeddingCalls
from app.llm.emulated_n import with_several
from app.llm.errors import Origin
from app.llm.http import BackendClient
from app.llm.ledger import LedgeredModel
from app.llm.limits.limiter import BackendLimiter
from app.llm.limits.opening import LimiterSource, own_limiters
from app.llm.local_embeddings import LocalEmbedder
from app.llm.metering import MeteredModel
from app.llm.openai_compatible import OpenAICompatibleModel
from app.llm.opened_backend import NOBODY, Assignment, CallObservers, OpenedBackend
from app.llm.passthrough import ModelUpstream
from app.llm.permitted import PermittedModel
from app.llm.prices import Price
from app.llm.retry import RetryingModel, Sleep
from app.llm.routing.opening import open_routes
from app.llm.routing.routes import Route, Routes
from app.llm.run_context import RunContext
from app.llm.text_scoring import BackendTextScorer, TextScorer, scoring_calls
from app.llm.token_counts import TokenCount
from app.llm.wire import PATHS, Api, Path
from app.reward_settings import RewardSettings
from app.serving_settings import TargetSettings
from app.settings import RoleSettings, Settings
from optimizer.concurrency import run_together
from optimizer.errors import InvalidInputError, MisconfiguredError
from optimizer.protocols import ChatModel, Embedder
from optimizer.seeds import derive_seed
from optimizer.shared_calls import SharedCalls
from optimizer.types import JsonObject, ModelRole


class ModelRegistry:
    """The models that the settings name. Open one per process and close it with ``aclose``."""

    def __init__(
        self,
        settings: Settings,
        *,
        capability_records: CapabilityRecords | None = None,
        limiters: LimiterSource = own_limiters,
        observers: CallObservers = NOBODY,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Open the backends of ``settings``; nothing is connected yet.

        Args:
            settings: backends, targets and roles.
            capability_records: where probe results are kept over restarts; by default only in memory.
            limiters: gives each backend its limits; by default this process has every backend for itself.
            observers: who counts the calls that runs make, and who traces all.
            clock: monotonic seconds.
            sleep: how to wait between retries.

        Raises:
            InvalidInputError: a backend's key cannot be read.
        """
        self._settings = settings
        self._target_names = tuple(settings.targets)
        self._capabilities = CapabilityFinder(capability_records, sleep=sleep)
        self._watch = observers.watch
        self.tracing = observers.tracing
        self._clock = clock
        self._sleep = sleep
        self._opening: SharedCalls[str, LocalEmbedder] = SharedCalls()
        self._describing: SharedCalls[str, BackendSaid] = SharedCalls()
        self._local: dict[str, LocalEmbedder] = {}
        keys = {name: backend.read_api_key(name) for name, backend in settings.backends.items()}
        self._keys = keys
        self._backends = {
            name: OpenedBackend(
                settings=backend,
                client=BackendClient(backend, key=keys[name]),
                limiter=limiters(name, backend),
                price=Price.from_settings(backend.price),
                tracing=observers.tracing,
            )
            for name, backend in settings.backends.items()
        }
        self._routes = open_routes(settings, self._placed, clock=clock)

    @property
    def rewards(self) -> RewardSettings:
        """What jobs may ask for beyond the judge."""
        return self._settings.rewards

    def limiters(self) -> dict[str, BackendLimiter]:
        """The limits of the backends, by name."""
        return {name: backend.limiter for name, backend in self._backends.items()}

    def clients(self) -> dict[str, BackendClient]:
        """The clients of the backends, by name."""
        return {name: backend.client for name, backend in self._backends.items()}

    def target_names(self) -> tuple[str, ...]:
        """The targets, in the order of the settings: what the public API lists as models."""
        return self._target_names

    def target(self, name: str) -> TargetSettings:
        """The target called ``name``.

        Raises:
            InvalidInputError: there is none; the message lists those that exist.
        """
        target = self._settings.targets.get(name)
        if target is None:
            raise InvalidInputError(
                f"there is no model {name!r}: use one of {', '.join(self.target_names())}", param="model"
            )
        return target

    @property
    def has_gate_judge(self) -> bool:
        """Whether the settings name another model for the gate than for the search."""
        roles = self._settings.roles
        return roles.gate_judge is not None and roles.gate_judge != roles.judge

    def judge_names(self) -> tuple[str, ...]:
        """The judges beside the role's own, in the order of the settings."""
        return tuple(self._settings.judges)

    def model_name(self, role: ModelRole, target: str | None = None, *, judge: str | None = None) -> str:
        """``backend/model`` of the model in ``role``: what provenance records."""
        origin = self._assignment(role, target, judge).origin
        return f"{origin.backend}/{origin.model}"

    async def describe_backend(
        self, role: ModelRole, target: str | None = None, *, judge: str | None = None
    ) -> JsonObject:
        """What the backend of the model in ``role`` says about itself and that model; see ``builds``.

        Who asks at the same time about others of its models shares the answer.
        """
        assignment = self._assignment(role, target, judge)
        origin = assignment.origin
        ask = partial(ask_backend, assignment.backend.settings, key=origin.key)
        return (await self._describing.run(origin.backend, ask)).of(origin.model)

    def price(self, role: ModelRole, target: str | None = None, *, judge: str | None = None) -> Price:
        """What the tokens of the model in ``role`` cost."""
        return self._assignment(role, target, judge).backend.price

    def backend_price(self, backend: str) -> Price:
        """What the tokens of a configured backend cost."""
        return self._backends[backend].price

    async def capabilities(
        self, role: ModelRole, target: str | None = None, *, judge: str | None = None
    ) -> Capabilities:
        """What the model in ``role`` can do: remembered, or probed now.

        Raises:
            ModelError: it had to be probed and did not answer.
        """
        return await self._capabilities.find(self._assignment(role, target, judge).probed())

    async def route_capabilities(self, route: Route) -> Capabilities:
        """What the model of a target's route can do: remembered, or probed now.

        Raises:
            ModelError: it had to be probed and did not answer.
        """
        return await self._capabilities.find(route.probed)

    def known_capabilities(self, route: Route) -> Capabilities | None:
        """The same, as far as it is in memory or in the settings: nobody is asked."""
        return self._capabilities.known(route.probed)

    async def recall_capabilities(self) -> None:
        """Take into memory what is stored about the targets, so that serving never waits for it."""
        for routes in self._routes.values():
            for route in routes:
                await self._capabilities.recall(route.probed)

    async def open_role(
        self, role: ModelRole, target: str | None, run: RunContext, *, judge: str | None = None
    ) -> ChatModel:
        """The model in ``role`` with everything around it that a run needs.

        Args:
            role: which role.
            target: the target's name; read for the role ``target`` only.
            run: whose budget, meter and ledger it uses.
            judge: one of ``judges``, in place of the role's own; read for the role ``judge`` only.

        Raises:
            InvalidInputError: there is no such target or judge.
            ModelError: the model had to be probed and did not answer.
        """
        if run.replay is not None:
            recorded = run.replay.model(role, self._configured_name(role, target, judge))
            return run.draws.wrap(run.builds.watched(recorded, role), role)
        assignment = self._assignment(role, target, judge)
        can = await self._capabilities.find(assignment.probed())
        adapter = OpenAICompatibleModel(
            assignment.backend.client,
            assignment.backend.settings,
            origin=assignment.origin,
            api=assignment.api,
            capabilities=dataclasses.replace(can, priority=can.priority and not run.serves),
            clock=self._clock,
        )
        model = self._in_run(adapter, assignment, role, run, assignment.token_count(can))
        return run.draws.wrap(with_several(run.builds.watched(model, role), can), role)

    async def open_text_scorer(self, target: str, run: RunContext) -> TextScorer:
        """The model of ``target`` as one that tells how likely it finds a given text.

        Raises:
            InvalidInputError: there is no such target, or its backend does not tell that.
            ModelError: the model had to be probed and did not answer.
        """
        assignment = self._assignment(ModelRole.TARGET, target)
        can = await self._capabilities.find(assignment.probed())
        calls = scoring_calls(assignment, can, target=target, clock=self._clock)
        return BackendTextScorer(self._in_run(calls, assignment, ModelRole.TARGET, run))

    def open_embedder(self, backend: str, model: str, run: RunContext | None) -> Embedder:
        """The embedding model ``model`` of ``backend``.

        Args:
            backend: a configured backend's name.
            model: its name for the model.
            run: whose budget, meter and ledger it uses; None for serving, which neither retries nor queues.

        Raises:
            MisconfiguredError: there is no such backend (any more).
        """
        if run is not None and run.replay is not None:
            recorded = run.replay.model(ModelRole.EMBEDDER, f"{backend}/{model}")
            return BackendEmbedder(recorded, batch_size=self._settings.retrieval.batch_size)
        if backend not in self._backends:
            known = ", ".join(sorted(self._backends))
            raise MisconfiguredError(
                f"examples are found by embeddings of backend {backend!r}, which is not configured: add "
                f"[backends.{backend}]; there are {known}",
                backend=backend,
            )
        found, settings = self._backends[backend], self._settings.retrieval
        assignment = self._placed(backend, model, "retrieval")
        calls: ChatModel = EmbeddingCalls(
            found.client,
            found.settings,
            origin=assignment.origin,
            encoding=settings.encoding,
            clock=self._clock,
        )
        if run is None:
            calls = WatchedModel(calls, found.limiter)
        else:
            calls = self._in_run(calls, assignment, ModelRole.EMBEDDER, run)
        return BackendEmbedder(calls, batch_size=settings.batch_size)

    async def local_embedder(self, model: str) -> LocalEmbedder:
        """The embedding model ``model`` on this machine; loaded once in a process.

        Raises:
            MisconfiguredError: there is none.
        """
        known = self._local.get(model)
        if known is None:
            known = await self._opening.run(
                model, partial(LocalEmbedder.open, model, batch_size=self._settings.retrieval.batch_size)
            )
            self._local[model] = known
        return known

    def _in_run(
        self,
        model: ChatModel,
        assignment: Assignment,
        role: ModelRole,
        run: RunContext,
        count: TokenCount | None = None,
    ) -> ChatModel:
        """``model`` with everything around it that a run needs."""
        origin, backend = assignment.origin, assignment.backend
        path: Path = "embeddings" if role is ModelRole.EMBEDDER else PATHS[assignment.api]
        model = backend.traced(model, role=role, origin=origin, path=path)
        model = MeteredModel(
            model, run.meter, role=role, price=backend.price, clock=self._clock, watch=self._watch
        )
        model = PermittedModel(model, run.permit)
        model = BudgetedModel(model, run.budget, backend.price, count=count)
        if run.serves:
            return WatchedModel(model, backend.limiter)
        model = backend.limited(model, job=run.scope, budget=run.budget)
        model = RetryingModel(
            model,
            backend.settings.retries,
            seed=derive_seed(run.seed, "retry", role),
            sleep=waiting_within(run.budget, self._sleep),
        )
        if run.ledger is not None:
            model = LedgeredModel(
                model,
                run.ledger,
                backend=origin.backend,
                model_id=origin.model,
                role=role,
                price=backend.price,
            )
        return model

    def routes(self, target: str) -> Routes:
        """Who may answer for a target, for serving.

        Raises:
            InvalidInputError: there is no such target.
        """
        self.target(target)
        return self._routes[target]

    def embedder_names(self) -> tuple[str, ...]:
        """The embedding models of the public API, in the order of the settings."""
        return tuple(self._settings.embedders)

    def embedder_passthrough(self, name: str) -> ModelUpstream:
        """The raw interface of the embedding model that the public API calls ``name``.

        Raises:
            InvalidInputError: there is none; the message lists those that exist.
        """
        chosen = self._settings.embedders.get(name)
        if chosen is None:
            known = ", ".join(self._settings.embedders) or "none: add [embedders.NAME]"
            raise InvalidInputError(f"there is no embedding model {name!r}; there are {known}", param="model")
        placed = self._placed(chosen.backend, chosen.model, f"embedders.{name}")
        return placed.backend.passthrough(placed.origin)

    async def aclose(self) -> None:
        """Close all connections."""
        await run_together(embedder.aclose() for embedder in self._local.values())
        await run_together(backend.client.aclose() for backend in self._backends.values())
        await run_together(backend.limiter.aclose() for backend in self._backends.values())

    def _assignment(self, role: ModelRole, target: str | None, judge: str | None = None) -> Assignment:
        chosen: TargetSettings | RoleSettings
        api: Api = "chat"
        setting = f"roles.{role.value}"
        match role:
            case ModelRole.TARGET:
                chosen = self.target(target or "")
                setting, api = f"targets.{target}", chosen.api
            case ModelRole.PROPOSER:
                chosen = self._settings.roles.proposer
            case ModelRole.SELECTOR:
                chosen = self._settings.roles.selector
            case ModelRole.JUDGE:
                chosen = self._settings.roles.judge if judge is None else self._judge(judge)
                setting = setting if judge is None else f"judges.{judge}"
            case ModelRole.GATE_JUDGE:
                chosen = self._settings.roles.gate_judge or self._settings.roles.judge
            case ModelRole.REWRITER:
                chosen = self._settings.roles.rewriter or self._settings.roles.proposer
            case ModelRole.EXAMPLE_JUDGE:
                chosen = self._settings.roles.example_judge or self._settings.roles.judge
            case ModelRole.EMBEDDER:
                raise ValueError("the settings of retrieval name the embedding model: use open_embedder")
            case ModelRole.SCORER:
                raise ValueError("a job names its own scorer: use open_scorer")
        return self._placed(chosen.backend, chosen.model, setting, api=api)

    def _placed(self, backend: str, model: str, setting: str, *, api: Api = "chat") -> Assignment:
        """``model`` of ``backend``, as the settings called ``setting`` name them."""
        origin = Origin(backend=backend, model=model, setting=setting, key=self._keys[backend])
        return Assignment(origin=origin, api=api, backend=self._backends[backend])

    def _configured_name(self, role: ModelRole, target: str | None, judge: str | None) -> str | None:
        try:
            return self.model_name(role, target, judge=judge)
        except InvalidInputError:
            return None  # the target or the judge has left the settings since

    def _judge(self, name: str) -> RoleSettings:
        judge = self._settings.judges.get(name)
        if judge is None:
            raise InvalidInputError(f"there is no judge {name!r} (any more): add [judges.{name}]")
        return judge
