import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import func, select
from typing_extensions import override

from app.access.usage_recorder import UsageRecorder
from app.access_settings import UsageSettings
from optimizer.types import Usage
from store.connections import Database
from store.errors import StoreUnavailableError
from store.models.served_request import ServedRequest
from store.records.usage import Ending, RequestRecord, UsageDelta
from store.repositories.quotas import QuotaRepository
from store.repositories.usage import UsageRepository
from tests.app.access.clock import Clock
from tests.fakes import outcomes

OUTCOME = dataclasses.replace(
    outcomes.ANSWERED,
    request_id="req_1",
    caller="key_1",
    upstream_model="u" * 1000,
    version_id=None,
    streamed=True,
    ending="client_left",
    finish_reason=None,
    usage=None,
    key_number=3,
    counted=Usage(prompt_tokens=7, completion_tokens=10**12),
    estimated=True,
    micros=5,
    first_seconds=0.1234,
    seconds=0.5,
)
AWAY = StoreUnavailableError("gone")


class SometimesFailing(UsageRepository):
    """Counts writings; failing, or hanging, when told so."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.failure: Exception | None = None
        self.hanging: asyncio.Event | None = None
        self.reached = asyncio.Event()
        self.rows: list[RequestRecord] = []
        self.deltas: list[UsageDelta] = []

    @override
    async def add(self, requests: Sequence[RequestRecord], deltas: Sequence[UsageDelta]) -> None:
        if self.hanging is not None:
            self.reached.set()
            await self.hanging.wait()
        if self.failure is not None:
            raise self.failure
        self.rows += requests
        self.deltas += deltas
        await super().add(requests, deltas)


@pytest.fixture
async def usage(database_url: str) -> AsyncIterator[SometimesFailing]:
    db = Database(database_url)
    yield SometimesFailing(db)
    await db.close()


def recorder(usage: SometimesFailing, clock: Clock | None = None, **settings: float) -> UsageRecorder:
    chosen = UsageSettings.model_validate(settings)
    return UsageRecorder(usage, QuotaRepository(usage._db), chosen, clock=clock or Clock())


async def test_a_request_becomes_a_row_of_numbers_and_a_sum(usage: SometimesFailing) -> None:
    clock = Clock()
    recording = recorder(usage, clock)
    recording.hear(OUTCOME)
    clock.now += 2
    await recording.flush()
    (row,), (delta,) = usage.rows, usage.deltas
    assert (row.age_seconds, row.ending, row.key_number, row.micros) == (2.0, Ending.CLIENT_LEFT, 3, 5)
    assert (row.first_ms, row.total_ms, row.completion_tokens) == (123, 500, 2**31 - 1)
    assert len(row.route.upstream_model) == 256
    assert delta.sums.completion_tokens == 10**12
    assert delta.age_seconds >= 0
    await recording.flush()
    assert len(usage.deltas) == 1


async def test_many_requests_are_one_sum(usage: SometimesFailing) -> None:
    recording = recorder(usage)
    for number in range(50):
        recording.hear(dataclasses.replace(OUTCOME, request_id=f"req_{number}", key_number=number % 2))
    await recording.flush()
    assert len(usage.rows) == 50
    assert sorted((delta.key_number, delta.sums.requests) for delta in usage.deltas) == [(0, 25), (1, 25)]


async def test_a_full_queue_drops_rows_and_counts_them_and_keeps_the_sums(
    usage: SometimesFailing, caplog: pytest.LogCaptureFixture
) -> None:
    recording = recorder(usage, queue_size=3)
    usage.failure = AWAY
    for _ in range(5):
        recording.hear(OUTCOME)
    with pytest.raises(StoreUnavailableError):
        await recording.flush()
    recording.hear(OUTCOME)
    usage.failure = None
    with caplog.at_level(logging.WARNING):
        await recording.flush()
    assert recording.dropped == 3
    assert "rows of requests were dropped" in caplog.text
    assert len(usage.rows) == 3
    assert sum(delta.sums.requests for delta in usage.deltas) == 6


async def test_a_store_that_hangs_and_fails_again_and_again_never_makes_the_queue_longer(
    usage: SometimesFailing,
) -> None:
    recording = recorder(usage, queue_size=3)
    recording.hear(OUTCOME)
    usage.failure = AWAY
    for _ in range(4):
        usage.hanging, usage.reached = asyncio.Event(), asyncio.Event()
        writing = asyncio.create_task(recording.flush())
        await usage.reached.wait()
        for _ in range(5):
            recording.hear(OUTCOME)
        usage.hanging.set()
        with pytest.raises(StoreUnavailableError):
            await writing
    usage.failure = None
    await recording.flush()
    assert len(usage.rows) == 3
    assert recording.dropped == 18
    recording.hear(OUTCOME)
    await recording.flush()
    assert len(usage.rows) == 4
    assert sum(delta.sums.requests for delta in usage.deltas) == 22


async def test_a_failure_that_nobody_expected_loses_nothing(usage: SometimesFailing) -> None:
    recording = recorder(usage)
    usage.failure = ValueError("a bug")
    recording.hear(OUTCOME)
    with pytest.raises(ValueError, match="a bug"):
        await recording.flush()
    usage.failure = None
    recording.hear(OUTCOME)
    await recording.flush()
    assert len(usage.rows) == 2
    assert [delta.sums.requests for delta in usage.deltas] == [2]


async def test_rows_can_be_left_out(usage: SometimesFailing) -> None:
    recording = recorder(usage, keep_days=0)
    recording.hear(OUTCOME)
    await recording.flush()
    assert usage.rows == []
    assert len(usage.deltas) == 1
    assert recording.dropped == 0


async def test_old_rows_are_swept_away(usage: SometimesFailing) -> None:
    clock = Clock()
    recording = recorder(usage, clock, keep_days=1)
    recording.hear(OUTCOME)
    clock.now += 86_400 * 1.5
    recording.hear(OUTCOME)
    await recording.flush()
    await recording.sweep()
    async with usage._db.read() as session:
        assert await session.scalar(select(func.count()).select_from(ServedRequest)) == 1


async def test_what_was_heard_is_written_by_itself_and_at_the_end(
    usage: SometimesFailing, caplog: pytest.LogCaptureFixture
) -> None:
    recording = recorder(usage, flush_seconds=0.001, sweep_seconds=0.001)
    async with recording.in_background():
        usage.failure = AWAY
        recording.hear(OUTCOME)
        async with asyncio.timeout(20):
            while "usage: waiting for the store" not in caplog.text:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.001)
            usage.failure = None
            while not usage.rows:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    recording = recorder(usage)
    async with recording.in_background():
        recording.hear(OUTCOME)
    assert len(usage.rows) == 2
    usage.failure = AWAY
    recording = recorder(usage)
    async with recording.in_background():
        recording.hear(OUTCOME)
    assert "is lost" in caplog.text
