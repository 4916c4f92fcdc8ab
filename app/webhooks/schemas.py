"""What the webhook endpoints take and give."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.jobs.schemas import ListPage
from optimizer.types import JsonValue
from store.webhook_outbox import TOLD_EVENTS

_ALL = tuple(TOLD_EVENTS)


class CreateWebhook(BaseModel):
    """Somebody to tell.

    Attributes:
        url: where to POST; not redirected, and on the public internet unless an operator allows more.
        events: names such as ``optimization.succeeded``; by default all.
        target: only of jobs of this model; by default of all.
        name: shown in lists.
    """

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000)
    events: Annotated[list[str], Field(min_length=1, max_length=len(_ALL))] = Field(
        default_factory=lambda: list(_ALL)
    )
    target: str | None = Field(default=None, min_length=1, max_length=256)
    name: str | None = Field(default=None, max_length=200)

    @field_validator("events")
    @classmethod
    def _known(cls, events: list[str]) -> list[str]:
        for name in events:
            if name not in _ALL:
                raise ValueError(f"there is no event {name!r}: use some of {', '.join(_ALL)}")
        return list(dict.fromkeys(events))


class WebhookObject(BaseModel):
    """A webhook.

    Attributes:
        secret: to verify signatures with; only in the answer that adds the webhook.
        disabled_because: why it is told nothing any more.
    """

    id: str
    object: Literal["webhook"] = "webhook"
    name: str | None
    url: str
    events: list[str]
    target: str | None
    status: Literal["active", "disabled"]
    disabled_because: str | None
    created_at: float
    secret: str | None = None


class WebhookList(BaseModel):
    """All webhooks, oldest first."""

    object: Literal["list"] = "list"
    data: list[WebhookObject]


class DeletedWebhook(BaseModel):
    """What is left of a deleted webhook."""

    id: str
    object: Literal["webhook"] = "webhook"
    deleted: Literal[True] = True


class DeliveryObject(BaseModel):
    """A message and how it is getting on.

    Attributes:
        id: the header ``webhook-id``, the same for every attempt.
        subject: the job that it is about; empty for a test.
        attempts: since it was queued last.
        next_attempt_at: Unix seconds; null once there is none.
        response_status / response_text / error: what the last attempt has brought; of a text the beginning.
        payload: what is sent.
    """

    id: str
    object: Literal["webhook.delivery"] = "webhook.delivery"
    webhook_id: str
    event: str
    subject: str
    status: Literal["waiting", "delivered", "failed"]
    attempts: int
    next_attempt_at: float | None
    created_at: float
    finished_at: float | None
    response_status: int | None
    response_text: str | None
    error: str | None
    payload: JsonValue


class DeliveryPage(ListPage):
    """A page of deliveries, newest first."""

    data: list[DeliveryObject]
