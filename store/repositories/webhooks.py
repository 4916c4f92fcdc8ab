"""Webhooks: who is told of changes."""

from sqlalchemy import delete, func, insert, select, update

from store.clock import db_now
from store.connections import Database, Session
from store.errors import ConflictError, NotFoundError
from store.models.webhook import Webhook
from store.models.webhook_delivery import WebhookDelivery
from store.records.webhooks import WebhookDraft, WebhookRecord, WebhookStatus

MOST_WEBHOOKS = 100
"""Each is looked at with every change of a job's state."""


class WebhookRepository:
    """The table of webhooks."""

    def __init__(self, db: Database) -> None:
        """The table in ``db``."""
        self._db = db

    async def add(self, draft: WebhookDraft) -> WebhookRecord:
        """Add a webhook.

        Raises:
            ConflictError: there are as many as there may be.
        """
        async with self._db.session() as session:
            await self._db.serialise(session, "webhooks")
            if (await session.scalar(select(func.count()).select_from(Webhook)) or 0) >= MOST_WEBHOOKS:
                raise ConflictError(f"there are {MOST_WEBHOOKS} webhooks already: delete one first")
            statement = insert(Webhook).values(
                id=draft.id,
                name=draft.name,
                url=draft.url,
                events=list(draft.events),
                target=draft.target,
                key_fingerprint=draft.key_fingerprint,
            )
            return webhook_record((await session.scalars(statement.returning(Webhook))).one())

    async def get(self, webhook_id: str) -> WebhookRecord:
        """One webhook.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.read() as session:
            return webhook_record(await found_webhook(session, webhook_id))

    async def list(self) -> tuple[WebhookRecord, ...]:
        """All webhooks, oldest first."""
        async with self._db.read() as session:
            rows = await session.scalars(select(Webhook).order_by(Webhook.created_at, Webhook.id))
            return tuple(webhook_record(row) for row in rows)

    async def delete(self, webhook_id: str) -> None:
        """Delete a webhook and its deliveries.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.session() as session:
            await found_webhook(session, webhook_id)
            await session.execute(delete(Webhook).where(Webhook.id == webhook_id))
            # changes that are being committed now may still queue something, which is pruned later
            await session.execute(delete(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id))

    async def enable(self, webhook_id: str) -> WebhookRecord:
        """Tell a disabled webhook again, from now on.

        Raises:
            NotFoundError: there is none.
        """
        statement = (
            update(Webhook)
            .where(Webhook.id == webhook_id)
            .values(status="active", disabled_because=None)
            .returning(Webhook)
        )
        async with self._db.session() as session:
            row = await session.scalar(statement)
            return webhook_record(found_row(row, webhook_id))

    async def disable(self, webhook_id: str, because: str) -> None:
        """Tell a webhook nothing any more, and give up what it was not told. An unknown one is ignored."""
        async with self._db.session() as session:
            await disable_webhook(session, webhook_id, because)


async def disable_webhook(session: Session, webhook_id: str, because: str) -> None:
    """Disable a webhook in a transaction, and give up what it was not told."""
    disabled = (
        update(Webhook).where(Webhook.id == webhook_id).values(status="disabled", disabled_because=because)
    )
    given_up = (
        update(WebhookDelivery)
        .where(WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.status == "waiting")
        .values(
            status="failed",
            due_at=None,
            claimed_at=None,
            finished_at=db_now(),
            error=func.coalesce(WebhookDelivery.error, because),
        )
    )
    await session.execute(disabled)
    await session.execute(given_up)


async def found_webhook(session: Session, webhook_id: str) -> Webhook:
    """The row of a webhook.

    Raises:
        NotFoundError: there is none.
    """
    return found_row(await session.get(Webhook, webhook_id), webhook_id)


def found_row(row: Webhook | None, webhook_id: str) -> Webhook:
    """``row``, if it is there.

    Raises:
        NotFoundError: it is not.
    """
    if row is None:
        raise NotFoundError(f"there is no webhook {webhook_id}")
    return row


def webhook_record(row: Webhook) -> WebhookRecord:
    """``row`` as a value."""
    return WebhookRecord(
        id=row.id,
        name=row.name,
        url=row.url,
        events=tuple(row.events),
        target=row.target,
        key_fingerprint=row.key_fingerprint,
        status=WebhookStatus(row.status),
        disabled_because=row.disabled_because,
        created_at=row.created_at,
    )
