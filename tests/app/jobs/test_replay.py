"""A job that has ended is replayed from its record: bit for bit, or under other settings, for nothing."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text
from typing_extensions import override

from app.jobs.spec import JobSpec
from optimizer.types import JsonObject
from tests.app.jobs.service import JobService, failure, open_service, outcome

_OF_THE_JOB_ALONE = ("prompt_version", "label_moved", "label_note", "replay", "serving")
QUICK: JsonObject = {"first_wait_seconds": 0.001, "max_wait_seconds": 0.002, "max_attempts": 20}


async def replay(service: JobService, source: str, **settings: Any) -> dict[str, Any]:
    """Replay ``source`` to its end."""
    response = await service.post(f"/v1/optimizations/{source}/replay", {"settings": settings})
    assert response.status_code == 202, response.text
    return await service.finished(str(response.json()["id"]))


async def found(service: JobService, job: str) -> dict[str, Any]:
    """All that a job found, without what only a job that may promote has."""
    every = await outcome(service, job)
    result = {name: value for name, value in every["result"].items() if name not in _OF_THE_JOB_ALONE}
    return {**every, "result": result, "events": await announced(service, job)}


async def announced(service: JobService, job: str) -> list[tuple[str, str]]:
    """The events of the search by key, in any order."""
    events = [event for event in await service.events(job) if not event.type.startswith("optimization_")]
    return sorted((event.key, str(_timeless(event.body))) for event in events)


def _timeless(body: JsonObject) -> JsonObject:
    return {name: value for name, value in body.items() if name != "seconds"}


async def test_a_replay_finds_the_same_bit_for_bit_and_asks_nobody(database_url: str) -> None:
    async with open_service(database_url) as service:
        source = await service.run()
        label = await service.label()
        service.backend.requests.clear()
        again = await replay(service, source["id"])

        assert again["status"] == "succeeded"
        assert await found(service, again["id"]) == await found(service, source["id"])
        assert service.backend.requests.total() == 0
        assert (again["replay_of"], again["usage"]["calls"], again["usage"]["cost"]) == (source["id"], 0, 0)
        assert source["usage"]["calls"] == 60
        assert (
            again["usage"]["replayed"] == 60 - 11
        )  # the criteria of eleven queries are pinned, not asked for
        report = again["result"]["replay"]
        assert (report["exact"], report["complete"], report["share"]) == (True, True, 1.0)
        assert again["result"]["prompt_version"] is None
        assert "a replay stores no prompt version" in again["result"]["label_note"]
        assert await service.label() == label


@pytest.mark.parametrize(
    "budget",
    [{"calls": 47}, {"calls": 62}, {"calls": 75}, {"tokens": 40_000}, {"cost": 0.08}],
)
async def test_a_job_that_its_budget_has_cut_is_cut_at_the_same_place(
    sqlite_url: str, budget: dict[str, float]
) -> None:
    faults = {"rate_limited": 0.1, "server_error": 0.1, "connection_lost": 0.05, "malformed_response": 0.05}
    backend = {"retries": QUICK, "price": {"input_per_million": 1.0, "output_per_million": 4.0}}
    async with open_service(sqlite_url, backend=backend, simulated={"faults": faults}) as service:
        source = await service.run(budget=budget, settings={"depth": 20})
        again = await replay(service, source["id"])
        assert await found(service, again["id"]) == await found(service, source["id"])
        assert again["result"]["replay"]["complete"] is True


async def test_replies_that_could_not_be_read_are_not_read_again(service: JobService) -> None:
    def garble(role: str, number: int, _: str) -> str | None:
        return "no JSON" if role in {"judge", "selector"} and number % 3 else None

    service.backend.replace = garble
    source = await service.run(settings={"max_unscored_share": 1})
    assert source["progress"]["unscored"]
    again = await replay(service, source["id"])
    assert await found(service, again["id"]) == await found(service, source["id"])


class Refusing(httpx.AsyncBaseTransport):
    """Refuses every third request."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._arrived = 0

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._arrived += 1
        if self._arrived % 3:
            return await self._inner.handle_async_request(request)
        return httpx.Response(400, json={"error": {"message": "flagged"}}, request=request)


async def test_what_a_backend_refused_is_refused_in_a_replay(service: JobService) -> None:
    service.backend._inner = Refusing(service.backend._inner)
    source = await service.run(settings={"max_unscored_share": 1})
    assert any(item["failure"] for item in await service.evaluations(source["id"]))
    service.backend.requests.clear()
    again = await replay(service, source["id"])
    assert await found(service, again["id"]) == await found(service, source["id"])
    assert service.backend.requests.total() == 0


async def test_a_narrower_beam_is_answered_from_the_record(service: JobService) -> None:
    source = await service.run(settings={"beam_width": 2})
    service.backend.requests.clear()
    narrow = await replay(service, source["id"], beam_width=1, path_aggregation="mean")
    report = narrow["result"]["replay"]
    assert narrow["status"] == "succeeded"
    assert (report["exact"], narrow["settings"]["beam_width"]) == (False, 1)
    assert report["answered_rounds"] is None or report["answered_rounds"] >= 2
    assert report["share"] > 0.4
    assert service.backend.requests.total() == 0


async def test_a_shallower_search_is_answered_completely(service: JobService) -> None:
    """Its winner may be another one, which the held-out queries have not seen."""
    source = await service.run(held_out=0)
    shallow = await replay(service, source["id"], depth=2)
    report = shallow["result"]["replay"]
    assert (report["complete"], report["not_recorded"], report["answered_rounds"]) == (True, 0, None)
    assert "this is what the job would have found" in report["note"]
    assert shallow["result"]["rounds"] == 1
    tree = {item["id"]: item["system_prompt"] for item in await service.candidates(source["id"])}
    for item in await service.candidates(shallow["id"]):
        assert tree[item["id"]] == item["system_prompt"]


async def test_a_wider_beam_says_how_far_the_record_reaches(service: JobService) -> None:
    source = await service.run(settings={"proposals_per_candidate": 3, "depth": 4})
    service.backend.requests.clear()
    wide = await replay(service, source["id"], beam_width=4)
    report = wide["result"]["replay"]
    assert report["complete"] is False
    assert 0 < report["share"] < 1
    assert (
        report["answered_rounds"] == 2
    )  # the seed prompt's and the first; then a third lineage is rewritten
    assert report["not_recorded"] == sum(report["not_recorded_by_role"].values()) > 0
    assert "not on record" in report["note"]
    unscored = [item for item in await service.evaluations(wide["id"]) if item["reward"] is None]
    assert any("not_recorded" in item["unscored_reason"] for item in unscored)
    assert service.backend.requests.total() == 0
    assert wide["usage"]["calls"] == 0


async def test_a_cancelled_job_is_replayed_as_far_as_its_record_reaches(sqlite_url: str) -> None:
    async with open_service(sqlite_url, backend={"max_concurrency": 1}) as service:
        service.backend.hold_from = 14
        source = await service.start()
        await service.backend.held.wait()
        await service.post(f"/v1/optimizations/{source}/cancel")
        await service.finished(source)
        service.backend.hold_from = None
        again = await replay(service, source)
    report = again["result"]["replay"]
    assert (again["status"], report["complete"], report["exact"]) == ("succeeded", False, True)
    assert report["answered"] + 3 == 13  # three of them were selections
    assert "did not come to its end" in report["note"]


async def test_a_replay_needs_nothing_but_the_record(sqlite_url: str) -> None:
    """Neither the backend nor the target of the job are in the settings any more."""
    async with open_service(sqlite_url) as service:
        source = await service.run()
        expected = await found(service, source["id"])
    critic = {"backend": "other", "model": "m"}
    groups: dict[str, Any] = {
        "targets": {"another": {"backend": "other", "model": "m"}},
        "roles": {"proposer": critic, "selector": critic, "judge": critic},
    }
    settings_backends = {"base_url": "http://127.0.0.1:9/v1"}
    async with open_service(sqlite_url, more_backends={"other": settings_backends}, **groups) as service:
        again = await replay(service, source["id"])
        assert await found(service, again["id"]) == expected


class TestRefusals:
    async def test_a_job_that_runs(self, sqlite_url: str) -> None:
        async with open_service(sqlite_url, jobs={"max_running": 0}) as service:
            response = await service.post(f"/v1/optimizations/{await service.start()}/replay", {})
        assert "has not ended" in failure(response, 409)["message"]

    async def test_a_job_that_asked_nobody(self, sqlite_url: str) -> None:
        async with open_service(sqlite_url, jobs={"max_running": 0}) as service:
            source = await service.start()
            await service.post(f"/v1/optimizations/{source}/cancel")
            response = await service.post(f"/v1/optimizations/{source}/replay", {})
        assert "has made no call" in failure(response, 409)["message"]

    async def test_a_job_that_does_not_exist(self, service: JobService) -> None:
        failure(await service.post("/v1/optimizations/opt_none/replay", {}), 404)

    async def test_settings_that_cannot_work(self, service: JobService) -> None:
        source = (await service.run())["id"]
        path = f"/v1/optimizations/{source}/replay"
        for settings, param in (
            ({"seed": 7}, "settings.seed"),
            ({"beam_width": 0}, "settings.beam_width"),
            ({"judge": {"heat": 1}}, "settings.judge.heat"),
        ):
            assert failure(await service.post(path, {"settings": settings}))["param"] == param
        again = await replay(service, source, seed=0, beam_width=2)
        assert again["result"]["replay"]["exact"] is True
        response = await service.post(f"/v1/optimizations/{again['id']}/replay", {})
        assert source in failure(response)["message"]

    async def test_a_job_whose_calls_are_dropped(self, service: JobService) -> None:
        source = await service.run()
        retention = service.resources.retention
        await retention.summarise()
        assert await retention.drop_due(keep_seconds=None, max_bytes=0, protected=()) == (source["id"],)
        response = await service.post(f"/v1/optimizations/{source['id']}/replay", {})
        error = failure(response, 410)
        assert error["code"] == "ledger_dropped"
        assert "ledger.keep_days" in error["message"]


async def test_a_replay_whose_record_went_meanwhile_fails_with_a_reason(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        source = (await service.run())["id"]
    async with open_service(sqlite_url, jobs={"max_running": 0}) as service:
        waiting = (await service.post(f"/v1/optimizations/{source}/replay", {})).json()["id"]
        async with service.resources.database.session() as session:
            await session.execute(text("DELETE FROM model_calls"))
    async with open_service(sqlite_url) as service:
        ended = await service.finished(waiting)
    assert ended["status"] == "failed"
    assert "have been dropped" in ended["error"]["message"]


async def test_a_waiting_replay_shows_what_it_is(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        source = (await service.run())["id"]
    async with open_service(sqlite_url, jobs={"max_running": 0}) as service:
        shown = (await service.post(f"/v1/optimizations/{source}/replay", {"name": "what if"})).json()
        record = await service.resources.optimizations.get(shown["id"])
    assert (shown["name"], shown["replay_of"], shown["label"]) == ("what if", source, None)
    assert shown["estimate"] == {"calls_left": 0, "calls_left_max": 0}
    assert JobSpec.from_json(record.spec).replay is not None
