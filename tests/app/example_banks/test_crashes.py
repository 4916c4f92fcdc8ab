"""A bank's job that is killed at any of its events finds the same and repeats no finished call."""

from pathlib import Path
from typing import Any

import pytest

from app.jobs import background_recorder
from tests.app.example_banks.banks import answers_of, examples, finished, start
from tests.app.jobs.crashes import Crashes, finished_calls
from tests.app.jobs.service import JobService, open_service

SETTINGS = {"beam_width": 2, "rewrites": 2, "rounds": 2, "patience": 1}


async def found(service: JobService, bank: str) -> dict[str, Any]:
    """What the job found and told, in an order that does not depend on when."""
    shown = await finished(service, bank)
    events = [event for event in await service.events(bank) if not event.type.startswith("optimization_")]
    return {
        "bank": {name: shown[name] for name in ("status", "end", "bank_id", "examples", "progress")},
        "answers": [{**answer, "at": None} for answer in await answers_of(service, bank)],
        "events": sorted((event.key, str(event.body)) for event in events),
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("cut", ["whole", "by its budget"])
async def test_a_kill_at_any_event_changes_nothing_and_repeats_no_finished_call(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    monkeypatch.setattr(background_recorder, "_MAX_BATCH", 1)  # every event is durable on its own
    monkeypatch.setattr(background_recorder, "_GROUP_SECONDS", 0.0)
    request: dict[str, Any] = {"examples": [*examples(2), *examples(3, answers=False)[2:]]}
    if cut == "by its budget":
        request["budget"] = {"calls": 19}  # not all take part in the last round; what a kill costs has room
    async with open_service(sqlite_url) as service:
        crashes = Crashes(service, tmp_path)
        crashes.after_each_event(service.resources.progress)
        bank = await start(service, settings=SETTINGS, preset="default", **request)
        undisturbed = await found(service, bank)
        calls = service.backend.requests.total()
    assert undisturbed["bank"]["end"] == ("budget" if request.get("budget") else "rounds")
    assert len(crashes.taken) == len(undisturbed["events"]) > 12

    for crash in crashes.taken:
        before = await finished_calls(crash.url)
        async with open_service(crash.url) as again:
            assert await found(again, bank) == undisturbed, crash.after
            assert again.backend.requests.total() == calls - len(before), crash.after
        after = await finished_calls(crash.url)
        assert {key: after[key] for key in before} == before, crash.after
        assert len(after) == calls, crash.after
