"""``drpo examples``: build an example bank, watch it, cancel it with Ctrl-C."""

import asyncio
import json
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from app.commands.api_client import ApiClient
from app.commands.optimize import display, interrupted, watch_job
from app.commands.progress import JobJson, duration
from app.commands.terminal import plain
from optimizer.errors import InvalidInputError

BANKS = "/v1/example-banks"

_QUERY_WIDTH = 60


async def read_examples(path: Path) -> list[dict[str, Any]]:
    """The examples in a JSONL file: a line is an object with ``query``, and maybe ``answer`` and ``kind``.

    Raises:
        InvalidInputError: a line cannot be read, or there is none.
    """
    text = await asyncio.to_thread(path.read_text, encoding="utf-8-sig", errors="replace")
    examples = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InvalidInputError(f"{path.name}, line {number}: not JSON: {error}") from None
        if not isinstance(value, dict):
            raise InvalidInputError(f"{path.name}, line {number}: write an object with 'query' and 'answer'")
        examples.append(value)
    if not examples:
        raise InvalidInputError(f"{path.name} holds no examples")
    return examples


async def build_bank(client: ApiClient, request: JobJson, console: Console) -> JobJson:
    """Create the bank that ``request`` describes and show it until its job ends.

    Raises:
        ServiceError: the service cannot be reached, or refuses the bank.
        CancelledError: Ctrl-C was pressed twice.
    """
    cancel = asyncio.Event()
    with interrupted(cancel):
        bank: JobJson = await client.post(BANKS, request)
        with display(console, bank, render_bank, describe_bank) as show:
            return await watch_job(client, bank["id"], show, cancel=cancel, jobs=BANKS)


def render_bank(bank: JobJson) -> RenderableType:
    """Round, rewards and spend of a bank's job, for a live display."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    rows = {
        "bank": f"{bank['id']}, preset {bank['preset']}",
        "status": _status(bank),
        "round": _round(bank),
        "mean reward": _change(bank["progress"]),
        "judged": f"{bank['progress']['answers']} answers, {bank['progress']['unscored']} unscored",
        "spent": _spent(bank),
    }
    for name, value in rows.items():
        table.add_row(name, plain(value))
    return table


def describe_bank(bank: JobJson) -> str:
    """Where a bank's job is, in one line that changes with each round."""
    return f"{bank['id']}: {_status(bank)}, round {_round(bank)}, mean reward {_change(bank['progress'])}"


def print_bank(console: Console, bank: JobJson) -> None:
    """How a bank's job ended, example by example."""
    if bank["error"] is not None:
        console.print(plain(f"\nfailed: {bank['error']['message']}", style="bold red"))
        return
    if bank["status"] == "cancelled":
        console.print(plain(f"\ncancelled after {_spent(bank)}; no bank was stored", style="bold"))
        return
    table = Table(title=f"example bank {bank['id']}", title_justify="left")
    for heading in ("example", "query", "before", "after", "why it ended"):
        table.add_column(heading, overflow="fold")
    for item in bank["examples"]:
        cells = (
            item["id"],
            item["query"][:_QUERY_WIDTH],
            _number(item["first_reward"]),
            _number(item["best_reward"]),
            item["end"] or "stored as given",
        )
        table.add_row(*(plain(cell) for cell in cells))
    console.print(table)
    console.print(plain(f"mean reward {_change(bank['progress'])}, {_spent(bank)}"))
    console.print(plain(f"use it: drpo optimize TARGET --examples {bank['id']}"))


def _status(bank: JobJson) -> str:
    if bank["cancel_requested"] and bank["status"] in {"queued", "running"}:
        return "cancelling (Ctrl-C again leaves at once)"
    if bank["status"] == "paused" and (reason := bank.get("paused")) is not None:
        return f"paused: {reason['message']}"
    return str(bank["progress"]["phase"] if bank["status"] == "running" else bank["status"])


def _round(bank: JobJson) -> str:
    progress = bank["progress"]
    if progress["round"] is None:
        return "-"
    return f"{progress['round']} of {progress['round'] + progress['rounds_left']}"


def _change(progress: JobJson) -> str:
    return f"{_number(progress['mean_first'])} -> {_number(progress['mean_best'])}"


def _spent(bank: JobJson) -> str:
    usage = bank["usage"]
    tokens = usage["prompt_tokens"] + usage["completion_tokens"]
    calls = f"{usage['calls']} of at most {bank['calls_max']} calls"
    return f"{calls}, {tokens:,} tokens, {duration(bank['elapsed_seconds'])}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
