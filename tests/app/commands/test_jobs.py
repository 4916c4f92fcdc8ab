import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.commands.jobs import describe_state, show_jobs
from tests.app.command_line import Outcome, drpo
from tests.app.commands.jobs import job_json
from tests.app.commands.screen import new_console, text_of

Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, sqlite_url: str, restored_logging: None) -> Run:
    config = tmp_path / "drpo.toml"
    config.write_text(f'[database]\nurl = "{sqlite_url}"\n[server]\nport = 0\n')

    def command(*arguments: str) -> Outcome:
        return drpo(*arguments, "--config", str(config))

    return command


SEARCH = ("optimize", "simulated-small", "--preset", "mini", "--held-out", "0", "--json")


def test_a_job_s_later_life_on_the_command_line(run: Run) -> None:
    assert "no jobs" in run("jobs").out
    done = json.loads(run(*SEARCH).out)["id"]
    refused = run("jobs", "pause", done)
    assert (refused.code, "is succeeded and cannot be paused; possible now" in refused.err) == (1, True)

    clone = json.loads(run("jobs", "clone", done, "--set", "depth=2", "--field", "name=again", "--json").out)
    job = clone["id"]
    assert (clone["status"], clone["settings"]["depth"], clone["name"]) == ("queued", 2, "again")
    assert f"{job} is paused: somebody asked for it" in run("jobs", "pause", job).out
    changed = json.loads(run("jobs", "set", job, "--budget", "calls=500", "--priority", "7", "--json").out)
    assert (changed["budget"]["calls"], changed["priority"]) == (500, 7)
    assert [item["id"] for item in json.loads(run("jobs", "--json").out)] == [job, done]
    assert [item["id"] for item in json.loads(run("jobs", "--status", "paused", "--json").out)] == [job]
    ended = json.loads(run("jobs", "resume", job, "--watch", "--json").out)
    assert (ended["id"], ended["status"]) == (job, "succeeded")

    restarted = json.loads(run("jobs", "restart", job, "--from-round", "1", "--watch", "--json").out)
    assert (restarted["derived_from"], restarted["status"]) == (job, "succeeded")
    assert restarted["usage"]["replayed"] > 0
    assert "best prompt" in run("jobs", "show", job).out
    assert json.loads(run("jobs", "show", job, "--json").out)["id"] == job
    assert f"{job} is deleted" in run("jobs", "delete", job).out
    assert run("jobs", "show", job).code == 1


def test_a_job_that_was_only_queued_is_watched_to_its_end_later(run: Run) -> None:
    queued = json.loads(run(*SEARCH, "--no-watch").out)
    assert (queued["status"], queued["usage"]["calls"]) == ("queued", 0)
    ended = run("jobs", "watch", queued["id"], "--json")
    job = json.loads(ended.out)
    assert (ended.code, job["id"], job["status"]) == (0, queued["id"], "succeeded")
    assert "is succeeded" in run("jobs", "watch", queued["id"]).out


def test_a_bank_s_job_is_controlled_by_the_same_commands(run: Run) -> None:
    built = json.loads(run("examples", "--no-refine", "--json").out)
    bank = built["id"]
    assert bank in run("jobs").out
    assert run("jobs", "cancel", bank).code == 1
    assert bank in run("jobs", "show", bank).out
    assert "is deleted" in run("jobs", "delete", bank).out


def test_a_list_shows_what_matters_and_obeys_nothing() -> None:
    paused = {"cause": "backend", "message": "main is away", "backend": "main", "probe_at": 9.0}
    jobs = [
        job_json(name="[red]mine", priority=5),
        job_json(id="opt_2", status="paused", paused=paused),
        job_json(id="opt_3", status="failed", error={"code": "job_failed", "message": "no such model"}),
    ]
    console = new_console()
    show_jobs(console, jobs)
    shown = text_of(console)
    for text in ("[red]mine", "opt_2", "main is away", "no such model", "1 min 11 s"):
        assert text in shown


def test_a_narrow_terminal_shows_whole_ids_since_they_are_to_be_copied() -> None:
    console = new_console(width=80)
    long_id = "opt_04a84659a37e8ad3bdc7ef18"
    show_jobs(console, [job_json(id=long_id, name="a name that needs some room", target="simulated-small")])
    assert long_id in text_of(console)


def test_what_was_asked_of_a_running_job_is_said() -> None:
    assert describe_state(job_json(cancel_requested=True)) == "cancelling"
    assert describe_state(job_json(pause_requested=True)) == "pausing"
    assert describe_state(job_json()) == "running"
