"""``drpo diff``, ``promote`` and ``rollback``: two versions compared, and which one answers."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from app.commands.api_client import ApiClient
from app.commands.connection import ask_service
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, out
from app.commands.terminal import plain

ModelArgument = Annotated[str, typer.Argument(help="The model")]
LabelOption = Annotated[str, typer.Option(help="The label")]
_SIGNS = {"same": " ", "removed": "-", "added": "+"}
_STYLES = {"same": "dim", "removed": "red", "added": "green"}


def diff(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    before: Annotated[str, typer.Argument(metavar="A", help="A version's id, number or label")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one")],
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show what version B of MODEL has that A has not, and the other way round."""
    path = f"{versions_path(model)}/diff"
    wanted = {"from": before, "to": after}
    found = ask_service(lambda client: client.get(path, **wanted), config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(found))
    else:
        show_diff(out(), found)


def promote(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    version: Annotated[str, typer.Argument(help="A version's id, number or label")],
    reason: Annotated[str, typer.Option(help="For the audit log")] = "promoted by hand",
    label: LabelOption = "production",
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Answer requests for MODEL with VERSION from now on."""
    path = f"{versions_path(model)}/labels/{quote(label, safe='')}"

    async def work(client: ApiClient) -> Any:
        return await client.put(path, {"version": await version_id(client, model, version), "reason": reason})

    moved = ask_service(work, config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(moved))
    else:
        out().print(plain(f"{label} of {model} points to {moved['version']}"), soft_wrap=True)


def rollback(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    reason: Annotated[str, typer.Option(help="For the audit log")] = "rolled back by hand",
    label: LabelOption = "production",
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Answer requests for MODEL again as before the last move of its label."""
    path = f"{versions_path(model)}/labels/{quote(label, safe='')}/undo"
    undone = ask_service(lambda client: client.post(path, {"reason": reason}), config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(undone))
    else:
        where = undone["to_version"] or "nothing: the model is served as it is"
        out().print(plain(f"{label} of {model} points to {where} again"), soft_wrap=True)


def versions_path(model: str) -> str:
    """Where the API has the prompts of ``model``."""
    return f"/v1/prompts/{quote(model)}"


async def version_id(client: ApiClient, model: str, name: str) -> str:
    """The id of the version of ``model`` that ``name`` (an id, a number or a label) stands for.

    Raises:
        ServiceError: there is none, or the service cannot be reached.
    """
    found = await client.get(f"{versions_path(model)}/versions/{quote(name, safe='')}")
    return str(found["id"])


def show_diff(console: Console, found: dict[str, Any]) -> None:
    """The lines of the prompts with signs before them, then examples and settings that differ."""
    before, after = found["from"], found["to"]
    if found["same"]:
        console.print(plain(f"{before['id']} is the same version"))
        return
    console.print(plain(f"--- no. {before['number']}  {before['id']}", style="bold red"), soft_wrap=True)
    console.print(plain(f"+++ no. {after['number']}  {after['id']}", style="bold green"), soft_wrap=True)
    for line in found["lines"]:
        change = line["change"]
        console.print(plain(f"{_SIGNS[change]} {line['text']}", style=_STYLES[change]), soft_wrap=True)
    examples = found["examples"]
    console.print(
        f"examples: {len(examples['added'])} added, {len(examples['removed'])} removed, "
        f"{len(examples['changed'])} changed, {examples['unchanged']} the same"
    )
    for sign, style, items in (("+", "green", examples["added"]), ("-", "red", examples["removed"])):
        for item in items:
            console.print(plain(f"{sign} {item['query']} => {item['answer']}", style=style), soft_wrap=True)
    for item in examples["changed"]:
        console.print(plain(f"~ {item['query']}: {item['before']} => {item['after']}"), soft_wrap=True)
    if found["settings"]:
        table = Table("setting", "before", "after", box=None, pad_edge=False)
        for setting in found["settings"]:
            cells = (setting["name"], json.dumps(setting["before"]), json.dumps(setting["after"]))
            table.add_row(*(plain(cell) for cell in cells))
        console.print(table)
