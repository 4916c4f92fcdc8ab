"""Webhooks over HTTP: added, told, tested, deleted."""

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks import Webhook

from app.main import create_app
from tests.app.jobs.service import JobService, failure, open_service
from tests.app.webhooks.conftest import QUICK
from tests.fakes.webhook_receiver import HANG, Receiver


async def add(service: JobService, url: str, **fields: Any) -> dict[str, Any]:
    """Add a webhook."""
    response = await service.post("/v1/webhooks", {"url": url, **fields})
    assert response.status_code == 201, response.text
    added: dict[str, Any] = response.json()
    return added


async def settled(service: JobService, webhook: str, status: str, count: int = 1) -> list[dict[str, Any]]:
    """The deliveries of a webhook in ``status`` once there are so many, newest first."""
    while True:
        found = (await service.get(f"/v1/webhooks/{webhook}/deliveries", status=status))["data"]
        if len(found) >= count:
            listed: list[dict[str, Any]] = found
            return listed
        await asyncio.sleep(0.01)  # the receiver has it before the sender has recorded that


async def test_a_job_is_told_from_its_start_to_its_end_signed(service: JobService, there: Receiver) -> None:
    webhook = await add(service, there.url, name="chat")
    job = await service.run(held_out=0)

    requests = await there.got(2)
    verifier = Webhook(webhook["secret"])
    told = {item["type"]: item for item in (verifier.verify(one.body, dict(one.headers)) for one in requests)}
    assert set(told) == {"optimization.started", "optimization.succeeded"}
    assert {item["data"]["id"] for item in told.values()} == {job["id"]}
    deliveries = await settled(service, webhook["id"], "delivered", 2)
    assert {item["id"] for item in deliveries} == {one.message_id for one in requests}
    assert [item["payload"] for item in deliveries if item["event"] == "optimization.succeeded"] == [
        told["optimization.succeeded"]
    ]


async def test_a_receiver_that_fails_hangs_and_redirects_is_told_in_the_end(
    sqlite_url: str, there: Receiver
) -> None:
    there.script.extend([500, HANG, 302, 404, 429])
    async with open_service(sqlite_url, webhooks={**QUICK, "timeout_seconds": 1.0}) as service:
        webhook = await add(service, there.url, events=["optimization.cancelled"])
        response = await service.post(f"/v1/webhooks/{webhook['id']}/test")
        assert response.status_code == 202
        requests = await there.got(6)
        (delivery,) = await settled(service, webhook["id"], "delivered")
    assert {one.message_id for one in requests} == {delivery["id"]}
    assert delivery["attempts"] >= 6
    assert (delivery["response_status"], delivery["error"]) == (204, None)


async def test_a_receiver_that_is_gone_is_left_alone(service: JobService, there: Receiver) -> None:
    there.script.append(410)
    webhook = await add(service, there.url)
    await service.post(f"/v1/webhooks/{webhook['id']}/test")
    (given_up,) = await settled(service, webhook["id"], "failed")
    assert given_up["error"] == "it answered 410"
    shown = await service.get(f"/v1/webhooks/{webhook['id']}")
    assert shown["status"] == "disabled"
    assert shown["disabled_because"] == "its receiver answered 410 Gone"
    failure(await service.post(f"/v1/webhooks/{webhook['id']}/test"), 409)
    response = await service.post(f"/v1/webhooks/{webhook['id']}/enable")
    assert response.json()["status"] == "active"
    await service.post(f"/v1/webhooks/{webhook['id']}/deliveries/{given_up['id']}/redeliver")
    await settled(service, webhook["id"], "delivered")
    assert [one.message_id for one in there.requests] == [given_up["id"]] * 2


async def test_a_receiver_that_is_away_for_too_long_is_given_up(sqlite_url: str, there: Receiver) -> None:
    there.script.extend([500] * 1000)
    async with open_service(sqlite_url, webhooks={**QUICK, "give_up_seconds": 0.2}) as service:
        webhook = await add(service, there.url)
        await service.post(f"/v1/webhooks/{webhook['id']}/test")
        (given_up,) = await settled(service, webhook["id"], "failed")
    assert given_up["next_attempt_at"] is None
    assert given_up["attempts"] == len(there.requests) >= 1


async def test_the_secret_is_shown_once_and_never_again(
    service: JobService, there: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    webhook = await add(service, there.url)
    secret = webhook["secret"]
    await service.post(f"/v1/webhooks/{webhook['id']}/test")
    await settled(service, webhook["id"], "delivered")
    shown = await service.get(f"/v1/webhooks/{webhook['id']}")
    listed = await service.get("/v1/webhooks")
    deliveries = await service.get(f"/v1/webhooks/{webhook['id']}/deliveries")
    assert {**webhook, "secret": None} == {**shown, "secret": None}
    assert all("secret" not in item for item in (shown, *listed["data"]))
    assert secret not in json.dumps([shown, listed, deliveries]) + caplog.text
    async with service.resources.database.read() as session:
        connection = await session.connection()
        rows = (await connection.exec_driver_sql("SELECT * FROM webhooks")).all()
    assert secret.removeprefix("whsec_") not in str(rows)


async def test_another_signing_key_signs_nothing_under_the_old_secret(
    sqlite_url: str, there: Receiver
) -> None:
    async with open_service(sqlite_url, webhooks=QUICK) as service:
        webhook = (await add(service, there.url))["id"]
    for change, reason in (("x" * 32, "another one"), (None, "is not set")):
        async with open_service(sqlite_url, webhooks={**QUICK, "signing_key": change}) as service:
            message = (await service.post(f"/v1/webhooks/{webhook}/test")).json()["id"]
            while True:
                found = (await service.get(f"/v1/webhooks/{webhook}/deliveries"))["data"]
                (delivery,) = (item for item in found if item["id"] == message)
                if delivery["error"]:
                    break
                await asyncio.sleep(0.01)  # for the first attempt
            assert reason in delivery["error"]
    assert there.requests == []


async def test_a_deleted_webhook_is_told_nothing(service: JobService, there: Receiver) -> None:
    webhook = (await add(service, there.url))["id"]
    response = await service.client.delete(f"/v1/webhooks/{webhook}")
    assert response.json() == {"id": webhook, "object": "webhook", "deleted": True}
    assert (await service.get("/v1/webhooks"))["data"] == []
    failure(await service.client.get(f"/v1/webhooks/{webhook}"), 404)
    failure(await service.client.delete(f"/v1/webhooks/{webhook}"), 404)
    failure(await service.client.get(f"/v1/webhooks/{webhook}/deliveries"), 404)


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"url": "http://10.0.0.1/hook"}, "url", "webhooks.private_hosts"),
        ({"url": "https://localhost/hook"}, "url", "webhooks.private_hosts"),
        ({"url": "ftp://example.org/hook"}, "url", "http"),
        ({"url": "https://example.org/", "events": ["job.done"]}, "events", "optimization.succeeded"),
        ({"url": "https://example.org/", "events": []}, "events", "at least 1"),
        ({"url": "https://example.org/", "colour": "red"}, "colour", "no such field"),
    ],
)
async def test_a_webhook_that_cannot_work_is_refused(
    service: JobService, body: dict[str, Any], param: str, message: str
) -> None:
    refused = failure(await service.post("/v1/webhooks", body))
    assert (refused["param"], message in refused["message"]) == (param, True), refused


async def test_without_a_signing_key_no_webhook_is_added(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        refused = failure(await service.post("/v1/webhooks", {"url": "https://example.org/hook"}))
    assert refused["code"] == "no_signing_key"
    assert "webhooks.signing_key" in refused["message"]


async def test_the_endpoints_are_described(service: JobService) -> None:
    paths = create_app(service.resources).openapi()["paths"]
    assert set(paths["/v1/webhooks"]) == {"post", "get"}
    assert set(paths["/v1/webhooks/{webhook_id}"]) == {"get", "delete"}
    assert "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver" in paths


async def test_deliveries_are_shown_in_pages(service: JobService, there: Receiver) -> None:
    webhook = (await add(service, there.url))["id"]
    for _ in range(3):
        await service.post(f"/v1/webhooks/{webhook}/test")
    await settled(service, webhook, "delivered", 3)
    first = await service.get(f"/v1/webhooks/{webhook}/deliveries", limit=2)
    rest = await service.get(f"/v1/webhooks/{webhook}/deliveries", limit=2, after=first["last_id"])
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert len({item["id"] for item in (*first["data"], *rest["data"])}) == 3
