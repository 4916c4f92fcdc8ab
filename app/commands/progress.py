"""A job on the terminal: while it runs, and how it ended."""

from typing import Any

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from app.commands.evidence import describe_evidence
from app.commands.terminal import plain

JobJson = dict[str, Any]

_BAR_WIDTH = 50
_PHASES = {
    "queued": "waiting for a free worker",
    "search": "searching",
    "gate": "comparing with the current prompt on held-out queries",
}
_VERDICTS = {
    "promoted": "promoted",
    "kept": "the current prompt is kept",
    "not_enough_evidence": "not enough evidence, the current prompt is kept",
}


def render_job(job: JobJson) -> RenderableType:
    """Round, best reward, spend and time left of a job, for a live display."""
    best = job["best"]
    rows = {
        "job": f"{job['id']}  {job['target']}, preset {job['preset']}",
        "status": _status(job),
        "round": _round(job["progress"]),
        "best so far": "-" if best is None else f"{_number(best['reward'])} of 5  ({best['candidate_id']})",
        "judged": _judged(job["progress"]),
        "spent": _spent(job),
        "left": _left(job),
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, plain(value))
    table.add_row("", ProgressBar(total=100, completed=_share(job) * 100, width=_BAR_WIDTH))
    return table


def describe_step(job: JobJson) -> str:
    """Where a job is, in one line that changes with each round."""
    best = job["best"]
    parts = [f"{job['id']}: {_status(job)}"]
    if job["progress"]["round"] is not None:
        parts.append(f"round {_round(job['progress'])}")
    if best is not None and best["reward"] is not None:
        parts.append(f"best so far {_number(best['reward'])}")
    return ", ".join(parts)


def describe_verdict(gate: JobJson) -> str:
    """What the comparison on held-out queries has led to, and why."""
    return f"{_VERDICTS.get(gate['verdict'], gate['verdict'])}: {gate['reason']}"


def describe_forecast(expected: JobJson) -> str:
    """What a job is expected to take, each figure with its range."""
    tokens = {
        end: expected["prompt_tokens"][end] + expected["completion_tokens"][end]
        for end in ("low", "expected", "high")
    }
    parts = [f"{_ranged(expected['calls'])} calls", f"{_ranged(tokens)} tokens"]
    if expected["cost"]["high"]:
        cost = expected["cost"]
        parts.append(f"cost {cost['expected']:.4f} ({cost['low']:.4f} to {cost['high']:.4f})")
    if expected["seconds"] is not None:
        seconds = expected["seconds"]
        low, high = duration(seconds["low"]), duration(seconds["high"])
        parts.append(f"{duration(seconds['expected'])} ({low} to {high})")
    jobs = expected["jobs_measured"]
    basis = f"measured in {_counted(jobs, 'earlier job')}" if jobs else "guessed from the texts"
    cut = f"; the budget of {', '.join(expected['cut_by'])} ends the search" if expected["cut_by"] else ""
    return f"{', '.join(parts)}; {basis}{cut}"


def describe_replay(replay: JobJson) -> str:
    """How much of a replay was on record, and what that means."""
    counted = f"{_counted(replay['answered'], 'call')} answered from the record of {replay['of']}"
    return f"{counted} ({replay['share']:.0%}), at no cost: {replay['note']}"


def print_result(console: Console, job: JobJson) -> None:
    """How a job ended: the verdict with its interval, where the prompt is stored, and the prompt."""
    if job["status"] == "cancelled":
        console.print(plain(f"\ncancelled after {_spent(job)}; no prompt was stored", style="bold"))
    if job["error"] is not None:
        console.print(plain(f"\nfailed: {job['error']['message']}", style="bold red"))
    result = job["result"] or {}
    gate = result.get("gate")
    if gate is not None:
        console.print(plain(f"\n{describe_verdict(gate)}", style="bold"))
        for line in describe_evidence(gate, result.get("judge")):
            console.print(plain(line))
    if result.get("prompt_cache") is not None:
        cache = result["prompt_cache"]
        console.print(
            plain(
                f"{cache['cached_prompt_tokens']:,} of {cache['prompt_tokens']:,} prompt tokens came from "
                f"backends' caches ({cache['share']:.0%})"
            )
        )
    if result.get("replay") is not None:
        console.print(plain(describe_replay(result["replay"])))
    if result.get("prompt_version") is not None:
        moved = result.get("label_moved")
        label = f"labelled {moved}" if moved else "no label was moved"
        console.print(plain(f"stored as {result['prompt_version']}, {label}"))
    if job["estimate_before"] is not None:
        console.print(plain(f"\nexpected: {describe_forecast(job['estimate_before'])}"))
        console.print(plain(f"taken: {_spent(job)}"))
    if job["best"] is not None:
        console.print(plain("\nbest prompt:", style="dim"))
        console.print(plain(job["best"]["system_prompt"]))


def _status(job: JobJson) -> str:
    if job["cancel_requested"] and job["status"] in {"queued", "running"}:
        return "cancelling (Ctrl-C again leaves at once)"
    if job["status"] == "paused" and (reason := job.get("paused")) is not None:
        return f"paused: {reason['message']}"
    state = str(job["progress"]["phase"] if job["status"] == "running" else job["status"])
    return _PHASES.get(state, state)


def _round(progress: JobJson) -> str:
    if progress["round"] is None:
        return "-"
    total = progress["round"] + (progress["rounds_left"] or 0)
    return f"{progress['round']} of {total}"


def _judged(progress: JobJson) -> str:
    unscored = f", {progress['unscored']} unscored" if progress["unscored"] else ""
    return f"{_counted(progress['evaluations'], 'answer')}{unscored}"


def _spent(job: JobJson) -> str:
    usage = job["usage"]
    tokens = usage["prompt_tokens"] + usage["completion_tokens"]
    cost = f", cost {usage['cost']:.4f}" if usage["cost"] else ""
    return f"{_counted(usage['calls'], 'call')}, {tokens:,} tokens{cost}, {duration(job['elapsed_seconds'])}"


def _left(job: JobJson) -> str:
    estimate = job["estimate"]
    if estimate is None:
        return "-"
    least, most = estimate["calls_left"], estimate["calls_left_max"]
    calls = _counted(least, "call") if least == most else f"{least} to {most} calls"
    seconds = job["progress"]["seconds_left"]
    if seconds is None:
        return calls
    low, usual, high = (duration(seconds[end]) for end in ("low", "expected", "high"))
    return f"{calls}, about {usual}" if low == high else f"{calls}, about {usual} ({low} to {high})"


def _share(job: JobJson) -> float:
    if job["estimate"] is None:
        return 1.0 if job["status"] == "succeeded" else 0.0
    done, whole = job["progress"]["calls"], job["progress"]["calls_expected"]
    return float(done / whole) if whole else 1.0


def duration(seconds: float) -> str:
    """``seconds`` as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _ranged(amount: JobJson) -> str:
    low, usual, high = (round(amount[end]) for end in ("low", "expected", "high"))
    return f"{usual:,}" if low == high else f"{usual:,} ({low:,} to {high:,})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
