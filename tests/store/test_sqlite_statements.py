from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, bindparam, select, text, update
from sqlalchemy.dialects import sqlite

from store.connections import Database
from store.errors import ConflictError, StoreUnavailableError
from store.models.optimization_decision import OptimizationDecision
from store.models.optimization_event import OptimizationEvent
from store.sqlite_statements import SqliteStatement
from tests.store.steps import new_optimization

_INSERT = SqliteStatement(sqlite.insert(OptimizationDecision), ("optimization_id", "name", "value"))
_OF_NAME = OptimizationDecision.name == bindparam("of_name")
_VALUE = SqliteStatement(select(OptimizationDecision.value).where(_OF_NAME))
_ADD = SqliteStatement(
    update(OptimizationDecision).where(_OF_NAME).values(value=OptimizationDecision.value + bindparam("more"))
)
_EVENT = SqliteStatement(sqlite.insert(OptimizationEvent), ("optimization_id", "seq", "key", "type", "body"))
_EVENTS = SqliteStatement(
    select(OptimizationEvent.key, OptimizationEvent.body).where(
        OptimizationEvent.optimization_id == bindparam("of_id")
    )
)


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    await opened.close()


async def test_a_statement_runs_for_each_row_and_finds_one_value(database: Database) -> None:
    job = await new_optimization(database)

    def work(connection: Connection) -> list[int | None]:
        _INSERT.execute(connection, [{"optimization_id": job, "name": name, "value": 1} for name in "ab"])
        _ADD.execute(connection, [{"of_name": "a", "more": 2}, {"of_name": "a", "more": 3}])
        return [_VALUE.scalar(connection, {"of_name": name}) for name in "abc"]

    assert await database.write(work) == [6, 1, None]


async def test_texts_and_json_are_stored_as_their_columns_say_and_nothing_may_lack(
    database: Database,
) -> None:
    job = await new_optimization(database)
    row = {"optimization_id": job, "seq": 1, "key": "a\0", "type": "t", "body": {"b\ud800": [None, "ä"]}}

    def work(connection: Connection) -> list[object]:
        _EVENT.execute(connection, [row])
        return [list(found) for found in _EVENTS.rows(connection, {"of_id": job})]

    assert await database.write(work) == [["a\ufffd", '{"b\\ufffd":[null,"\\u00e4"]}']]
    with pytest.raises(KeyError, match="seq"):
        await database.write(lambda connection: _EVENT.execute(connection, [{"optimization_id": job}]))


async def test_what_the_driver_says_becomes_an_error_of_ours_and_nothing_is_written(
    database: Database, sqlite_url: str
) -> None:
    job = await new_optimization(database)
    row = {"optimization_id": job, "name": "a", "value": 1}

    with pytest.raises(ConflictError, match="UNIQUE"):
        await database.write(lambda connection: _INSERT.execute(connection, [row, row]))
    assert await database.fetch(lambda connection: _VALUE.scalar(connection, {"of_name": "a"})) is None

    another = Database(sqlite_url, busy_seconds=0.01)
    async with database.session() as session:
        await session.execute(text("SELECT 1"))  # a transaction begins with what it is first used for
        with pytest.raises(StoreUnavailableError, match="locked"):
            await another.write(lambda connection: _INSERT.execute(connection, [row]))
    await another.close()
    await database.write(lambda connection: _INSERT.execute(connection, [row]))
