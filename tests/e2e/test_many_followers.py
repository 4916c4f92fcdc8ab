"""Two hundred followers of one job on two replicas of the API, some of which lose their connection."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from sqlalchemy import Engine
from sqlalchemy import event as sqlalchemy_event

from app.resources import Resources, open_resources
from app.server import embedded_app
from tests.app.jobs.backend import script_backend
from tests.app.jobs.service import job, settings_for

FOLLOWERS = 200
LAST = "optimization_finished"


@asynccontextmanager
async def replica(database_url: str, *, max_running: int) -> AsyncIterator[tuple[Resources, str]]:
    """One of the replicas and its URL."""
    settings = settings_for(database_url, jobs={"max_running": max_running})
    async with open_resources(settings) as resources, embedded_app(resources) as url:
        yield resources, url


@contextmanager
def counted_reads() -> Iterator[Counter[str]]:
    """How often events are read, by whatever engine of this process."""
    reads = Counter[str]()

    def count(_: object, __: object, statement: str, *___: Any) -> None:
        if statement.startswith("SELECT") and "ORDER BY optimization_events.seq" in statement:
            reads["events"] += 1

    sqlalchemy_event.listen(Engine, "before_cursor_execute", count)
    try:
        yield reads
    finally:
        sqlalchemy_event.remove(Engine, "before_cursor_execute", count)


class Crowd:
    """Those who follow; ``all_follow`` is set as soon as each of them has seen an event."""

    def __init__(self, client: httpx.AsyncClient, paths: tuple[str, str]) -> None:
        self.all_follow = asyncio.Event()
        self._client = client
        self._paths = paths
        self._following = 0

    async def follow(self, number: int) -> list[int]:
        """The numbers of the events that a follower sees.

        One in four loses its connection after a few events, and goes on at the other replica.
        """
        seen: list[int] = []
        here, there = self._paths[number % 2], self._paths[1 - number % 2]
        if number % 4 == 0:
            assert not await self._read(here, seen, stops_at=2 + number // 4 % 20)
            here = there
        assert await self._read(here, seen)
        return seen

    async def _read(self, path: str, seen: list[int], stops_at: int | None = None) -> bool:
        """Whether the stream came to its end."""
        headers = {"last-event-id": str(seen[-1])} if seen else {}
        async with self._client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200
            kind = ""
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    seen.append(int(value))
                    self._count(seen)
                elif name == "event":
                    kind = value
                elif name == "data" and len(seen) == stops_at:
                    return False
        return kind == LAST

    def _count(self, seen: list[int]) -> None:
        self._following += len(seen) == 1
        if self._following == FOLLOWERS:
            self.all_follow.set()


async def test_each_of_two_hundred_sees_every_event_once_and_in_order(postgres_url: str) -> None:
    unlimited = httpx.Limits(max_connections=None)
    async with (
        replica(postgres_url, max_running=1) as (working, url),
        replica(postgres_url, max_running=0) as (_, other_url),
        httpx.AsyncClient(trust_env=False, timeout=60, limits=unlimited) as client,
    ):
        backend = script_backend(working)
        backend.hold_from = 1
        made = await client.post(f"{other_url}/v1/optimizations", json=job(held_out=0))
        path = f"/v1/optimizations/{made.json()['id']}/events"
        crowd = Crowd(client, (f"{url}{path}", f"{other_url}{path}"))
        with counted_reads() as reads:
            async with asyncio.TaskGroup() as group:
                followers = [group.create_task(crowd.follow(number)) for number in range(FOLLOWERS)]
                await crowd.all_follow.wait()
                backend.opened.set()
        recorded = await working.progress.events_after(made.json()["id"], 0)

    assert recorded[-1].type == LAST
    assert len(recorded) > 22, "some followers would not have lost their connection"
    everything = list(range(1, len(recorded) + 1))
    assert [follower.result() for follower in followers] == [everything] * FOLLOWERS
    # alone, each would have to read twice at least: before the job went on, and after
    assert 0 < reads["events"] < FOLLOWERS
