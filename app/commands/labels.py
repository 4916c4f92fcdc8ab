"""``drpo labels``: where a model's labels point, and moving them there and back."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from app.commands.connection import ask_service
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, out
from app.commands.terminal import plain

app = typer.Typer(help="Labels of prompts: move them, undo moves, see who moved them.", no_args_is_help=True)

ModelArgument = Annotated[str, typer.Argument(help="The model")]
LabelArgument = Annotated[str, typer.Argument(help="Such as production or candidate")]


@app.command()
def move(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    label: LabelArgument,
    version: Annotated[str, typer.Argument(help="The version's id, pv_...")],
    reason: Annotated[str, typer.Option(help="For the audit log")] = "moved by hand",
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Point LABEL of MODEL to VERSION."""
    body = {"version": version, "reason": reason}
    moved = ask_service(lambda client: client.put(_path(model, label), body), config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(moved))
    else:
        out().print(plain(f"{label} of {model} points to {version}"))


@app.command()
def undo(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    label: LabelArgument = "production",
    move_id: Annotated[
        int | None, typer.Option("--move", help="The move's number; refused where another came after it")
    ] = None,
    reason: Annotated[str, typer.Option(help="For the audit log")] = "undone by hand",
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Take the last move of LABEL of MODEL back."""
    body = {"reason": reason} | ({} if move_id is None else {"move": move_id})
    path = f"{_path(model, label)}/undo"
    undone = ask_service(lambda client: client.post(path, body), config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(undone))
    else:
        where = undone["to_version"] or "nothing: the model is served as it is"
        out().print(plain(f"{label} of {model} points to {where} again (move {undone['undoes']} is undone)"))


@app.command()
def history(
    model: ModelArgument,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show who moved the labels of MODEL, and why; newest first, the last thousand at most."""
    path = f"/v1/prompts/{quote(model)}/label-moves"
    moves = ask_service(lambda client: client.get(path), config, url, api_key_file)["data"]
    if as_json:
        out().print_json(json.dumps(moves))
    else:
        show_moves(out(), moves)


def show_moves(console: Console, moves: list[dict[str, Any]]) -> None:
    """One line a move."""
    if not moves:
        console.print("no label was moved yet")
        return
    table = Table(title="moves of labels", title_justify="left")
    for heading in ("move", "at", "label", "from", "to", "by", "why"):
        table.add_column(heading, overflow="fold")
    for item in moves:
        at = datetime.fromtimestamp(item["at"], tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        undoes = "" if item["undoes"] is None else f" (undoes {item['undoes']})"
        cells = [
            f"{item['id']}{undoes}",
            at,
            item["label"],
            item["from_version"] or "-",
            item["to_version"] or "-",
            item["actor"],
            item["reason"],
        ]
        table.add_row(*(plain(cell) for cell in cells))
    console.print(table)


def _path(model: str, label: str) -> str:
    return f"/v1/prompts/{quote(model)}/labels/{quote(label, safe='')}"
