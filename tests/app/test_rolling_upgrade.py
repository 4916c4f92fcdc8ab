"""A database that a newer version has upgraded already, while processes of this one still run."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.resources import open_resources
from optimizer.errors import InvalidInputError
from store.connections import Database
from store.schema import SchemaState, schema_state, upgrade
from tests.app.jobs.service import open_service, settings_for
from tests.architecture.sources import MIGRATIONS

FIRST_EXPANDING = 5
"""Revisions from this one on may meet processes of the release before."""


async def upgrade_as_a_newer_version_would(database: Database, *more: str) -> None:
    """Add what the rule for migrations allows, and whatever else is asked for."""
    async with database.session() as session:
        for statement in (
            "ALTER TABLE optimizations ADD COLUMN colour TEXT",
            "ALTER TABLE model_calls ADD COLUMN weight BIGINT NOT NULL DEFAULT 7",
            "CREATE TABLE colours (id TEXT PRIMARY KEY)",
            "UPDATE alembic_version SET version_num = '9999'",
            *more,
        ):
            await session.execute(text(statement))


@pytest.fixture
async def upgraded(empty_database_url: str) -> str:
    """A database of this version's schema, upgraded further."""
    await upgrade(empty_database_url)
    database = Database(empty_database_url)
    await upgrade_as_a_newer_version_would(database)
    await database.close()
    return empty_database_url


async def test_this_version_goes_on_with_a_newer_schema(
    upgraded: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with open_service(upgraded) as service:
            assert (await service.run())["status"] == "succeeded"
            assert (await service.get("/readyz"))["checks"]["schema"] == "ok"
    assert any("a newer version of drpo" in record.getMessage() for record in caplog.records)


async def test_a_newer_schema_without_what_this_version_uses_is_refused(upgraded: str) -> None:
    database = Database(upgraded)
    await upgrade_as_a_newer_version_would_not(database)
    assert await schema_state(database) is SchemaState.UNKNOWN
    await database.close()
    with pytest.raises(InvalidInputError, match="cannot work with") as refused:
        async with open_resources(settings_for(upgraded)):
            pytest.fail("it was opened")
    assert refused.value.param == "database.url"


async def upgrade_as_a_newer_version_would_not(database: Database) -> None:
    """Take away what this version uses."""
    async with database.session() as session:
        await session.execute(text("ALTER TABLE optimizations DROP COLUMN elapsed_seconds"))


def upgrades() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """The upgrades that a process of the release before may meet."""
    for path in sorted(MIGRATIONS.glob("r*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        revision = next(
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "revision"
        )
        if int(revision) >= FIRST_EXPANDING:
            for node in tree.body:
                if isinstance(node, ast.FunctionDef) and node.name != "downgrade":
                    yield path, node


ON_A_NEW_TABLE = "f'CREATE TRIGGER tr_{LOG}_"
"""Rules of a log that is made in the same migration."""
UNSEEN = "f'ALTER TABLE evaluations ALTER COLUMN {column} SET COMPRESSION "
"""How the database keeps what it gives back as ever."""
ALLOWED = frozenset({"op.add_column", "op.create_table", "op.create_index", "op.f", "op.get_bind"})


def calls_in(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """All calls, by what is called."""
    for found in ast.walk(node):
        if isinstance(found, ast.Call):
            yield ast.unparse(found.func), found


def test_migrations_only_add_and_what_they_add_can_be_left_out() -> None:
    """Or processes of the release before, which do not know it, could not write any more."""
    added = 0
    for path, function in upgrades():
        in_new_tables = {
            column
            for name, call in calls_in(function)
            if name == "op.create_table"
            for _, column in calls_in(call)
        }
        for name, call in calls_in(function):
            if name == "op.execute" and ast.unparse(call.args[0]).startswith((ON_A_NEW_TABLE, UNSEEN)):
                continue
            assert name in ALLOWED or not name.startswith("op."), f"{path.name}: {name} does more than add"
            if name == "sa.Column" and call not in in_new_tables:
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
                can_be_left_out = options.get("nullable") == "True" or "server_default" in options
                assert can_be_left_out, f"{path.name}: {ast.unparse(call)}"
                added += 1
    assert added > 10
