"""A worker that was frozen, and wakes when another one has its job: it asks and writes nothing."""

import signal
from pathlib import Path

import httpx
import pytest

from tests.chaos.cluster import BACKEND, Store, Worker, running, until
from tests.chaos.ledger import all_ended
from tests.e2e.test_kill import provider, start, write_settings

ANNOUNCED = "SELECT count(*) FROM model_calls WHERE status = 'open'"
WRITTEN = "SELECT owner, fence, status, next_seq, elapsed_seconds FROM optimizations"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_worker_that_wakes_makes_no_call_of_those_that_it_had_announced(
    postgres_url: str, tmp_path: Path
) -> None:
    config, store = tmp_path / "drpo.toml", Store(postgres_url)
    command = ("worker", "--config", str(config))
    zombie, other = (Worker(name, command, tmp_path, {}) for name in ("zombie", "other"))
    api = Worker("api", ("serve", "--no-jobs", "--config", str(config)), tmp_path, {})
    async with provider() as counters:
        provider_url = str(counters.base_url).rstrip("/")
        backend = BACKEND.replace("max_concurrency = 8", "max_concurrency = 2")
        write_settings(config, postgres_url, provider_url, lease_seconds=2.0, backend=backend)
        await counters.post("/hold/22")  # in the gate, where many calls are announced and two can be sent
        async with running([api, zombie]):
            async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as client:
                await start(client)
            await counters.get("/held")
            await until(lambda: many_are_announced(store))
            zombie.send(signal.SIGSTOP)
            sent = (await counters.get("/counts")).json()["by_key"]["zombie"]
            await counters.post("/release")
            async with running([other]):
                await until(lambda: all_ended(store))
                before = await store.rows(WRITTEN)
                zombie.send(signal.SIGCONT)
                await until(lambda: zombie.said("the lease is lost"))
                assert await zombie.stop() == 0
            counts = (await counters.get("/counts")).json()
            assert counts["by_key"]["zombie"] == sent
            assert counts["by_key"]["other"] > 0
            assert await store.rows(WRITTEN) == before
    ((owner, fence, status, *_),) = before
    assert (fence, status) == (2, "succeeded")
    assert f":{other.pid}:" in owner
    await store.close()


async def many_are_announced(store: Store) -> bool:
    """Whether more calls are announced than can be on their way."""
    return await store.number(ANNOUNCED) >= 5
