"""Pause, resume, change, delete: in every state the right answer, and nothing paid for twice."""

import asyncio
from typing import Any

import httpx
import pytest

from app.jobs.sweeper import LedgerSweeper
from app.settings import LedgerSettings
from store.records.optimizations import Beat, Lease, OptimizationStatus, PauseCause, PauseReason
from store.repositories.optimizations import OptimizationRepository
from store.repositories.vector_retention import VectorRetention
from tests.app.access.stored_keys import add_key, bearer
from tests.app.jobs.crashes import finished_calls
from tests.app.jobs.service import SMALL, JobService, failure, open_service, outcome
from tests.app.optimizations.test_cancel import working
from tests.store.steps import ANY_SOFTWARE

PATH = "/v1/optimizations"


async def ask(service: JobService, job: str, what: str) -> dict[str, Any]:
    """POST what is asked; the job as the answer shows it."""
    response = await service.post(f"{PATH}/{job}/{what}")
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


async def change(service: JobService, job: str, **changes: Any) -> httpx.Response:
    """PATCH the job."""
    return await service.client.patch(f"{PATH}/{job}", json=changes)


async def hold(service: JobService, number: int, **request: Any) -> str:
    """A job whose requests from ``number`` on are not answered; it waits for the first of them."""
    service.backend.hold_from = number
    job = await service.start(**request)
    await service.backend.held.wait()
    return job


def let_go(service: JobService) -> None:
    """Answer everything again."""
    service.backend.hold_from = None
    service.backend.opened.set()


async def test_a_paused_job_goes_on_to_what_it_would_have_found_and_repeats_nothing(
    database_url: str, other_sqlite_url: str
) -> None:
    async with open_service(other_sqlite_url) as service:
        undisturbed = await outcome(service, (await service.run())["id"])
    async with open_service(database_url) as service:
        job = await hold(service, 3 + 6 + 5)
        asked = await ask(service, job, "pause")
        assert (asked["status"], asked["pause_requested"]) == ("running", True)
        await service.wait_for(job, "optimization_paused")
        paused = await service.get(f"{PATH}/{job}")
        assert (paused["status"], paused["pause_requested"]) == ("paused", False)
        assert paused["paused"] == {
            "cause": "requested",
            "message": "somebody asked for it",
            "backend": None,
            "probe_at": None,
        }
        assert service.backend.in_flight == 0
        before = await finished_calls(database_url)
        assert len(before) > 8

        let_go(service)
        assert (await ask(service, job, "resume"))["status"] in {"queued", "running"}
        await service.finished(job)
        assert await outcome(service, job) == undisturbed
        after = await finished_calls(database_url)
        assert {key: after[key] for key in before} == before
        events = await service.events(job)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events if event.type.startswith("optimization_")] == [
            "optimization_started",
            "optimization_pause_requested",
            "optimization_paused",
            "optimization_resumed",
            "optimization_started",
            "optimization_finished",
        ]


async def test_a_pause_leaves_no_task_behind(service: JobService) -> None:
    job = await hold(service, 5)
    tasks = working()
    await ask(service, job, "pause")
    await asyncio.wait([tasks[f"work {job}"]])
    assert working() == {}
    ended = await ask(service, job, "cancel")
    assert ended["status"] == "cancelled"


async def test_another_process_pauses_by_the_row_alone(database_url: str) -> None:
    async with open_service(database_url, jobs={"lease_seconds": 0.4, "poll_seconds": 0.1}) as service:
        job = await hold(service, 2)
        await service.resources.optimizations.request_pause(job)  # nobody tells this process's runner
        await service.wait_for(job, "optimization_paused")


async def test_a_job_paused_while_it_waits_is_not_begun(database_url: str) -> None:
    async with open_service(database_url, jobs={"max_running": 0}) as service:
        job = await service.start()
        assert (await ask(service, job, "pause"))["status"] == "paused"
        assert (await ask(service, job, "pause"))["status"] == "paused"
    async with open_service(database_url) as service:
        other = await service.run()  # the next in the queue
        assert other["status"] == "succeeded"
        assert (await service.get(f"{PATH}/{job}"))["status"] == "paused"
        await ask(service, job, "resume")
        assert (await service.finished(job))["status"] == "succeeded"


@pytest.mark.parametrize("what", ["pause", "resume", "cancel", "delete", "patch"])
async def test_what_a_state_does_not_allow_is_refused_with_what_it_does(idle: JobService, what: str) -> None:
    job, ended = await idle.start(), await idle.start()
    await ask(idle, ended, "cancel")
    wrong = job if what in {"resume", "delete"} else ended
    before = await idle.get(f"{PATH}/{wrong}")
    if what == "patch":
        response = await change(idle, wrong, priority=3)
    elif what == "delete":
        response = await idle.client.delete(f"{PATH}/{wrong}")
    else:
        response = await idle.post(f"{PATH}/{wrong}/{what}")
    if what == "cancel":
        assert response.json()["status"] == "cancelled"  # a second request changes nothing
        return
    message = failure(response, 409)["message"]
    assert f"is {before['status']} and cannot be" in message
    assert "possible now: " in message
    assert await idle.get(f"{PATH}/{wrong}") == before


@pytest.mark.parametrize("path", ["pause", "resume", "cancel"])
async def test_a_job_that_is_not_there_is_not_found(idle: JobService, path: str) -> None:
    failure(await idle.post(f"{PATH}/opt_none/{path}"), 404)
    failure(await change(idle, "opt_none", priority=1), 404)
    failure(await idle.client.delete(f"{PATH}/opt_none"), 404)


async def test_a_higher_priority_is_begun_first(database_url: str) -> None:
    async with open_service(database_url, jobs={"max_running": 0}) as service:
        jobs = [await service.start(), await service.start(priority=5), await service.start()]
        shown = (await change(service, jobs[2], priority=9)).json()
        assert shown["priority"] == 9
        assert (await service.events(jobs[2]))[-1].body == {"priority": 9}
        failure(await change(service, jobs[2], priority=101))
    async with open_service(database_url, jobs={"max_running": 1}) as service:
        for job in jobs:
            await service.wait_for(job)
        records = [await service.resources.optimizations.get(job) for job in jobs]
        started = [record.started_at or 0.0 for record in records]
        assert started[2] < started[1] < started[0]


async def test_less_than_is_spent_ends_the_search_and_keeps_everything(database_url: str) -> None:
    async with open_service(database_url) as service:
        job = await hold(service, 3 + 6 + 5, held_out=0)
        shown = (await change(service, job, budget={"calls": 2})).json()
        assert shown["budget"] == {"calls": 2, "tokens": None, "cost": None, "seconds": None}
        await heard()
        let_go(service)
        ended = await service.finished(job)
        assert (ended["status"], ended["result"]["stop_reason"]) == ("succeeded", "budget")
        assert ended["usage"]["calls"] <= 3 + 6 + 11
        assert [item.round for item in await service.resources.tree.rounds(job)][:2] == [0, 1]
        assert len(await service.candidates(job)) >= 3


async def heard() -> None:
    """Wait until a worker has looked at its row twice: the first look may have been under way before."""
    beat, looks = OptimizationRepository.beat, asyncio.Semaphore(0)

    async def beating(repository: OptimizationRepository, lease: Lease, **more: Any) -> Beat:
        found = await beat(repository, lease, **more)
        looks.release()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OptimizationRepository, "beat", beating)
        await looks.acquire()
        await looks.acquire()


async def test_a_budget_that_is_raised_is_planned_with_from_the_next_round_on(database_url: str) -> None:
    request: dict[str, Any] = {"preset": "default", "held_out": 0, "budget": {"calls": 60}}
    async with open_service(database_url) as service:
        job = await hold(service, 35, **request)
        assert (await change(service, job, budget={"calls": 140})).status_code == 200
        await heard()
        let_go(service)
        ended = await service.finished(job)
        assert ended["status"] == "succeeded"
        assert 60 < ended["usage"]["calls"] <= 140
        changed = [event for event in await service.events(job) if event.type == "optimization_changed"]
        assert changed[0].body == {"limits": {"calls": 140, "tokens": None, "cost": None, "seconds": None}}


async def test_a_limit_that_is_left_out_stays_and_one_that_is_null_goes(idle: JobService) -> None:
    job = await idle.start(budget={"calls": 100, "tokens": 10**6})
    shown = (await change(idle, job, budget={"seconds": 60.0, "tokens": None})).json()
    assert shown["budget"] == {"calls": 100, "tokens": None, "cost": None, "seconds": 60.0}
    assert failure(await change(idle, job, budget={"cost": 1.0}))["param"] == "budget.cost"
    assert failure(await change(idle, job, budget={"calls": 0}))["param"] == "budget.calls"
    assert failure(await change(idle, job, nonsense=1))["param"] == "nonsense"


async def test_two_who_change_a_budget_at_once_are_both_heard(database_url: str) -> None:
    async with open_service(database_url, jobs={"max_running": 0}) as service:
        job = await service.start(budget={"calls": 100})
        optimizations, get = service.resources.optimizations, service.resources.optimizations.get
        both = asyncio.Barrier(2)

        async def meeting(*arguments: Any, **more: Any) -> Any:
            found = await get(*arguments, **more)
            await both.wait()
            return found

        optimizations.get = meeting  # type: ignore[method-assign]
        answers = await asyncio.gather(
            change(service, job, budget={"tokens": 10**6}), change(service, job, budget={"seconds": 60.0})
        )
        optimizations.get = get  # type: ignore[method-assign]
        assert [answer.status_code for answer in answers] == [200, 200]
        shown = await service.get(f"{PATH}/{job}")
        assert shown["budget"] == {"calls": 100, "tokens": 10**6, "cost": None, "seconds": 60.0}


@pytest.mark.parametrize(
    ("what", "body", "other"),
    [
        ("clone", {"held_out": 0}, {"held_out": 4}),
        ("restart", {"from_round": 1}, {"from_round": 2}),
        ("replay", {}, {"name": "other"}),
    ],
)
async def test_a_repeated_request_is_answered_also_when_the_job_that_it_began_with_is_gone(
    service: JobService, what: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    source = (await service.run(held_out=0))["id"]
    key, _ = await add_key(service.resources.access.keys, "optimize", models=(SMALL,))
    headers = {"idempotency-key": "mine", **bearer(key)}

    async def send(changes: dict[str, Any]) -> httpx.Response:
        return await service.client.post(f"{PATH}/{source}/{what}", json=changes, headers=headers)

    first = await send(body)
    assert first.status_code == 202, first.text
    await service.finished(first.json()["id"])
    assert (await service.client.delete(f"{PATH}/{source}")).status_code == 200
    again = await send(body)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert failure(await send(other), 422)["code"] == "idempotency_key_reused"
    headers["idempotency-key"] = "another"
    failure(await send(body), 404)


async def test_a_clone_s_key_is_forgiving_about_changes_of_its_source(idle: JobService) -> None:
    source, headers = await idle.start(budget={"calls": 100}), {"idempotency-key": "mine"}
    path = f"{PATH}/{source}/clone"
    made = await idle.client.post(path, json={"name": "copy"}, headers=headers)
    await change(idle, source, budget={"calls": 200})
    again = await idle.client.post(path, json={"name": "copy"}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])


async def test_a_key_makes_one_job_however_often_it_is_sent(database_url: str) -> None:
    async with open_service(database_url, jobs={"max_running": 0}) as service:
        body = {"target": "simulated-small", "preset": "mini", "held_out": 0}

        async def send(key: str, **more: Any) -> httpx.Response:
            return await service.client.post(PATH, json=body | more, headers={"idempotency-key": key})

        answers = await asyncio.gather(*(send("mine") for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 202]
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert [answer.headers.get("x-drpo-idempotent-replay") for answer in answers].count("true") == 3
        other = failure(await send("mine", held_out=4), 422)
        assert other["code"] == "idempotency_key_reused"
        assert other["param"] == "Idempotency-Key"
        assert (await send("another")).status_code == 202
        assert len((await service.get(PATH))["data"]) == 2
        failure(await send("x" * 256))


async def test_a_deleted_job_leaves_its_prompt_version_and_nothing_else(database_url: str) -> None:
    async with open_service(database_url) as service:
        done = await service.run_to_promotion()
        version = done["result"]["prompt_version"]
        response = await service.client.delete(f"{PATH}/{done['id']}")
        deleted = {"id": done["id"], "object": "deleted_job", "deleted": True}
        assert (response.status_code, response.json()) == (200, deleted)
        for path in ("", "/events", "/candidates", "/evaluations"):
            failure(await service.client.get(f"{PATH}/{done['id']}{path}"), 404)
        assert (await service.get(PATH))["data"] == []
        failure(await service.client.delete(f"{PATH}/{done['id']}"), 404)
        kept = await service.get(f"/v1/prompts/simulated-small/versions/{version}")
        assert (kept["optimization_id"], kept["optimization_deleted"]) == (done["id"], True)
        assert await service.label() == version
        assert await finished_calls(database_url) == {}
        assert await service.events(done["id"]) == ()


async def test_a_job_that_another_one_reads_is_not_deleted(service: JobService) -> None:
    done = await service.run()
    replay = (await service.post(f"{PATH}/{done['id']}/replay", {})).json()["id"]
    await service.resources.optimizations.get(replay)
    response = await service.client.delete(f"{PATH}/{done['id']}")
    if response.status_code == 409:
        assert replay in failure(response, 409)["message"]
        await service.finished(replay)
        response = await service.client.delete(f"{PATH}/{done['id']}")
    assert response.status_code == 200


async def test_old_jobs_are_deleted_in_the_background_and_others_stay(service: JobService) -> None:
    old, waiting = await service.run(), await service.run()
    resources = service.resources

    def sweeper(days: float | None) -> LedgerSweeper:
        return LedgerSweeper(
            resources.retention,
            resources.optimizations,
            LedgerSettings(),
            deletion=resources.deletion,
            vectors=VectorRetention(resources.database),
            keep_jobs_days=days,
        )

    for days in (None, 1.0):
        await sweeper(days).sweep()
        assert len((await service.get(PATH))["data"]) == 2
    await sweeper(0.0).sweep()
    assert (await service.get(PATH))["data"] == []
    assert await resources.deletion.deleted(frozenset({old["id"], waiting["id"], "opt_none"})) == {
        old["id"],
        waiting["id"],
    }


async def test_a_clone_asks_for_what_its_job_asked_for_but_for_what_is_changed(idle: JobService) -> None:
    job = await idle.start(seed_prompt="Be kind.", budget={"calls": 300}, name="first")
    source = await idle.get(f"{PATH}/{job}")
    response = await idle.post(
        f"{PATH}/{job}/clone", {"settings": {"depth": 4}, "budget": {"tokens": 10**6}, "name": "second"}
    )
    assert response.status_code == 202, response.text
    clone = response.json()
    assert clone["derived_from"] == job
    assert clone["settings"] == {**source["settings"], "depth": 4}
    assert clone["budget"] == {"calls": 300, "tokens": 10**6, "cost": None, "seconds": None}
    assert (clone["seed_prompt"], clone["name"]) == ("Be kind.", "second")
    records = [await idle.resources.optimizations.get(name) for name in (job, clone["id"])]
    same = ("dataset_id", "example_bank_id", "held_out", "gate", "label", "preset")
    assert [records[1].spec[name] for name in same] == [records[0].spec[name] for name in same]
    assert failure(await idle.post(f"{PATH}/{job}/clone", {"held_out": -1}))["param"] == "held_out"
    assert failure(await idle.post(f"{PATH}/{job}/clone", {"nonsense": 1}))["param"] == "nonsense"
    other = await idle.post(f"{PATH}/{job}/clone", {"preset": "default"})
    assert other.status_code == 202, other.text


async def test_a_clone_asks_models_anew(service: JobService) -> None:
    done = await service.run(held_out=0)
    sent = service.backend.requests.total()
    clone = (await service.post(f"{PATH}/{done['id']}/clone", {})).json()["id"]
    ended = await service.finished(clone)
    assert ended["status"] == "succeeded"
    # criteria are shared by all jobs
    assert ended["usage"]["calls"] == service.backend.requests.total() - sent > 10


async def test_a_job_that_waits_for_a_backend_is_shown_with_its_cause(idle: JobService) -> None:
    job = await idle.start()
    optimizations = idle.resources.optimizations
    claim = await optimizations.claim_next(owner="ann", ttl=60, software=ANY_SOFTWARE)
    assert claim is not None
    reason = PauseReason(cause=PauseCause.BACKEND, message="it does not answer", backend="main")
    await optimizations.pause_for_backend(claim.lease, reason, probe_in=30)
    shown = await idle.get(f"{PATH}/{job}")
    assert (shown["paused"]["cause"], shown["paused"]["backend"]) == ("backend", "main")
    assert shown["paused"]["probe_at"] > shown["created_at"]
    assert (await optimizations.resume_after_backend(job)).status is OptimizationStatus.QUEUED
