"""Statements that SQLite runs many times a second, compiled once and given to its driver as they are.

SQLAlchemy takes many times as long around such a statement as SQLite for it. PostgreSQL's stay with
SQLAlchemy: it also knows which connections are of no use any more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import BindParameter, Connection
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

from store.models.base import StoredJson, StoredText, storable_text, stored_json

_DIALECT: Final = dialect()
_Convert: TypeAlias = Callable[[Any], object]


class SqliteStatement:
    """One statement, compiled for SQLite."""

    def __init__(
        self, statement: UpdateBase | Select[*tuple[Any, ...]], columns: Sequence[str] | None = None
    ) -> None:
        """Compile ``statement``.

        Args:
            statement: an INSERT, an UPDATE or a SELECT. Texts and JSON values are stored as their columns'
                types say; other types, and defaults that are made in Python, are left out: values have to be
                given, as SQLite takes them.
            columns: what an INSERT gives values for.
        """
        compiled = statement.compile(dialect=_DIALECT, column_keys=None if columns is None else list(columns))
        self._text = str(compiled)
        parameters = [(name, compiled.binds[name]) for name in compiled.positiontup or ()]
        self._values = tuple((name, _converter(parameter)) for name, parameter in parameters)
        self._fixed = {name: item.effective_value for name, item in parameters if not item.required}

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Run it for each of ``rows``.

        Raises:
            KeyError: a row lacks a value.
            sqlite3.Error: as the driver says it.
        """
        connection.connection.cursor().executemany(self._text, [self._of(row) for row in rows])

    def scalar(self, connection: Connection, row: Mapping[str, object]) -> Any:
        """The first value that it finds, as SQLite gives it; None where there is no row.

        Raises:
            KeyError: ``row`` lacks a value.
            sqlite3.Error: as the driver says it.
        """
        found = self.rows(connection, row)
        return found[0][0] if found else None

    def rows(self, connection: Connection, row: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """All rows that it finds, as SQLite gives them.

        Raises:
            KeyError: ``row`` lacks a value.
            sqlite3.Error: as the driver says it.
        """
        cursor = connection.connection.cursor()
        cursor.execute(self._text, self._of(row))
        found = cursor.fetchall()
        cursor.close()
        return found

    def _of(self, row: Mapping[str, object]) -> list[object]:
        given = {**self._fixed, **row} if self._fixed else row
        return [given[name] if convert is None else convert(given[name]) for name, convert in self._values]


def _converter(parameter: BindParameter[Any]) -> _Convert | None:
    if isinstance(parameter.type, StoredText):
        return _text
    return _json if isinstance(parameter.type, StoredJson) else None


def _text(value: str | None) -> str | None:
    return None if value is None else storable_text(value)


def _json(value: Any) -> str | None:
    return None if value is None else stored_json(value)
