"""What served requests use, as values. ``micros`` are millionths of the currency of the prices."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from store.records.releases import DrawnArm


@dataclass(frozen=True, kw_only=True, slots=True)
class Amounts:
    """Requests, tokens and money together."""

    requests: int = 0
    tokens: int = 0
    micros: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        """Both together."""
        return Amounts(
            requests=self.requests + other.requests,
            tokens=self.tokens + other.tokens,
            micros=self.micros + other.micros,
        )

    def __neg__(self) -> "Amounts":
        """The same to give back."""
        return Amounts(requests=-self.requests, tokens=-self.tokens, micros=-self.micros)

    def __sub__(self, other: "Amounts") -> "Amounts":
        """The rest of ``self`` without ``other``."""
        return self + -other


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaLimits:
    """The most of each; None for any amount."""

    requests: int | None = None
    tokens: int | None = None
    micros: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaWindow:
    """One period of one key's quota; ``starts_at`` in seconds since 1970."""

    key_number: int
    period: str
    starts_at: int


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaDraw:
    """What somebody wants from a window: ``need`` at least, and up to ``wish`` while plenty is left."""

    window: QuotaWindow
    limits: QuotaLimits
    need: Amounts
    wish: Amounts


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaRefusal:
    """A window that has not enough left, and of what."""

    window: QuotaWindow
    of: str


class Ending(IntEnum):
    """How a request ended."""

    ANSWERED = 0
    FAILED = 1
    CLIENT_LEFT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteRecord:
    """What many requests have in common; ``version_id`` is empty where nothing aligned them."""

    endpoint: str
    model: str
    backend: str
    upstream_model: str
    version_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestRecord:
    """One served request.

    Attributes:
        age_seconds: how long ago it ended.
        key_number: of the caller's stored key; 0 for none.
        estimated: whether the backend did not count the tokens.
        first_ms: until the first frame of a stream.
        attempts: requests to backends that were made for it; 0 where a kept answer was given.
        token: what the answer's id is made of.
        drawn: what chose its version, where a release did.
    """

    age_seconds: float
    request_id: str
    route: RouteRecord
    key_number: int
    ending: Ending
    error_code: str | None
    streamed: bool
    estimated: bool
    prompt_tokens: int
    completion_tokens: int
    micros: int
    first_ms: int | None
    total_ms: int
    attempts: int = 1
    token: bytes | None = None
    drawn: DrawnArm | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageSums:
    """Sums over requests."""

    requests: int = 0
    failed: int = 0
    client_left: int = 0
    estimated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    micros: int = 0

    @classmethod
    def of(cls, request: RequestRecord) -> "UsageSums":
        """The sums over one request."""
        return cls(
            requests=1,
            failed=request.ending is Ending.FAILED,
            client_left=request.ending is Ending.CLIENT_LEFT,
            estimated=request.estimated,
            prompt_tokens=request.prompt_tokens,
            completion_tokens=request.completion_tokens,
            micros=request.micros,
        )

    def __add__(self, other: "UsageSums") -> "UsageSums":
        """Both together."""
        return UsageSums(
            requests=self.requests + other.requests,
            failed=self.failed + other.failed,
            client_left=self.client_left + other.client_left,
            estimated=self.estimated + other.estimated,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            micros=self.micros + other.micros,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageDelta:
    """What is to be added to a day's sums: the day of ``age_seconds`` ago."""

    age_seconds: float
    key_number: int
    route: RouteRecord
    sums: UsageSums


class UsageGroup(StrEnum):
    """What usage can be grouped by."""

    DAY = "day"
    KEY = "key"
    MODEL = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageRow:
    """Usage of one group; what it is not grouped by is None.

    Attributes:
        day: in days since 1970.
        key_id: None also for callers without a stored key.
    """

    day: int | None
    key_id: str | None
    key_name: str | None
    model: str | None
    sums: UsageSums
