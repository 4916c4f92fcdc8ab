"""``drpo ledger``: how much the call ledger holds."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from app.commands.terminal import plain

_MEGABYTE = 1_000_000


def show_ledger(console: Console, ledger: dict[str, Any]) -> None:
    """Print the size of the ledger and its bounds."""
    size = ledger["bytes"] / _MEGABYTE
    console.print(plain(f"{ledger['calls']:,} calls on record, about {size:,.1f} MB"))
    if ledger["oldest_finished_at"] is not None:
        oldest = datetime.fromtimestamp(ledger["oldest_finished_at"], UTC)
        console.print(plain(f"the oldest are of a job that ended at {oldest:%Y-%m-%d %H:%M} UTC"))
    console.print(plain(_bounds(ledger, "after the end of their job")))
    if ledger["dropped_optimizations"]:
        console.print(plain(f"the calls of {ledger['dropped_optimizations']} jobs have been dropped"))
    vectors = ledger["vectors"]
    if vectors["count"]:
        size = vectors["bytes"] / _MEGABYTE
        console.print(plain(f"{vectors['count']:,} vectors of texts, about {size:,.1f} MB"))
        console.print(plain(_bounds(vectors, "after they were made")))


def _bounds(bounds: dict[str, Any], since: str) -> str:
    days, most = bounds["keep_days"], bounds["max_bytes"]
    kept = "for ever" if days is None else f"for {days:g} days {since}"
    size = "of any size" if most is None else f"up to {most / _MEGABYTE:,.0f} MB"
    return f"kept {kept}, {size}"
