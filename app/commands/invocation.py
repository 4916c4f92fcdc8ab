"""What commands share: their usual options, where they print, and running their work."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from app.event_loop import run

INTERRUPTED = 130

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; default: DRPO_CONFIG, else ./drpo.toml")
]
UrlOption = Annotated[
    str | None, typer.Option(help="A running service; default: the configured one, else one is started here")
]
KeyOption = Annotated[
    Path | None, typer.Option("--api-key-file", help="File with the key of the service at --url")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON")]


def out() -> Console:
    """Made when it is used: what the environment says about the terminal is read when one is made."""
    return Console()


def errors() -> Console:
    """The same on stderr."""
    return Console(stderr=True)


def run_work(work: Coroutine[Any, Any, Any]) -> Any:
    """What ``work`` gives; an interrupt ends the command.

    Raises:
        Exit: it was interrupted.
    """
    try:
        return run(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None
