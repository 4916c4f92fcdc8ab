"""Deliveries to webhooks: claimed by one process at a time, tried until they are done or given up."""

from collections.abc import Collection

from sqlalchemy import delete, func, insert, select, tuple_, update

from store.clock import db_now
from store.connections import Database
from store.errors import ConflictError, NotFoundError
from store.ids import new_id
from store.json_values import JsonObject
from store.models.webhook import Webhook
from store.models.webhook_delivery import WebhookDelivery
from store.records.webhooks import ClaimedDelivery, DeliveryOutcome, DeliveryRecord, DeliveryStatus
from store.repositories.webhooks import disable_webhook, found_webhook, webhook_record
from store.webhook_outbox import message


class WebhookDeliveryRepository:
    """The table of deliveries. Times are the database's."""

    def __init__(self, db: Database) -> None:
        """The table in ``db``."""
        self._db = db

    async def claim_due(
        self, *, limit: int, lease_seconds: float, busy: Collection[str] = ()
    ) -> tuple[ClaimedDelivery, ...]:
        """Become the one who tries deliveries that are due; they are due again after ``lease_seconds``.

        Args:
            limit: at most so many.
            lease_seconds: how long an attempt may take.
            busy: webhooks that are left alone this time.
        """
        active = select(Webhook.id).where(Webhook.status == "active", Webhook.id.not_in(busy))
        due = (
            select(WebhookDelivery.id)
            .where(
                WebhookDelivery.due_at.is_not(None),
                WebhookDelivery.due_at <= db_now(),
                WebhookDelivery.webhook_id.in_(active),
            )
            .order_by(WebhookDelivery.due_at, WebhookDelivery.id)
            .limit(limit)
        )
        # on SQLite, a look must not wait for the turn to write
        if await self._db.fetch(lambda connection: connection.scalar(due.limit(1))) is None:
            return ()
        async with self._db.session() as session:
            ids = (await session.scalars(due.with_for_update(skip_locked=True))).all()
            claim = (
                update(WebhookDelivery)
                .where(WebhookDelivery.id.in_(ids))
                .values(
                    fence=WebhookDelivery.fence + 1,
                    attempts=WebhookDelivery.attempts + 1,
                    due_at=db_now() + lease_seconds,
                    claimed_at=db_now(),
                )
            )
            await session.execute(claim)
            found = (
                select(WebhookDelivery, Webhook, db_now() - WebhookDelivery.queued_at)
                .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
                .where(WebhookDelivery.id.in_(ids))
                .order_by(WebhookDelivery.created_at, WebhookDelivery.id)
            )
            return tuple(
                ClaimedDelivery(delivery=_record(delivery), webhook=webhook_record(webhook), age=age)
                for delivery, webhook, age in await session.execute(found)
            )

    async def settle(
        self, claimed: ClaimedDelivery, outcome: DeliveryOutcome, *, disable: str | None = None
    ) -> bool:
        """Record what the attempt has come to.

        Args:
            claimed: ours.
            outcome: what it has come to.
            disable: why its webhook is not to be told anything any more; None lets it be.

        Returns:
            Whether the claim was still ours; if not, nothing is recorded.
        """
        status = DeliveryStatus.WAITING
        if outcome.delivered:
            status = DeliveryStatus.DELIVERED
        elif outcome.retry_in is None:
            status = DeliveryStatus.FAILED
        waits = status is DeliveryStatus.WAITING
        statement = (
            update(WebhookDelivery)
            .where(
                WebhookDelivery.id == claimed.delivery.id,
                WebhookDelivery.fence == claimed.delivery.fence,
                WebhookDelivery.status == "waiting",
            )
            .values(
                status=status.value,
                due_at=db_now() + outcome.retry_in if waits else None,
                claimed_at=None,
                finished_at=None if waits else db_now(),
                response_status=outcome.response_status,
                response_text=outcome.response_text,
                error=outcome.error,
            )
            .returning(WebhookDelivery.id)
        )
        async with self._db.session() as session:
            if await session.scalar(statement) is None:
                return False
            if disable is not None:
                await disable_webhook(session, claimed.webhook.id, disable)
            return True

    async def release_claims(self) -> None:
        """Let all deliveries that somebody has claimed be due.

        Only for a process that knows itself to be the only one, at its start.
        """
        statement = (
            update(WebhookDelivery)
            .where(WebhookDelivery.claimed_at.is_not(None))
            .values(due_at=db_now(), claimed_at=None, fence=WebhookDelivery.fence + 1)
        )
        async with self._db.session() as session:
            await session.execute(statement)

    async def queue_test(self, webhook_id: str, event: str, body: JsonObject) -> DeliveryRecord:
        """Queue a message about nothing but the webhook itself.

        Raises:
            NotFoundError: there is no such webhook.
            ConflictError: it is disabled.
        """
        async with self._db.session() as session:
            webhook = await found_webhook(session, webhook_id)
            _refuse_disabled(webhook)
            now = (await session.scalars(select(db_now()))).one()
            statement = insert(WebhookDelivery).values(
                id=new_id("msg"),
                webhook_id=webhook_id,
                event=event,
                subject="",
                body=message(event, now, body),
            )
            return _record((await session.scalars(statement.returning(WebhookDelivery))).one())

    async def redeliver(self, webhook_id: str, delivery_id: str) -> DeliveryRecord:
        """Try a delivery again from the start, whatever came of it; its id stays.

        Raises:
            NotFoundError: there is no such delivery.
            ConflictError: the webhook is disabled.
        """
        statement = (
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery_id, WebhookDelivery.webhook_id == webhook_id)
            .values(
                status="waiting",
                attempts=0,
                fence=WebhookDelivery.fence + 1,
                due_at=db_now(),
                claimed_at=None,
                queued_at=db_now(),
                finished_at=None,
            )
            .returning(WebhookDelivery)
        )
        async with self._db.session() as session:
            _refuse_disabled(await found_webhook(session, webhook_id))
            row = await session.scalar(statement)
            if row is None:
                raise NotFoundError(f"webhook {webhook_id} has no delivery {delivery_id}")
            return _record(row)

    async def list(
        self,
        webhook_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        status: DeliveryStatus | None = None,
    ) -> tuple[DeliveryRecord, ...]:
        """Deliveries of a webhook, newest first.

        Args:
            webhook_id: of this webhook.
            after: id of the last one of the page before.
            limit: at most so many, at least 1.
            status: only those.

        Raises:
            NotFoundError: there is no such webhook, or no delivery ``after``.
        """
        async with self._db.read() as session:
            await found_webhook(session, webhook_id)
            statement = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
            if after is not None:
                cursor = await session.get(WebhookDelivery, after)
                if cursor is None or cursor.webhook_id != webhook_id:
                    raise NotFoundError(f"webhook {webhook_id} has no delivery {after}")
                statement = statement.where(
                    tuple_(WebhookDelivery.created_at, WebhookDelivery.id) < (cursor.created_at, cursor.id)
                )
            if status is not None:
                statement = statement.where(WebhookDelivery.status == status.value)
            newest_first = (WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc())
            rows = await session.scalars(statement.order_by(*newest_first).limit(limit))
            return tuple(_record(row) for row in rows)

    async def prune(self, *, keep_seconds: float, keep_newest: int) -> int:
        """Delete deliveries that are done: those too old, and of each webhook all but the newest.

        So are those of webhooks that are gone.

        Returns:
            How many.
        """
        place = func.row_number().over(
            partition_by=WebhookDelivery.webhook_id,
            order_by=(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc()),
        )
        done = (
            select(WebhookDelivery.id, WebhookDelivery.finished_at, place.label("place"))
            .where(WebhookDelivery.due_at.is_(None))
            .subquery()
        )
        too_old = done.c.finished_at < db_now() - keep_seconds
        spent = WebhookDelivery.id.in_(select(done.c.id).where(too_old | (done.c.place > keep_newest)))
        orphaned = WebhookDelivery.webhook_id.not_in(select(Webhook.id))
        statement = delete(WebhookDelivery).where(spent | orphaned).returning(WebhookDelivery.id)
        async with self._db.session() as session:
            return len((await session.scalars(statement)).all())


def _refuse_disabled(webhook: Webhook) -> None:
    if webhook.status != "active":
        raise ConflictError(f"webhook {webhook.id} is disabled: enable it first")


def _record(row: WebhookDelivery) -> DeliveryRecord:
    return DeliveryRecord(
        id=row.id,
        webhook_id=row.webhook_id,
        event=row.event,
        subject=row.subject,
        body=row.body,
        status=DeliveryStatus(row.status),
        fence=row.fence,
        attempts=row.attempts,
        due_at=row.due_at,
        queued_at=row.queued_at,
        created_at=row.created_at,
        finished_at=row.finished_at,
        response_status=row.response_status,
        response_text=row.response_text,
        error=row.error,
    )
