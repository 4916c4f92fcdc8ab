from pathlib import Path

import pytest
from sqlalchemy import text

from app.migrate import migrate
from app.settings import Settings
from optimizer.errors import InvalidInputError
from store.connections import Database
from store.errors import StoreUnavailableError, UnusableStoreError
from store.schema import current_revision, head_revision


def settings_for(url: str) -> Settings:
    return Settings.model_validate({"database": {"url": url}})


async def test_an_empty_database_gets_the_newest_schema_and_keeps_it(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        assert await current_revision(database) is None
        for _ in range(2):
            await migrate(settings_for(empty_database_url))
            assert await current_revision(database) == head_revision()
    finally:
        await database.close()


async def test_a_database_that_cannot_be_reached_is_said_so() -> None:
    with pytest.raises(StoreUnavailableError):
        await migrate(settings_for("postgresql://nobody@127.0.0.1:9/none?connect_timeout=1"))


async def test_another_kind_of_database_is_refused_with_the_field_s_name() -> None:
    with pytest.raises(InvalidInputError, match=r"database\.url: mysql is not supported") as caught:
        await migrate(settings_for("mysql://host/name"))
    assert caught.value.param == "database.url"


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("These are my notes, and no database.\n" * 50)
    before = file.read_bytes()
    with pytest.raises(UnusableStoreError, match="no SQLite database"):
        await migrate(settings_for(f"sqlite:///{file}"))
    assert file.read_bytes() == before


async def test_a_schema_from_a_newer_version_is_refused_and_left_alone(empty_database_url: str) -> None:
    await migrate(settings_for(empty_database_url))
    database = Database(empty_database_url)
    try:
        async with database.session() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
        with pytest.raises(UnusableStoreError, match="r9999"):
            await migrate(settings_for(empty_database_url))
        assert await current_revision(database) == "r9999"
    finally:
        await database.close()
