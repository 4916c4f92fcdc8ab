"""Webhooks and their deliveries as values."""

from dataclasses import dataclass
from enum import StrEnum


class WebhookStatus(StrEnum):
    """Whether a webhook is told anything."""

    ACTIVE = "active"
    DISABLED = "disabled"


class DeliveryStatus(StrEnum):
    """Where a delivery stands; a failed one was given up."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookDraft:
    """A webhook to be.

    Attributes:
        id: chosen by the caller: its secret follows from it.
        events: names of what it is told.
        target: only of jobs of this model; None for all.
        key_fingerprint: of its secret.
    """

    id: str
    url: str
    events: tuple[str, ...]
    key_fingerprint: str
    target: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookRecord(WebhookDraft):
    """A webhook as stored; ``created_at`` in seconds since 1970."""

    status: WebhookStatus
    disabled_because: str | None
    created_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRecord:
    """A delivery as stored; times in seconds since 1970.

    Attributes:
        id: the same for every attempt, so that a receiver knows a repetition.
        subject: the job that it is about, or empty.
        body: what is sent, byte by byte.
        fence: grows with each claim.
        attempts: since it was queued (again) at ``queued_at``.
        due_at: when the next attempt is due; None once there is none.
        response_status / response_text / error: what the last attempt has brought; of a text the beginning.
    """

    id: str
    webhook_id: str
    event: str
    subject: str
    body: str
    status: DeliveryStatus
    fence: int
    attempts: int
    due_at: float | None
    queued_at: float
    created_at: float
    finished_at: float | None
    response_status: int | None
    response_text: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedDelivery:
    """A delivery that is ours to try, with its webhook.

    Attributes:
        age: seconds since it was queued.
    """

    delivery: DeliveryRecord
    webhook: WebhookRecord
    age: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryOutcome:
    """What an attempt has come to.

    Attributes:
        retry_in: seconds until the next attempt; None for none.
        delivered: whether the receiver has it.
    """

    delivered: bool
    retry_in: float | None = None
    response_status: int | None = None
    response_text: str | None = None
    error: str | None = None
