import asyncio
import dataclasses
from pathlib import Path

import pytest

from app.version import VERSION
from store.connections import Database
from tests.app.chat.serving import client_of, open_service
from tests.fixtures.redis import RedisServer


def checks(database: str, schema: str) -> dict[str, str]:
    return {"database": database, "schema": schema, "limits": "per_process"}


async def test_probes_need_no_key(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-ours-0123456789abcdef"}) as service:
        alive = await service.client.get("/livez")
        assert (alive.status_code, alive.json()) == (
            200,
            {"status": "ok", "service": "drpo", "version": VERSION},
        )
        for path in ("/readyz", "/health"):
            ready = await service.client.get(path)
            assert ready.status_code == 200
            assert ready.json() == {
                "status": "ok",
                "checks": {"database": "ok", "schema": "ok", "limits": "per_process"},
            }
        assert service.fake.requests == []


async def test_a_schema_of_another_version_is_not_ready(sqlite_url: str, tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    async with open_service(sqlite_url) as service:
        resources = dataclasses.replace(service.resources, database=empty)
        async with client_of(resources) as client:
            ready = await client.get("/readyz")
            assert (await client.get("/livez")).status_code == 200
    await empty.close()
    assert ready.status_code == 503
    assert ready.json() == {
        "status": "unavailable",
        "checks": {"database": "ok", "schema": "outdated", "limits": "per_process"},
    }


UNREACHABLE = {
    "status": "unavailable",
    "checks": {"database": "unreachable", "schema": "unknown", "limits": "per_process"},
}


async def test_without_its_database_it_is_not_ready(sqlite_url: str, tmp_path: Path) -> None:
    lost = Database(f"sqlite:///{tmp_path / 'no-such-folder' / 'drpo.db'}")
    async with (
        open_service(sqlite_url) as service,
        client_of(dataclasses.replace(service.resources, database=lost)) as client,
    ):
        ready = await client.get("/readyz")
    await lost.close()
    assert (ready.status_code, ready.json()) == (503, UNREACHABLE)


async def test_a_database_that_hangs_is_not_ready(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: Database) -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr("app.health.service.schema_state", hang)
    monkeypatch.setattr("app.health.service._PATIENCE_SECONDS", 0.01)
    async with open_service(sqlite_url) as service:
        ready = await service.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, UNREACHABLE)


async def test_it_says_whether_limits_are_shared_and_serves_all_the_same(
    sqlite_url: str, redis_server: RedisServer
) -> None:
    redis_server.begin()
    await redis_server.until_up()
    async with open_service(sqlite_url, redis={"url": redis_server.url}) as service:
        shared = await service.client.get("/readyz")
        redis_server.kill()
        alone = await service.client.get("/readyz")
    assert (shared.status_code, shared.json()["checks"]["limits"]) == (200, "shared")
    assert (alone.status_code, alone.json()["checks"]["limits"]) == (200, "redis_unreachable")
