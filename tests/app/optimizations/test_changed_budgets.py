"""A budget that changes while a job runs is part of what a killed job repeats."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.jobs import background_recorder
from store.connections import Database
from tests.app.jobs.crashes import Crash, Crashes, finished_calls, go_on
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


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A job whose budget has changed as it made its 30th call.

    Attributes:
        job: its id.
        found: what it has found, undisturbed.
        calls: what that took.
        copies: stores that were copied at its events after the change.
    """

    job: str
    found: dict[str, Any]
    calls: int
    copies: list[Crash]


async def changed(url: str, folder: Path, *, before: int, after: int) -> Changed:
    """The job, run to its end."""
    request: dict[str, Any] = {
        "preset": "default",
        "held_out": 4,
        "settings": {"racing": {"calls": 100}},
        "budget": {"calls": before},
    }
    async with open_service(url) as service:
        crashes = Crashes(service, folder)
        crashes.after_each_event(service.resources.progress)
        job = await hold(service, 30, **request)
        assert (await change(service, job, budget={"calls": after})).status_code == 200
        await heard()
        let_go(service)
        ended = await service.finished(job)
        undisturbed, calls = await found(service, job), service.backend.requests.total()
        assert ended["usage"]["calls"] == calls
    copies = [crash for crash in crashes.taken if await has_other_limits(crash.url)]
    assert copies
    return Changed(job=job, found=undisturbed, calls=calls, copies=copies)


@pytest.fixture
def every_event_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_recorder, "_MAX_BATCH", 1)
    monkeypatch.setattr(background_recorder, "_GROUP_SECONDS", 0.0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("every_event_is_durable")
@pytest.mark.parametrize(("before", "after"), [(60, 400), (400, 60)])
async def test_a_kill_at_many_an_event_after_a_change_changes_nothing_and_repeats_no_finished_call(
    sqlite_url: str, tmp_path: Path, before: int, after: int
) -> None:
    # a kill costs the calls under way: a plan that takes the last call of the budget would be cut by one
    ended = await changed(sqlite_url, tmp_path, before=before, after=after)
    assert ended.calls > before if after > before else ended.calls < 100
    for crash in ended.copies[::4]:
        kept = await finished_calls(crash.url)
        again, sent = await go_on(crash, ended.job, found)
        assert again == ended.found, crash.after
        assert sent == ended.calls - len(kept), crash.after
        now = await finished_calls(crash.url)
        assert {key: now[key] for key in kept} == kept, crash.after


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("every_event_is_durable")
async def test_a_kill_where_the_budget_has_fallen_to_what_is_spent_takes_no_call_more_and_loses_none(
    sqlite_url: str, tmp_path: Path
) -> None:
    ended = await changed(sqlite_url, tmp_path, before=400, after=30)
    assert ended.calls < 60  # what is under way when the budget falls is let end
    for crash in ended.copies[::2]:
        kept = await finished_calls(crash.url)
        again, sent = await go_on(crash, ended.job, found)
        # what was under way at the kill may be billed, and there is no room to ask for it once more
        assert len(kept) + sent <= ended.calls, crash.after
        assert (again["status"], again["result"]["stop_reason"]) == ("succeeded", "budget"), crash.after
        now = await finished_calls(crash.url)
        assert {key: now[key] for key in kept} == kept, crash.after
