"""Settings of what is served: the models that the public API offers, and how they are answered."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from app.backend_settings import Group, Seconds

MOST_EXAMPLES = 64

CallerSystemName: TypeAlias = Literal["after", "before", "replace", "drop"]
ExamplePlaceName: TypeAlias = Literal["first", "last", "system", "system_first"]


MOST_DRAFTS = 16


class BestOfSettings(Group):
    """Several drafts of each answer, of which the judge picks one.

    Attributes:
        drafts: how many.
        max_seconds: until one has to be picked; only the first draft is waited for longer.
        max_cost: what drafts and judging may cost together, in the currency of the prices: fewer are written
            where all could cost more. By default any amount.
        temperature: of drafts where neither the request nor the prompt version has one above 0.
    """

    drafts: int = Field(default=4, ge=2, le=MOST_DRAFTS)
    max_seconds: Seconds = 30.0
    max_cost: float | None = Field(default=None, gt=0)
    temperature: float = Field(default=0.7, gt=0, le=2)


class AlignmentSettings(Group):
    """How requests for a model are aligned where they do not say so themselves.

    Attributes:
        align: false asks the model as it is.
        label / prompt_version: the version that serves it; the label may point to none.
        caller_system: what becomes of the caller's own system message; by default as for all models.
        k: examples shown; by default as many as the version was tuned with.
        examples: they stand ``first``, before the ``last`` question, in the ``system`` message after all
            else, or at its beginning (``system_first``). Jobs search with them in the same place.
        best_of: how answers are chosen from several drafts; by default there is one.
    """

    align: bool = True
    label: str = Field(default="production", min_length=1)
    prompt_version: str | None = Field(default=None, min_length=1)
    caller_system: CallerSystemName | None = None
    k: int | None = Field(default=None, ge=0, le=MOST_EXAMPLES)
    examples: ExamplePlaceName = "first"
    best_of: BestOfSettings | None = None


Weight = Annotated[float, Field(ge=0, le=1_000_000)]


class FallbackSettings(Group):
    """A model that answers for a target where its routes cannot.

    Attributes:
        model: the backend's name for it.
        api: ``chat``, or ``completions`` for a base model without a chat template.
    """

    backend: str
    model: str = Field(min_length=1)
    api: Literal["chat", "completions"] = "chat"


class RouteSettings(FallbackSettings):
    """A model of a backend that answers for a target, beside others.

    Attributes:
        weight: its share of the requests, relative to the other routes' weights; 0 gives it none.
    """

    weight: Weight = 1.0


class RoutingSettings(Group):
    """How a request finds a backend that answers it.

    Attributes:
        max_attempts: requests to backends for one request of a caller, the first one included.
        attempts_per_route: of these, most to the same model of a backend.
        max_total_seconds: no attempt begins later than this after the first one.
        retry_share / retries_per_second: further attempts are at most this share of the requests, and so many
            a second on top; ten seconds' worth of these can come at once.
        circuit_breaking: whether a model that keeps failing is left alone for a while; by default where there
            is another one to ask.
    """

    max_attempts: int = Field(default=3, ge=1, le=20)
    attempts_per_route: int = Field(default=1, ge=1, le=20)
    max_total_seconds: Seconds = 120.0
    retry_share: float = Field(default=0.2, ge=0, le=1)
    retries_per_second: float = Field(default=10.0, ge=0, le=10_000)
    circuit_breaking: bool | None = None


class KeepSettings(Group):
    """Which answers of a model are kept, and given again to exactly the same request.

    Attributes:
        ttl_seconds: for how long; a week at most.
        requests: those that ask for the same answer each time (temperature 0, or a seed), or all.
        shared: whether a caller may be given what another one was answered; by default each has its own.
    """

    ttl_seconds: float = Field(gt=0, le=604_800)
    requests: Literal["deterministic", "all"] = "deterministic"
    shared: bool = False


class CacheSettings(Group):
    """Where answers are kept of models that have a ``cache``.

    Attributes:
        store: each process's memory, or the Redis that ``redis.url`` names.
        max_bytes: of all answers in memory; Redis has a bound of its own (``maxmemory``).
        max_entry_bytes: a longer answer is not kept.
    """

    store: Literal["memory", "redis"] = "memory"
    max_bytes: int = Field(default=64 * 2**20, ge=2**16)
    max_entry_bytes: int = Field(default=2**20, ge=1024)


class TargetSettings(RouteSettings):
    """A model to align; its name in ``targets`` is its name in the public API.

    Its own backend and model are its first route, and the one that jobs ask.

    Attributes:
        routes: further ones, which share the requests with it by weight.
        fallbacks: asked in this order where no route answers.
        routing: how a request finds one that answers.
        cache: which answers are kept; by default none.
    """

    routes: tuple[RouteSettings, ...] = ()
    fallbacks: tuple[FallbackSettings, ...] = ()
    routing: RoutingSettings = RoutingSettings()
    cache: KeepSettings | None = None
    alignment: AlignmentSettings = AlignmentSettings()

    def weighted(self) -> tuple[RouteSettings, ...]:
        """Its own route and the further ones, but for those without a share."""
        return tuple(route for route in (self, *self.routes) if route.weight)

    def places(self) -> tuple[tuple[str, FallbackSettings], ...]:
        """All that may answer, each with the end of its setting's name: none for the target's own."""
        routes = ((f".routes.{place}", route) for place, route in enumerate(self.routes))
        fallbacks = ((f".fallbacks.{place}", route) for place, route in enumerate(self.fallbacks))
        return (("", self), *routes, *fallbacks)

    @model_validator(mode="after")
    def _routes_differ(self) -> Self:
        seen: set[tuple[str, str, str]] = set()
        for place, route in self.places():
            key = (route.backend, route.model, route.api)
            if key in seen:
                where = place.removeprefix(".") or "the target's own route"
                raise ValueError(f"{where} names {route.backend}/{route.model} again: once is enough")
            seen.add(key)
        if not self.fallbacks and not self.weighted():
            raise ValueError("every weight is 0, so that nobody would be asked: give one route a weight")
        return self


class EmbedderSettings(Group):
    """An embedding model; its name in ``embedders`` is its name in the public API.

    Attributes:
        cache: whether its vectors are kept; by default none.
    """

    backend: str
    model: str = Field(min_length=1)
    cache: KeepSettings | None = None


class ChatSettings(Group):
    """The serving path.

    Attributes:
        caller_system: ``after``: the caller's own system message goes after ours; ``before``; ``replace``: it
            takes ours' place; ``drop``: it is left out.
        refresh_seconds: age at which the labels held in memory are read again.
        max_stale_seconds: age at which they are not served any more, should the database be away for so long.
        keep_alive_seconds: a stream that sends nothing for so long gets a comment.
        most_drafts: drafts that a request may ask for; 1 for none beside its answer.
    """

    caller_system: CallerSystemName = "after"
    refresh_seconds: Seconds = 1.0
    max_stale_seconds: Seconds = 300.0
    keep_alive_seconds: Seconds = 15.0
    most_drafts: int = Field(default=8, ge=1, le=MOST_DRAFTS)
