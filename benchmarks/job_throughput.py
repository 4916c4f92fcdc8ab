"""How many small jobs a second workers finish: ``drpo worker`` processes on one PostgreSQL database.

A job is the smallest real one: made by the API, claimed under a lease, a search of one round with a few
calls to the simulated backend inside the worker. Its row is copied in one statement: all wait at once.
"""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import text

from app.resources import open_resources
from app.settings import Settings
from benchmarks.job_overhead import create_smallest
from store.connections import Database
from store.schema import upgrade
from tests.chaos.cluster import Worker, running
from tests.fixtures.database import PostgresDatabases
from tests.fixtures.postgres import postgres_server

_LOOK_SECONDS = 0.25
_ENDED = "('succeeded', 'failed', 'cancelled')"
_COPY = (
    "INSERT INTO optimizations SELECT (jsonb_populate_record(NULL::optimizations,"
    " CAST(:row AS jsonb) || jsonb_build_object('id', :name || n))).*"
    " FROM generate_series(1, CAST(:jobs AS integer)) AS n"
)


async def _queued_row(url: str) -> str:
    """The smallest job's row as the API makes it, in a database where nobody works; it is taken away."""
    settings = Settings.model_validate({"database": {"url": url}, "jobs": {"max_running": 0}})
    async with open_resources(settings) as resources:
        job = (await create_smallest(resources)).id
        async with resources.database.session() as session:
            row = await session.scalar(
                text("SELECT to_jsonb(o) FROM optimizations o WHERE id = :id"), {"id": job}
            )
            await session.execute(text("DELETE FROM optimizations WHERE id = :id"), {"id": job})
    return json.dumps(row)


async def _finish(database: Database, row: str, name: str, jobs: int) -> float:
    """Have ``jobs`` jobs wait at once until all have ended; the seconds from the first claim to the last end.

    Raises:
        RuntimeError: one did not succeed.
    """
    async with database.session() as session:
        await session.execute(text(_COPY), {"row": row, "name": name, "jobs": jobs})
    found = f"FROM optimizations WHERE id LIKE '{name}%'"
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        async with database.read() as session:
            if await session.scalar(text(f"SELECT count(*) {found} AND status IN {_ENDED}")) == jobs:
                break
    async with database.read() as session:
        failed = await session.scalar(text(f"SELECT count(*) {found} AND status <> 'succeeded'"))
        if failed:
            raise RuntimeError(f"{failed} of {jobs} jobs did not succeed")
        seconds = await session.scalar(text(f"SELECT max(finished_at) - min(started_at) {found}"))
    return float(seconds or 0.0)


async def throughput(server: str, workers: int, jobs: int) -> float:
    """Jobs a second that ``workers`` processes finish, on a database of their own."""
    databases = PostgresDatabases(server)
    try:
        url = databases.create()
        await upgrade(url)
        with TemporaryDirectory() as name:
            folder, config = Path(name), Path(name) / "drpo.toml"
            config.write_text(f'[database]\nurl = "{url}"\n[logging]\nlevel = "WARNING"\n', encoding="utf-8")
            row = await _queued_row(url)
            places = [
                Worker(f"worker{n}", ("worker", "--config", str(config)), folder, {}) for n in range(workers)
            ]
            database = Database(url, pool_size=1)
            try:
                async with running(places):
                    await _finish(database, row, "opt_warm_", 4 * workers)
                    return jobs / await _finish(database, row, "opt_small_", jobs)
            finally:
                await database.close()
    finally:
        databases.drop_all()


async def report_throughput(jobs: int, workers: tuple[int, ...]) -> None:
    """Print the jobs a second of each number of workers."""
    print(
        f"{jobs} of the smallest real jobs (one round, a few simulated calls), PostgreSQL, two at once each"
    )
    with postgres_server() as server:
        for number in workers:
            rate = await throughput(server, number, jobs)
            print(f"  {number} drpo worker{'s' if number > 1 else ' '} {rate:33.1f} jobs/s", flush=True)
