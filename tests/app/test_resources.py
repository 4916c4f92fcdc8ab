"""What a process opens: whose the database is, and what stands in the way."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from sqlalchemy import text

from app.resources import open_resources
from optimizer.errors import InvalidInputError
from store.connections import Database
from store.repositories.optimizations import OptimizationRepository
from store.schema import upgrade
from tests.app.jobs.service import open_service, settings_for
from tests.fixtures.database import PostgresDatabases
from tests.store.steps import ANY_SOFTWARE, new_lease


async def refusal(url: str) -> InvalidInputError:
    """Why ``url`` cannot be opened."""
    with pytest.raises(InvalidInputError) as caught:
        async with open_resources(settings_for(url)):
            pytest.fail("it was opened")
    return caught.value


async def test_a_second_service_on_the_same_file_is_refused_and_told_what_to_do(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        error = await refusal(sqlite_url)
        assert error.param == "database.url"
        assert "another process serves the database file" in str(error)
        assert "--url" in str(error)
        assert (await service.run(held_out=0))["status"] == "succeeded"
    async with open_service(sqlite_url) as service:  # the lock is free again
        assert len((await service.get("/v1/optimizations"))["data"]) == 1


async def test_the_lock_holds_between_processes(sqlite_url: str) -> None:
    holder = (
        "import sys\n"
        "from filelock import FileLock\n"
        "with FileLock(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    lock = Database(sqlite_url).lock_path
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", holder, str(lock), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    assert "another process" in str(await refusal(sqlite_url))
    process.kill()
    await process.communicate()
    async with open_service(sqlite_url):
        pass


async def test_many_services_share_a_postgresql_database(postgres_url: str) -> None:
    async with open_service(postgres_url) as first, open_service(postgres_url) as second:
        job = await first.start(held_out=0)
        assert (await second.finished(job))["status"] == "succeeded"


async def test_an_sqlite_file_is_made_and_brought_up_to_date(tmp_path: Path) -> None:
    async with open_service(f"sqlite:///{tmp_path / 'new.db'}") as service:
        assert (await service.get("/v1/optimizations"))["data"] == []


async def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "misspelt"
    refused = await refusal(f"sqlite:///{folder}/drpo.db")
    assert refused.param == "database.url"
    assert f"there is no folder {folder}" in str(refused)
    assert not await asyncio.to_thread(folder.exists)


async def test_an_outdated_postgresql_schema_is_refused_with_the_command_to_run(
    postgres_databases: PostgresDatabases,
) -> None:
    url = postgres_databases.create()
    assert "drpo migrate" in str(await refusal(url))
    await upgrade(url)
    async with open_service(url) as service:
        assert (await service.get("/v1/prompts"))["object"] == "list"


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:"])
async def test_a_database_of_another_kind_is_refused(url: str) -> None:
    assert (await refusal(url)).param == "database.url"


async def test_jobs_of_a_dead_process_begin_again_at_once_on_sqlite(sqlite_url: str) -> None:
    """Their leases have long to run, but who holds the lock knows that nobody works on them."""
    async with open_service(sqlite_url, jobs={"max_running": 0}) as service:
        job = await service.start(held_out=0)
    database = Database(sqlite_url)
    claim = await OptimizationRepository(database).claim_next(owner="dead", ttl=1e9, software=ANY_SOFTWARE)
    assert claim is not None
    await database.close()
    async with open_service(sqlite_url) as service:
        assert (await service.finished(job))["status"] == "succeeded"


async def test_jobs_of_living_processes_are_left_alone_on_postgresql(postgres_url: str) -> None:
    database = Database(postgres_url)
    lease = await new_lease(database)
    async with open_service(postgres_url):
        async with database.read() as session:
            left = await session.scalar(text("SELECT lease_until FROM optimizations"))
        assert left > 0
        assert (await OptimizationRepository(database).get(lease.optimization_id)).owner == lease.owner
    await database.close()
