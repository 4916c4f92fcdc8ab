"""The base of all tables: names of constraints, and column types that hold any text a model may write."""

import re
from typing import Any, TypeAlias

from sqlalchemy import JSON, BigInteger, Dialect, Double, Integer, MetaData, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine
from typing_extensions import override

from store.json_values import JsonValue, storable_json_text, to_json

# a column is an edge, as a socket is: repositories give its contents their type
StoredObject: TypeAlias = dict[str, Any]

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable_text(text: str) -> str:
    """``text`` with U+FFFD for what PostgreSQL or UTF-8 cannot hold: NUL and lone surrogates."""
    if text.isascii() and "\0" not in text:  # nearly all: both are looked up faster than any pattern
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def storable_json(value: JsonValue) -> JsonValue:
    """``value`` with all its strings storable."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, list):
        return [storable_json(item) for item in value]
    if isinstance(value, dict):
        return {storable_text(key): storable_json(item) for key, item in value.items()}
    return value


def stored_json(value: JsonValue) -> str:
    """``value`` as JSON text with all its strings storable: as a column of ``StoredJson`` holds it on SQLite.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON has no words for.
    """
    text = storable_json_text(value)
    return to_json(storable_json(value)) if text is None else text


class StoredText(TypeDecorator[str]):
    """Text of any length."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable_text(value)


class StoredJson(TypeDecorator[Any]):
    """A JSON value; JSONB on PostgreSQL. None is SQL's NULL."""

    impl = JSON
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(JSON(none_as_null=True))

    @override
    def process_bind_param(self, value: JsonValue, dialect: Dialect) -> JsonValue:
        return storable_json(value)


SerialNumber = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Base of the mapped tables. There are no relationships: a query says what it loads."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        }
    )
    type_annotation_map = {str: StoredText(), float: Double(), int: BigInteger()}  # noqa: RUF012 - SQLAlchemy's way
