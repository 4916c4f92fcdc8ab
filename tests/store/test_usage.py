import dataclasses
import os

from sqlalchemy import func, select, text

from store.connections import Database
from store.models.served_request import ServedRequest
from store.models.served_route import ServedRoute
from store.records.keys import KeyDraft
from store.records.usage import Ending, RequestRecord, RouteRecord, UsageDelta, UsageGroup, UsageSums
from store.repositories.keys import KeyRepository
from store.repositories.usage import UsageRepository

ROUTE = RouteRecord(
    endpoint="/v1/chat/completions", model="a", backend="b", upstream_model="up", version_id="pv_1"
)
OTHER = dataclasses.replace(ROUTE, model="z", version_id="")
REQUEST = RequestRecord(
    age_seconds=1.0,
    request_id="req_1",
    route=ROUTE,
    key_number=0,
    ending=Ending.ANSWERED,
    error_code=None,
    streamed=True,
    estimated=False,
    prompt_tokens=7,
    completion_tokens=5,
    micros=12,
    first_ms=3,
    total_ms=9,
)
DAY = 86_400.0


def delta(request: RequestRecord = REQUEST, *, age: float = 0.0) -> UsageDelta:
    return UsageDelta(
        age_seconds=age, key_number=request.key_number, route=request.route, sums=UsageSums.of(request)
    )


async def test_rows_share_what_is_constant(database: Database) -> None:
    usage = UsageRepository(database)
    await usage.add([REQUEST] * 3, [])
    await UsageRepository(database).add([REQUEST, dataclasses.replace(REQUEST, route=OTHER)], [])
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(ServedRoute)) == 2
        rows = (await session.execute(select(ServedRequest).order_by(ServedRequest.id))).scalars().all()
    assert len(rows) == 5
    assert len({row.route_id for row in rows}) == 2
    assert (rows[0].prompt_tokens, rows[0].ending, rows[0].streamed) == (7, 0, True)


async def test_sums_are_added_up_by_day_key_and_model(database: Database) -> None:
    usage = UsageRepository(database)
    limits: dict[str, object] = {"quotas": []}
    key = await KeyRepository(database).add(
        KeyDraft(prefix="p", digest="d", name="app", scopes=("serve",), limits=limits, created_by="x")  # type: ignore[arg-type]
    )
    failed = dataclasses.replace(
        REQUEST, key_number=key.number, ending=Ending.FAILED, estimated=True, route=OTHER
    )
    left = dataclasses.replace(REQUEST, ending=Ending.CLIENT_LEFT)
    await usage.add([], [delta(), delta(left)])
    await usage.add([], [delta(), delta(failed), delta(age=DAY)])
    today = await usage.today()
    everything = await usage.report([], since=0, until=today, key_number=None, limit=10)
    assert [row.sums for row in everything] == [
        UsageSums(
            requests=5,
            failed=1,
            client_left=1,
            estimated=1,
            prompt_tokens=35,
            completion_tokens=25,
            micros=60,
        )
    ]
    rows = await usage.report(list(UsageGroup), since=0, until=today, key_number=None, limit=10)
    assert [(row.day, row.key_id, row.key_name, row.model, row.sums.requests) for row in rows] == [
        (today, None, None, "a", 3),
        (today, key.id, "app", "z", 1),
        (today - 1, None, None, "a", 1),
    ]
    own = await usage.report([UsageGroup.KEY], since=today, until=today, key_number=key.number, limit=10)
    assert [(row.key_id, row.sums.requests) for row in own] == [(key.id, 1)]
    assert await usage.report([UsageGroup.DAY], since=0, until=1, key_number=None, limit=10) == ()


async def test_old_rows_go_and_sums_stay(database: Database) -> None:
    usage = UsageRepository(database)
    old = dataclasses.replace(REQUEST, age_seconds=100.0)
    await usage.add([old] * 3 + [REQUEST], [delta()])
    assert await usage.drop_older(50) == 3
    assert await usage.drop_older(50) == 0
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(ServedRequest)) == 1
    assert (await usage.report([], since=0, until=10**6, key_number=None, limit=1))[0].sums.requests == 1


async def test_a_row_takes_little(database: Database) -> None:
    usage = UsageRepository(database)

    async def size() -> int:
        async with database.read() as session:
            if database.dialect == "postgresql":
                await session.execute(text("SELECT 1"))
                return int(
                    await session.scalar(text("SELECT pg_total_relation_size('served_requests')")) or 0
                )
            pages = await session.scalar(text("SELECT count(*) FROM pragma_page_count(), pragma_page_size()"))
            assert pages
            return int(
                await session.scalar(
                    text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
                )
                or 0
            )

    rows = [
        dataclasses.replace(
            REQUEST, request_id=f"req_{number:024d}", token=number.to_bytes(6) + os.urandom(8)
        )
        for number in range(5000)
    ]
    before = await size()
    await usage.add(rows, [])
    assert (await size() - before) / len(rows) < 230
