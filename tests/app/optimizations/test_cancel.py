"""Cancelling jobs: waiting ones, running ones, ended ones."""

import asyncio

from tests.app.jobs.service import JobService, failure, open_service


def working() -> dict[str, asyncio.Task[object]]:
    """The tasks that work on a job, by name."""
    tasks = {task.get_name(): task for task in asyncio.all_tasks()}
    return {name: task for name, task in tasks.items() if name.split()[0] in {"run", "work"}}


async def cancel(service: JobService, job: str) -> dict[str, object]:
    """Cancel; the job as the answer shows it."""
    response = await service.post(f"/v1/optimizations/{job}/cancel")
    assert response.status_code == 200
    shown: dict[str, object] = response.json()
    return shown


async def test_a_waiting_job_ends_at_once(idle: JobService) -> None:
    job = await idle.start()
    shown = await cancel(idle, job)
    assert (shown["status"], shown["cancel_requested"], shown["estimate"]) == ("cancelled", True, None)
    assert shown["finished_at"] is not None
    assert [event.type for event in await idle.events(job)] == ["optimization_finished"]


async def test_a_running_job_ends_and_keeps_what_it_has_done(service: JobService) -> None:
    service.backend.hold_from = 3 + 6 + 5
    job = await service.start()
    await service.wait_for(job, "round_finished", count=2)
    await service.backend.held.wait()
    before = await service.get(f"/v1/optimizations/{job}")

    await cancel(service, job)
    await service.wait_for(job)

    ended = await service.get(f"/v1/optimizations/{job}")
    assert (ended["status"], ended["error"], ended["result"]) == ("cancelled", None, None)
    assert ended["best"] == before["best"]
    assert ended["progress"]["evaluations"] >= before["progress"]["evaluations"] >= 3
    assert len(await service.candidates(job)) >= 3
    assert [item.round for item in await service.resources.tree.rounds(job)] == [0, 1]
    assert (await service.events(job))[-1].body == {"status": "cancelled", "error": None}
    assert await service.label() is None


async def test_a_cancelled_job_leaves_no_task_and_no_request_behind(service: JobService) -> None:
    service.backend.hold_from = 3 + 6 + 5
    job = await service.start()
    await service.backend.held.wait()
    tasks = working()
    assert set(tasks) == {f"run {job}", f"work {job}", "run recorder"}

    await cancel(service, job)
    await asyncio.wait([tasks[f"work {job}"]])

    assert working() == {}
    assert service.backend.in_flight == 0
    requests = service.backend.requests.total()
    assert (await service.get(f"/v1/optimizations/{job}"))["usage"]["calls"] == requests


async def test_calls_under_way_at_the_end_count_as_spent(service: JobService) -> None:
    service.backend.hold_from = 4
    job = await service.start()
    await service.backend.held.wait()
    await cancel(service, job)
    ended = await service.finished(job)
    assert ended["usage"]["calls"] == service.backend.requests.total()
    assert ended["usage"]["unknown_calls"] == 0


async def test_an_ended_job_stays_as_it_ended(service: JobService) -> None:
    done = await service.run(held_out=0)
    refused = failure(await service.post(f"/v1/optimizations/{done['id']}/cancel"), 409)
    assert (
        f"{done['id']} is succeeded and cannot be cancelled; possible now: look at it" in refused["message"]
    )
    shown = await service.get(f"/v1/optimizations/{done['id']}")
    assert (shown["status"], shown["cancel_requested"]) == ("succeeded", False)
    assert shown["result"] == done["result"]


async def test_a_second_request_changes_nothing(idle: JobService) -> None:
    job = await idle.start()
    first = await cancel(idle, job)
    assert await cancel(idle, job) == first


async def test_another_process_cancels_by_the_row_alone(database_url: str) -> None:
    async with open_service(database_url, jobs={"lease_seconds": 0.4, "poll_seconds": 0.1}) as service:
        service.backend.hold_from = 2
        job = await service.start()
        await service.backend.held.wait()
        await service.resources.optimizations.request_cancel(job)  # nobody tells this process's runner
        assert (await service.finished(job))["status"] == "cancelled"
