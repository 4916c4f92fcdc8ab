"""A job that goes on anew from a round of another one: what lies before is taken and costs nothing."""

from pathlib import Path
from typing import Any

import pytest

from app.jobs import background_recorder
from tests.app.access.stored_keys import bearer
from tests.app.jobs.crashes import Crashes, finished_calls, go_on
from tests.app.jobs.service import JobService, failure, open_service
from tests.app.jobs.test_crashes import found

PATH = "/v1/optimizations"
RACE: dict[str, Any] = {
    "preset": "default",
    "held_out": 0,
    "settings": {"racing": {"calls": 200, "patience": 9}},
}


async def restart(service: JobService, source: str, **body: Any) -> str:
    """Queue a restart of ``source``; its id."""
    response = await service.post(f"{PATH}/{source}/restart", body)
    assert response.status_code == 202, response.text
    shown = response.json()
    assert shown["derived_from"] == source
    return str(shown["id"])


async def rounds(service: JobService, job: str) -> list[Any]:
    """What each round found."""
    return [(item.round, item.ranking) for item in await service.resources.tree.rounds(job)]


@pytest.mark.parametrize("request_", [{"held_out": 0}, RACE], ids=["beam", "racing"])
async def test_rounds_before_are_taken_for_nothing_and_those_after_are_drawn_anew(
    database_url: str, request_: dict[str, Any]
) -> None:
    async with open_service(database_url) as service:
        source = await service.run(**request_)
        before, sent = await rounds(service, source["id"]), service.backend.requests.total()
        job = await restart(service, source["id"], from_round=2)
        ended = await service.finished(job)
        assert ended["status"] == "succeeded"
        new = await rounds(service, job)
        assert new[:2] == before[:2]
        assert new[2:] != before[2:]
        made = service.backend.requests.total() - sent
        assert ended["usage"]["calls"] == made
        taken = ended["result"]["restart"]
        assert (taken["of"], taken["from_round"]) == (source["id"], 2)
        assert taken["taken"] > 5
        assert 0 < made < source["usage"]["calls"]
        assert ended["usage"]["replayed"] == taken["taken"]

        again = await service.finished(await restart(service, source["id"], from_round=2))
        assert await rounds(service, again["id"]) != new, "each restart has draws of its own"


async def test_a_job_that_made_its_first_round_alone_goes_on_from_there(service: JobService) -> None:
    service.backend.hold_from = 3 + 6
    source = await service.start(held_out=0)
    await service.wait_for(source, "round_finished")
    await service.post(f"{PATH}/{source}/cancel")
    await service.wait_for(source)
    service.backend.hold_from = None
    service.backend.opened.set()
    before = await rounds(service, source)
    assert [number for number, _ in before] == [0]
    refused = failure(await service.post(f"{PATH}/{source}/restart", {"from_round": 2}))["message"]
    assert "name one of 1 to 1" in refused
    job = await restart(service, source, from_round=1)
    assert (await service.finished(job))["status"] == "succeeded"
    new = await rounds(service, job)
    assert new[:1] == before
    assert len(new) > 1


async def test_a_restart_can_be_replayed_and_restarted_itself(service: JobService) -> None:
    source = await service.run(**RACE)
    first = await service.finished(await restart(service, source["id"], from_round=2))
    sent = service.backend.requests.total()
    replay = (await service.post(f"{PATH}/{first['id']}/replay", {})).json()["id"]
    replayed = await service.finished(replay)
    assert replayed["result"]["replay"]["complete"]
    assert service.backend.requests.total() == sent
    assert await rounds(service, replay) == await rounds(service, first["id"])

    second = await service.finished(await restart(service, first["id"], from_round=3))
    assert (await rounds(service, second["id"]))[:3] == (await rounds(service, first["id"]))[:3]
    assert second["usage"]["calls"] < first["usage"]["calls"]


async def test_a_budget_of_its_own_is_for_what_it_asks_itself(service: JobService) -> None:
    source = await service.run(preset="default", held_out=0, budget={"calls": 70})
    usual = await service.finished(await restart(service, source["id"], from_round=1))
    longer = await service.finished(await restart(service, source["id"], from_round=1, budget={"calls": 150}))
    assert usual["usage"]["calls"] + usual["usage"]["replayed"] <= 70
    assert 70 < longer["usage"]["calls"] <= 150


async def test_what_a_restart_rests_on_stays_as_long_as_it_needs_it(database_url: str) -> None:
    async with open_service(database_url) as service:
        source = (await service.run(held_out=0))["id"]
    async with open_service(database_url, jobs={"max_running": 0}) as service:
        job = await restart(service, source, from_round=1)
        message = failure(await service.client.delete(f"{PATH}/{source}"), 409)["message"]
        assert job in message
        await service.post(f"{PATH}/{job}/cancel")
        assert (await service.client.delete(f"{PATH}/{source}")).status_code == 200


async def test_what_cannot_be_restarted_is_refused_with_what_can(idle: JobService) -> None:
    waiting = await idle.start()
    failure(await idle.post(f"{PATH}/{waiting}/restart", {"from_round": 1}), 409)
    failure(await idle.post(f"{PATH}/opt_none/restart", {"from_round": 1}), 404)
    failure(await idle.post(f"{PATH}/{waiting}/restart", {"from_round": 0}))
    await idle.post(f"{PATH}/{waiting}/cancel")
    assert (
        "no round" in failure(await idle.post(f"{PATH}/{waiting}/restart", {"from_round": 1}), 409)["message"]
    )


async def test_a_round_that_was_never_made_and_other_models_are_refused(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        source = (await service.run(held_out=0))["id"]
        refused = failure(await service.post(f"{PATH}/{source}/restart", {"from_round": 9}))
        assert refused["param"] == "from_round"
        assert "rounds 0 to" in refused["message"]
        replay = (await service.post(f"{PATH}/{source}/replay", {})).json()["id"]
        await service.finished(replay)
        assert source in failure(await service.post(f"{PATH}/{replay}/restart", {"from_round": 1}))["message"]
    roles = {name: {"backend": "simulated", "model": "simulated-other"} for name in ("judge",)}
    default = {"backend": "simulated", "model": "simulated-critic"}
    settings = {"roles": {"proposer": default, "selector": default, **roles}}
    async with open_service(sqlite_url, **settings) as service:
        refused = failure(await service.post(f"{PATH}/{source}/restart", {"from_round": 1}), 409)
        assert "clone it" in refused["message"]
        resources = service.resources
        while await resources.retention.summarise():
            pass
        await resources.retention.drop_due(keep_seconds=0, max_bytes=None, protected=())
        assert failure(await service.post(f"{PATH}/{source}/restart", {"from_round": 1}), 410)["code"] == (
            "ledger_dropped"
        )


@pytest.mark.parametrize(("path", "body"), [("restart", {"from_round": 1}), ("clone", {})])
async def test_a_key_for_other_models_makes_no_job_of_one(
    sqlite_url: str, path: str, body: dict[str, Any]
) -> None:
    async with open_service(sqlite_url) as service:
        source = (await service.run(held_out=0))["id"]
    admin = bearer("sk-admin-0123456789abcdef")
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789abcdef"}) as service:
        key = {"name": "other", "scopes": ["optimize"], "models": ["simulated-chat"]}
        made = (await service.client.post("/v1/keys", json=key, headers=admin)).json()
        place = f"{PATH}/{source}/{path}"
        failure(await service.client.post(place, json=body, headers=bearer(made["key"])), 404)
        assert (await service.client.post(place, json=body, headers=admin)).status_code == 202


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_kill_changes_nothing_of_a_restart_and_repeats_no_finished_call(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_service(sqlite_url) as service:
        source = (await service.run(**RACE))["id"]
    monkeypatch.setattr(background_recorder, "_MAX_BATCH", 1)  # every event is durable on its own
    monkeypatch.setattr(background_recorder, "_GROUP_SECONDS", 0.0)
    async with open_service(sqlite_url) as service:
        crashes = Crashes(service, tmp_path)
        crashes.after_each_event(service.resources.progress)
        job = await restart(service, source, from_round=2)
        await service.finished(job)
        undisturbed, calls = await found(service, job), service.backend.requests.total()
        all_calls = len(await finished_calls(sqlite_url))
    for crash in crashes.taken[::12]:
        kept = await finished_calls(crash.url)
        again, sent = await go_on(crash, job, found)
        assert again == undisturbed, crash.after
        now = await finished_calls(crash.url)
        assert {key: now[key] for key in kept} == kept, crash.after
        assert len(now) == all_calls, crash.after
        assert sent <= calls, crash.after
