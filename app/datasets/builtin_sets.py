"""The query set and the example bank that ship with the service."""

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources

from optimizer.types import Example, Query

_PACKAGE = "app.datasets.builtin"


def _lines(name: str) -> Iterator[dict[str, str]]:
    text = resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.strip():
            yield json.loads(line)


@cache
def builtin_queries() -> tuple[Query, ...]:
    """All built-in queries, each with its kind."""
    return tuple(
        Query(id=item["id"], text=item["text"], kind=item["kind"]) for item in _lines("queries.jsonl")
    )


@cache
def builtin_examples() -> tuple[Example, ...]:
    """The built-in example bank."""
    return tuple(
        Example(id=item["id"], query=item["query"], answer=item["answer"], kind=item["kind"])
        for item in _lines("example_bank.jsonl")
    )
