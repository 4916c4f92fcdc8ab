"""Telling webhooks what has happened, in the background, until they know or it is given up."""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from app.background import BackgroundLoop
from app.notifications.patience import next_wait
from app.notifications.sender import Reply, WebhookSender
from app.notifications.signing import WebhookSecrets
from app.webhook_settings import WebhookSettings
from store.records.webhooks import ClaimedDelivery, DeliveryOutcome
from store.repositories.webhook_deliveries import WebhookDeliveryRepository

_LOGGER = logging.getLogger(__name__)
_LEASE_MARGIN = 5.0
"""Seconds to record an outcome in; after that the attempt counts as lost and is made again."""
_PER_WEBHOOK = 4
"""Attempts at once at one webhook: one that hangs must not hold up the others."""
_GONE = "its receiver answered 410 Gone"
_PRUNE_SECONDS = 600.0
_DAY_SECONDS = 86_400.0


def utc_now() -> datetime:
    """Now, by this machine's clock; receivers compare it with theirs."""
    return datetime.now(UTC)


class WebhookDeliverer:
    """Claims messages that are due and sends them. Use as ``async with WebhookDeliverer(...)``."""

    def __init__(
        self,
        deliveries: WebhookDeliveryRepository,
        sender: WebhookSender,
        settings: WebhookSettings,
        *,
        secrets: WebhookSecrets | None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """A deliverer.

        Args:
            deliveries: what webhooks have to be told.
            sender: how.
            settings: how patiently.
            secrets: what messages are signed with; without, each attempt fails.
            now: the time that goes into signatures.
        """
        self._deliveries = deliveries
        self._sender = sender
        self._settings = settings
        self._now = now
        self._secrets = secrets
        self._random = random.Random()
        self._trying: dict[asyncio.Task[None], str] = {}
        self._sending: set[asyncio.Task[Reply]] = set()
        self._delivering = BackgroundLoop(
            "webhook deliverer", self.deliver_due, every_seconds=settings.poll_seconds
        )
        self._pruning = BackgroundLoop(
            "webhook pruner", self._prune_once, every_seconds=_PRUNE_SECONDS, waits_first=True
        )
        self._loops = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start to deliver."""
        await self._loops.enter_async_context(self._delivering)
        await self._loops.enter_async_context(self._pruning)
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Stop; what is under way is sent again, by whoever is there when its lease ends."""
        await self._loops.aclose()
        for task in self._sending:
            task.cancel()
        if self._trying:
            await asyncio.wait(self._trying)

    def wake(self) -> None:
        """Look for messages now: one was just queued."""
        self._delivering.wake()

    async def deliver_due(self) -> int:
        """Begin with what is due, as far as there is room.

        Returns:
            How many attempts have begun.
        """
        room = self._settings.max_in_flight - len(self._trying)
        if room <= 0:
            return 0
        under_way = Counter(self._trying.values())
        busy = [webhook for webhook, count in under_way.items() if count >= _PER_WEBHOOK]
        claimed = await self._deliveries.claim_due(
            limit=min(room, _PER_WEBHOOK),
            lease_seconds=self._settings.timeout_seconds + _LEASE_MARGIN,
            busy=busy,
        )
        for item in claimed:
            task = asyncio.create_task(self._attempt(item), name=f"tell {item.webhook.id}")
            self._trying[task] = item.webhook.id
            task.add_done_callback(self._ended)
        return len(claimed)

    async def prune(self) -> int:
        """Delete old deliveries; how many."""
        return await self._deliveries.prune(
            keep_seconds=self._settings.keep_days * _DAY_SECONDS, keep_newest=self._settings.keep_per_webhook
        )

    async def _prune_once(self) -> int:
        await self.prune()
        return 0

    async def _attempt(self, claimed: ClaimedDelivery) -> None:
        sending = asyncio.create_task(self._send(claimed), name=f"send {claimed.delivery.id}")
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        await asyncio.wait([sending])
        if sending.cancelled():
            return
        reply = sending.result()
        retry_in = None
        if reply.error is not None and not reply.is_gone:
            retry_in = next_wait(
                self._settings,
                attempts=claimed.delivery.attempts,
                age=claimed.age,
                draw=self._random.random(),
                asked=reply.retry_after,
            )
        outcome = DeliveryOutcome(
            delivered=reply.error is None,
            retry_in=retry_in,
            response_status=reply.status,
            response_text=reply.text,
            error=reply.error,
        )
        await self._deliveries.settle(claimed, outcome, disable=_GONE if reply.is_gone else None)
        if reply.is_gone:
            _LOGGER.warning("webhook %s is disabled: its receiver answered 410 Gone", claimed.webhook.id)
        elif reply.error is not None and retry_in is None:
            _LOGGER.warning(
                "webhook %s: %s is given up: %s", claimed.webhook.id, claimed.delivery.id, reply.error
            )

    async def _send(self, claimed: ClaimedDelivery) -> Reply:
        webhook, delivery = claimed.webhook, claimed.delivery
        if self._secrets is None:
            return Reply(error="webhooks.signing_key is not set")
        if self._secrets.fingerprint(webhook.id) != webhook.key_fingerprint:
            return Reply(error="webhooks.signing_key is another one than when the webhook was added")
        headers = self._secrets.headers(webhook.id, delivery.id, delivery.body, self._now())
        return await self._sender.send(webhook.url, headers, delivery.body)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._trying.pop(task, None)
        self._delivering.wake()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("an attempt to tell a webhook failed; it is made again", exc_info=error)
