"""Servers that may be killed."""

from collections.abc import Iterator

import psycopg
import pytest

from store.schema import upgrade
from tests.fixtures.postgres import (
    LASTING,
    NOT_RUN,
    NoServerError,
    PostgresServer,
    installed_binaries,
    own_server,
)


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the test's own."""
    try:
        with own_server(installed_binaries(), options=LASTING) as server:
            yield server
    except NoServerError as error:
        # no server can be started on this machine; the summary names what was not run
        pytest.skip(f"{NOT_RUN}: {error}")


@pytest.fixture
async def chaos_url(postgres: PostgresServer) -> str:
    """A migrated database on ``postgres``."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE chaos TEMPLATE template0")
    url = postgres.url.removesuffix("/postgres") + "/chaos"
    await upgrade(url)
    return url
