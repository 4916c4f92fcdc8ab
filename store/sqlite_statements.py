"""Statements that SQLite runs many times a second, compiled once and given to its driver as they are.

SQLAlchemy takes many times as long around such a statement as SQLite for it. PostgreSQL's stay with
SQLAlchemy: it also knows which connections are of no use any more.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

_DIALECT: Final = dialect()


class SqliteStatement:
    """One statement, compiled for SQLite."""

    def __init__(self, statement: UpdateBase | Select[int], columns: Sequence[str] | None = None) -> None:
        """Compile ``statement``.

        Args:
            statement: an INSERT, an UPDATE or a SELECT. Types and defaults that are made in Python are left
                out: values have to be given, as SQLite takes them.
            columns: what an INSERT gives values for.
        """
        compiled = statement.compile(dialect=_DIALECT, column_keys=None if columns is None else list(columns))
        self._text = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Run it for each of ``rows``.

        Raises:
            sqlite3.Error: as the driver says it.
        """
        fixed, names = self._fixed, self._names
        values = [[(row if name in row else fixed).get(name) for name in names] for row in rows]
        connection.connection.cursor().executemany(self._text, values)

    def scalar(self, connection: Connection, row: Mapping[str, object]) -> int | None:
        """The first value that it finds.

        Raises:
            sqlite3.Error: as the driver says it.
        """
        cursor = connection.connection.cursor()
        cursor.execute(self._text, [(row if name in row else self._fixed).get(name) for name in self._names])
        found = cursor.fetchone()
        cursor.close()
        return None if found is None else found[0]
