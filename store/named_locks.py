"""Locks by name: what a transaction has read stays true until it has written."""

from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from store.models.base import StoredText

_LOCK: Final = select(
    func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=StoredText()), 0))
)


def serialise(connection: Connection, name: str) -> None:
    """Let only one transaction with ``name`` go on at a time, until it ends."""
    if connection.dialect.name == "postgresql":  # SQLite's write transactions are serial anyway
        connection.execute(_LOCK, {"name": name})
