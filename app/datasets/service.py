"""Query sets: upload and look at them."""

import asyncio

from app.datasets.parsing import parse_jsonl
from app.datasets.schemas import DatasetList, DatasetObject
from app.resources import Resources
from store.records.datasets import DatasetRecord, QueryRecord


class DatasetService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._datasets = resources.datasets

    async def upload(self, name: str, content: bytes) -> DatasetObject:
        """Store the queries of a JSONL file; the same file under the same name is stored once.

        Raises:
            InvalidInputError: a line cannot be read.
        """
        parsed = await asyncio.to_thread(parse_jsonl, content)  # a large file takes seconds
        queries = [QueryRecord(id=query.id, text=query.text, kind=query.kind) for query in parsed]
        return _show(await self._datasets.add(name, queries))

    async def list(self, *, after: str | None, limit: int) -> DatasetList:
        """A page of query sets, newest first.

        Raises:
            NotFoundError: there is none ``after``.
        """
        found = await self._datasets.list(after=after, limit=limit + 1)
        data = [_show(record) for record in found[:limit]]
        return DatasetList(
            data=data,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=len(found) > limit,
        )

    async def get(self, dataset_id: str) -> DatasetObject:
        """One query set.

        Raises:
            NotFoundError: there is none.
        """
        return _show(await self._datasets.get(dataset_id))


def _show(record: DatasetRecord) -> DatasetObject:
    return DatasetObject(
        id=record.id,
        name=record.name,
        sha256=record.sha256,
        queries=record.query_count,
        created_at=record.at,
    )
