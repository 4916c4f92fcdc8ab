"""One reader for all who follow a job: what they get, and what it costs."""

import asyncio
from collections import Counter

import pytest
from typing_extensions import override

from app.jobs.event_feed import EventFeed, EventFeeds
from app.jobs.event_stream import nothing_more
from store.connections import Database
from store.errors import StoreUnavailableError
from store.progress import ProgressLog
from store.records.optimizations import Lease
from store.records.progress import EventRecord, ProgressBatch
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import event, new_lease

KEEP = 3


class CountedLog(ProgressLog):
    """Counts the reads of the table by the number after which they read; fails while ``broken``."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, poll_seconds=3600)
        self.reads = Counter[int]()
        self.reading = asyncio.Event()
        self.broken = False

    @override
    async def events_after(
        self, optimization_id: str, seq: int, *, limit: int = 500
    ) -> tuple[EventRecord, ...]:
        self.reads[seq] += 1
        self.reading.set()
        if self.broken:
            raise StoreUnavailableError("away")
        return await super().events_after(optimization_id, seq, limit=limit)


@pytest.fixture
def log(database: Database) -> CountedLog:
    """The log of the store."""
    return CountedLog(database)


@pytest.fixture
def feeds(database: Database, log: CountedLog) -> EventFeeds:
    """Feeds with a short memory."""
    return EventFeeds(OptimizationRepository(database), log, keep=KEEP)


async def add(log: ProgressLog, lease: Lease, *keys: str) -> None:
    await log.record(lease, ProgressBatch(events=tuple(event(key) for key in keys)))


async def seqs_after(feed: EventFeed, seq: int) -> list[int]:
    return [shown.seq for shown in (await feed.after(seq)).events]


async def test_all_who_wait_at_the_same_number_share_one_read_for_each_change(
    database: Database, log: CountedLog, feeds: EventFeeds
) -> None:
    lease = await new_lease(database)
    with feeds.follow(lease.optimization_id, nothing_more) as feed:
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(seqs_after(feed, 1)) for _ in range(50)]
            await log.reading.wait()
            await add(log, lease, "a", "b")
        assert [task.result() for task in waiting] == [[2, 3]] * 50
        assert log.reads[1] <= 2  # one that found nothing, one after the change


async def test_who_comes_late_is_served_from_memory(
    database: Database, log: CountedLog, feeds: EventFeeds
) -> None:
    lease = await new_lease(database)
    await add(log, lease, "a", "b")
    with feeds.follow(lease.optimization_id, nothing_more) as feed:
        assert await seqs_after(feed, 0) == [1, 2, 3]
        assert await seqs_after(feed, 0) == [1, 2, 3]
        assert await seqs_after(feed, 2) == [3]
    assert log.reads == {0: 1}


async def test_who_is_further_back_than_memory_reads_the_table_and_catches_up_without_a_gap(
    database: Database, log: CountedLog, feeds: EventFeeds
) -> None:
    lease = await new_lease(database)
    await add(log, lease, *"abcdef")
    with feeds.follow(lease.optimization_id, nothing_more) as feed:
        assert await seqs_after(feed, 5) == [6, 7]
        assert await seqs_after(feed, 1) == [2, 3, 4, 5, 6, 7]
        await add(log, lease, "g", "h")
        assert await seqs_after(feed, 7) == [8, 9]
        assert await seqs_after(feed, 6) == [7, 8, 9]
        assert await seqs_after(feed, 5) == [6, 7, 8, 9]
    assert log.reads == {5: 2, 1: 1, 7: 1}


async def test_what_is_in_memory_has_no_gap_though_nobody_followed_for_a_while(
    database: Database, log: CountedLog, feeds: EventFeeds
) -> None:
    lease = await new_lease(database)
    await add(log, lease, "a")
    with feeds.follow(lease.optimization_id, nothing_more) as feed:
        assert await seqs_after(feed, 0) == [1, 2]
        await add(log, lease, "b", "c", "d")
        assert await seqs_after(feed, 4) == [5]
        assert await seqs_after(feed, 1) == [2, 3, 4, 5]


async def test_a_feed_is_gone_with_the_last_of_its_followers(database: Database, feeds: EventFeeds) -> None:
    lease = await new_lease(database)
    with feeds.follow(lease.optimization_id, nothing_more) as first:
        with feeds.follow(lease.optimization_id, nothing_more) as second:
            assert second is first
        with feeds.follow(lease.optimization_id, nothing_more) as third:
            assert third is first
    with feeds.follow(lease.optimization_id, nothing_more) as later:
        assert later is not first


async def test_a_store_that_is_away_is_told_to_all_and_the_next_read_tries_again(
    database: Database, log: CountedLog, feeds: EventFeeds
) -> None:
    lease = await new_lease(database)
    with feeds.follow(lease.optimization_id, nothing_more) as feed:
        log.broken = True
        results = await asyncio.gather(*(feed.after(0) for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailableError] * 5
        log.broken = False
        assert await seqs_after(feed, 0) == [1]
