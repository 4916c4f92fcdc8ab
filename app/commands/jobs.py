"""``drpo jobs``: look at jobs, stop them, go on with them, change them, make others of them."""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from app.commands.api_client import ApiClient, parse_setting
from app.commands.connection import ask_service
from app.commands.examples import describe_bank, render_bank
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, errors, out
from app.commands.optimize import follow
from app.commands.progress import describe_step, duration, print_result, render_job
from app.commands.terminal import plain

app = typer.Typer(help="Jobs: list, show, watch, pause, resume, cancel, set, restart, clone and delete them.")

JobArgument = Annotated[str, typer.Argument(help="The job's id, opt_... or ebj_...")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Show it until it ends; Ctrl-C cancels")]
_SEARCHES, _BANKS = "/v1/optimizations", "/v1/example-banks"
_BANK_PREFIX = "ebj_"


@app.callback(invoke_without_command=True)
def list_jobs(  # noqa: PLR0913, PLR0917 - one parameter for each option
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only those, such as running")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Of each kind at most")] = 20,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Without a command: list jobs, newest first."""
    if context.invoked_subcommand is not None:
        return
    params: dict[str, str | int] = {"limit": limit, **({} if status is None else {"status": status})}

    async def listed(client: ApiClient) -> list[dict[str, Any]]:
        found = [(await client.get(path, **params))["data"] for path in (_SEARCHES, _BANKS)]
        return sorted((job for page in found for job in page), key=lambda job: -job["created_at"])

    found = ask_service(listed, config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(found))
    else:
        show_jobs(out(), found)


@app.command()
def show(
    job: JobArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show JOB."""
    found = ask_service(lambda client: client.get(_place(job)), config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(found))
        return
    out().print(render_bank(found) if _is_bank(job) else render_job(found))
    out().print(plain(describe_state(found)))
    if not _is_bank(job):
        print_result(out(), found)


@app.command()
def watch(
    job: JobArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show JOB until it ends; Ctrl-C cancels it."""

    async def work(client: ApiClient) -> dict[str, Any]:
        return await _watched(client, await client.get(_place(job)))

    _tell(ask_service(work, config, url, api_key_file, for_jobs=True), as_json=as_json)


@app.command()
def pause(
    job: JobArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Pause JOB; everything it has done is kept."""
    _tell(_post(f"{_place(job)}/pause", url, api_key_file, config), as_json=as_json)


@app.command()
def resume(
    job: JobArgument,
    watch: WatchOption = False,  # noqa: FBT002
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Go on with a paused JOB; no finished call is made again."""
    _tell(_post(f"{_place(job)}/resume", url, api_key_file, config, watch=watch), as_json=as_json)


@app.command()
def cancel(
    job: JobArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """End JOB; everything it has done is kept."""
    _tell(_post(f"{_place(job)}/cancel", url, api_key_file, config), as_json=as_json)


@app.command("set")
def change(  # noqa: PLR0913, PLR0917 - one parameter for each option
    job: JobArgument,
    budget: Annotated[
        list[str] | None, typer.Option(help="name=value, e.g. calls=2000; null for no limit")
    ] = None,
    priority: Annotated[int | None, typer.Option(min=-100, max=100, help="Higher first")] = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Change the budget or the priority of JOB while it waits, is paused or runs."""
    changes: dict[str, Any] = {}
    if budget:
        changes["budget"] = _settings(budget, "--budget")
    if priority is not None:
        changes["priority"] = priority
    changed = ask_service(lambda client: client.patch(_place(job), changes), config, url, api_key_file)
    _tell(changed, as_json=as_json)


@app.command()
def restart(  # noqa: PLR0913, PLR0917 - one parameter for each option
    job: JobArgument,
    from_round: Annotated[int, typer.Option(min=1, help="The first round that is made anew")],
    budget: Annotated[list[str] | None, typer.Option(help="name=value; default: that of JOB")] = None,
    watch: WatchOption = False,  # noqa: FBT002
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Make a job that takes over the rounds of JOB before a round, and goes on anew."""
    body = {"from_round": from_round, "budget": _settings(budget, "--budget") if budget else None}
    _tell(_post(f"{_place(job)}/restart", url, api_key_file, config, body, watch=watch), as_json=as_json)


@app.command()
def clone(  # noqa: PLR0913, PLR0917 - one parameter for each option
    job: JobArgument,
    setting: Annotated[list[str] | None, typer.Option("--set", help="name=value, e.g. depth=8")] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="name=value, another field of the request, e.g. held_out=50")
    ] = None,
    budget: Annotated[list[str] | None, typer.Option(help="name=value")] = None,
    watch: WatchOption = False,  # noqa: FBT002
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Make a new job like JOB, with what is changed here."""
    changes: dict[str, Any] = _settings(field or [], "--field")
    if setting:
        changes["settings"] = _settings(setting, "--set")
    if budget:
        changes["budget"] = _settings(budget, "--budget")
    _tell(_post(f"{_place(job)}/clone", url, api_key_file, config, changes, watch=watch), as_json=as_json)


@app.command()
def delete(
    job: JobArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete JOB, which has ended, with all that it has stored; prompt versions that came of it stay."""
    ask_service(lambda client: client.delete(_place(job)), config, url, api_key_file)
    out().print(plain(f"{job} is deleted"))


def show_jobs(console: Console, jobs: list[dict[str, Any]]) -> None:
    """One line per job."""
    if not jobs:
        console.print("no jobs: 'drpo optimize TARGET' makes one")
        return
    prioritised = any(job["priority"] for job in jobs)
    headings = ["job", "name", "for", "state", *(["priority"] if prioritised else []), "calls", "worked"]
    table = Table(box=None, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for heading in headings:
        # the whole id, whatever the terminal's width: it is what the other commands are given
        table.add_column(heading, no_wrap=heading not in {"name", "for", "state"}, overflow="fold")
    for job in jobs:
        cells = (
            job["id"],
            job["name"] or "-",
            job.get("target", "example bank"),
            describe_state(job),
            *([str(job["priority"])] if prioritised else []),
            str(job["usage"]["calls"]),
            duration(job["elapsed_seconds"]),
        )
        table.add_row(*(plain(cell) for cell in cells))
    console.print(table)


def describe_state(job: dict[str, Any]) -> str:
    """Where a job stands, and why where it is paused or failed."""
    state = str(job["status"])
    if job["paused"] is not None:
        return f"{state}: {job['paused']['message']}"
    if job["error"] is not None:
        return f"{state}: {job['error']['message']}"
    if state == "running" and job["cancel_requested"]:
        return "cancelling"
    return "pausing" if state == "running" and job["pause_requested"] else state


def _is_bank(job: str) -> bool:
    return job.startswith(_BANK_PREFIX)


def _place(job: str) -> str:
    return f"{_BANKS if _is_bank(job) else _SEARCHES}/{quote(job, safe='')}"


def _settings(given: list[str], option: str) -> dict[str, Any]:
    return dict(parse_setting(text, option) for text in given)


def _post(
    path: str,
    url: str | None,
    api_key_file: Path | None,
    config: Path | None,
    body: object = None,
    *,
    watch: bool = False,
) -> dict[str, Any]:
    async def made(client: ApiClient) -> dict[str, Any]:
        job: dict[str, Any] = await client.post(path, body)
        return await _watched(client, job) if watch else job

    found: dict[str, Any] = ask_service(made, config, url, api_key_file, for_jobs=watch)
    return found


async def _watched(client: ApiClient, job: dict[str, Any]) -> dict[str, Any]:
    if _is_bank(job["id"]):
        return await follow(client, job, errors(), render_bank, describe_bank, jobs=_BANKS)
    return await follow(client, job, errors(), render_job, describe_step)


def _tell(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        out().print_json(json.dumps(job))
    else:
        out().print(plain(f"{job['id']} is {describe_state(job)}"), soft_wrap=True)
