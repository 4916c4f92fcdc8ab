"""How many small jobs a second workers finish: ``drpo worker`` processes on one PostgreSQL database.

A job is the smallest real one: made by the API, claimed under a lease, a search of one round with a few
calls to the simulated backend inside the worker. Its row is copied in one statement: all wait at once.
"""

import asyncio
import json
import time
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


async def _finish(database: Database, row: str, name: str, jobs: int, within: float) -> tuple[int, float]:
    """Have ``jobs`` jobs wait at once until all have ended, or ``within`` seconds are over.

    Returns:
        How many have ended, and the seconds from the first claim to the last end.

    Raises:
        RuntimeError: one did not succeed.
    """
    async with database.session() as session:
        await session.execute(text(_COPY), {"row": row, "name": name, "jobs": jobs})
    found, began = f"FROM optimizations WHERE id LIKE '{name}%' AND status IN {_ENDED}", time.monotonic()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        async with database.read() as session:
            ended = await session.scalar(text(f"SELECT count(*) {found}")) or 0
        if ended == jobs or time.monotonic() - began > within:
            break
    async with database.read() as session:
        failed = await session.scalar(text(f"SELECT count(*) {found} AND status <> 'succeeded'"))
        if failed:
            raise RuntimeError(f"{failed} of {jobs} jobs did not succeed")
        row_of_ended = await session.execute(
            text(f"SELECT count(*), max(finished_at) - min(started_at) {found}")
        )
        ended, seconds = row_of_ended.one()
    return int(ended), float(seconds or 0.0)


async def throughput(server: str, workers: int, jobs: int, within: float) -> tuple[int, float]:
    """Jobs that ``workers`` processes finish on a database of their own, and the seconds that they take."""
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
                    await _finish(database, row, "opt_warm_", 4 * workers, within)
                    return await _finish(database, row, "opt_small_", jobs, within)
            finally:
                await database.close()
    finally:
        databases.drop_all()


async def report_throughput(jobs: int, workers: tuple[int, ...], within: float) -> None:
    """Print the jobs a second of each number of workers, who have ``within`` seconds."""
    print(
        f"{jobs} of the smallest real jobs (one round, a few simulated calls), PostgreSQL, two at once each"
    )
    with postgres_server() as server:
        for number in workers:
            ended, seconds = await throughput(server, number, jobs, within)
            told = "" if ended == jobs else f" ({ended} in {within:.0f} s)"
            name = f"{number} drpo worker{'s' if number > 1 else ' '}"
            print(f"  {name} {ended / seconds:33.1f} jobs/s{told}", flush=True)
