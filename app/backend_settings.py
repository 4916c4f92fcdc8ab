"""Settings of backends: patience, prices, what not to probe, the simulated world, where limits are shared."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


class Group(BaseModel):
    """A table of the settings. Groups don't change, and an unknown name in them is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TimeoutSettings(Group):
    """How long a backend may take.

    Attributes:
        connect_seconds: until the connection stands.
        read_seconds: between two pieces of a response; the first one may have to wait for a model to load.
        total_seconds: for a whole response that is not streamed.
        first_token_seconds: until a stream's first frame; comments that keep its connection alive are none.
        idle_seconds: between two frames of a stream.
        stream_seconds: for a whole stream.
    """

    connect_seconds: Seconds = 10.0
    read_seconds: Seconds = 120.0
    total_seconds: Seconds = 600.0
    first_token_seconds: Seconds = 300.0
    idle_seconds: Seconds = 120.0
    stream_seconds: Seconds = 3600.0


class RetrySettings(Group):
    """How often and how patiently a failed request is repeated.

    Attributes:
        max_attempts: requests in all, the first one included.
        first_wait_seconds / max_wait_seconds: waits double from here to there.
        max_total_seconds: no attempt begins later than this after the first one.
    """

    max_attempts: int = Field(default=6, ge=1, le=100)
    first_wait_seconds: Seconds = 0.5
    max_wait_seconds: Seconds = 30.0
    max_total_seconds: Seconds = 600.0


class CircuitSettings(Group):
    """When a model of a backend is left alone, as far as targets with other routes are concerned.

    Attributes:
        consecutive_failures: so many in a row open its circuit.
        failure_share / min_requests / window_seconds: so does this share of at least so many requests, over
            so long.
        open_seconds / max_open_seconds: it stays open from here, doubling with each failed trial, to there.
    """

    consecutive_failures: int = Field(default=5, ge=1, le=1000)
    failure_share: Share = Field(default=0.5, gt=0)
    min_requests: int = Field(default=20, ge=1, le=100_000)
    window_seconds: Seconds = 30.0
    open_seconds: Seconds = 5.0
    max_open_seconds: Seconds = 60.0


RequestOrder = Literal["prefix", "arrival"]
"""In which order a job's waiting requests leave: common beginnings together, or as they came."""


class PriceSettings(Group):
    """Price per million tokens, in any one currency.

    ``cached_input_per_million`` is that of prompt tokens which the backend says it had in its cache; by
    default they cost what the others cost.
    """

    input_per_million: float = Field(default=0.0, ge=0)
    cached_input_per_million: float | None = Field(default=None, ge=0)
    output_per_million: float = Field(default=0.0, ge=0)


class CapabilityOverrides(Group):
    """What is not to be probed; see ``app.llm.capabilities``."""

    system_role: bool | None = None
    sampling: bool | None = None
    n: bool | None = None
    greedy_n: bool | None = None
    seed: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    json_schema: bool | None = None
    json_mode: bool | None = None
    structured_outputs: bool | None = None
    prompt_logprobs: bool | None = None
    echo: bool | None = None
    tokenize: bool | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    usage: bool | None = None
    usage_in_stream: bool | None = None
    priority: bool | None = None


class SimulatedFaults(Group):
    """Probability, for each request, of a fault of the simulated backend.

    Attributes:
        rate_limited: 429.
        server_error: 5xx.
        connection_lost: no response at all.
        malformed_response: a body that is not the protocol.
        malformed_reply: a well-formed response whose text is not what was asked for.
        broken_stream: a stream that ends before its end.
    """

    rate_limited: Share = 0.0
    server_error: Share = 0.0
    connection_lost: Share = 0.0
    malformed_response: Share = 0.0
    malformed_reply: Share = 0.0
    broken_stream: Share = 0.0


class SimulatedWorldSettings(Group):
    """How the simulated world differs from the usual one; 1 is the usual strength where nothing else is said.

    Attributes:
        responsiveness: how much instructions move a target; at 0 no prompt can be better than another.
        noise: how much the exact wording of a request does to an answer.
        conflicts: how much a push on one trait takes from others.
        judge_noise: how much the judge's scores scatter.
        judge_leniency: what the judge adds to every score, so that more of them are 5; usually 0.
        judge_length_preference: what the judge adds to a score for every 100 words of an answer; usually 0.
        proposer_skill: share of the new instructions that come out as usual; the others are thin, vague,
            about a single query, or harmful.
    """

    responsiveness: float = Field(default=1.0, ge=0, le=3)
    noise: float = Field(default=1.0, ge=0, le=5)
    conflicts: float = Field(default=1.0, ge=0, le=5)
    judge_noise: float = Field(default=1.0, ge=0, le=5)
    judge_leniency: float = Field(default=0.0, ge=-2, le=2)
    judge_length_preference: float = Field(default=0.0, ge=-2, le=2)
    proposer_skill: Share = 1.0


USUAL_WORLD = SimulatedWorldSettings()


class SimulatedSettings(Group):
    """The simulated backend; ``latency_ms`` is a mean, ``latency_jitter`` the share it varies by, evenly."""

    seed: int = 0
    world: SimulatedWorldSettings = USUAL_WORLD
    latency_ms: float = Field(default=0.0, ge=0)
    latency_jitter: Share = 0.0
    faults: SimulatedFaults = SimulatedFaults()


class RedisSettings(Group):
    """Where several processes share the limits of their backends; a single one needs none.

    Attributes:
        url: ``redis://user:password@host:6379/0``, or ``rediss://`` for TLS, or ``unix://``; by default every
            process has the limits for itself.
        prefix: what our keys begin with; another one for each installation on the same server.
    """

    url: SecretStr | None = Field(default=None, repr=False)
    prefix: str = Field(default="drpo", pattern=r"^[A-Za-z0-9:_.-]{1,64}$")

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("it begins with redis://, rediss:// or unix://")
        return url
