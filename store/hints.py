"""Hints to other processes that an optimization has changed: PostgreSQL's NOTIFY, sent with the change.

A hint is the id of an optimization and nothing else. It leaves with the commit that it tells of, so that
whoever is woken finds the change; a hint that is lost costs a poll.
"""

from typing import Final

from sqlalchemy import Connection, bindparam, func, select

# PostgreSQL delivers a channel's notifications within one database only
FOLLOWERS: Final = "drpo_events"
WORKERS: Final = "drpo_work"
_NOTIFY: Final = select(func.pg_notify(bindparam("channel"), bindparam("optimization_id")))


def send_hint(connection: Connection, optimization_id: str, *, for_workers: bool = False) -> None:
    """Tell the other processes, when ``connection`` commits; an SQLite file has none."""
    if connection.dialect.name == "postgresql":
        channel = WORKERS if for_workers else FOLLOWERS
        connection.execute(_NOTIFY, {"channel": channel, "optimization_id": optimization_id})
