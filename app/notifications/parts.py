"""What telling webhooks takes, opened together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.notifications.addresses import ReceiverPolicy
from app.notifications.deliverer import WebhookDeliverer
from app.notifications.sender import WebhookSender
from app.notifications.signing import WebhookSecrets
from app.webhook_settings import WebhookSettings
from store.connections import Database
from store.repositories.webhook_deliveries import WebhookDeliveryRepository
from store.repositories.webhooks import WebhookRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhooks:
    """Webhooks of a process.

    Attributes:
        registered: who is told.
        deliveries: what.
        policy: where receivers may be.
        secrets: what messages are signed with; None without a signing key.
        deliverer: runs in the background.
    """

    registered: WebhookRepository
    deliveries: WebhookDeliveryRepository
    policy: ReceiverPolicy
    secrets: WebhookSecrets | None
    deliverer: WebhookDeliverer


@asynccontextmanager
async def open_webhooks(database: Database, settings: WebhookSettings) -> AsyncIterator[Webhooks]:
    """Tell webhooks what ``database`` has for them while the block runs.

    Raises:
        InvalidInputError: the signing key cannot be used.
    """
    key = settings.read_signing_key()
    registered, deliveries = WebhookRepository(database), WebhookDeliveryRepository(database)
    policy = ReceiverPolicy(settings.private_hosts)
    sender = WebhookSender(policy, timeout_seconds=settings.timeout_seconds)
    secrets = None if key is None else WebhookSecrets(key)
    async with (
        sender,
        WebhookDeliverer(deliveries, sender, settings, secrets=secrets) as deliverer,
    ):
        yield Webhooks(
            registered=registered,
            deliveries=deliveries,
            policy=policy,
            secrets=secrets,
            deliverer=deliverer,
        )
