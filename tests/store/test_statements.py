from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, bindparam, func, insert, literal_column, select, text, update

from store.connections import Database
from store.errors import ConflictError, StoreUnavailableError
from store.models.optimization import Optimization
from store.models.optimization_decision import OptimizationDecision
from store.models.optimization_event import OptimizationEvent
from store.statements import ObjectStatement, Statement
from tests.store.steps import new_optimization

_INSERT = Statement(insert(OptimizationDecision), columns=("optimization_id", "name", "value"))
_OF_NAME = OptimizationDecision.name == bindparam("of_name")
_VALUE = Statement(select(OptimizationDecision.value).where(_OF_NAME))
_ADD = Statement(
    update(OptimizationDecision).where(_OF_NAME).values(value=OptimizationDecision.value + bindparam("more"))
)
_EVENT = Statement(insert(OptimizationEvent), columns=("optimization_id", "seq", "key", "type", "body"))
_EVENTS = Statement(
    select(OptimizationEvent.key, OptimizationEvent.body).where(
        OptimizationEvent.optimization_id == bindparam("of_id")
    )
)


@pytest.fixture
async def on_sqlite(sqlite_url: str) -> AsyncIterator[Database]:
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


async def test_each_dialect_has_its_form_and_finds_true_and_false(database: Database) -> None:
    job = await new_optimization(database)
    columns = (Optimization.cancel_requested, func.length(bindparam("word")))
    found = Statement(
        select(*columns, func.pg_typeof(Optimization.id)).where(Optimization.id == bindparam("of_id")),
        on_sqlite=select(*columns, func.typeof(Optimization.id)).where(Optimization.id == bindparam("of_id")),
    )

    def work(connection: Connection) -> list[object]:
        return list(found.rows(connection, {"of_id": job, "word": "abc"})[0])

    assert await database.fetch(work) == [False, 3, "text"]


async def test_texts_and_json_are_stored_as_their_columns_say(database: Database) -> None:
    job = await new_optimization(database)
    row = {"optimization_id": job, "seq": 1, "key": "a\0", "type": "t", "body": {"b\ud800": [None, "ä"]}}

    def work(connection: Connection) -> list[object]:
        _EVENT.execute(connection, [row])
        return [list(found) for found in _EVENTS.rows(connection, {"of_id": job})]

    assert await database.write(work) == [["a\ufffd", {"b\ufffd": [None, "ä"]}]]


async def test_values_that_never_change_are_stored_as_their_columns_say(database: Database) -> None:
    job = await new_optimization(database)
    fixed = {"key": "it's ? \0", "type": "t", "body": {"who's": ["?", None, "ä\0"]}}
    event = Statement(insert(OptimizationEvent).values(**fixed), columns=("optimization_id", "seq"))

    def work(connection: Connection) -> list[object]:
        event.execute(connection, [{"optimization_id": job, "seq": 1}])
        return [list(found) for found in _EVENTS.rows(connection, {"of_id": job})]

    assert await database.write(work) == [["it's ? \ufffd", {"who's": ["?", None, "ä\ufffd"]}]]


async def test_values_are_found_in_the_attributes_of_objects(database: Database) -> None:
    job = await new_optimization(database)
    places = {"optimization_id": "job.id", "seq": "seq", "key": "key", "type": "job.type", "body": "body"}
    event = ObjectStatement(insert(OptimizationEvent), places)
    renamed = ObjectStatement(
        update(OptimizationEvent)
        .where(OptimizationEvent.seq == bindparam("of_seq"))
        .values(type="renamed", key=bindparam("new_key")),
        {"of_seq": "seq", "new_key": "body.word"},
    )
    owner = SimpleNamespace(id=job, type="t")
    objects = [SimpleNamespace(job=owner, seq=n, key=f"{n}\0", body={"n": n}) for n in (1, 2)]

    def work(connection: Connection) -> list[object]:
        event.execute_for(connection, objects)
        event.execute_for(connection, [])
        renamed.execute_for(connection, [SimpleNamespace(seq=2, body=SimpleNamespace(word="two"))])
        return [list(found) for found in _EVENTS.rows(connection, {"of_id": job})]

    assert sorted(await database.write(work), key=str) == [["1\ufffd", {"n": 1}], ["two", {"n": 2}]]
    with pytest.raises(AttributeError, match="key"):
        await database.write(
            lambda connection: event.execute_for(connection, [SimpleNamespace(job=owner, seq=3, body={})])
        )


def test_a_question_mark_that_is_no_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="question mark"):
        Statement(select(literal_column("'?'")).where(_OF_NAME))


async def test_a_row_has_its_columns_as_attributes(database: Database) -> None:
    job = await new_optimization(database)
    found = Statement(select(Optimization).where(Optimization.id == bindparam("of_id")))

    def work(connection: Connection) -> tuple[object, ...]:
        row = found.one(connection, {"of_id": job})
        return row.id, row.cancel_requested, row.spec, found.first(connection, {"of_id": "none"})

    assert await database.fetch(work) == (job, False, {"preset": "mini"}, None)
    with pytest.raises(LookupError):
        await database.fetch(lambda connection: found.one(connection, {"of_id": "none"}))


async def test_no_value_may_lack(on_sqlite: Database) -> None:
    job = await new_optimization(on_sqlite)

    with pytest.raises(KeyError, match="seq"):
        await on_sqlite.write(lambda connection: _EVENT.execute(connection, [{"optimization_id": job}]))


async def test_what_the_driver_says_becomes_an_error_of_ours_and_nothing_is_written(
    on_sqlite: Database, sqlite_url: str
) -> None:
    database = on_sqlite
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
