"""Keeping the vectors of texts within bounds: those that were made first go first."""

from typing import Final

from sqlalchemy import ColumnElement, delete, func, select, tuple_

from store.clock import db_now
from store.connections import Database
from store.models.embedding import Embedding
from store.records.embeddings import VectorTotals

_BATCH: Final = 500
"""Rows deleted in one transaction: calls under way wait for it."""
_ROW_BYTES: Final = 200
"""Of a row beside its vector: the hash of the text twice, once in the key's index, the model and the time."""


class VectorRetention:
    """Drops vectors. One that is needed again is made again."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def totals(self) -> VectorTotals:
        """How much is kept now."""
        statement = select(func.count(), func.coalesce(func.sum(_size()), 0)).select_from(Embedding)
        async with self._db.read() as session:
            vectors, size = (await session.execute(statement)).one()
        return VectorTotals(vectors=int(vectors), bytes=int(size))

    async def drop_due(self, *, keep_seconds: float | None, max_bytes: int | None) -> int:
        """Drop the vectors that are too old, and the oldest ones while there are too many.

        Args:
            keep_seconds: how long a vector is kept; None for ever.
            max_bytes: what all may take; None for any amount. Vectors made at the same moment go together.

        Returns:
            How many were dropped.
        """
        cutoff = await self._cutoff(keep_seconds, max_bytes)
        dropped = 0
        while cutoff is not None and (batch := await self._delete_some(cutoff)):
            dropped += batch
        return dropped

    async def _cutoff(self, keep_seconds: float | None, max_bytes: int | None) -> float | None:
        """The time up to which vectors are due; None where none is."""
        found: list[float | None] = []
        async with self._db.read() as session:
            if keep_seconds is not None:
                old = select(func.max(Embedding.at)).where(db_now() - Embedding.at > keep_seconds)
                found.append(await session.scalar(old))
            if max_bytes is not None:
                newest_first = func.sum(_size()).over(order_by=Embedding.at.desc())
                totals = select(Embedding.at, newest_first.label("total")).subquery()
                beyond = select(func.max(totals.c.at)).where(totals.c.total > max_bytes)
                found.append(await session.scalar(beyond))
        return max((at for at in found if at is not None), default=None)

    async def _delete_some(self, cutoff: float) -> int:
        due = select(Embedding.model, Embedding.text_sha).where(Embedding.at <= cutoff).limit(_BATCH)
        async with self._db.session() as session:
            keys = [tuple(row) for row in await session.execute(due)]
            if keys:
                await session.execute(
                    delete(Embedding).where(tuple_(Embedding.model, Embedding.text_sha).in_(keys))
                )
        return len(keys)


def _size() -> ColumnElement[int]:
    return func.length(Embedding.vector) + _ROW_BYTES
