import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.commands.schedules import show_runs
from tests.app.command_line import Outcome, drpo
from tests.app.commands.screen import new_console, text_of
from tests.app.jobs.service import job

Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, sqlite_url: str, restored_logging: None) -> Run:
    config = tmp_path / "drpo.toml"
    config.write_text(f'[database]\nurl = "{sqlite_url}"\n[server]\nport = 0\n')

    def command(*arguments: str) -> Outcome:
        return drpo("schedules", *arguments, "--config", str(config))

    return command


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job(held_out=0)))
    return str(path)


def test_a_schedule_s_life_on_the_command_line(run: Run, request_file: str) -> None:
    added = run(
        "add", "nightly", request_file, "--cron", "0 3 * * *", "--timezone", "Europe/Berlin", "--json"
    )
    assert added.code == 0, added.err
    (schedule,) = json.loads(added.out)
    assert schedule["trigger"]["timezone"] == "Europe/Berlin"
    assert "nightly" in run("list").out
    assert "off" in run("switch", schedule["id"], "--off").out
    assert "due" in run("runs", schedule["id"]).out
    assert "is deleted" in run("delete", schedule["id"]).out
    assert "no schedules" in run("list").out


def test_one_trigger_has_to_be_named_and_the_request_to_be_json(
    run: Run, request_file: str, tmp_path: Path
) -> None:
    for options in ((), ("--drift", "--cron", "0 3 * * *")):
        refused = run("add", "nightly", request_file, *options)
        assert (refused.code, "either --cron or --drift" in refused.err) == (1, True)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert "is no JSON" in run("add", "nightly", str(broken), "--drift").err
    assert json.loads(run("add", "nightly", request_file, "--drift", "--json").out)[0]["enabled"]


def test_runs_show_their_job_or_why_there_is_none() -> None:
    console = new_console()
    show_runs(
        console,
        [
            {"due_at": 0.0, "outcome": "started", "job_id": "opt_1", "reason": None},
            {"due_at": 60.0, "outcome": "skipped", "job_id": None, "reason": "opt_1 has not ended"},
        ],
    )
    told = text_of(console)
    for part in ("1970-01-01 00:01 UTC", "opt_1", "has not ended"):
        assert part in told
