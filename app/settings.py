"""The settings tree, and the only reader of the environment.

A TOML file (``DRPO_CONFIG``, else ``./drpo.toml`` where it exists) and then environment variables, which win:
``DRPO_SERVER__PORT=8080`` is ``server.port``. Without either, everything runs on the simulated backend.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import override

from app.access_settings import KeySettings, UsageSettings
from app.backend_settings import (
    CapabilityOverrides,
    CircuitSettings,
    Group,
    PriceSettings,
    RedisSettings,
    RequestOrder,
    RetrySettings,
    Seconds,
    SimulatedSettings,
    TimeoutSettings,
)
from app.configuration import (
    check_secret,
    explain,
    is_loopback,
    merge,
    read_secret,
    read_toml,
    refuse_unknown,
    simulated_world,
)
from app.job_settings import JobSettings, WorkerSettings
from app.observability_settings import LoggingSettings, ObservabilitySettings
from app.retrieval_settings import RetrievalSettings
from app.reward_settings import RewardSettings
from app.serving_settings import CacheSettings, ChatSettings, EmbedderSettings, TargetSettings
from app.vllm_settings import EngineSettings, VllmSettings, with_vllm
from app.webhook_settings import WebhookSettings
from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject, JsonValue

ENV_PREFIX = "DRPO_"
ENV_DELIMITER = "__"
CONFIG_VARIABLE = "DRPO_CONFIG"
DEFAULT_CONFIG = Path("drpo.toml")
SIMULATED_BACKEND = "simulated"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"
ROLE_JUDGE = "judge"
"""The name of the role's own judge among those in ``judges``."""


class ServerSettings(Group):
    """Where the service listens.

    Attributes:
        api_key / api_key_file: the key that clients have to send, or a file with it; needed for any host
            other than loopback.
        max_body_bytes: largest request body.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    max_body_bytes: int = Field(default=10 * 2**20, ge=1024)

    @model_validator(mode="after")
    def _open_only_with_a_key(self) -> Self:
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("set api_key or api_key_file, not both")
        if self.api_key is None and self.api_key_file is None and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} can be reached from other machines: set server.api_key_file (or "
                f"{ENV_PREFIX}SERVER{ENV_DELIMITER}API_KEY), or set server.host to 127.0.0.1"
            )
        return self

    def read_api_key(self) -> SecretStr | None:
        """The key that clients have to send, or None where none is configured.

        Raises:
            InvalidInputError: the file cannot be read or is empty.
        """
        if self.api_key_file is not None:
            return read_secret(self.api_key_file, "server.api_key_file")
        if self.api_key is None:
            return None
        return check_secret(self.api_key.get_secret_value().strip(), "server.api_key")


class DatabaseSettings(Group):
    """The store: ``sqlite+aiosqlite:///file`` or ``postgresql+psycopg://user:password@host/name``."""

    url: str = Field(default="sqlite+aiosqlite:///drpo.db", min_length=1, repr=False)


class BackendSettings(Group):
    """One server that speaks the OpenAI protocol, the simulated one, or vLLM's engine in this process.

    Attributes:
        base_url: URL up to and including ``/v1``.
        api_key_env / api_key_file: the environment variable or the file that holds the key; neither for a
            server without keys.
        max_concurrency: most requests in flight.
        requests_per_minute / tokens_per_minute: most of a minute; by default as many as come.
        request_order: in which order those of a job leave that have to wait for a place: ``prefix`` sends
            those with a common beginning one after the other, for the backend's prefix cache.
        max_response_bytes: a longer response is refused.
        capabilities: what not to probe.
    """

    kind: Literal["openai", "simulated", "vllm"] = "openai"
    base_url: HttpUrl | None = None
    api_key_env: str | None = Field(default=None, min_length=1)
    api_key_file: Path | None = None
    max_concurrency: int = Field(default=64, ge=1, le=10_000)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    request_order: RequestOrder = "prefix"
    max_response_bytes: int = Field(default=32 * 2**20, ge=1024)
    timeouts: TimeoutSettings = TimeoutSettings()
    retries: RetrySettings = RetrySettings()
    circuit: CircuitSettings = CircuitSettings()
    price: PriceSettings = PriceSettings()
    capabilities: CapabilityOverrides = CapabilityOverrides()
    simulated: SimulatedSettings | None = None
    engine: EngineSettings | None = None

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Self:
        if self.kind == "openai" and self.base_url is None:
            raise ValueError("base_url is missing: set the server's, such as http://127.0.0.1:8001/v1")
        if self.kind != "simulated" and self.simulated is not None:
            raise ValueError("the group simulated needs kind = 'simulated'")
        if self.kind != "openai" and self.base_url is not None:
            raise ValueError(f"a {self.kind} backend has no base_url: remove it, or set kind = 'openai'")
        if (self.kind == "vllm") != (self.engine is not None):
            raise ValueError("kind = 'vllm' and the group engine, with the model, go together")
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("set api_key_env or api_key_file, not both")
        has_key = self.api_key_env or self.api_key_file
        if has_key and self.base_url and (self.base_url.username or self.base_url.password):
            raise ValueError("base_url names a user, and there is an API key too: remove one of them")
        return self

    def read_api_key(self, name: str) -> SecretStr | None:
        """The key of the backend called ``name``, or None where it needs none.

        Raises:
            InvalidInputError: the variable is not set, or the file cannot be read or is empty.
        """
        if self.api_key_file is not None:
            return read_secret(self.api_key_file, f"backends.{name}.api_key_file")
        if self.api_key_env is None:
            return None
        field = f"backends.{name}.api_key_env"
        value = os.environ.get(self.api_key_env, "").strip()  # noqa: TID251
        if not value:
            raise InvalidInputError(
                f"{field} names the environment variable {self.api_key_env}, which is not set: set it, or "
                "name another one",
                param=field,
            )
        return check_secret(value, field)


class RoleSettings(Group):
    """The model that fills a role."""

    backend: str
    model: str = Field(min_length=1)


class RolesSettings(Group):
    """Who proposes prompts, picks criteria and judges; ``judges`` beside it has more judges, by name.

    Attributes:
        gate_judge: judges the held-out comparison; by default the judge, whose taste the search has followed.
        rewriter: rewrites the answers of example banks; by default the proposer.
        example_judge: judges them; by default the judge.
    """

    proposer: RoleSettings
    selector: RoleSettings
    judge: RoleSettings
    gate_judge: RoleSettings | None = None
    rewriter: RoleSettings | None = None
    example_judge: RoleSettings | None = None


BackendName = Annotated[str, Field(pattern="^[^/]+$")]
"""A model's full name is ``backend/model``, and has to be read again."""


class LedgerSettings(Group):
    """How long the call ledger keeps what jobs have asked and been answered, so that they can be replayed.

    Attributes:
        keep_days: after the end of a job; null keeps calls for ever.
        max_bytes: of all calls together; the oldest jobs' go first. Null for any amount.
        vector_keep_days / vector_max_bytes: the same for the vectors of texts, from when they were made. One
            that is needed again is made again.
        sweep_seconds: how often this is looked after.
    """

    keep_days: float | None = Field(default=90.0, ge=0)
    max_bytes: int | None = Field(default=5 * 2**30, ge=0)
    vector_keep_days: float | None = Field(default=365.0, ge=0)
    vector_max_bytes: int | None = Field(default=2**30, ge=0)
    sweep_seconds: Seconds = 600.0


class Settings(BaseSettings):
    """The whole tree. ``Settings(...)`` reads nothing from outside; ``load_settings`` does."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER
    )

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    backends: dict[BackendName, BackendSettings] = Field(min_length=1)
    targets: dict[str, TargetSettings] = Field(min_length=1)
    embedders: dict[str, EmbedderSettings] = Field(default_factory=dict)
    roles: RolesSettings
    judges: dict[Annotated[str, Field(pattern=NAME_PATTERN)], RoleSettings] = Field(default_factory=dict)
    vllm: VllmSettings = VllmSettings()
    rewards: RewardSettings = RewardSettings()
    chat: ChatSettings = ChatSettings()
    cache: CacheSettings = CacheSettings()
    api_keys: KeySettings = KeySettings()
    usage: UsageSettings = UsageSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    jobs: JobSettings = JobSettings()
    worker: WorkerSettings = WorkerSettings()
    ledger: LedgerSettings = LedgerSettings()
    redis: RedisSettings = RedisSettings()
    webhooks: WebhookSettings = WebhookSettings()
    logging: LoggingSettings = LoggingSettings()
    observability: ObservabilitySettings = ObservabilitySettings()

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: ``load_settings`` merges the sources."""
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _embedded_defaults(cls, given: JsonValue) -> JsonValue:
        if not isinstance(given, dict):
            return given
        given = with_vllm(given)
        backends = given.get("backends") or {}
        # One backend of the user's own replaces the simulated world as a whole: its models must not be
        # offered beside real ones unless somebody asks for them.
        if isinstance(backends, dict) and not set(backends) - {SIMULATED_BACKEND}:
            defaults = simulated_world(SIMULATED_BACKEND)
            if given.get("targets"):
                del defaults["targets"], defaults["embedders"]
            return merge(defaults, given)
        return given

    def named_roles(self) -> tuple[tuple[str, RoleSettings], ...]:
        """The models of all roles and judges, with the names of their settings."""
        roles = {f"roles.{name}": role for name, role in dict(self.roles).items() if role is not None}
        judges = {f"judges.{name}": judge for name, judge in self.judges.items()}
        return tuple({**roles, **judges}.items())

    @model_validator(mode="after")
    def _backends_exist(self) -> Self:
        uses = {
            f"targets.{name}{place}": route.backend
            for name, target in self.targets.items()
            for place, route in target.places()
        }
        for name, embedder in self.embedders.items():
            uses[f"embedders.{name}"] = embedder.backend
            if name in self.targets:
                raise ValueError(f"embedders.{name} has the name of a target: give one of them another")
        uses |= {name: role.backend for name, role in self.named_roles()}
        if self.retrieval.backend is not None:
            uses["retrieval"] = self.retrieval.backend
        if self.cache.store == "redis" and self.redis.url is None:
            raise ValueError("cache.store = 'redis' needs redis.url: set it, or keep answers in memory")
        if ROLE_JUDGE in self.judges:
            raise ValueError(f"judges.{ROLE_JUDGE} is the name of roles.judge: give it another one")
        for user, backend in uses.items():
            if backend not in self.backends:
                known = ", ".join(sorted(self.backends))
                raise ValueError(
                    f"{user}.backend is {backend!r}, which is not a configured backend: use one of {known}, "
                    f"or add [backends.{backend}]"
                )
        return self


def read_header_variable(settings: RewardSettings, name: str) -> SecretStr:
    """The value of the environment variable ``name``, which a job has sent to its scorer.

    Raises:
        InvalidInputError: it may not be sent, is not set, or fits into no header.
    """
    if name not in settings.http_header_variables:
        raise InvalidInputError(
            f"the variable {name} may not be sent: an operator can add it to rewards.http_header_variables"
        )
    value = os.environ.get(name, "").strip()  # noqa: TID251
    if not value:
        raise InvalidInputError(f"the environment variable {name} is not set where the service runs")
    return check_secret(value, f"the environment variable {name}")


def environment_of_children(settings: Settings) -> dict[str, str]:
    """The environment for a program that we start: ours, without our settings and without backends' keys."""
    keys = {backend.api_key_env for backend in settings.backends.values()}
    keys.update(settings.rewards.http_header_variables)
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251
        if name not in keys and not name.upper().startswith(ENV_PREFIX)
    }


def load_settings(config: Path | None = None, *, above: JsonObject | None = None) -> Settings:
    """Read the settings from the TOML file and the environment.

    Args:
        config: the file; by default the one that ``DRPO_CONFIG`` names, else ``./drpo.toml`` if it exists.
        above: what a command's options say, which wins over both.

    Raises:
        InvalidInputError: something is missing, unknown or wrong; the message names each field and what to
            change, and never shows a value.
    """
    try:
        environment = EnvSettingsSource(Settings, env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER)()
    except SettingsError as error:
        raise InvalidInputError(f"an environment variable holds no valid JSON: {error}") from None
    variables = tuple(os.environ)  # noqa: TID251
    refuse_unknown(variables, ENV_PREFIX, ENV_DELIMITER, groups=tuple(Settings.model_fields))
    try:
        given = merge(merge(_read_file(config), environment), above or {})
        return Settings.model_validate(merge(_of_opentelemetry(), given))
    except ValidationError as error:
        raise explain(error) from None


def _of_opentelemetry() -> JsonObject:
    """Where its own variables say that spans are sent."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")  # noqa: TID251
    if not endpoint:
        base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")  # noqa: TID251
        endpoint = f"{base.rstrip('/')}/v1/traces" if base else None
    return {"observability": {"traces_endpoint": endpoint}} if endpoint else {}


def with_options(
    settings: Settings, group: Literal["server", "worker", "jobs"], **options: str | int | None
) -> Settings:
    """``settings`` with other values in one group; None leaves what is there.

    Raises:
        InvalidInputError: they cannot be used, such as a host beyond loopback without a key.
    """
    given = {name: value for name, value in options.items() if value is not None}
    changed = {**dict(settings)[group].model_dump(), **given}
    try:
        return Settings.model_validate({**dict(settings), group: changed})
    except ValidationError as error:
        raise explain(error) from None


def _read_file(config: Path | None) -> JsonObject:
    named = os.environ.get(CONFIG_VARIABLE)  # noqa: TID251
    path = config or (Path(named) if named else None)
    if path is None:
        if not DEFAULT_CONFIG.exists():
            return {}
        path = DEFAULT_CONFIG
    return read_toml(path)
