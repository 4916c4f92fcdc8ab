"""``drpo usage``: what requests have used, by day, key and model."""

import datetime as dt
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.commands.connection import ask_service
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, out
from app.commands.terminal import plain


def usage(  # noqa: PLR0913, PLR0917 - one parameter for each option
    by: Annotated[list[str] | None, typer.Option(help="day, key or model; repeatable; default: all")] = None,
    days: Annotated[int, typer.Option(min=1, help="So many days, today among them")] = 30,
    key: Annotated[str | None, typer.Option(help="Only this key's: its id")] = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show the requests, tokens and cost of served requests."""
    today = dt.datetime.now(dt.UTC).date()
    params: dict[str, Any] = {
        "group_by": by or ["day", "key", "model"],
        "since": str(today - dt.timedelta(days=days - 1)),
    }
    if key is not None:
        params["key_id"] = key

    report = ask_service(lambda client: client.get("/v1/usage", **params), config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(report))
    else:
        show_usage(out(), report)


def show_usage(console: Console, report: dict[str, Any]) -> None:
    """One line per group."""
    entries = report["data"]
    if not entries:
        console.print("nothing was asked in this time")
        return
    groups = [name for name in ("day", "key_id", "model") if any(entry[name] for entry in entries)]
    table = Table(title=f"usage, {report['since']} to {report['until']}", title_justify="left")
    for heading in (*groups, "requests", "failed", "left", "tokens in", "tokens out", "cost"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        names = [_name(entry, group) for group in groups]
        numbers = [
            f"{entry[field]:,}"
            for field in ("requests", "failed", "client_left", "prompt_tokens", "completion_tokens")
        ]
        table.add_row(*(plain(cell) for cell in (*names, *numbers, f"{entry['cost']:,.6f}")))
    console.print(table)
    if report["has_more"]:
        console.print("there is more: ask for fewer days or groups")


def _name(entry: dict[str, Any], group: str) -> str:
    if group == "key_id" and entry["key_name"]:
        return f"{entry['key_name']} ({entry['key_id']})"
    return str(entry[group] or "-")
