"""Prompt versions never change; labels move, and every move is on record."""

import asyncio

import pytest
from sqlalchemy import Connection, text

from store.connections import Database
from store.errors import ConflictError, LostLeaseError, NotFoundError
from store.json_values import JsonObject
from store.records.optimizations import OptimizationStatus
from store.records.prompts import LabelMoveDraft, LabelMoveRecord, PromptVersionDraft, PromptVersionRecord
from store.repositories.label_writes import move_label
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository
from store.repositories.version_writes import store_version
from tests.store.steps import new_lease, take_over


def _draft(system_prompt: str = "Be brief.", model: str = "small", **changes: object) -> PromptVersionDraft:
    values: dict[str, object] = {"model": model, "system_prompt": system_prompt, "sampling": {}}
    return PromptVersionDraft(**(values | changes))  # type: ignore[arg-type]


def _move(version: PromptVersionRecord, **changes: str) -> LabelMoveDraft:
    values = {
        "model": version.model,
        "label": "production",
        "version_id": version.id,
        "actor": "ann",
        "reason": "it is better",
    }
    return LabelMoveDraft(**(values | changes))


async def test_a_version_keeps_all_that_is_served(database: Database) -> None:
    lease = await new_lease(database)
    prompts = PromptRepository(database)
    draft = _draft(
        examples=({"query": "why?", "answer": "because"},),
        k=2,
        sampling={"temperature": 0.5, "stop": ["x"]},
        optimization_id=lease.optimization_id,
        candidate_id="c1.0.0",
        evidence={"verdict": "promoted"},
    )
    version = await prompts.add_version(draft)
    assert version.id.startswith("pv_")
    assert (version.model, version.number, version.k) == ("small", 1, 2)
    assert version.sampling == {"temperature": 0.5, "stop": ["x"]}
    assert version.evidence == {"verdict": "promoted"}
    assert (version.optimization_id, version.candidate_id) == (lease.optimization_id, "c1.0.0")
    assert version.example_bank_id is not None
    assert await prompts.example_bank(version.example_bank_id) == draft.examples
    assert await prompts.get_version(version.id) == version


async def test_the_same_content_is_the_same_version(database: Database) -> None:
    prompts = PromptRepository(database)
    first = await prompts.add_version(_draft(sampling={"top_p": 1, "temperature": 0}, evidence={"n": 1}))
    again = await prompts.add_version(_draft(sampling={"temperature": 0, "top_p": 1}, evidence={"n": 2}))
    assert again == first


@pytest.mark.parametrize(
    "change",
    [
        {"system_prompt": "Be long."},
        {"k": 1},
        {"sampling": {"temperature": 0}},
        {"examples": ({"query": "a", "answer": "b"},)},
    ],
)
async def test_other_content_is_another_version(database: Database, change: dict[str, object]) -> None:
    prompts = PromptRepository(database)
    first = await prompts.add_version(_draft())
    second = await prompts.add_version(_draft(**change))  # type: ignore[arg-type]
    assert second.id != first.id
    assert (first.number, second.number) == (1, 2)
    assert await prompts.versions("small") == (second, first)


async def test_models_count_their_versions_apart_and_share_banks(database: Database) -> None:
    prompts = PromptRepository(database)
    examples = ({"query": "a", "answer": "b"},)
    small = await prompts.add_version(_draft(examples=examples))
    large = await prompts.add_version(_draft(model="large", examples=examples))
    assert (small.number, large.number) == (1, 1)
    assert small.id != large.id
    assert small.example_bank_id == large.example_bank_id


async def test_a_bank_that_was_kept_before_is_the_versions_bank(database: Database) -> None:
    prompts = PromptRepository(database)
    examples: tuple[JsonObject, ...] = ({"query": "a", "answer": "b"},)
    bank_id = await prompts.add_example_bank(examples)
    assert bank_id is not None
    assert await prompts.add_example_bank(examples) == bank_id
    assert await prompts.example_bank(bank_id) == examples
    version = await prompts.add_version(_draft(examples=examples))
    assert version.example_bank_id == bank_id
    assert await prompts.add_example_bank(()) is None


async def test_versions_that_are_added_at_once_get_numbers_of_their_own(database: Database) -> None:
    prompts = PromptRepository(database)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(prompts.add_version(_draft(f"prompt {n % 5}"))) for n in range(15)]
    assert {task.result().number for task in tasks} == {1, 2, 3, 4, 5}
    assert len(await prompts.versions("small")) == 5


async def test_text_that_no_database_can_hold_does_not_break_idempotency(database: Database) -> None:
    prompts = PromptRepository(database)
    odd = _draft("a\x00b\ud800", examples=({"query": "\x00", "answer": ""},))
    first = await prompts.add_version(odd)
    assert first.system_prompt == "a\ufffdb\ufffd"
    assert await prompts.add_version(odd) == first


async def test_what_does_not_exist_is_not_found(database: Database) -> None:
    prompts = PromptRepository(database)
    version = await prompts.add_version(_draft())
    with pytest.raises(NotFoundError):
        await prompts.get_version("pv_none")
    with pytest.raises(NotFoundError):
        await prompts.example_bank("eb_none")
    with pytest.raises(NotFoundError):
        await prompts.move_label(_move(version, version_id="pv_none"))
    with pytest.raises(NotFoundError):
        await prompts.move_label(_move(version, model="large"))
    assert await prompts.labelled("small", "production") is None
    assert await prompts.labels() == ()


async def test_a_label_moves_and_the_move_is_on_record(database: Database) -> None:
    prompts = PromptRepository(database)
    first, second = await prompts.add_version(_draft("one")), await prompts.add_version(_draft("two"))

    label = await prompts.move_label(_move(first))
    assert (label.model, label.label, label.version_id) == ("small", "production", first.id)
    assert await prompts.labelled("small", "production") == first
    moved = await prompts.move_label(_move(second, actor="bob", reason="the gate said so"))
    assert await prompts.labelled("small", "production") == second
    assert await prompts.labels("small") == (moved,)
    assert moved.moved_at >= label.moved_at

    newer, older = await prompts.label_history("small")
    assert (older.from_version, older.to_version, older.actor) == (None, first.id, "ann")
    assert (newer.from_version, newer.to_version) == (first.id, second.id)
    assert (newer.actor, newer.reason) == ("bob", "the gate said so")
    assert newer.id > older.id


async def test_labels_are_apart_by_name_and_model(database: Database) -> None:
    prompts = PromptRepository(database)
    first, second = await prompts.add_version(_draft("one")), await prompts.add_version(_draft("two"))
    other = await prompts.add_version(_draft(model="large"))
    await prompts.move_label(_move(first))
    await prompts.move_label(_move(second, label="staging"))
    await prompts.move_label(_move(other))
    assert await prompts.labelled("small", "production") == first
    assert await prompts.labelled("small", "staging") == second
    assert await prompts.labelled("large", "production") == other
    assert [(item.model, item.label) for item in await prompts.labels()] == [
        ("large", "production"),
        ("small", "production"),
        ("small", "staging"),
    ]
    assert [item.to_version for item in await prompts.label_history("small", "staging")] == [second.id]


async def test_a_move_to_where_the_label_points_is_no_move(database: Database) -> None:
    prompts = PromptRepository(database)
    version = await prompts.add_version(_draft())
    label = await prompts.move_label(_move(version))
    assert await prompts.move_label(_move(version)) == label
    assert len(await prompts.label_history("small")) == 1


async def test_a_move_from_elsewhere_than_expected_is_a_conflict(database: Database) -> None:
    prompts = PromptRepository(database)
    first, second = await prompts.add_version(_draft("one")), await prompts.add_version(_draft("two"))
    with pytest.raises(ConflictError):
        await prompts.move_label(_move(first), expected=second.id)
    await prompts.move_label(_move(first), expected=None)
    with pytest.raises(ConflictError):
        await prompts.move_label(_move(second), expected=None)
    await prompts.move_label(_move(second), expected=first.id)
    assert await prompts.labelled("small", "production") == second
    assert len(await prompts.label_history("small")) == 2


async def test_of_movers_with_the_same_expectation_one_succeeds(database: Database) -> None:
    prompts = PromptRepository(database)
    versions = [await prompts.add_version(_draft(f"prompt {n}")) for n in range(4)]

    async def try_to_move(version: PromptVersionRecord) -> bool:
        try:
            await prompts.move_label(_move(version), expected=None)
        except ConflictError:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(try_to_move(version)) for version in versions]
    assert [task.result() for task in tasks].count(True) == 1
    assert len(await prompts.label_history("small")) == 1


async def test_each_model_is_served_by_its_label_or_else_by_its_newest(database: Database) -> None:
    prompts = PromptRepository(database)
    assert await prompts.served("production") == ()
    old = await prompts.add_version(_draft("one"))
    await prompts.add_version(_draft("two"))
    await prompts.add_version(_draft("one", model="large"))
    newest = await prompts.add_version(_draft("two", model="large"))
    await prompts.move_label(_move(old))
    await prompts.move_label(_move(newest, label="staging"))
    served = await prompts.served("production")
    assert [(item.version, item.labelled) for item in served] == [(newest, False), (old, True)]


async def test_version_label_and_end_of_the_run_are_one_transaction(database: Database) -> None:
    lost = await new_lease(database)
    lease = await take_over(database, lost)
    prompts, optimizations = PromptRepository(database), OptimizationRepository(database)

    def publish(connection: Connection) -> JsonObject:
        version, is_new = store_version(connection, _draft())
        assert is_new
        assert store_version(connection, _draft()) == (version, False)
        move_label(connection, _move(version), expected=None)
        with pytest.raises(ConflictError):  # after which the transaction goes on
            move_label(connection, _move(version), expected="pv_other")
        return {"prompt_version": version.id}

    with pytest.raises(LostLeaseError):
        await optimizations.finish(lost, OptimizationStatus.SUCCEEDED, before=publish)
    assert await prompts.versions("small") == ()
    assert await prompts.label_history("small") == ()
    ended = await optimizations.finish(
        lease, OptimizationStatus.SUCCEEDED, result={"best": 1}, before=publish
    )
    served = await prompts.labelled("small", "production")
    assert served is not None
    assert ended.result == {"best": 1, "prompt_version": served.id}


REPLACE = """
    INSERT OR REPLACE INTO prompt_versions
        (id, model, number, content_hash, system_prompt, k, sampling, created_at)
    SELECT {id}, model, {number}, {content_hash}, 'another prompt', k, sampling, 1 FROM prompt_versions
"""
CHANGES = [
    "UPDATE {table} SET {column} = 'x'",
    "DELETE FROM {table}",
    "UPDATE {table} SET id = id",
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("table", "column"),
    [("prompt_versions", "system_prompt"), ("example_banks", "id"), ("label_moves", "actor")],
)
async def test_what_was_served_cannot_be_changed_by_raw_sql_either(
    database: Database, table: str, column: str, change: str
) -> None:
    prompts = PromptRepository(database)
    version = await prompts.add_version(_draft(examples=({"query": "a"},)))
    await prompts.move_label(_move(version))
    with pytest.raises(ConflictError, match="immutable"):
        async with database.session() as session:
            await session.execute(text(change.format(table=table, column=column)))
    assert await prompts.get_version(version.id) == version
    assert len(await prompts.label_history("small")) == 1


@pytest.mark.parametrize("key", ["id", "number", "content_hash"])
async def test_sqlite_cannot_replace_a_version_by_another_row(sqlite_url: str, key: str) -> None:
    db = Database(sqlite_url)
    version = await PromptRepository(db).add_version(_draft())
    values = {"id": "'pv_new'", "number": "9", "content_hash": "'new'"} | {key: key}
    replacing = REPLACE.format(**values)
    with pytest.raises(ConflictError, match="immutable"):
        async with db.session() as session:
            await session.execute(text(replacing))
    assert await PromptRepository(db).versions("small") == (version,)
    await db.close()


async def test_postgresql_cannot_truncate_versions(postgres_url: str) -> None:
    db = Database(postgres_url)
    version = await PromptRepository(db).add_version(_draft())
    with pytest.raises(ConflictError, match="immutable"):
        async with db.session() as session:
            await session.execute(text("TRUNCATE prompt_versions CASCADE"))
    assert await PromptRepository(db).versions("small") == (version,)
    await db.close()


async def test_a_move_is_undone_and_both_are_on_record(database: Database) -> None:
    prompts = PromptRepository(database)
    first, second = await prompts.add_version(_draft("one")), await prompts.add_version(_draft("two"))
    await prompts.move_label(_move(first))
    await prompts.move_label(_move(second))

    undone = await _undo(prompts)

    assert (undone.from_version, undone.to_version, undone.actor) == (second.id, first.id, "bob")
    assert await _pointed(prompts) == first.id
    history = await prompts.label_history("small")
    assert [(move.to_version, move.undoes) for move in history] == [
        (first.id, history[1].id),
        (second.id, None),
        (first.id, None),
    ]
    with pytest.raises(ConflictError, match="name it to undo it"):
        await _undo(prompts)
    assert (await _undo(prompts, history[0].id)).to_version == second.id
    assert await _pointed(prompts) == second.id


async def test_undoing_the_first_move_takes_the_label_away_and_undoing_that_brings_it_back(
    database: Database,
) -> None:
    prompts = PromptRepository(database)
    version = await prompts.add_version(_draft())
    await prompts.move_label(_move(version))
    undone = await _undo(prompts)
    assert (undone.from_version, undone.to_version) == (version.id, None)
    assert await prompts.labels("small") == ()
    back = await _undo(prompts, undone.id)
    assert (back.from_version, back.to_version) == (None, version.id)
    assert await _pointed(prompts) == version.id


async def test_only_the_last_move_can_be_undone(database: Database) -> None:
    prompts = PromptRepository(database)
    with pytest.raises(NotFoundError, match="production of small was never moved"):
        await _undo(prompts)
    first, second = await prompts.add_version(_draft("one")), await prompts.add_version(_draft("two"))
    await prompts.move_label(_move(first))
    await prompts.move_label(_move(second))
    last, earlier = await prompts.label_history("small")
    with pytest.raises(ConflictError, match=f"moved since: its last move is {last.id}"):
        await _undo(prompts, earlier.id)
    with pytest.raises(NotFoundError, match="has no move 999"):
        await _undo(prompts, 999)
    assert await _pointed(prompts) == second.id


async def test_of_those_who_undo_the_same_move_one_succeeds(database: Database) -> None:
    prompts = PromptRepository(database)
    first, second = await prompts.add_version(_draft("one")), await prompts.add_version(_draft("two"))
    await prompts.move_label(_move(first))
    await prompts.move_label(_move(second))
    move = (await prompts.label_history("small"))[0].id
    found = await asyncio.gather(*(_undo(prompts, move) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(item, ConflictError) for item in found) == 4
    assert await _pointed(prompts) == first.id


async def _undo(prompts: PromptRepository, move_id: int | None = None) -> LabelMoveRecord:
    return await prompts.undo_move("small", "production", move_id=move_id, actor="bob", reason="worse")


async def _pointed(prompts: PromptRepository) -> str:
    (label,) = await prompts.labels("small")
    return label.version_id
