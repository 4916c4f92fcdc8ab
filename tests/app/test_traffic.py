"""Counting how served requests end."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.outcomes import Outcome, OutcomeFeed
from app.traffic import TrafficCounter, tally_of
from optimizer.types import Usage
from store.connections import Database
from store.errors import StoreUnavailableError
from store.records.schedules import TrafficTally
from store.repositories.traffic import TrafficRepository
from tests.app.chat.serving import MODEL, open_service, question
from tests.fakes.openai_server import Answer
from tests.fakes.outcomes import ANSWERED

FAILED = replace(ANSWERED, ending="failed", usage=None, finish_reason=None)


@pytest.mark.parametrize(
    ("outcome", "tally"),
    [
        (ANSWERED, TrafficTally(answered=1)),
        (replace(ANSWERED, finish_reason="length"), TrafficTally(answered=1, truncated=1)),
        (replace(ANSWERED, finish_reason="content_filter"), TrafficTally(answered=1, refused=1)),
        (replace(ANSWERED, usage=Usage(prompt_tokens=9)), TrafficTally(answered=1, empty=1)),
        (replace(ANSWERED, usage=None), TrafficTally(answered=1)),
        (replace(FAILED, error_code="backend_unavailable"), TrafficTally(upstream_errors=1)),
        (replace(FAILED, error_code="backend_refused"), None),
        (replace(FAILED, error_code=None), None),
        (replace(ANSWERED, ending="client_left"), None),
        (replace(ANSWERED, endpoint="/v1/embeddings"), None),
        (replace(ANSWERED, endpoint="/v1/responses"), TrafficTally(answered=1)),
    ],
)
def test_what_says_something_about_answers_counts(outcome: Outcome, tally: TrafficTally | None) -> None:
    assert tally_of(outcome) == tally


async def test_counts_are_added_up_in_the_store_also_from_several_processes(database: Database) -> None:
    traffic = TrafficRepository(database)
    feed, other_feed = OutcomeFeed(), OutcomeFeed()
    one, other = TrafficCounter(traffic, feed), TrafficCounter(traffic, other_feed)
    async with one.in_background(), other.in_background():
        for _ in range(3):
            feed.announce(ANSWERED)
        other_feed.announce(replace(ANSWERED, finish_reason="length"))
        other_feed.announce(replace(ANSWERED, version_id=None))
        await one.flush()
        await one.flush()
    assert await counted(traffic, "pv_1") == TrafficTally(answered=4, truncated=1)
    assert await counted(traffic, "") == TrafficTally(answered=1)


async def counted(traffic: TrafficRepository, version_id: str, model: str = "m") -> TrafficTally:
    return await traffic.between(model, version_id, since=1e9, until=-1e9)


async def test_what_the_store_cannot_take_is_kept_for_the_next_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = TrafficRepository(database)
    add = TrafficRepository.add

    async def away(*_: Any) -> None:
        raise StoreUnavailableError("away")

    counter = TrafficCounter(traffic, OutcomeFeed())
    async with counter.in_background():
        counter.note(ANSWERED)
        monkeypatch.setattr(TrafficRepository, "add", away)
        await counter.flush()
        counter.note(ANSWERED)
        monkeypatch.setattr(TrafficRepository, "add", add)
    assert await counted(traffic, "pv_1") == TrafficTally(answered=2)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_served_request_is_counted_with_how_it_ended(
    sqlite_url: str, database_of_service: Database, stream: bool
) -> None:
    async with open_service(sqlite_url) as service:
        answer = await service.ask(question(stream=stream))
        assert answer.status_code == 200
        service.fake.script = lambda _: Answer(status=500, body={"error": {"message": "broken"}})
        assert (await service.ask(question())).status_code >= 500
    found = await counted(TrafficRepository(database_of_service), "", MODEL)
    assert (found.answered, found.upstream_errors) == (1, 1)


@pytest.fixture
async def database_of_service(sqlite_url: str) -> AsyncIterator[Database]:
    """The service's store, to be read once the service has ended."""
    opened = Database(sqlite_url)
    yield opened
    await opened.close()
