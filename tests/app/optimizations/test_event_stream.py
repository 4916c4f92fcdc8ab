"""A job's events as server-sent events, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.server import embedded_service
from tests.app.jobs.service import job, settings_for


@asynccontextmanager
async def listening(database_url: str, **groups: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service on loopback."""
    async with (
        embedded_service(settings_for(database_url, **groups)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client


async def start(client: httpx.AsyncClient) -> str:
    """Queue a tiny job; the path of its events."""
    response = await client.post("/v1/optimizations", json=job(held_out=0))
    return f"/v1/optimizations/{response.json()['id']}/events"


async def read(client: httpx.AsyncClient, path: str, last: int | None = None) -> list[dict[str, Any]]:
    """All events of a stream that ends by itself, each with the ``id`` and ``event`` of its frame."""
    headers = {} if last is None else {"last-event-id": str(last)}
    events = []
    async with client.stream("GET", path, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        frame: dict[str, str] = {}
        async for line in response.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                frame[name] = value
            elif "data" in frame:
                events.append({**json.loads(frame["data"]), "id": int(frame["id"]), "event": frame["event"]})
                frame = {}
    return events


async def test_events_are_numbered_without_gaps_and_end_with_the_job(sqlite_url: str) -> None:
    async with listening(sqlite_url) as client:
        events = await read(client, await start(client))

    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["seq"] == event["id"] and event["type"] == event["event"] for event in events)
    types = [event["type"] for event in events]
    assert types[:2] == ["optimization_started", "search_started"]
    assert types[-1] == "optimization_finished"
    assert types.count("optimization_finished") == 1
    assert types.count("round_finished") == 3
    told = [event["progress"] for event in events if event["type"] == "round_finished"]
    assert [item["calls_expected"] - item["calls"] for item in told] == [6 + 11, 11, 0]
    assert all(item["seconds_left"] is not None for item in told)
    assert all("progress" not in event for event in events if event["type"] != "round_finished")
    assert types.count("evaluation_finished") == 7
    assert types.count("candidate_proposed") == 6
    assert events[-1]["status"] == "succeeded"
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


async def test_a_reader_that_comes_back_gets_exactly_the_rest(sqlite_url: str) -> None:
    async with listening(sqlite_url) as client:
        path = await start(client)
        events = await read(client, path)
        for last in (0, 1, 7, len(events) - 1):
            assert await read(client, path, last) == events[last:]


@pytest.mark.parametrize("beyond", [0, 1000])
async def test_nothing_follows_the_last_event_of_a_finished_job(sqlite_url: str, beyond: int) -> None:
    async with listening(sqlite_url) as client:
        path = await start(client)
        events = await read(client, path)
        async with asyncio.timeout(5):  # an idle stream of a running job would stay open
            assert await read(client, path, len(events) + beyond) == []


async def test_two_readers_see_the_same(sqlite_url: str) -> None:
    async with listening(sqlite_url) as client:
        path = await start(client)
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(read(client, path)) for _ in range(2)]
        late = await read(client, path)
    assert readers[0].result() == readers[1].result() == late


async def test_a_reader_of_a_waiting_job_hears_of_its_end(sqlite_url: str) -> None:
    async with listening(sqlite_url, jobs={"max_running": 0}) as client:
        path = await start(client)
        reading = asyncio.create_task(read(client, path))
        await client.post(path.replace("/events", "/cancel"))
        events = await reading
    assert [(event["id"], event["type"], event["status"]) for event in events] == [
        (1, "optimization_finished", "cancelled")
    ]


@pytest.mark.parametrize("last", ["-1", "x", "1.5"])
async def test_an_id_that_is_none_is_a_400(sqlite_url: str, last: str) -> None:
    async with listening(sqlite_url, jobs={"max_running": 0}) as client:
        path = await start(client)
        response = await client.get(path, headers={"last-event-id": last})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "last-event-id"


async def test_an_open_stream_does_not_keep_the_service_from_ending(sqlite_url: str) -> None:
    async with asyncio.timeout(20), listening(sqlite_url, jobs={"max_running": 0}) as client:
        path = await start(client)
        request = client.build_request("GET", path)
        response = await client.send(request, stream=True)
        assert response.status_code == 200
    await response.aclose()
