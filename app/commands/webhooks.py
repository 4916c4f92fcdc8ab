"""``drpo webhooks``: who is told of changes, and how that goes."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from app.commands.connection import ask_service
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, errors, out
from app.commands.terminal import plain

app = typer.Typer(help="Webhooks: add, list, test and delete them.", no_args_is_help=True)

WebhookArgument = Annotated[str, typer.Argument(help="The webhook's id, wh_...")]
_PATH = "/v1/webhooks"


@app.command()
def add(  # noqa: PLR0913, PLR0917 - one parameter for each option
    receiver: Annotated[str, typer.Argument(help="Where to POST")],
    event: Annotated[
        list[str] | None,
        typer.Option(help="Such as optimization.succeeded; repeatable; default: all"),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Only of jobs of this model")] = None,
    name: Annotated[str | None, typer.Option(help="For people")] = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Have RECEIVER told of changes. Its secret is printed this once."""
    request = {"url": receiver, "events": event, "target": target, "name": name}
    body = {field: value for field, value in request.items() if value is not None}
    made = ask_service(lambda client: client.post(_PATH, body), config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(made))
        return
    out().print(plain(made["secret"]), soft_wrap=True)
    errors().print(plain(f"{made['id']} is added; it verifies signatures with this secret, shown only now"))


@app.command("list")
def list_webhooks(
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show all webhooks."""
    found = ask_service(lambda client: client.get(_PATH), config, url, api_key_file)["data"]
    if as_json:
        out().print_json(json.dumps(found))
    else:
        show_webhooks(out(), found)


@app.command()
def deliveries(
    webhook: WebhookArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show what WEBHOOK was told last, and how that went."""
    found = ask_service(
        lambda client: client.get(f"{_place(webhook)}/deliveries"), config, url, api_key_file
    )["data"]
    if as_json:
        out().print_json(json.dumps(found))
    else:
        show_deliveries(out(), found)


@app.command("test")
def send_test(
    webhook: WebhookArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Send WEBHOOK a message that tells nothing."""
    queued = ask_service(lambda client: client.post(f"{_place(webhook)}/test"), config, url, api_key_file)
    out().print(plain(f"{queued['id']} is on its way: see 'drpo webhooks deliveries {webhook}'"))


@app.command()
def enable(
    webhook: WebhookArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Tell a disabled WEBHOOK again."""
    found = ask_service(lambda client: client.post(f"{_place(webhook)}/enable"), config, url, api_key_file)
    out().print(plain(f"{found['id']} is {found['status']}"))


@app.command()
def delete(
    webhook: WebhookArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete WEBHOOK with its deliveries."""
    gone = ask_service(lambda client: client.delete(_place(webhook)), config, url, api_key_file)
    out().print(plain(f"{gone['id']} is deleted"))


def show_webhooks(console: Console, webhooks: list[dict[str, Any]]) -> None:
    """One line per webhook."""
    if not webhooks:
        console.print("no webhooks: 'drpo webhooks add URL' adds one")
        return
    table = Table("webhook", "name", "url", "of", "status")
    for item in webhooks:
        status = item["disabled_because"] or item["status"]
        cells = (item["id"], item["name"] or "-", item["url"], item["target"] or "all models", status)
        table.add_row(*(plain(cell) for cell in cells))
    console.print(table)


def show_deliveries(console: Console, found: list[dict[str, Any]]) -> None:
    """One line per delivery."""
    if not found:
        console.print("nothing was told yet")
        return
    table = Table("delivery", "event", "about", "status", "attempts", "last")
    for item in found:
        last = item["error"] or (f"answered {item['response_status']}" if item["response_status"] else "-")
        cells = (item["id"], item["event"], item["subject"], item["status"], str(item["attempts"]), last)
        table.add_row(*(plain(cell) for cell in cells))
    console.print(table)


def _place(webhook: str) -> str:
    return f"{_PATH}/{quote(webhook, safe='')}"
