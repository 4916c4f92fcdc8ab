import pytest
from rich.live import Live

from app.commands.progress import JobJson, describe_forecast, describe_step, print_result, render_job
from tests.app.commands.jobs import (
    CANCELLED,
    CANCELLING,
    COMPARING,
    EXHAUSTED,
    FAILED,
    GATE,
    PROMPT,
    QUEUED,
    RUNNING,
    STATES,
    SUCCEEDED,
    job_json,
)
from tests.app.commands.screen import new_console, shown, text_of


def rows(job: JobJson) -> dict[str, str]:
    """The rows of the live display, by their name."""
    found: dict[str, str] = {}
    for line in shown(render_job(job)).splitlines():
        name, _, value = line.partition("  ")
        found[name.strip()] = value.strip()
    return found


def result(job: JobJson) -> str:
    console = new_console()
    print_result(console, job)
    return text_of(console)


@pytest.mark.parametrize("job", STATES.values(), ids=STATES)
@pytest.mark.parametrize("width", [20, 80, 200])
def test_every_state_can_be_shown_on_any_terminal(job: JobJson, width: int) -> None:
    console = new_console(terminal=True, width=width)
    with Live(render_job(job), console=console, auto_refresh=False) as live:
        live.update(render_job(job), refresh=True)
    assert "opt_1" in text_of(console)
    assert "opt_1" in describe_step(job)


def test_a_running_job_shows_round_reward_spend_and_what_is_left() -> None:
    told = rows(RUNNING)
    assert told["job"] == "opt_1  simulated-small, preset mini"
    assert told["status"] == "searching"
    assert told["round"] == "2 of 5"
    assert told["best so far"] == "4.12 of 5  (c2.0.1)"
    assert told["judged"] == "20 answers"
    assert told["spent"] == "60 calls, 1,234 tokens, 1 min 11 s"
    assert told["left"] == "40 to 90 calls, about 1 min 2 s (50 s to 1 min 20 s)"


def test_a_waiting_job_shows_what_it_will_take() -> None:
    told = rows(QUEUED)
    assert told["status"] == "waiting for a free worker"
    assert (told["round"], told["best so far"]) == ("-", "-")
    assert told["left"] == "100 calls"
    assert told["spent"] == "0 calls, 0 tokens, 0 s"


def test_a_comparison_shows_unscored_answers_and_money() -> None:
    told = rows(COMPARING)
    assert told["status"] == "comparing with the current prompt on held-out queries"
    assert told["judged"] == "50 answers, 2 unscored"
    assert told["spent"].startswith("99 calls, 2 tokens, cost 0.1235")


def test_one_of_something_is_singular() -> None:
    told = rows(
        job_json(usage={**RUNNING["usage"], "calls": 1}, progress={**RUNNING["progress"], "evaluations": 1})
    )
    assert told["judged"] == "1 answer"
    assert told["spent"].startswith("1 call,")


@pytest.mark.parametrize("job", [CANCELLING, job_json(status="queued", cancel_requested=True)])
def test_a_job_that_is_being_cancelled_says_so(job: JobJson) -> None:
    assert rows(job)["status"].startswith("cancelling")


@pytest.mark.parametrize("job", [CANCELLED, FAILED, SUCCEEDED])
def test_a_job_that_has_ended_shows_how(job: JobJson) -> None:
    told = rows(job)
    assert (told["status"], told["left"]) == (job["status"], "-")


def test_a_state_of_a_newer_service_is_shown_as_it_is_called() -> None:
    assert rows({**RUNNING, "status": "paused"})["status"] == "paused"
    assert rows({**RUNNING, "progress": {**RUNNING["progress"], "phase": "polish"}})["status"] == "polish"


def test_a_reward_that_is_unknown_is_no_number() -> None:
    unknown = {**RUNNING, "best": {**RUNNING["best"], "reward": None}}
    assert rows(unknown)["best so far"] == "- of 5  (c2.0.1)"
    assert "best" not in describe_step(unknown)


def bar_of(job: JobJson) -> int:
    """Length of the filled part of the bar; without colours nothing else of it is seen."""
    return shown(render_job(job)).count("━")


def test_the_bar_grows_with_the_calls() -> None:
    lengths = [bar_of(job) for job in (QUEUED, RUNNING, COMPARING, SUCCEEDED)]
    assert lengths == sorted(set(lengths))
    assert (lengths[0], lengths[1], lengths[-1]) == (0, 30, 50)
    assert bar_of(FAILED) == 0


def test_a_job_with_nothing_left_is_complete() -> None:
    done = {**QUEUED, "progress": {**QUEUED["progress"], "calls_expected": 0}}
    assert bar_of(done) == 50


def test_steps_differ_by_round_and_phase_and_not_by_spend() -> None:
    assert describe_step(RUNNING) == "opt_1: searching, round 2 of 5, best so far 4.12"
    assert describe_step(QUEUED) == "opt_1: waiting for a free worker"
    reason = {"cause": "backend", "backend": "local", "message": "backend local answered 503"}
    paused = {**QUEUED, "status": "paused", "paused": reason}
    assert describe_step(paused) == "opt_1: paused: backend local answered 503"
    assert describe_step({**QUEUED, "status": "paused"}) == "opt_1: paused"
    assert describe_step({**RUNNING, "elapsed_seconds": 99.0}) == describe_step(RUNNING)
    assert describe_step(COMPARING) != describe_step(RUNNING)


def test_a_result_says_what_was_found_and_where_it_is() -> None:
    told = result(SUCCEEDED)
    assert f"promoted: {GATE['reason']}" in told
    assert "stored as pv_1, labelled production" in told
    assert told.rstrip().endswith(PROMPT)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("kept", "the current prompt is kept: why"),
        ("not_enough_evidence", "not enough evidence, the current"),
    ],
)
def test_a_result_that_moves_no_label_says_so(verdict: str, words: str) -> None:
    gate = {**GATE, "verdict": verdict, "reason": "why"}
    told = result({**SUCCEEDED, "result": {"gate": gate, "prompt_version": "pv_1", "label_moved": None}})
    assert words in told
    assert "stored as pv_1, no label was moved" in told


def test_a_search_that_chose_nothing_stores_nothing() -> None:
    assert result(EXHAUSTED) == ""


def test_a_failure_names_its_reason() -> None:
    assert result(FAILED).strip() == "failed: roles.judge: the key was refused"


def test_a_cancelled_job_says_what_it_has_cost() -> None:
    assert "cancelled after 60 calls, 1,234 tokens, 1 min 11 s; no prompt was stored" in result(CANCELLED)


HOSTILE = "[red]x[/red] [/] \x1b[2J :boom:"


@pytest.mark.parametrize(
    "job",
    [
        {**RUNNING, "target": HOSTILE},
        {**RUNNING, "best": {**RUNNING["best"], "candidate_id": HOSTILE}},
    ],
)
def test_names_cannot_use_the_display(job: JobJson) -> None:
    assert r"[red]x[/red] [/] \x1b[2J :boom:" in shown(render_job(job), width=200)


def test_a_prompt_or_a_reason_cannot_use_the_terminal() -> None:
    job = {
        **SUCCEEDED,
        "best": {**SUCCEEDED["best"], "system_prompt": HOSTILE},
        "result": {"gate": {**GATE, "reason": HOSTILE}, "prompt_version": HOSTILE, "label_moved": HOSTILE},
        "error": {"code": "x", "message": HOSTILE},
    }
    assert result(job).count(r"[red]x[/red] [/] \x1b[2J :boom:") == 5


def forecast(**fields: object) -> dict[str, object]:
    ends = {"low": 9.0, "expected": 60.0, "high": 71.4}
    return {
        "calls": ends,
        "prompt_tokens": {"low": 1_000.0, "expected": 20_000.0, "high": 30_000.0},
        "completion_tokens": {"low": 500.0, "expected": 5_000.0, "high": 9_000.0},
        "cost": {"low": 0.0, "expected": 0.0, "high": 0.0},
        "seconds": None,
        "jobs_measured": 0,
        "cut_by": [],
        **fields,
    }


def test_an_estimate_names_each_figure_with_its_range_and_where_it_comes_from() -> None:
    assert describe_forecast(forecast()) == (
        "60 (9 to 71) calls, 25,000 (1,500 to 39,000) tokens; guessed from the texts"
    )
    measured = forecast(
        cost={"low": 0.01, "expected": 0.025, "high": 0.05},
        seconds={"low": 30.0, "expected": 71.0, "high": 125.0},
        jobs_measured=2,
        cut_by=["calls", "cost"],
    )
    assert describe_forecast(measured) == (
        "60 (9 to 71) calls, 25,000 (1,500 to 39,000) tokens, cost 0.0250 (0.0100 to 0.0500), "
        "1 min 11 s (30 s to 2 min 5 s); measured in 2 earlier jobs; "
        "the budget of calls, cost ends the search"
    )


def test_what_was_expected_stands_beside_what_was_taken() -> None:
    console = new_console(width=120)
    print_result(console, {**SUCCEEDED, "estimate_before": forecast()})
    told = text_of(console)
    assert "expected: 60 (9 to 71) calls" in told
    assert "taken: 60 calls, 1,234 tokens" in told
