import pytest

from app.migrate import migrate
from app.settings import Settings
from optimizer.errors import InvalidInputError
from store.connections import Database
from store.errors import StoreUnavailableError
from store.schema import current_revision, head_revision, is_current


def settings_for(url: str) -> Settings:
    return Settings.model_validate({"database": {"url": url}})


async def test_an_empty_database_gets_the_newest_schema_and_keeps_it(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        assert await current_revision(database) is None
        for _ in range(2):
            await migrate(settings_for(empty_database_url))
            assert await current_revision(database) == head_revision()
        assert await is_current(database)
    finally:
        await database.close()


async def test_a_database_that_cannot_be_reached_is_said_so() -> None:
    with pytest.raises(StoreUnavailableError):
        await migrate(settings_for("postgresql://nobody@127.0.0.1:9/none?connect_timeout=1"))


async def test_another_kind_of_database_is_refused_with_the_field_s_name() -> None:
    with pytest.raises(InvalidInputError, match=r"database\.url: mysql is not supported") as caught:
        await migrate(settings_for("mysql://host/name"))
    assert caught.value.param == "database.url"
