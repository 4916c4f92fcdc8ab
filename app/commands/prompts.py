"""``drpo prompts``: which prompt each model is served with, and its versions."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from app.commands.terminal import plain


def show_models(console: Console, models: list[dict[str, Any]]) -> None:
    """One line per model."""
    table = Table(title="prompts served", title_justify="left")
    for heading in ("model", "label", "version", "reward", "change [95 %]"):
        table.add_column(heading, overflow="fold")
    for item in models:
        version = item["version"]
        cells = [
            item["model"],
            item["label"] if version else "-",
            version["id"] if version else "none: served as it is",
            *_evidence(version),
        ]
        table.add_row(*(plain(cell) for cell in cells))
    console.print(table)


def show_versions(console: Console, versions: list[dict[str, Any]]) -> None:
    """Each version with its prompt, newest first."""
    for version in versions:
        made = datetime.fromtimestamp(version["created_at"], tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        labels = ", ".join(version["labels"]) or "no label"
        reward, change = _evidence(version)
        console.print(plain(f"{version['id']}  no. {version['number']}  {made}  {labels}", style="bold"))
        console.print(plain(f"held-out reward {reward}, change {change}", style="dim"))
        console.print(plain(version["system_prompt"] + "\n"))
    if not versions:
        console.print("no versions yet: 'drpo optimize' makes them")


def _evidence(version: dict[str, Any] | None) -> tuple[str, str]:
    """The held-out reward, and its difference to the prompt that was served before, with its interval."""
    gate = (version or {}).get("evidence", {}).get("gate") or {}
    if gate.get("difference") is None:
        return "-", "-"
    change = f"{gate['difference']:+.2f}"
    if gate["low"] is not None:
        change += f" [{gate['low']:+.2f}, {gate['high']:+.2f}]"
    return f"{gate['candidate_reward']:.2f}", change
