"""A job may be killed at any event: started again it finds the same, and repeats no finished call."""

from pathlib import Path
from typing import Any

import pytest

from app.jobs import background_recorder
from tests.app.jobs.crashes import Crashes, finished_calls, go_on
from tests.app.jobs.service import JobService, open_service, outcome
from tests.app.jobs.test_outcomes import add_version, point


async def found(service: JobService, job: str) -> dict[str, Any]:
    """All that a job found and announced, without times."""
    events = [event for event in await service.events(job) if not event.type.startswith("optimization_")]
    told = sorted((event.key, str({**event.body, "seconds": None})) for event in events)
    return {**await outcome(service, job), "events": told}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("cut", ["whole", "by its budget", "with all contenders", "racing"])
async def test_a_kill_at_any_event_changes_nothing_and_repeats_no_finished_call(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    monkeypatch.setattr(background_recorder, "_MAX_BATCH", 1)  # every event is durable on its own
    monkeypatch.setattr(background_recorder, "_GROUP_SECONDS", 0.0)
    request: dict[str, Any] = {"held_out": 4}
    if cut == "with all contenders":
        request = {"gate": {"finalists": 2, "judged_again": 6}, "seed_prompt": "Be kind."}
    if cut == "by its budget":
        request = {"held_out": 8, "budget": {"calls": 47}, "settings": {"depth": 20}}
    if cut == "racing":
        request = {"preset": "default", "held_out": 4, "settings": {"racing": {"calls": 50}}}
    async with open_service(sqlite_url) as service:
        if cut == "with all contenders":
            await point(service, await add_version(service, "Be brief."))
        crashes = Crashes(service, tmp_path)
        crashes.after_each_event(service.resources.progress)
        job = await service.start(**request)
        await service.finished(job)
        undisturbed, calls = await found(service, job), service.backend.requests.total()
    assert len(crashes.taken) == len(undisturbed["events"]) > 20

    for crash in crashes.taken:
        before = await finished_calls(crash.url)
        again, sent = await go_on(crash, job, found)
        assert again == undisturbed, crash.after
        assert sent == calls - len(before), crash.after
        after = await finished_calls(crash.url)
        assert {key: after[key] for key in before} == before, crash.after
        assert len(after) == calls, crash.after
