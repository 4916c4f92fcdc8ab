"""The vectors of texts, by model. The first one stays."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select

from store.connections import Database
from store.models.embedding import Embedding
from store.repositories.conflicts import insert_new

_PAGE: Final = 500
"""Texts asked for in one statement: databases bound the parameters of one."""
_FIND: Final = select(Embedding.text_sha, Embedding.vector).where(
    Embedding.model == bindparam("of_model"),
    Embedding.text_sha.in_(bindparam("hashes", expanding=True)),
)


class EmbeddingRepository:
    """Vectors as bytes, by model and text."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, model: str, texts: Sequence[str]) -> dict[str, bytes]:
        """The vectors of those of ``texts`` that ``model`` has embedded before, by text."""
        hashes = {_hash(text): text for text in texts}
        return await self._db.fetch(lambda connection: _found(connection, model, hashes))

    async def put(self, model: str, vectors: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep the vectors that ``model`` gave for texts, unless there are others already.

        Returns:
            What is kept, by text.
        """
        hashes = {_hash(text): text for text in vectors}
        rows = [
            {"model": model, "text_sha": key, "vector": vectors[text]} for key, text in sorted(hashes.items())
        ]

        def work(connection: Connection) -> dict[str, bytes]:
            if rows:
                connection.execute(insert_new(self._db.dialect, Embedding), rows)
            return _found(connection, model, hashes)

        return await self._db.write(work)


def _found(connection: Connection, model: str, hashes: Mapping[str, str]) -> dict[str, bytes]:
    keys = list(hashes)
    found: dict[str, bytes] = {}
    for start in range(0, len(keys), _PAGE):
        page = keys[start : start + _PAGE]
        for row in connection.execute(_FIND, {"of_model": model, "hashes": page}):
            found[hashes[row.text_sha]] = row.vector
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
