"""A budget that changes while a job runs is part of what a killed job repeats."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.jobs import background_recorder
from store.connections import Database
from tests.app.jobs.crashes import Crashes, finished_calls, go_on
from tests.app.jobs.service import open_service
from tests.app.jobs.test_crashes import found
from tests.app.optimizations.test_control import change, heard, hold, let_go


async def has_other_limits(url: str) -> bool:
    """Whether the copy was taken after the change."""
    database = Database(url)
    try:
        async with database.read() as session:
            return await session.scalar(text("SELECT limits FROM optimizations")) is not None
    finally:
        await database.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("before", "after"), [(60, 400), (400, 60), (400, 30)])
async def test_a_kill_at_many_an_event_after_a_change_changes_nothing_and_repeats_no_finished_call(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    monkeypatch.setattr(background_recorder, "_MAX_BATCH", 1)  # every event is durable on its own
    monkeypatch.setattr(background_recorder, "_GROUP_SECONDS", 0.0)
    # a kill costs the calls under way: a plan that takes the last call of the budget would be cut by one
    request: dict[str, Any] = {
        "preset": "default",
        "held_out": 4,
        "settings": {"racing": {"calls": 100}},
        "budget": {"calls": before},
    }
    async with open_service(sqlite_url) as service:
        crashes = Crashes(service, tmp_path)
        crashes.after_each_event(service.resources.progress)
        job = await hold(service, 30, **request)
        assert (await change(service, job, budget={"calls": after})).status_code == 200
        await heard()
        let_go(service)
        ended = await service.finished(job)
        undisturbed, calls = await found(service, job), service.backend.requests.total()
        assert ended["usage"]["calls"] == calls
        assert calls > before if after > before else calls < 100

    copies = [crash for crash in crashes.taken if await has_other_limits(crash.url)]
    assert copies
    for crash in copies[::4]:
        kept = await finished_calls(crash.url)
        again, sent = await go_on(crash, job, found)
        assert again == undisturbed, crash.after
        assert sent == calls - len(kept), crash.after
        now = await finished_calls(crash.url)
        assert {key: now[key] for key in kept} == kept, crash.after
