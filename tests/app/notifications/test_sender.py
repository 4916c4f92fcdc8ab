"""One attempt, over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.notifications.addresses import ReceiverPolicy
from app.notifications.sender import WebhookSender
from tests.fakes.webhook_receiver import HANG, receiver


@asynccontextmanager
async def opened(*private_hosts: str, timeout_seconds: float = 30.0) -> AsyncIterator[WebhookSender]:
    async with WebhookSender(ReceiverPolicy(private_hosts), timeout_seconds=timeout_seconds) as sender:
        yield sender


async def test_a_message_arrives_with_its_headers() -> None:
    async with receiver() as there, opened("127.0.0.1") as sender:
        reply = await sender.send(there.url, {"webhook-id": "msg_1"}, '{"type": "x"}')
    assert (reply.status, reply.error) == (204, None)
    (request,) = there.requests
    assert request.body == b'{"type": "x"}'
    assert (request.message_id, request.headers["content-type"]) == ("msg_1", "application/json")
    assert "cookie" not in request.headers


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_refusal_does_not_count_as_told(status: int) -> None:
    async with receiver(status) as there, opened("127.0.0.1") as sender:
        there.said = b"no" * 10_000
        there.headers = {"retry-after": "7"}
        reply = await sender.send(there.url, {}, "{}")
    assert (reply.status, reply.error, reply.retry_after) == (status, f"it answered {status}", 7.0)
    assert reply.text is not None
    assert 0 < len(reply.text) <= 500
    assert not reply.is_gone


async def test_a_receiver_that_is_gone_says_so() -> None:
    async with receiver(410) as there, opened("127.0.0.1") as sender:
        assert (await sender.send(there.url, {}, "{}")).is_gone


async def test_a_redirect_is_not_followed() -> None:
    async with receiver() as elsewhere, receiver(302) as there, opened("127.0.0.1") as sender:
        there.headers = {"location": elsewhere.url}
        reply = await sender.send(there.url, {}, "{}")
        assert reply.error is not None
        assert "redirects are not followed" in reply.error
        assert elsewhere.requests == []


async def test_a_receiver_that_hangs_is_left_after_the_time_out() -> None:
    async with receiver(HANG) as there, opened("127.0.0.1", timeout_seconds=0.2) as sender:
        reply = await sender.send(there.url, {}, "{}")
    assert (reply.status, reply.error) == (None, "no answer within 0.2 s")


async def test_nobody_at_the_address_is_no_answer() -> None:
    async with receiver() as there:
        url = there.url
    async with opened("127.0.0.1") as sender:
        assert (await sender.send(url, {}, "{}")).error == "no connection could be made"


async def test_private_addresses_are_not_connected_to_by_number_or_by_name() -> None:
    async with receiver() as there, opened() as sender:
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"):
            reply = await sender.send(there.url.replace("127.0.0.1", host), {}, "{}")
            assert reply.error is not None, host
            assert reply.status is None, host
        assert there.requests == []


async def test_a_sender_that_is_not_open_is_a_bug() -> None:
    sender = WebhookSender(ReceiverPolicy(("127.0.0.1",)), timeout_seconds=1.0)
    with pytest.raises(RuntimeError, match="not open"):
        await sender.send("http://127.0.0.1:1/", {}, "{}")
