"""``drpo schedules``: jobs that are made on a cron, or when traffic fails more often."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from app.commands.connection import ask_service
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, out
from app.commands.terminal import plain
from optimizer.errors import InvalidInputError

app = typer.Typer(help="Schedules: add, list, switch and delete them.", no_args_is_help=True)

ScheduleArgument = Annotated[str, typer.Argument(help="The schedule's id, sch_...")]
_PATH = "/v1/schedules"


@app.command()
def add(  # noqa: PLR0913, PLR0917 - one parameter for each option
    name: Annotated[str, typer.Argument(help="For people")],
    request: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="JSON file: the body of POST /v1/optimizations"),
    ],
    cron: Annotated[str | None, typer.Option(help="Such as '0 3 * * *'")] = None,
    timezone: Annotated[str, typer.Option(help="Of --cron, such as Europe/Berlin")] = "UTC",
    drift: Annotated[bool, typer.Option("--drift", help="When requests fail more often")] = False,  # noqa: FBT002
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Have the job in REQUEST made again and again."""
    if (cron is None) is not drift:
        raise InvalidInputError("give either --cron or --drift")
    trigger = {"type": "drift"} if cron is None else {"type": "cron", "cron": cron, "timezone": timezone}
    try:
        asked = json.loads(request.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"{request} is no JSON: {error}") from None
    body = {"name": name, "request": asked, "trigger": trigger}
    made = ask_service(lambda client: client.post(_PATH, body), config, url, api_key_file)
    _show([made], as_json=as_json)


@app.command("list")
def list_schedules(
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show all schedules."""
    found = ask_service(lambda client: client.get(_PATH), config, url, api_key_file)
    _show(found["data"], as_json=as_json)


@app.command()
def switch(
    schedule: ScheduleArgument,
    on: Annotated[bool, typer.Option("--on/--off", help="Whether it makes jobs")],
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Switch SCHEDULE on or off."""
    switched = ask_service(
        lambda client: client.patch(_place(schedule), {"enabled": on}), config, url, api_key_file
    )
    _show([switched], as_json=False)


@app.command()
def runs(
    schedule: ScheduleArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Show what came of the times at which SCHEDULE was due."""
    found = ask_service(lambda client: client.get(f"{_place(schedule)}/runs"), config, url, api_key_file)
    show_runs(out(), found["data"])


@app.command()
def delete(
    schedule: ScheduleArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete SCHEDULE; the jobs that it has made stay."""
    deleted = ask_service(lambda client: client.delete(_place(schedule)), config, url, api_key_file)
    out().print(plain(f"{deleted['id']} is deleted"))


def show_schedules(console: Console, schedules: list[dict[str, Any]]) -> None:
    """One line per schedule."""
    if not schedules:
        console.print("no schedules: 'drpo schedules add' adds one")
        return
    table = Table("schedule", "name", "when", "next", "last job", "note")
    for item in schedules:
        trigger = item["trigger"]
        when = "drift" if trigger["type"] == "drift" else f"{trigger['cron']} {trigger['timezone']}"
        cells = (item["id"], item["name"], when, _time(item["next_at"]), item["last_job_id"] or "-")
        table.add_row(*(plain(cell) for cell in (*cells, item["note"] or "-")))
    console.print(table)


def show_runs(console: Console, found: list[dict[str, Any]]) -> None:
    """One line per time."""
    table = Table("due", "outcome", "job or reason")
    for run in found:
        cells = (_time(run["due_at"]), run["outcome"], run["job_id"] or run["reason"] or "-")
        table.add_row(*(plain(cell) for cell in cells))
    console.print(table)


def _show(schedules: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        out().print_json(json.dumps(schedules))
    else:
        show_schedules(out(), schedules)


def _place(schedule: str) -> str:
    return f"{_PATH}/{quote(schedule, safe='')}"


def _time(at: float | None) -> str:
    return "off" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
