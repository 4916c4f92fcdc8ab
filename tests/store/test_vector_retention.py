"""The vectors of texts are kept within bounds, on every database."""

import pytest
from sqlalchemy import text

from store.connections import Database
from store.repositories.embeddings import EmbeddingRepository
from store.repositories.vector_retention import VectorRetention

VECTOR = bytes(400)
ROW = 600
"""What a row counts for."""


async def keep(database: Database, ages: dict[str, float]) -> None:
    """Vectors that were made so many seconds ago, by text."""
    repository = EmbeddingRepository(database)
    for name, age in ages.items():
        await repository.put("m", {name: VECTOR})
        async with database.session() as session:
            await session.execute(
                text("UPDATE embeddings SET at = at - :age WHERE at = (SELECT max(at) FROM embeddings)"),
                {"age": age},
            )


async def kept(database: Database, *names: str) -> set[str]:
    return set(await EmbeddingRepository(database).find("m", names))


AGES = {"old": 300.0, "middle": 200.0, "new": 100.0}


async def test_what_is_kept_is_counted(database: Database) -> None:
    retention = VectorRetention(database)
    assert ((await retention.totals()).vectors, (await retention.totals()).bytes) == (0, 0)
    await keep(database, AGES)
    assert ((await retention.totals()).vectors, (await retention.totals()).bytes) == (3, 3 * ROW)


@pytest.mark.parametrize(
    ("keep_seconds", "max_bytes", "left"),
    [
        (None, None, {"old", "middle", "new"}),
        (1000, 3 * ROW, {"old", "middle", "new"}),
        (250, None, {"middle", "new"}),
        (None, 2 * ROW, {"middle", "new"}),
        (None, 2 * ROW - 1, {"new"}),
        (250, ROW, {"new"}),
        (150, 3 * ROW, {"new"}),
        (None, 0, set()),
        (0, None, set()),
    ],
)
async def test_the_oldest_vectors_go_first(
    database: Database, keep_seconds: float | None, max_bytes: int | None, left: set[str]
) -> None:
    await keep(database, AGES)
    retention = VectorRetention(database)
    dropped = await retention.drop_due(keep_seconds=keep_seconds, max_bytes=max_bytes)
    assert await kept(database, *AGES) == left
    assert dropped == 3 - len(left)
    assert (await retention.totals()).vectors == len(left)


async def test_more_vectors_than_one_transaction_takes_are_dropped(database: Database) -> None:
    await EmbeddingRepository(database).put("m", {f"text {number}": VECTOR for number in range(1203)})
    await EmbeddingRepository(database).put("other", {"text 1": VECTOR})
    assert await VectorRetention(database).drop_due(keep_seconds=None, max_bytes=0) == 1204
