"""``/v1/webhooks``."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.auth import AdminPrincipal
from app.dependencies import CurrentResources
from app.webhooks.schemas import (
    CreateWebhook,
    DeletedWebhook,
    DeliveryObject,
    DeliveryPage,
    WebhookList,
    WebhookObject,
)
from app.webhooks.service import WebhookService
from store.records.webhooks import DeliveryStatus

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


@router.post("", status_code=201)
async def create_webhook(
    request: CreateWebhook, resources: CurrentResources, _: AdminPrincipal
) -> WebhookObject:
    """Have a URL told of changes; the secret in the answer is shown only once."""
    return await WebhookService(resources).create(request)


@router.get("", response_model_exclude={"data": {"__all__": {"secret"}}})
async def list_webhooks(resources: CurrentResources, _: AdminPrincipal) -> WebhookList:
    """All webhooks."""
    return WebhookList(data=await WebhookService(resources).all())


@router.get("/{webhook_id}", response_model_exclude={"secret"})
async def get_webhook(webhook_id: str, resources: CurrentResources, _: AdminPrincipal) -> WebhookObject:
    """One webhook."""
    return await WebhookService(resources).get(webhook_id)


@router.delete("/{webhook_id}")
async def delete_webhook(webhook_id: str, resources: CurrentResources, _: AdminPrincipal) -> DeletedWebhook:
    """Delete a webhook with its deliveries."""
    await WebhookService(resources).delete(webhook_id)
    return DeletedWebhook(id=webhook_id)


@router.post("/{webhook_id}/enable", response_model_exclude={"secret"})
async def enable_webhook(webhook_id: str, resources: CurrentResources, _: AdminPrincipal) -> WebhookObject:
    """Tell a webhook again that was disabled by a 410."""
    return await WebhookService(resources).enable(webhook_id)


@router.post("/{webhook_id}/test", status_code=202)
async def send_test(webhook_id: str, resources: CurrentResources, _: AdminPrincipal) -> DeliveryObject:
    """Send a message of type ``webhook.test``."""
    return await WebhookService(resources).test(webhook_id)


@router.get("/{webhook_id}/deliveries")
async def list_deliveries(
    webhook_id: str,
    resources: CurrentResources,
    _: AdminPrincipal,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    status: DeliveryStatus | None = None,
) -> DeliveryPage:
    """What a webhook was told, newest first, and how that went."""
    data, has_more = await WebhookService(resources).deliveries(
        webhook_id, after=after, limit=limit, status=status
    )
    return DeliveryPage(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=has_more,
    )


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=202)
async def redeliver(
    webhook_id: str, delivery_id: str, resources: CurrentResources, _: AdminPrincipal
) -> DeliveryObject:
    """Try a delivery again from the start, under the same ``webhook-id``."""
    return await WebhookService(resources).redeliver(webhook_id, delivery_id)
