"""Datasets of queries."""

from collections.abc import Sequence

from sqlalchemy import insert, select, tuple_

from store.connections import Database, Session
from store.errors import NotFoundError
from store.ids import new_id
from store.json_values import JsonValue, content_hash
from store.models.base import storable_json, storable_text
from store.models.dataset import Dataset
from store.models.dataset_query import DatasetQuery
from store.records.datasets import DatasetRecord, QueryRecord


class DatasetRepository:
    """Datasets never change: other content is another dataset."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(
        self, name: str, queries: Sequence[QueryRecord], *, session: Session | None = None
    ) -> DatasetRecord:
        """Add a dataset, or find the one with this name and these queries in this order.

        Raises:
            ConflictError: two queries have the same id.
        """
        contents: list[JsonValue] = [[query.id, query.text, query.kind] for query in queries]
        sha256 = content_hash(storable_json(contents))
        same = (Dataset.name == storable_text(name), Dataset.sha256 == sha256)
        async with self._db.session(session) as transaction:
            await self._db.serialise(transaction, f"datasets:{sha256}")
            known = await transaction.scalar(select(Dataset).where(*same))
            if known is not None:
                return _dataset(known)
            statement = insert(Dataset).values(
                id=new_id("ds"), name=name, sha256=sha256, query_count=len(queries)
            )
            row = (await transaction.scalars(statement.returning(Dataset))).one()
            if queries:
                await transaction.execute(
                    insert(DatasetQuery),
                    [
                        {
                            "dataset_id": row.id,
                            "position": position,
                            "query_id": query.id,
                            "text": query.text,
                            "kind": query.kind,
                        }
                        for position, query in enumerate(queries)
                    ],
                )
            return _dataset(row)

    async def get(self, dataset_id: str) -> DatasetRecord:
        """The dataset ``dataset_id``.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.read() as session:
            return _dataset(await _find(session, dataset_id))

    async def list(self, *, after: str | None = None, limit: int) -> tuple[DatasetRecord, ...]:
        """Datasets, newest first: those that follow the dataset ``after``, ``limit`` at most.

        Raises:
            NotFoundError: there is no dataset ``after``.
        """
        statement = select(Dataset).order_by(Dataset.at.desc(), Dataset.id.desc()).limit(limit)
        async with self._db.read() as session:
            if after is not None:
                seen = await _find(session, after)
                statement = statement.where(tuple_(Dataset.at, Dataset.id) < (seen.at, seen.id))
            return tuple(_dataset(row) for row in await session.scalars(statement))

    async def queries(self, dataset_id: str) -> tuple[QueryRecord, ...]:
        """The queries of a dataset, in its order; none where it does not exist."""
        statement = select(DatasetQuery.query_id, DatasetQuery.text, DatasetQuery.kind).where(
            DatasetQuery.dataset_id == dataset_id
        )
        statement = statement.order_by(DatasetQuery.position)
        rows = await self._db.fetch(lambda connection: connection.execute(statement).all())
        return tuple(QueryRecord(id=row.query_id, text=row.text, kind=row.kind) for row in rows)


async def _find(session: Session, dataset_id: str) -> Dataset:
    row = await session.get(Dataset, dataset_id)
    if row is None:
        raise NotFoundError(f"there is no dataset {dataset_id}")
    return row


def _dataset(row: Dataset) -> DatasetRecord:
    return DatasetRecord(id=row.id, name=row.name, sha256=row.sha256, query_count=row.query_count, at=row.at)
