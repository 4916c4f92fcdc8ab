"""Webhooks and their outbox, on both databases."""

import asyncio
import json

import pytest
from sqlalchemy import text

from store.connections import Database
from store.errors import ConflictError, NotFoundError
from store.json_values import JsonObject
from store.progress import ProgressLog
from store.records.optimizations import JobKind, OptimizationStatus
from store.records.progress import EventDraft, ProgressBatch
from store.records.webhooks import (
    ClaimedDelivery,
    DeliveryOutcome,
    DeliveryRecord,
    DeliveryStatus,
    WebhookDraft,
    WebhookStatus,
)
from store.repositories.optimizations import OptimizationRepository
from store.repositories.webhook_deliveries import WebhookDeliveryRepository
from store.repositories.webhooks import MOST_WEBHOOKS, WebhookRepository
from store.webhook_outbox import TOLD_EVENTS
from tests.store.steps import fail_at_the_end, new_lease, new_optimization, take_over

DELIVERED = DeliveryOutcome(delivered=True, response_status=204)


def draft(webhook_id: str = "wh_1", *events: str, target: str | None = None) -> WebhookDraft:
    return WebhookDraft(
        id=webhook_id,
        url="https://example.org/hook",
        events=events or TOLD_EVENTS,
        key_fingerprint="f",
        target=target,
    )


async def queued(database: Database, webhook_id: str = "wh_1") -> list[DeliveryRecord]:
    """A webhook's deliveries, oldest first."""
    return list(reversed(await WebhookDeliveryRepository(database).list(webhook_id, limit=100)))


async def names(database: Database, webhook_id: str = "wh_1") -> list[str]:
    return [item.event for item in await queued(database, webhook_id)]


async def claim(database: Database, limit: int = 10) -> tuple[ClaimedDelivery, ...]:
    return await WebhookDeliveryRepository(database).claim_due(limit=limit, lease_seconds=60)


async def make_due(database: Database) -> None:
    """Let all leases and waits be over."""
    async with database.session() as session:
        await session.execute(text("UPDATE webhook_deliveries SET due_at = 1 WHERE due_at IS NOT NULL"))


async def one_test_message(database: Database) -> ClaimedDelivery:
    """A webhook with one message, claimed."""
    await WebhookRepository(database).add(draft())
    await WebhookDeliveryRepository(database).queue_test("wh_1", "webhook.test", {})
    (claimed,) = await claim(database)
    return claimed


async def test_every_change_of_a_job_s_state_is_told_in_its_transaction(database: Database) -> None:
    await WebhookRepository(database).add(draft())
    jobs = OptimizationRepository(database)
    lease = await new_lease(database)
    assert await names(database) == ["optimization.started"]
    await jobs.finish(lease, OptimizationStatus.FAILED, error=None)
    assert await names(database) == ["optimization.started", "optimization.failed"]
    told = json.loads((await queued(database))[-1].body)
    assert told["type"] == "optimization.failed"
    assert told["timestamp"].endswith("Z")
    assert told["data"] == {
        "id": lease.optimization_id,
        "name": None,
        "target": "small",
        "status": "failed",
        "error": None,
    }


async def test_a_change_that_is_rolled_back_is_told_to_nobody(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await WebhookRepository(database).add(draft())
    lease = await new_lease(database)
    fail_at_the_end(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        await OptimizationRepository(database).finish(lease, OptimizationStatus.SUCCEEDED, result={})
    assert await names(database) == ["optimization.started"]


async def test_who_takes_over_starts_nothing_and_other_events_are_no_changes(database: Database) -> None:
    await WebhookRepository(database).add(draft())
    lease = await take_over(database, await new_lease(database))
    event = EventDraft(key="round_started:1", type="round_started", body={})
    await ProgressLog(database).record(lease, ProgressBatch(events=(event,)))
    assert await names(database) == ["optimization.started"]


async def test_an_event_that_is_announced_again_is_told_once(database: Database) -> None:
    await WebhookRepository(database).add(draft())
    lease = await new_lease(database)
    paused = EventDraft(key="optimization_paused:9", type="optimization_paused", body={"cause": "requested"})
    log = ProgressLog(database)
    await log.record(lease, ProgressBatch(events=(paused, paused)))
    await log.record(lease, ProgressBatch(events=(paused,)))
    assert await names(database) == ["optimization.started", "optimization.paused"]


async def test_a_promotion_is_told_with_its_version(database: Database) -> None:
    await WebhookRepository(database).add(draft("wh_1", "optimization.promoted"))
    await WebhookRepository(database).add(draft("wh_2", "optimization.succeeded"))
    jobs = OptimizationRepository(database)
    gate: JsonObject = {"verdict": "promoted", "reason": "better", "queries": 30}
    result: JsonObject = {"prompt_version": "pv_1", "label_moved": "production", "gate": gate}
    await jobs.finish(await new_lease(database), OptimizationStatus.SUCCEEDED, result=result)
    await jobs.finish(
        await new_lease(database), OptimizationStatus.SUCCEEDED, result={**result, "label_moved": None}
    )
    assert await names(database, "wh_1") == ["optimization.promoted"]
    data = json.loads((await queued(database, "wh_1"))[0].body)["data"]
    expected = {"prompt_version": "pv_1", "label_moved": "production", "verdict": "promoted"}
    assert expected.items() <= data.items()
    assert await names(database, "wh_2") == ["optimization.succeeded"] * 2
    assert json.loads((await queued(database, "wh_2"))[0].body)["data"]["result"]["verdict"] == "promoted"


async def test_a_webhook_is_told_what_it_asked_for_and_of_its_model_alone(database: Database) -> None:
    webhooks = WebhookRepository(database)
    await webhooks.add(draft("wh_1", "optimization.cancelled"))
    await webhooks.add(draft("wh_2", target="large"))
    await webhooks.add(draft("wh_3", target="small"))
    await webhooks.add(draft("wh_4"))
    await webhooks.disable("wh_4", "for a test")
    await OptimizationRepository(database).request_cancel(await new_optimization(database))
    await OptimizationRepository(database).create(
        spec={"name": "bank"}, target="", kind=JobKind.EXAMPLE_BANK, result={}
    )
    assert await names(database, "wh_1") == ["optimization.cancelled"]
    assert await names(database, "wh_2") == []
    assert await names(database, "wh_3") == ["optimization.cancelled"]
    assert await names(database, "wh_4") == []
    await webhooks.add(draft("wh_5"))
    await OptimizationRepository(database).create(
        spec={"name": "bank"}, target="", kind=JobKind.EXAMPLE_BANK, result={}
    )
    assert await names(database, "wh_5") == ["example_bank.succeeded"]


async def test_a_message_is_claimed_once_and_again_when_its_lease_is_over(database: Database) -> None:
    first = await one_test_message(database)
    assert await claim(database) == ()
    await make_due(database)
    (second,) = await claim(database)
    assert second.delivery.id == first.delivery.id
    assert (second.delivery.fence, second.delivery.attempts) == (2, 2)
    deliveries = WebhookDeliveryRepository(database)
    assert not await deliveries.settle(first, DELIVERED)
    assert await deliveries.settle(second, DELIVERED)
    (done,) = await queued(database)
    assert (done.status, done.due_at, done.response_status) == (DeliveryStatus.DELIVERED, None, 204)
    await make_due(database)
    assert await claim(database) == ()


async def test_many_who_claim_at_once_share_the_messages(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(3)]
    try:
        await WebhookRepository(databases[0]).add(draft())
        deliveries = WebhookDeliveryRepository(databases[0])
        for _ in range(12):
            await deliveries.queue_test("wh_1", "webhook.test", {})
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(claim(db, limit=2)) for db in databases for _ in range(4)]
        ids = [item.delivery.id for task in tasks for item in task.result()]
        ids += [item.delivery.id for item in await claim(databases[0], limit=100)]
        assert len(ids) == len(set(ids)) == 12
    finally:
        for database in databases:
            await database.close()


async def test_a_failed_attempt_waits_for_the_next_and_the_last_one_is_given_up(database: Database) -> None:
    claimed = await one_test_message(database)
    deliveries = WebhookDeliveryRepository(database)
    retried = DeliveryOutcome(delivered=False, retry_in=3600.0, response_status=503, error="it answered 503")
    assert await deliveries.settle(claimed, retried)
    (waiting,) = await queued(database)
    assert (waiting.status, waiting.error) == (DeliveryStatus.WAITING, "it answered 503")
    assert waiting.due_at is not None
    assert waiting.due_at - waiting.created_at > 3000
    assert await claim(database) == ()
    await make_due(database)
    (again,) = await claim(database)
    assert await deliveries.settle(again, DeliveryOutcome(delivered=False, error="no answer"))
    (failed,) = await queued(database)
    assert (failed.status, failed.due_at, failed.attempts) == (DeliveryStatus.FAILED, None, 2)


async def test_a_message_is_delivered_again_on_request_under_the_same_id(database: Database) -> None:
    claimed = await one_test_message(database)
    deliveries = WebhookDeliveryRepository(database)
    await deliveries.settle(claimed, DELIVERED)
    again = await deliveries.redeliver("wh_1", claimed.delivery.id)
    assert (again.id, again.status, again.attempts) == (claimed.delivery.id, DeliveryStatus.WAITING, 0)
    (second,) = await claim(database)
    assert second.delivery.attempts == 1
    with pytest.raises(NotFoundError, match="no delivery msg_none"):
        await deliveries.redeliver("wh_1", "msg_none")


async def test_busy_webhooks_are_left_alone(database: Database) -> None:
    await WebhookRepository(database).add(draft())
    deliveries = WebhookDeliveryRepository(database)
    await deliveries.queue_test("wh_1", "webhook.test", {})
    assert await deliveries.claim_due(limit=5, lease_seconds=60, busy=["wh_1"]) == ()
    assert len(await claim(database)) == 1


async def test_what_a_dead_process_had_claimed_is_due_at_once_for_the_next(database: Database) -> None:
    first = await one_test_message(database)
    deliveries = WebhookDeliveryRepository(database)
    await deliveries.release_claims()
    (second,) = await claim(database)
    assert second.delivery.id == first.delivery.id
    await deliveries.settle(second, DeliveryOutcome(delivered=False, retry_in=3600.0))
    await deliveries.release_claims()
    assert await claim(database) == ()


async def test_a_disabled_webhook_is_told_nothing_until_it_is_enabled(database: Database) -> None:
    webhooks, deliveries = WebhookRepository(database), WebhookDeliveryRepository(database)
    await webhooks.add(draft())
    message = await deliveries.queue_test("wh_1", "webhook.test", {})
    await webhooks.disable("wh_1", "it is gone")
    assert await claim(database) == ()
    (given_up,) = await queued(database)
    assert (given_up.status, given_up.error) == (DeliveryStatus.FAILED, "it is gone")
    for refused in (
        deliveries.queue_test("wh_1", "webhook.test", {}),
        deliveries.redeliver("wh_1", message.id),
    ):
        with pytest.raises(ConflictError, match="enable it first"):
            await refused
    assert (await webhooks.get("wh_1")).disabled_because == "it is gone"
    enabled = await webhooks.enable("wh_1")
    assert (enabled.status, enabled.disabled_because) == (WebhookStatus.ACTIVE, None)
    await deliveries.redeliver("wh_1", message.id)
    assert len(await claim(database)) == 1


async def test_a_deleted_webhook_leaves_nothing_and_stops_no_job(database: Database) -> None:
    claimed = await one_test_message(database)
    webhooks, deliveries = WebhookRepository(database), WebhookDeliveryRepository(database)
    await webhooks.delete("wh_1")
    assert not await deliveries.settle(claimed, DELIVERED)
    for asked in (webhooks.get("wh_1"), webhooks.enable("wh_1"), deliveries.list("wh_1")):
        with pytest.raises(NotFoundError, match="no webhook wh_1"):
            await asked
    with pytest.raises(NotFoundError, match="no webhook wh_1"):
        await webhooks.delete("wh_1")
    await OptimizationRepository(database).finish(await new_lease(database), OptimizationStatus.FAILED)
    async with database.session() as session:  # as a change that was committed during the deletion
        await session.execute(
            text(
                "INSERT INTO webhook_deliveries (id, webhook_id, event, subject, body, status, fence, "
                "attempts, due_at, queued_at, created_at) "
                "VALUES ('m', 'wh_1', 'e', '', '{}', 'waiting', 0, 0, 1, 1, 1)"
            )
        )
    assert await claim(database) == ()
    assert await deliveries.prune(keep_seconds=1e9, keep_newest=10) == 1


async def test_deliveries_that_are_done_are_kept_within_bounds(database: Database) -> None:
    webhooks, deliveries = WebhookRepository(database), WebhookDeliveryRepository(database)
    for name in ("wh_1", "wh_2"):
        await webhooks.add(draft(name))
        for _ in range(4):
            await deliveries.queue_test(name, "webhook.test", {})
    assert await deliveries.prune(keep_seconds=0, keep_newest=1) == 0  # nothing is done
    for item in await claim(database, limit=100):
        await deliveries.settle(item, DELIVERED)
    waiting = await deliveries.queue_test("wh_1", "webhook.test", {})
    assert await deliveries.prune(keep_seconds=1e9, keep_newest=3) == 2
    assert [len(await queued(database, name)) for name in ("wh_1", "wh_2")] == [4, 3]
    assert await deliveries.prune(keep_seconds=-1, keep_newest=3) == 6
    assert [item.id for item in await queued(database, "wh_1")] == [waiting.id]


async def test_deliveries_come_in_pages_newest_first(database: Database) -> None:
    deliveries = WebhookDeliveryRepository(database)
    claimed = await one_test_message(database)
    await deliveries.settle(claimed, DELIVERED)
    for _ in range(2):
        await deliveries.queue_test("wh_1", "webhook.test", {})
    first = await deliveries.list("wh_1", limit=2)
    rest = await deliveries.list("wh_1", after=first[-1].id)
    assert [item.id for item in (*first, *rest)] == [item.id for item in reversed(await queued(database))]
    assert [item.id for item in rest] == [claimed.delivery.id]
    assert await deliveries.list("wh_1", status=DeliveryStatus.DELIVERED) == rest
    with pytest.raises(NotFoundError, match="no delivery msg_none"):
        await deliveries.list("wh_1", after="msg_none")


async def test_there_are_only_so_many_webhooks(database: Database) -> None:
    webhooks = WebhookRepository(database)
    for number in range(MOST_WEBHOOKS):
        await webhooks.add(draft(f"wh_{number}"))
    with pytest.raises(ConflictError, match="delete one first"):
        await webhooks.add(draft("wh_more"))
    assert len(await webhooks.list()) == MOST_WEBHOOKS
