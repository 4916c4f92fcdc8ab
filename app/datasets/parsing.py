"""Reading query sets that users bring: JSON Lines."""

import codecs
import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from optimizer.errors import InvalidInputError
from optimizer.types import Query

MAX_QUERIES = 20_000
MAX_QUERY_CHARACTERS = 100_000


class QueryInput(BaseModel):
    """A query as users write it; ``id`` is derived from the text where it is left out."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    text: str = Field(min_length=1, max_length=MAX_QUERY_CHARACTERS)
    kind: str | None = Field(default=None, min_length=1, max_length=64)
    id: str | None = Field(default=None, min_length=1, max_length=128)

    def to_query(self) -> Query:
        """The same as the value that the search uses."""
        derived = f"q-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"
        return Query(id=self.id or derived, text=self.text, kind=self.kind)


def _text_alone(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


AnyQuery: TypeAlias = Annotated[
    QueryInput, BeforeValidator(_text_alone, json_schema_input_type=QueryInput | str)
]
"""A query, or its text alone."""

_LINE: TypeAdapter[QueryInput] = TypeAdapter(AnyQuery)


def parse_jsonl(body: bytes) -> tuple[Query, ...]:
    """The queries in ``body``: a line is a string or an object with ``text``, ``kind`` and ``id``.

    Raises:
        InvalidInputError: a line cannot be read (the message names it), or there are none or too many.
    """
    inputs: list[QueryInput] = []
    for number, line in enumerate(_lines(body), start=1):
        if not line.strip():
            continue
        if len(inputs) >= MAX_QUERIES:
            raise InvalidInputError(f"give 1 to {MAX_QUERIES} queries, not more", param="file")
        try:
            inputs.append(_LINE.validate_json(line))
        except ValidationError as error:
            problem = error.errors()[0]
            place = "".join(f"{part}: " for part in problem["loc"])
            raise InvalidInputError(
                f"line {number}: {place}{problem['msg']}; a line is a JSON string or an object with 'text'",
                param="file",
            ) from error
    return distinct_queries(inputs, param="file")


def _lines(body: bytes) -> Iterator[str]:
    """The lines one by one: a list of all lines of a file of line breaks would be many times its size."""
    start = len(codecs.BOM_UTF8) if body.startswith(codecs.BOM_UTF8) else 0
    content = io.BytesIO(body)
    content.seek(start)
    for line in content:
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            place = start + error.start
            raise InvalidInputError(f"the file is not UTF-8 (byte {place})", param="file") from error
        start += len(line)


def distinct_queries(inputs: Sequence[QueryInput], *, param: str) -> tuple[Query, ...]:
    """The queries of ``inputs``, repeated ones once.

    Raises:
        InvalidInputError: none, too many, or one id for two texts.
    """
    if not 0 < len(inputs) <= MAX_QUERIES:
        raise InvalidInputError(f"give 1 to {MAX_QUERIES} queries, not {len(inputs)}", param=param)
    queries: dict[str, Query] = {}
    for item in inputs:
        query = item.to_query()
        known = queries.setdefault(query.id, query)
        if known.text != query.text:
            raise InvalidInputError(f"two queries have the id {query.id!r}", param=param)
    return tuple(queries.values())
