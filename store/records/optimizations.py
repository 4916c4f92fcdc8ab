"""Optimizations and leases as values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from store.json_values import JsonObject


class OptimizationStatus(StrEnum):
    """Where an optimization stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow any more."""
        return self in {
            OptimizationStatus.SUCCEEDED,
            OptimizationStatus.FAILED,
            OptimizationStatus.CANCELLED,
        }


class JobKind(StrEnum):
    """What an optimization makes better."""

    PROMPT = "prompt"
    EXAMPLE_BANK = "example_bank"


class BeatResult(StrEnum):
    """What a heartbeat found."""

    HELD = "held"
    CANCEL_REQUESTED = "cancel_requested"
    PAUSE_REQUESTED = "pause_requested"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """A heartbeat.

    Attributes:
        result: what it found.
        limits: the job's limits now; None where they are those of its spec.
    """

    result: BeatResult
    limits: JsonObject | None = None


class PauseCause(StrEnum):
    """Who paused an optimization."""

    REQUESTED = "requested"
    BACKEND = "backend"


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseReason:
    """Why an optimization is paused.

    Attributes:
        cause: who paused it; only one that waits for a backend goes on by itself.
        message: a sentence for people.
        backend: the name of the backend that is away.
        answered: calls of the job that had been answered when it was paused for the backend.
        probes: how often the backend has been asked since, in vain.
    """

    cause: PauseCause
    message: str
    backend: str | None = None
    answered: int | None = None
    probes: int = 0

    def to_json(self) -> JsonObject:
        """As the row stores it."""
        stored: JsonObject = {"cause": self.cause.value, "message": self.message}
        if self.backend is not None:
            stored |= {"backend": self.backend, "answered": self.answered, "probes": self.probes}
        return stored

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """Read a row."""
        backend, answered = stored.get("backend"), stored.get("answered")
        return cls(
            cause=PauseCause(str(stored["cause"])),
            message=str(stored["message"]),
            backend=None if backend is None else str(backend),
            answered=None if answered is None else int(str(answered)),
            probes=int(str(stored.get("probes", 0))),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to work on an optimization.

    Attributes:
        owner: who holds it.
        fence: grows with each owner; writes with an older one are refused.
    """

    optimization_id: str
    owner: str
    fence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizationError:
    """Why an optimization failed: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobTerms:
    """What an optimization is made with beside its spec.

    Attributes:
        priority: -100 to 100; higher ones are claimed first.
        idempotency_key: the caller's name for the request; there is one job of a kind for each.
        request_hash: hash of the request, to tell a repetition from another request under the same key.
        derived_from: the job that it is restarted or cloned from.
        schedule_id: the schedule that makes it.
        spec_version: how its spec is to be read.
    """

    priority: int = 0
    idempotency_key: str | None = None
    request_hash: str | None = None
    derived_from: str | None = None
    schedule_id: str | None = None
    spec_version: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizationRecord:
    """One optimization.

    Attributes:
        spec: what was asked for, as the application wrote it.
        kind: what it makes better.
        target: public name of the model that is aligned; empty for an example bank.
        fence: number of times that it was claimed.
        pause_requested: whether its worker is to stop for a pause.
        paused_because: why it is paused; None where it is not.
        probe_at: when somebody should look whether the backend answers that it is paused for.
        priority: -100 to 100; higher ones are claimed first.
        limits: its limits now; None where they are those of ``spec``.
        request_hash: hash of the request that made it; None where that had no idempotency key.
        derived_from: the job that it was restarted or cloned from.
        schedule_id: the schedule that made it.
        spec_version: how ``spec`` is to be read.
        software: version of the search that began it.
        last_seq: number of its newest event; 0 before the first.
        elapsed_seconds: time that its owners have worked on it.
        created_at / started_at / finished_at: seconds since 1970; None where it has not happened.
    """

    id: str
    kind: JobKind
    spec: JsonObject
    target: str
    status: OptimizationStatus
    owner: str | None
    fence: int
    cancel_requested: bool
    last_seq: int
    error: OptimizationError | None
    result: JsonObject | None
    elapsed_seconds: float
    created_at: float
    started_at: float | None
    finished_at: float | None
    pause_requested: bool = False
    paused_because: PauseReason | None = None
    probe_at: float | None = None
    priority: int = 0
    limits: JsonObject | None = None
    request_hash: str | None = None
    derived_from: str | None = None
    schedule_id: str | None = None
    spec_version: int = 1
    software: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Software:
    """What wants to work on optimizations.

    Attributes:
        name: two with the same name find each other's calls in the ledger.
        spec_version: specs above this one it cannot read.
    """

    name: str
    spec_version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """An optimization that is now ours to work on."""

    lease: Lease
    optimization: OptimizationRecord
