"""INSERT statements that leave existing rows alone, on both dialects."""

from sqlalchemy.dialects import postgresql, sqlite

from store.connections import Database
from store.models.base import Base


def insert_new(db: Database, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT into ``table`` that ignores the rows whose primary key exists."""
    if db.dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
