"""Schedules make jobs: each once, whoever looks, and whatever was missed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import text, update

from app.schedules.scheduler import Scheduler, scheduled
from optimizer.drift import FailureCount
from store.errors import StoreUnavailableError
from store.models.schedule import Schedule
from store.records.optimizations import OptimizationStatus
from store.records.schedules import TrafficTally
from store.repositories.schedules import ScheduleRepository
from store.repositories.traffic import TrafficRepository
from tests.app.access.stored_keys import add_key
from tests.app.jobs.service import SMALL, JobService, failure, job, open_service

NIGHTLY = {"type": "cron", "cron": "0 3 * * *"}
DRIFT = {"type": "drift", "window_hours": 1, "reference_hours": 10, "min_requests": 100}


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[JobService]:
    """The application in process, on each database; jobs wait."""
    async with open_service(database_url, jobs={"max_running": 0}) as opened:
        yield opened


async def add(service: JobService, trigger: dict[str, Any] = NIGHTLY, **changes: Any) -> str:
    body = {"name": "nightly", "request": job(held_out=0, **changes), "trigger": trigger}
    response = await service.post("/v1/schedules", body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def make_due(service: JobService, schedule: str, at: float = 1000.0) -> None:
    """Let the schedule have been due since long ago."""
    async with service.resources.database.session() as session:
        await session.execute(
            text("UPDATE schedules SET due_at = :at WHERE id = :id"), {"id": schedule, "at": at}
        )


async def runs(service: JobService, schedule: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await service.get(f"/v1/schedules/{schedule}/runs"))["data"]
    return found


async def jobs_of(service: JobService, schedule: str) -> list[str]:
    records = await service.resources.optimizations.list(limit=100)
    return [record.id for record in records if record.schedule_id == schedule]


async def test_a_schedule_that_is_due_makes_one_job_however_many_times_were_missed(
    service: JobService,
) -> None:
    schedule = await add(service)
    assert await Scheduler(service.resources).tick() == 0
    await make_due(service, schedule)
    assert await Scheduler(service.resources).tick() == 1
    assert await Scheduler(service.resources).tick() == 0
    (made,) = await jobs_of(service, schedule)
    shown = await service.get(f"/v1/schedules/{schedule}")
    assert (shown["last_job_id"], shown["next_at"] > shown["last_started_at"]) == (made, True)
    (run,) = await runs(service, schedule)
    assert (run["due_at"], run["outcome"], run["job_id"]) == (1000.0, "started", made)
    queued = await service.get(f"/v1/optimizations/{made}")
    assert (queued["status"], queued["target"], queued["preset"]) == ("queued", SMALL, "paper")


async def test_what_a_newer_version_has_added_to_a_schedule_is_passed_over(service: JobService) -> None:
    schedule = await add(service, settings={"judge": {"temperature": 0.5}}, gate={"finalists": 1})
    newer = {
        "request": job(
            held_out=0,
            later=1,
            budget={"calls": 300, "later": 1},
            gate={"finalists": 1, "later": 1},
            settings={"later": 1, "depth": 4, "judge": {"temperature": 0.5, "later": 1}},
        ),
        "trigger": {**NIGHTLY, "later": 1},
    }
    async with service.resources.database.session() as session:
        await session.execute(update(Schedule).where(Schedule.id == schedule).values(**newer))
    assert (await service.get(f"/v1/schedules/{schedule}"))["request"] == newer["request"]
    await make_due(service, schedule)
    assert await Scheduler(service.resources).tick() == 1
    (made,) = await jobs_of(service, schedule)
    shown = await service.get(f"/v1/optimizations/{made}")
    assert (shown["budget"]["calls"], shown["settings"]["depth"]) == (300, 4)
    assert shown["settings"]["judge"]["temperature"] == 0.5


async def test_many_processes_that_look_at_once_make_one_job(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_service(database_url, jobs={"max_running": 0}))
        services = [first]
        if first.resources.database.dialect == "postgresql":
            for _ in range(2):
                other = open_service(database_url, jobs={"max_running": 0})
                services.append(await stack.enter_async_context(other))
        schedule = await add(first)
        await make_due(first, schedule)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(Scheduler(one.resources).tick()) for one in services for _ in range(3)]
        assert sum(task.result() for task in tasks) == 1
        assert len(await jobs_of(first, schedule)) == 1


async def test_a_job_that_is_lost_on_the_way_is_made_by_the_next_tick(
    service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = await add(service)
    await make_due(service, schedule)
    repository = ScheduleRepository
    add_run = repository._add_run

    async def die(*_: Any) -> None:
        raise StoreUnavailableError("the process is killed before its commit")

    monkeypatch.setattr(repository, "_add_run", die)
    with pytest.raises(StoreUnavailableError):
        await Scheduler(service.resources).tick()
    assert await jobs_of(service, schedule) == []
    monkeypatch.setattr(repository, "_add_run", add_run)
    assert await Scheduler(service.resources).tick() == 1
    assert len(await jobs_of(service, schedule)) == 1


async def test_no_job_is_made_while_the_last_one_has_not_ended(service: JobService) -> None:
    schedule = await add(service)
    await make_due(service, schedule)
    await Scheduler(service.resources).tick()
    (first,) = await jobs_of(service, schedule)
    await make_due(service, schedule, 2000.0)
    assert await Scheduler(service.resources).tick() == 0
    (skipped, _) = await runs(service, schedule)
    assert (skipped["outcome"], skipped["reason"]) == ("skipped", f"{first} has not ended")
    record = await service.resources.optimizations.request_cancel(first)
    assert record.status is OptimizationStatus.CANCELLED
    await make_due(service, schedule, 3000.0)
    assert await Scheduler(service.resources).tick() == 1


async def test_a_request_that_works_no_more_is_a_failure_on_record(service: JobService) -> None:
    schedule = await add(service)
    async with service.resources.database.session() as session:
        await session.execute(
            text("""UPDATE schedules SET request = '{"target": "gone"}' WHERE id = :id"""), {"id": schedule}
        )
    await make_due(service, schedule)
    assert await Scheduler(service.resources).tick() == 0
    (run,) = await runs(service, schedule)
    assert (run["outcome"], run["job_id"]) == ("failed", None)
    assert "gone" in run["reason"]


async def test_a_change_that_meets_a_tick_does_not_take_its_time_back(
    service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = await add(service)
    await make_due(service, schedule)

    async def overtaken(*_: Any) -> None:
        assert await Scheduler(service.resources).tick() == 1

    monkeypatch.setattr("app.schedules.service.estimate_job", overtaken)
    change = {"request": job(held_out=0, name="other")}
    changed = (await service.client.patch(f"/v1/schedules/{schedule}", json=change)).json()
    assert changed["request"]["name"] == "other"
    assert changed["next_at"] > 1000.0
    assert await Scheduler(service.resources).tick() == 0
    assert len(await jobs_of(service, schedule)) == 1


async def test_a_schedule_that_is_switched_off_stays_so_while_its_trigger_is_changed(
    service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = await add(service)
    path, get = f"/v1/schedules/{schedule}", ScheduleRepository.get

    async def overtaken(self: ScheduleRepository, schedule_id: str) -> Any:
        found = await get(self, schedule_id)
        monkeypatch.setattr(ScheduleRepository, "get", get)
        await service.client.patch(path, json={"enabled": False})
        return found

    monkeypatch.setattr("app.schedules.endpoints.ScheduleService.target_of", target_of)
    monkeypatch.setattr(ScheduleRepository, "get", overtaken)
    changed = (await service.client.patch(path, json={"trigger": DRIFT})).json()
    assert (changed["enabled"], changed["next_at"], changed["trigger"]["type"]) == (False, None, "drift")


async def target_of(*_: Any) -> str:
    """The target of all schedules here, without a look at the table."""
    return SMALL


async def test_a_time_that_is_settled_a_second_time_is_no_obstacle(service: JobService) -> None:
    schedule = await add(service)
    for _ in range(2):
        await make_due(service, schedule)
        await Scheduler(service.resources).tick()
    assert [run["outcome"] for run in await runs(service, schedule)] == ["started"]
    assert (await service.get(f"/v1/schedules/{schedule}"))["next_at"] > 1000.0


async def test_a_schedule_that_cannot_be_read_keeps_no_other_from_its_job(
    service: JobService, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = await add(service), await add(service)
    async with service.resources.database.session() as session:
        await session.execute(
            text("""UPDATE schedules SET trigger = '{"type": "moon"}' WHERE id = :id"""), {"id": broken}
        )
    await make_due(service, broken, 1000.0)
    await make_due(service, whole, 2000.0)
    assert await Scheduler(service.resources).tick() == 1
    assert len(await jobs_of(service, whole)) == 1
    assert f"schedule {broken} could not be settled" in caplog.text


async def test_a_time_that_another_process_has_settled_costs_nothing_more(
    service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = await add(service)
    await make_due(service, schedule)
    scheduler, due = Scheduler(service.resources), ScheduleRepository.due

    async def overtaken(self: ScheduleRepository) -> Any:
        found = await due(self)
        await make_due(service, schedule, 2000.0)
        return found

    async def never(*_: Any) -> None:
        pytest.fail("queries were stored for a job that nobody makes")

    monkeypatch.setattr(ScheduleRepository, "due", overtaken)
    monkeypatch.setattr("app.schedules.scheduler.build_spec", never)
    assert await scheduler.tick() == 0


async def test_runs_are_kept_within_bounds(service: JobService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.repositories.schedules._KEPT_RUNS", 2)
    schedule = await add(service)
    for number in range(4):
        await make_due(service, schedule, 1000.0 + number)
        await Scheduler(service.resources).tick()
    assert [run["due_at"] for run in await runs(service, schedule)] == [1003.0, 1002.0]


async def test_a_job_is_made_with_the_priority_of_its_request(service: JobService) -> None:
    schedule = await add(service, priority=7)
    await make_due(service, schedule)
    await Scheduler(service.resources).tick()
    (made,) = await jobs_of(service, schedule)
    assert (await service.resources.optimizations.get(made)).priority == 7


async def test_a_key_for_some_models_schedules_jobs_of_those_alone(service: JobService) -> None:
    keys, other = service.resources.access.keys, "simulated-chat"
    assert other in service.resources.models.target_names()
    key, _ = await add_key(keys, "optimize", models=(other,))
    headers = {"authorization": f"Bearer {key}"}
    body = {"name": "nightly", "request": job(held_out=0), "trigger": NIGHTLY}
    failure(await service.client.post("/v1/schedules", json=body, headers=headers), 400)
    path = f"/v1/schedules/{await add(service)}"
    for change in ({"enabled": True}, {"name": "mine"}, {"request": job(held_out=0, target=other)}):
        failure(await service.client.patch(path, json=change, headers=headers), 404)
    own = {**body, "request": job(held_out=0, target=other)}
    made = await service.client.post("/v1/schedules", json=own, headers=headers)
    assert made.status_code == 201
    own_path, turned = f"/v1/schedules/{made.json()['id']}", {"request": job(held_out=0)}
    failure(await service.client.patch(own_path, json=turned, headers=headers), 400)


class Measured:
    """A measure of failures that a test sets."""

    def __init__(self, reference: FailureCount, recent: FailureCount) -> None:
        self.reference, self.recent = reference, recent
        self.asked: list[tuple[str, str | None]] = []

    async def count(self, model: str, version_id: str | None, *, since: float, until: float) -> FailureCount:
        self.asked.append((model, version_id))
        return self.reference if until else self.recent


async def test_drift_makes_a_job_and_then_none_before_the_cooldown_is_over(service: JobService) -> None:
    schedule = await add(service, DRIFT)
    usual = FailureCount(requests=1000, failures=10)
    measure = Measured(usual, FailureCount(requests=100, failures=1))
    scheduler = Scheduler(service.resources, measure=measure)
    await make_due(service, schedule)
    assert await scheduler.tick() == 0
    shown = await service.get(f"/v1/schedules/{schedule}")
    assert "1.0% of 100 failed lately" in shown["note"]
    assert await runs(service, schedule) == []
    assert set(measure.asked) == {(SMALL, None)}

    measure.recent = FailureCount(requests=100, failures=20)
    await make_due(service, schedule, 2000.0)
    assert await scheduler.tick() == 1
    (run,) = await runs(service, schedule)
    assert "20.0% of 100 failed lately, 1.0% of 1000 before" in run["reason"]
    (made,) = await jobs_of(service, schedule)
    await service.resources.optimizations.request_cancel(made)
    await make_due(service, schedule, 3000.0)
    assert await scheduler.tick() == 0
    assert "too short a time ago" in (await service.get(f"/v1/schedules/{schedule}"))["note"]


async def test_counted_traffic_is_what_drift_is_found_in(service: JobService) -> None:
    schedule = await add(service, DRIFT)
    traffic, key = TrafficRepository(service.resources.database), (SMALL, "")
    await traffic.add({key: TrafficTally(answered=400, truncated=2, upstream_errors=50)})
    await backdate(service, 3)
    await traffic.add({key: TrafficTally(answered=100), (SMALL, "pv_other"): TrafficTally(answered=100)})
    await traffic.add({key: TrafficTally(answered=20, truncated=5, refused=5, empty=10)})
    await backdate(service, 0.25)
    await make_due(service, schedule)
    assert await Scheduler(service.resources).tick() == 1
    (run,) = await runs(service, schedule)
    assert "16.7% of 120 failed lately, 0.5% of 400 before" in run["reason"]
    await traffic.prune(keep_seconds=3600.0)
    assert (await traffic.between(*key, since=1e6, until=0)).answered == 120


async def backdate(service: JobService, hours: float) -> None:
    """Let what was counted have been counted so long ago."""
    async with service.resources.database.session() as session:
        await session.execute(
            text("UPDATE traffic_counts SET bucket = bucket - :buckets"), {"buckets": int(hours * 12)}
        )


async def test_a_schedule_s_life_over_http(service: JobService) -> None:
    schedule = await add(service)
    path = f"/v1/schedules/{schedule}"
    shown = await service.get(path)
    assert (shown["enabled"], shown["created_by"], shown["trigger"]["timezone"]) == (True, "local", "UTC")
    off = (await service.client.patch(path, json={"enabled": False, "name": "never"})).json()
    assert (off["enabled"], off["next_at"], off["name"]) == (False, None, "never")
    on = (await service.client.patch(path, json={"enabled": True, "trigger": DRIFT})).json()
    assert (on["enabled"], on["trigger"]["type"]) == (True, "drift")
    changed = (await service.client.patch(path, json={"request": job(held_out=0, name="x")})).json()
    assert (changed["request"]["name"], changed["next_at"]) == ("x", on["next_at"])
    assert [item["id"] for item in (await service.get("/v1/schedules"))["data"]] == [schedule]
    assert (await service.client.delete(path)).json()["deleted"] is True
    for method, place in (("GET", path), ("DELETE", path), ("GET", f"{path}/runs")):
        failure(await service.client.request(method, place), 404)
    failure(await service.client.patch(path, json={}), 404)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"request": job(held_out=-1)}, "request.held_out"),
        ({"request": job(settings={"depth": "deep"})}, "settings.depth"),
        ({"trigger": {"type": "cron", "cron": "never"}}, "trigger.cron"),
        ({"trigger": {"type": "moon"}}, "trigger"),
        ({"name": ""}, "name"),
    ],
)
async def test_a_schedule_that_cannot_work_is_refused(
    service: JobService, changes: dict[str, Any], param: str
) -> None:
    body = {"name": "nightly", "request": job(held_out=0), "trigger": NIGHTLY, **changes}
    assert failure(await service.post("/v1/schedules", body))["param"] == param


async def test_a_process_that_works_on_jobs_makes_those_of_schedules(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        schedule = await add(service)
        await make_due(service, schedule)
        async with scheduled(service.resources):
            while True:
                made = await jobs_of(service, schedule)
                if made:
                    break
                await asyncio.sleep(0.01)  # for the first tick
            found = await service.finished(made[0])
        assert found["status"] == "succeeded"
    async with open_service(sqlite_url, jobs={"max_running": 0}) as idle:
        await make_due(idle, schedule, 5000.0)
        async with scheduled(idle.resources):
            assert not any(task.get_name() == "scheduler" for task in asyncio.all_tasks())
