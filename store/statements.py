"""Statements that run many times a second, in the form that each dialect takes.

SQLite's are compiled once and given to its driver as they are: SQLAlchemy takes many times as long around
such a statement as SQLite for it. PostgreSQL's stay with SQLAlchemy, which also knows which connections are
of no use any more.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, Final, Protocol, TypeAlias, cast

from sqlalchemy import BindParameter, Boolean, Connection, Insert, Text
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select
from sqlalchemy.types import TypeEngine

from store.models.base import StoredJson, StoredText, storable_text, stored_json

_DIALECT: Final = dialect()
_Convert: TypeAlias = Callable[[Any], object]
_Sql: TypeAlias = UpdateBase | Select[*tuple[Any, ...]]


class NamedRow(Protocol):
    """A row whose columns are its attributes, under the names that their model gives them."""

    def __getattr__(self, name: str, /) -> Any:
        """The value of the column ``name``."""
        ...


class Statement:
    """One statement, the same to its callers on either dialect."""

    def __init__(
        self, statement: _Sql, *, on_sqlite: _Sql | None = None, columns: Sequence[str] | None = None
    ) -> None:
        """Compile ``statement`` for SQLite.

        Args:
            statement: an INSERT, an UPDATE or a SELECT. Texts, JSON values and truth values are stored and
                found as their columns' types say; other types, and defaults that are made in Python, are left
                out on SQLite: values have to be given, and are found, as SQLite takes them. A value that it
                has itself is part of its text there, and no row has another.
            on_sqlite: its form there, where that is another.
            columns: what an INSERT gives values for.
        """
        self._statement = statement
        chosen = statement if on_sqlite is None else on_sqlite
        compiled = chosen.compile(dialect=_DIALECT, column_keys=None if columns is None else list(columns))
        parameters = [(name, compiled.binds[name]) for name in compiled.positiontup or ()]
        self._text = _with_literals(compiled, [parameter for _, parameter in parameters])
        self._values = tuple(
            (name, _writer(parameter)) for name, parameter in parameters if parameter.required
        )
        self._names = [str(column.key) for column in chosen.exported_columns]
        readers = [_reader(column.type) for column in chosen.exported_columns]
        self._readers = readers if any(readers) else None

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Run it for each of ``rows``.

        Raises:
            KeyError: a row lacks a value.
            SQLAlchemyError: as SQLAlchemy says it.
            sqlite3.Error: as the driver says it.
        """
        if not rows:
            return
        if _is_sqlite(connection):
            connection.connection.cursor().executemany(self._text, [self._of(row) for row in rows])
        else:
            connection.execute(self._statement, rows)

    def scalar(self, connection: Connection, row: Mapping[str, object]) -> Any:
        """The first value that it finds; None where there is no row. Raises what ``execute`` does."""
        found = self.rows(connection, row)
        return found[0][0] if found else None

    def rows(self, connection: Connection, row: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """All rows that it finds. Raises what ``execute`` does."""
        if not _is_sqlite(connection):
            return connection.execute(self._statement, row).all()
        cursor = connection.connection.cursor()
        cursor.execute(self._text, self._of(row))
        found = cursor.fetchall()
        cursor.close()
        readers = self._readers
        return found if readers is None else [_read(values, readers) for values in found]

    def first(self, connection: Connection, row: Mapping[str, object]) -> NamedRow | None:
        """The first row that it finds; None where there is none. Raises what ``execute`` does."""
        found = self.rows(connection, row)
        if not found:
            return None
        return cast("NamedRow", SimpleNamespace(**dict(zip(self._names, found[0], strict=True))))

    def one(self, connection: Connection, row: Mapping[str, object]) -> NamedRow:
        """The row that there has to be, such as the one that an INSERT returns.

        Raises:
            LookupError: it finds none.
            Exception: what ``execute`` raises.
        """
        found = self.first(connection, row)
        if found is None:
            raise LookupError("a statement found no row")
        return found

    def _of(self, row: Mapping[str, object]) -> list[object]:
        return [row[name] if convert is None else convert(row[name]) for name, convert in self._values]


class ObjectStatement(Statement):
    """A statement whose parameters are attributes of objects: quicker than by rows that are made of them."""

    def __init__(
        self, statement: _Sql, found_in: Mapping[str, str], *, on_sqlite: _Sql | None = None
    ) -> None:
        """Compile ``statement`` for SQLite; see ``Statement``.

        Args:
            statement: an INSERT or an UPDATE.
            found_in: where the value of each parameter is found, of two or more: an attribute, with dots for
                those of an attribute.
            on_sqlite: its form there, where that is another.
        """
        super().__init__(
            statement, on_sqlite=on_sqlite, columns=tuple(found_in) if isinstance(statement, Insert) else None
        )
        self._find = attrgetter(*(found_in[name] for name, _ in self._values))
        self._writers = [(place, convert) for place, (_, convert) in enumerate(self._values) if convert]
        self._all_names, self._find_all = tuple(found_in), attrgetter(*found_in.values())

    def execute_for(self, connection: Connection, objects: Sequence[object]) -> None:
        """Run it for each of ``objects``.

        Raises:
            AttributeError: one lacks an attribute.
            Exception: what ``execute`` raises.
        """
        if not objects:
            return
        if _is_sqlite(connection):
            connection.connection.cursor().executemany(
                self._text, [self._of_object(item) for item in objects]
            )
            return
        names, find = self._all_names, self._find_all
        connection.execute(self._statement, [dict(zip(names, find(item), strict=True)) for item in objects])

    def _of_object(self, item: object) -> list[object]:
        values = list(self._find(item))
        for place, convert in self._writers:
            values[place] = convert(values[place])
        return values


def _with_literals(compiled: SQLCompiler, parameters: Sequence[BindParameter[Any]]) -> str:
    """The statement's text, in which values that never change are no parameters."""
    first, *rest = str(compiled).split("?")
    if len(rest) != len(parameters):
        raise ValueError("a question mark in a statement that is no parameter")
    values = ("?" if item.required else _literal(compiled, item) for item in parameters)
    return first + "".join(value + text for value, text in zip(values, rest, strict=True))


def _literal(compiled: SQLCompiler, parameter: BindParameter[Any]) -> str:
    value, column_type = parameter.effective_value, parameter.type
    if isinstance(column_type, StoredJson):
        value, column_type = _json(value), Text()
    return compiled.render_literal_value(value, column_type)


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def _read(values: Sequence[Any], readers: Sequence[_Convert | None]) -> list[object]:
    return [
        value if convert is None or value is None else convert(value)
        for value, convert in zip(values, readers, strict=True)
    ]


def _writer(parameter: BindParameter[Any]) -> _Convert | None:
    if isinstance(parameter.type, StoredText):
        return _text
    return _json if isinstance(parameter.type, StoredJson) else None


def _reader(column_type: TypeEngine[Any]) -> _Convert | None:
    if isinstance(column_type, StoredJson):
        return json.loads
    return bool if isinstance(column_type, Boolean) else None


def _text(value: str | None) -> str | None:
    return None if value is None else storable_text(value)


def _json(value: Any) -> str | None:
    return None if value is None else stored_json(value)
