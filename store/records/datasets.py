"""Datasets as values."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryRecord:
    """One query; ``id`` is unique within its dataset."""

    id: str
    text: str
    kind: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetRecord:
    """A dataset without its queries; ``at`` in seconds since 1970."""

    id: str
    name: str
    sha256: str
    query_count: int
    at: float
