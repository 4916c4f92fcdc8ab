"""INSERT statements that leave existing rows alone, on both dialects."""

from functools import cache

from sqlalchemy.dialects import postgresql, sqlite

from store.connections import Dialect
from store.models.base import Base


@cache
def insert_new(dialect: Dialect, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT into ``table`` that ignores the rows whose primary key exists."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
