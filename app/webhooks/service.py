"""Webhooks: add, look at, test and delete them."""

import json

from app.errors import invalid_request
from app.resources import Resources
from app.webhooks.schemas import CreateWebhook, DeliveryObject, WebhookObject
from store.ids import new_id
from store.records.webhooks import DeliveryRecord, DeliveryStatus, WebhookDraft, WebhookRecord

TEST_EVENT = "webhook.test"


class WebhookService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._webhooks = resources.webhooks

    async def create(self, request: CreateWebhook) -> WebhookObject:
        """Add a webhook; the answer alone shows its secret.

        Raises:
            ApiError: the service has no signing key.
            InvalidInputError: the URL may not be called.
            ConflictError: there are as many as there may be.
        """
        url = self._webhooks.policy.check_url(request.url)
        secrets = self._webhooks.secrets
        if secrets is None:
            raise invalid_request(
                "messages cannot be signed: an operator has to set webhooks.signing_key_file (or "
                "DRPO_WEBHOOKS__SIGNING_KEY) to what 'openssl rand -base64 32' prints",
                code="no_signing_key",
            )
        webhook_id = new_id("wh")
        record = await self._webhooks.registered.add(
            WebhookDraft(
                id=webhook_id,
                url=url,
                events=tuple(request.events),
                key_fingerprint=secrets.fingerprint(webhook_id),
                target=request.target,
                name=request.name,
            )
        )
        return _show(record).model_copy(update={"secret": secrets.of(webhook_id).get_secret_value()})

    async def all(self) -> list[WebhookObject]:
        """All webhooks."""
        return [_show(record) for record in await self._webhooks.registered.list()]

    async def get(self, webhook_id: str) -> WebhookObject:
        """One webhook.

        Raises:
            NotFoundError: there is none.
        """
        return _show(await self._webhooks.registered.get(webhook_id))

    async def delete(self, webhook_id: str) -> None:
        """Delete a webhook with its deliveries.

        Raises:
            NotFoundError: there is none.
        """
        await self._webhooks.registered.delete(webhook_id)

    async def enable(self, webhook_id: str) -> WebhookObject:
        """Tell a disabled webhook again.

        Raises:
            NotFoundError: there is none.
        """
        return _show(await self._webhooks.registered.enable(webhook_id))

    async def test(self, webhook_id: str) -> DeliveryObject:
        """Send a message that tells nothing.

        Raises:
            NotFoundError: there is no such webhook.
            ConflictError: it is disabled.
        """
        queued = await self._webhooks.deliveries.queue_test(
            webhook_id, TEST_EVENT, {"webhook_id": webhook_id}
        )
        self._webhooks.deliverer.wake()
        return _show_delivery(queued)

    async def deliveries(
        self, webhook_id: str, *, after: str | None, limit: int, status: DeliveryStatus | None
    ) -> tuple[list[DeliveryObject], bool]:
        """A page of deliveries, newest first, and whether more follow.

        Raises:
            NotFoundError: there is no such webhook, or no delivery ``after``.
        """
        found = await self._webhooks.deliveries.list(webhook_id, after=after, limit=limit + 1, status=status)
        return [_show_delivery(record) for record in found[:limit]], len(found) > limit

    async def redeliver(self, webhook_id: str, delivery_id: str) -> DeliveryObject:
        """Try a delivery again from the start.

        Raises:
            NotFoundError: there is no such delivery.
            ConflictError: the webhook is disabled.
        """
        queued = await self._webhooks.deliveries.redeliver(webhook_id, delivery_id)
        self._webhooks.deliverer.wake()
        return _show_delivery(queued)


def _show(record: WebhookRecord) -> WebhookObject:
    return WebhookObject(
        id=record.id,
        name=record.name,
        url=record.url,
        events=list(record.events),
        target=record.target,
        status=record.status.value,
        disabled_because=record.disabled_because,
        created_at=record.created_at,
    )


def _show_delivery(record: DeliveryRecord) -> DeliveryObject:
    return DeliveryObject(
        id=record.id,
        webhook_id=record.webhook_id,
        event=record.event,
        subject=record.subject,
        status=record.status.value,
        attempts=record.attempts,
        next_attempt_at=record.due_at,
        created_at=record.created_at,
        finished_at=record.finished_at,
        response_status=record.response_status,
        response_text=record.response_text,
        error=record.error,
        payload=json.loads(record.body),
    )
