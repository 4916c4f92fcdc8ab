"""INSERT statements that leave existing rows alone, on both dialects."""

from collections.abc import Mapping, Sequence
from functools import cache

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from store.connections import Dialect
from store.models.base import Base
from store.statements import Statement


@cache
def insert_new(dialect: Dialect, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT into ``table`` that ignores the rows whose primary key exists."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


class NewRows:
    """``insert_new`` into one table, many times a second."""

    def __init__(self, table: type[Base], columns: Sequence[str]) -> None:
        """Into ``columns`` of ``table``; the others get their defaults."""
        self._statement = Statement(
            insert_new("postgresql", table), on_sqlite=insert_new("sqlite", table), columns=columns
        )

    def add(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert those of ``rows`` whose primary key is new."""
        self._statement.execute(connection, rows)
