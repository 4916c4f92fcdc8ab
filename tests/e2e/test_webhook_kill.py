"""A service that is killed while it tells a webhook something tells it again, under the same id."""

from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.app.jobs.service import job
from tests.e2e.test_kill import end_of, service
from tests.fakes.webhook_receiver import HANG, receiver

SETTINGS = """
[database]
url = "{url}"

[webhooks]
signing_key = "0123456789abcdef0123456789abcdef"
private_hosts = ["127.0.0.1"]
timeout_seconds = 1.0
first_wait_seconds = 0.1
poll_seconds = 0.1

[logging]
level = "WARNING"
"""


@pytest.mark.slow
async def test_a_kill_between_claim_and_delivery_loses_nothing_and_tells_no_other_change(
    database_url: str, tmp_path: Path
) -> None:
    config = tmp_path / "drpo.toml"
    config.write_text(SETTINGS.format(url=database_url), encoding="utf-8")
    async with receiver(HANG) as there:
        async with service(config) as (process, client):
            added = await client.post("/v1/webhooks", json={"url": there.url, "name": "chat"})
            webhook = added.json()
            created = await client.post("/v1/optimizations", json=job(held_out=0))
            (held, *_) = await there.got(1)
            await process.kill()
        there.released.set()
        path = f"/v1/optimizations/{created.json()['id']}"
        async with service(config) as (process, client):
            await end_of(client, path)
            # the message that was under way, and one for the end of the job
            await there.got(3)
            assert await process.terminate() == 0
    verifier = Webhook(webhook["secret"])
    told = [(one.message_id, verifier.verify(one.body, dict(one.headers))["type"]) for one in there.requests]
    assert told.count((held.message_id, "optimization.started")) >= 2
    assert {kind for _, kind in told} == {"optimization.started", "optimization.succeeded"}
    assert len({message for message, _ in told}) == 2
