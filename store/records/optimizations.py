"""Optimizations and leases as values."""

from dataclasses import dataclass
from enum import StrEnum

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
    LOST = "lost"


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
class OptimizationRecord:
    """One optimization.

    Attributes:
        spec: what was asked for, as the application wrote it.
        kind: what it makes better.
        target: public name of the model that is aligned; empty for an example bank.
        fence: number of times that it was claimed.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """An optimization that is now ours to work on."""

    lease: Lease
    optimization: OptimizationRecord
