"""Jobs that cannot be done: the row says why and what to change, and other jobs go on."""

import logging
from typing import Any

import pytest
from typing_extensions import override

from app.jobs.banks.run import BankFinding
from app.jobs.run import Finding
from app.jobs.tenure import Tenure
from app.jobs.worker import JobRun
from optimizer.types import JsonObject
from store.records.optimizations import Claim
from tests.app.chat.serving import NOTHING_TO_PROBE
from tests.app.jobs.service import JobService, open_service
from tests.fakes.openai_server import Drop, Exchange, FakeOpenAIServer, Reply, error, serve, well_behaved

ONCE: JsonObject = {"max_attempts": 1}


def on(fake: FakeOpenAIServer, **backend: Any) -> dict[str, Any]:
    """Groups of settings: all models on ``fake``."""
    role = {"backend": "upstream", "model": "critic"}
    upstream = {
        "base_url": fake.url,
        "retries": ONCE,
        "capabilities": NOTHING_TO_PROBE,
        **backend,
    }
    return {
        "backends": {
            "upstream": upstream,
            "simulated": {"kind": "simulated"},
        },
        "targets": {"simulated-small": {"backend": "upstream", "model": "vendor-1"}},
        "roles": {"proposer": role, "selector": role, "judge": role},
    }


def refuse(model: str, reply: Reply) -> Any:
    """Answer well, but ``reply`` to whoever asks ``model``."""

    def script(exchange: Exchange) -> Reply:
        return reply if exchange.body["model"] == model else well_behaved(exchange)

    return script


def is_probe(exchange: Exchange) -> bool:
    """Whether somebody only wants to know if the backend answers."""
    return exchange.body.get("max_tokens") == 1


@pytest.mark.parametrize(
    ("model", "setting"), [("vendor-1", "targets.simulated-small.model"), ("critic", "roles.selector.model")]
)
async def test_a_model_that_is_not_there_fails_the_job_and_names_the_setting(
    sqlite_url: str, model: str, setting: str
) -> None:
    async with serve() as fake, open_service(sqlite_url, **on(fake)) as service:
        fake.script = refuse(model, error(404, "The model does not exist", code="model_not_found"))
        found = await service.run()

    assert (found["status"], found["result"], found["estimate"]) == ("failed", None, None)
    assert found["error"]["code"] == "backend_misconfigured"
    assert setting in found["error"]["message"]
    assert model in found["error"]["message"]
    assert found["finished_at"] is not None
    assert found["usage"]["calls"] == len(fake.requests)


async def test_a_key_that_is_not_accepted_names_its_setting_and_not_itself(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "sk-secret-0123456789")
    async with (
        serve() as fake,
        open_service(sqlite_url, **on(fake, api_key_env="UPSTREAM_KEY")) as service,
    ):
        fake.script = lambda _: error(401, "bad key sk-secret-0123456789")
        found = await service.run()
    assert found["error"]["code"] == "backend_misconfigured"
    assert "backends.upstream.api_key_env" in found["error"]["message"]
    assert "sk-secret" not in found["error"]["message"]


@pytest.mark.parametrize("reply", [error(503, "too busy"), error(429, "slow down"), Drop()])
async def test_a_backend_that_answers_probes_alone_fails_the_job_in_the_end(
    sqlite_url: str, reply: Reply
) -> None:
    jobs: JsonObject = {"poll_seconds": 0.02, "probe_seconds": 0.01, "fruitless_pauses": 2}
    async with serve() as fake, open_service(sqlite_url, **on(fake), jobs=jobs) as service:
        fake.script = lambda exchange: well_behaved(exchange) if is_probe(exchange) else reply
        found = await service.run()
        events = await service.events(found["id"])

    assert (found["status"], found["error"]["code"]) == ("failed", "backend_unavailable")
    assert [event.type for event in events].count("optimization_paused") == 2
    assert "nothing of this job" in found["error"]["message"]
    assert "upstream" in found["error"]["message"]
    assert events[-1].type == "optimization_finished"
    assert events[-1].body == {"status": "failed", "error": found["error"]}


async def test_a_backend_that_is_away_when_it_is_first_asked_what_it_can_do(sqlite_url: str) -> None:
    async with serve() as fake:
        groups = on(fake, capabilities={})
    async with open_service(sqlite_url, **groups) as service:
        paused = await service.wait_for(await service.start(), "optimization_paused")
    assert (paused.body["cause"], paused.body["backend"]) == ("backend", "upstream")
    assert "backends.upstream.base_url" in str(paused.body["message"])


class BrokenRun(JobRun):
    """Meets a bug in every job with a certain name, and runs the others."""

    def __init__(self, inner: JobRun) -> None:
        self._inner = inner

    @override
    async def run(self, claim: Claim, tenure: Tenure) -> Finding | BankFinding:
        if claim.optimization.spec["name"] == "broken":
            raise ZeroDivisionError("a secret of the internals")
        return await self._inner.run(claim, tenure)


def break_runs(service: JobService) -> None:
    """Put a bug into the service's worker."""
    worker = service.resources.runner._worker
    worker._run = BrokenRun(worker._run)


async def test_the_log_says_how_each_job_began_and_ended(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.jobs.worker")
    async with serve() as fake, open_service(sqlite_url, **on(fake)) as service:
        fake.script = refuse("critic", error(404, "no\nsuch model", code="model_not_found"))
        failed = await service.run()
    async with open_service(sqlite_url) as service:
        found = await service.run(held_out=0)

    told = [record.getMessage() for record in caplog.records if record.name == "app.jobs.worker"]
    assert told[0] == f"{failed['id']} begins on simulated-small"
    assert told[1].startswith(f"{failed['id']} failed: ")
    assert "roles.selector.model" in told[1]
    assert told[2:] == [
        f"{found['id']} begins on simulated-small",
        f"{found['id']} succeeded: no queries were held out",
    ]


async def test_a_bug_fails_its_job_under_an_id_that_is_logged_and_others_go_on(
    service: JobService, caplog: pytest.LogCaptureFixture
) -> None:
    break_runs(service)
    healthy = await service.start(held_out=0)
    broken = await service.run(name="broken")
    after = await service.run(held_out=0, settings={"seed": 2})

    assert (broken["status"], broken["error"]["code"]) == ("failed", "internal_error")
    incident = broken["error"]["message"].rpartition(" ")[2]
    assert incident.startswith("err_")
    assert "secret" not in broken["error"]["message"]
    (record,) = [item for item in caplog.records if incident in item.getMessage()]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert (await service.finished(healthy))["status"] == "succeeded"
    assert after["status"] == "succeeded"
    assert await service.label() is None


async def test_a_target_that_was_removed_from_the_settings_fails_its_job(sqlite_url: str) -> None:
    async with open_service(sqlite_url, jobs={"max_running": 0}) as service:
        job = await service.start(target="simulated-chat")
    small = {"simulated-small": {"backend": "simulated", "model": "simulated-small"}}
    async with open_service(sqlite_url, targets=small) as service:
        found = await service.finished(job)
    assert (found["status"], found["error"]["code"]) == ("failed", "invalid_input")
    assert "simulated-chat" in found["error"]["message"]
