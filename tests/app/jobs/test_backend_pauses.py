"""A backend that is away pauses the jobs that need it, and they go on by themselves when it is back."""

from typing import Any

import pytest
from fastapi import status

from app.job_settings import JobSettings
from app.jobs.backend_pauses import delay
from optimizer.types import JsonObject
from tests.app.example_banks.banks import finished as bank_finished
from tests.app.example_banks.banks import start as start_bank
from tests.app.jobs.service import JobService, open_service, outcome
from tests.app.jobs.test_failures import is_probe, on
from tests.fakes.openai_server import Exchange, FakeOpenAIServer, Reply, error, serve, well_behaved

PAUSED, RESUMED = "optimization_paused", "optimization_resumed"
SOON: JsonObject = {"poll_seconds": 0.02, "probe_seconds": 0.01, "longest_probe_seconds": 0.05}
LATE: JsonObject = {"poll_seconds": 0.02, "probe_seconds": 600.0, "longest_probe_seconds": 600.0}


class Outage:
    """A backend that answers so many requests, then none, until it is over."""

    def __init__(self, fake: FakeOpenAIServer, *, after: int, reply: Reply = error(503, "down")) -> None:  # noqa: B008
        self._after = after
        self._reply = reply
        self.is_over = False
        self.probes = 0
        self.answered = 0
        fake.script = self._script

    def _script(self, exchange: Exchange) -> Reply:
        self.probes += is_probe(exchange)
        if not self.is_over and self.answered >= self._after:
            return self._reply
        self.answered += not is_probe(exchange)
        return well_behaved(exchange)


@pytest.mark.parametrize("after", [0, 9, 40])
async def test_a_job_goes_on_by_itself_and_finds_what_it_would_have_found(
    database_url: str, other_sqlite_url: str, after: int
) -> None:
    async with serve() as fake:
        async with open_service(other_sqlite_url, **on(fake)) as undisturbed:
            whole = await undisturbed.run()
            expected, calls = await outcome(undisturbed, whole["id"]), len(fake.requests)
        fake.requests.clear()
        async with open_service(database_url, **on(fake, max_concurrency=1), jobs=SOON) as service:
            outage = Outage(fake, after=after)
            job = await service.start()
            paused = await service.wait_for(job, PAUSED)
            outage.is_over = True
            found = await service.finished(job)
            assert await outcome(service, job) == expected
            types = [event.type for event in await service.events(job)]
    assert (paused.body["cause"], paused.body["backend"]) == ("backend", "upstream")
    assert "503" in str(paused.body["message"])
    assert paused.body["answered"] == after
    assert types.count(RESUMED) == types.count(PAUSED) == 1
    assert found["status"] == "succeeded"
    assert outage.answered == calls  # nothing that was answered is asked again


async def test_a_bank_goes_on_by_itself_too(sqlite_url: str) -> None:
    async with serve() as fake, open_service(sqlite_url, **on(fake), jobs=SOON) as service:
        outage = Outage(fake, after=3)
        bank = await start_bank(service)
        await service.wait_for(bank, PAUSED)
        outage.is_over = True
        found = await bank_finished(service, bank)
    assert found["status"] == "succeeded"


@pytest.mark.parametrize(
    "reply",
    [error(429, "slow down"), error(429, "no money", code="insufficient_quota"), error(402, "no money")],
)
async def test_too_many_requests_and_an_empty_account_are_waited_for(sqlite_url: str, reply: Reply) -> None:
    async with serve() as fake, open_service(sqlite_url, **on(fake), jobs=SOON) as service:
        outage = Outage(fake, after=5, reply=reply)
        job = await service.start()
        await service.wait_for(job, PAUSED)
        outage.is_over = True
        assert (await service.finished(job))["status"] == "succeeded"


async def test_a_key_that_was_changed_meanwhile_fails_the_job_with_what_to_change(sqlite_url: str) -> None:
    async with serve() as fake, open_service(sqlite_url, **on(fake), jobs=SOON) as service:
        Outage(fake, after=5)
        job = await service.start()
        await service.wait_for(job, PAUSED)
        fake.script = lambda _: error(401, "who are you?")
        found = await service.finished(job)
    assert (found["status"], found["error"]["code"]) == ("failed", "backend_misconfigured")
    assert "backends.upstream.api_key_env" in found["error"]["message"]


async def paused_late(service: JobService, fake: FakeOpenAIServer) -> tuple[str, Outage]:
    outage = Outage(fake, after=5)
    job = await service.start()
    await service.wait_for(job, PAUSED)
    assert (await service.get(f"/v1/optimizations/{job}"))["status"] == "paused"
    return job, outage


async def test_a_paused_job_can_be_resumed_by_hand(sqlite_url: str) -> None:
    async with serve() as fake, open_service(sqlite_url, **on(fake), jobs=LATE) as service:
        job, outage = await paused_late(service, fake)
        outage.is_over = True
        await service.resources.optimizations.resume(job)
        assert (await service.finished(job))["status"] == "succeeded"
    assert outage.probes == 0


async def test_a_paused_job_can_be_cancelled(sqlite_url: str) -> None:
    async with serve() as fake, open_service(sqlite_url, **on(fake), jobs=LATE) as service:
        job, _ = await paused_late(service, fake)
        response = await service.post(f"/v1/optimizations/{job}/cancel")
        assert response.status_code in {status.HTTP_200_OK, status.HTTP_202_ACCEPTED}
        assert (await service.finished(job))["status"] == "cancelled"


async def test_one_probe_is_for_all_jobs_that_wait_for_a_backend(sqlite_url: str) -> None:
    jobs: JsonObject = {**SOON, "probe_seconds": 0.3, "longest_probe_seconds": 0.3, "max_running": 3}
    async with serve() as fake, open_service(sqlite_url, **on(fake), jobs=jobs) as service:
        outage = Outage(fake, after=5)
        ids = [await service.start() for _ in range(3)]
        for job in ids:
            await service.wait_for(job, PAUSED)
        probes, outage.is_over = outage.probes, True
        found: list[dict[str, Any]] = [await service.finished(job) for job in ids]
    assert [job["status"] for job in found] == ["succeeded"] * 3
    assert outage.probes - probes <= 1


async def test_a_replay_needs_no_backend(sqlite_url: str) -> None:
    async with serve() as fake, open_service(sqlite_url, **on(fake), jobs=LATE) as service:
        job = (await service.run())["id"]
        Outage(fake, after=0)
        response = await service.post(f"/v1/optimizations/{job}/replay", {})
        assert response.status_code == status.HTTP_202_ACCEPTED
        assert (await service.finished(response.json()["id"]))["status"] == "succeeded"


def test_probes_come_less_and_less_often() -> None:
    settings = JobSettings(probe_seconds=5, longest_probe_seconds=300)
    assert [delay(settings, failed) for failed in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert delay(settings, 10_000) == 300
