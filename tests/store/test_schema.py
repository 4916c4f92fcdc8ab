"""The migrations and the models say the same, on both dialects."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, inspect, text

from store.connections import Database
from store.schema import METADATA, current_revision, downgrade, head_revision, upgrade


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), METADATA))


def _check_constraints(connection: Connection) -> dict[str, set[str | None]]:
    inspector = inspect(connection)
    return {
        table: {check["name"] for check in inspector.get_check_constraints(table)}
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


async def test_the_migrations_make_the_tables_that_the_models_describe(database: Database) -> None:
    async with database.read() as session:
        connection = await session.connection()
        differences = await connection.run_sync(_differences)
        checks = await connection.run_sync(_check_constraints)

    expected: dict[str, set[str | None]] = {
        table.name: {
            str(constraint.name)
            for constraint in table.constraints
            if isinstance(constraint, CheckConstraint)
        }
        for table in METADATA.tables.values()
    }
    assert differences == []
    assert checks == expected
    assert len(expected) == 35


async def test_an_empty_database_is_upgraded_and_taken_back_to_nothing(empty_database_url: str) -> None:
    async def state() -> tuple[str | None, set[str]]:
        db = Database(empty_database_url)
        try:
            async with db.read() as session:
                connection = await session.connection()
                tables = await connection.run_sync(lambda c: set(inspect(c).get_table_names()))
            return await current_revision(db), tables - {"alembic_version"}
        finally:
            await db.close()

    assert await state() == (None, set())
    await upgrade(empty_database_url)
    assert await state() == (head_revision(), set(METADATA.tables))
    await downgrade(empty_database_url)
    assert await state() == (None, set())
    await upgrade(empty_database_url)
    assert await state() == (head_revision(), set(METADATA.tables))


async def test_upgrading_again_changes_nothing(database: Database, database_url: str) -> None:
    async with database.session() as session:
        await session.execute(
            text("INSERT INTO example_banks (id, examples, created_at) VALUES ('eb_1', '[]', 1)")
        )
    await upgrade(database_url)
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM example_banks")) == 1


async def test_answers_and_scores_are_compressed_by_lz4_where_the_server_has_it(database: Database) -> None:
    if database.dialect == "sqlite":
        return
    has_lz4 = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    chosen = (
        "SELECT attname FROM pg_attribute WHERE attrelid = 'evaluations'::regclass AND attcompression = 'l'"
    )
    async with database.read() as session:
        expected = {"answer", "criteria"} if await session.scalar(text(has_lz4)) else set()
        assert set(await session.scalars(text(chosen))) == expected
