import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import BASE_MODEL, MODEL, Service, open_service, question
from tests.fakes.openai_server import error

ADMIN = bearer("sk-admin-0123456789")
PATH = "/v1/chat/completions"
PRICE = {"price": {"input_per_million": 1000.0, "output_per_million": 10_000.0}}


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    server = {"api_key": "sk-admin-0123456789"}
    async with open_service(database_url, backend=PRICE, server=server) as opened:  # type: ignore[arg-type]
        yield opened


async def usage(service: Service, headers: dict[str, str] = ADMIN, **params: object) -> dict[str, Any]:
    await service.resources.access.recorder.flush()
    response = await service.client.get("/v1/usage", params=params, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_usage_is_told_by_key_and_model(service: Service) -> None:
    key, record = await add_key(service.resources.access.keys)
    for model, headers in ((MODEL, ADMIN), (MODEL, bearer(key)), (BASE_MODEL, bearer(key))):
        await service.client.post(PATH, json=question(model=model), headers=headers)
    await service.client.post(PATH, json=question(stream=True), headers=bearer(key))
    service.fake.push(error(400))
    await service.client.post(PATH, json=question(), headers=bearer(key))
    report = await usage(service, group_by=["key", "model"])
    rows = report["data"]
    assert isinstance(rows, list)
    fields = ("key_id", "model", "requests", "failed", "total_tokens")
    assert {tuple(row[field] for field in fields) for row in rows} == {
        (None, MODEL, 1, 0, 12),
        (record.id, MODEL, 3, 1, 24),
        (record.id, BASE_MODEL, 1, 0, 12),
    }
    (one,) = (row for row in rows if row["key_id"] is None)
    assert one["cost"] == pytest.approx(0.057)
    assert {row["key_name"] for row in rows} == {None, "test"}
    assert {row["day"] for row in rows} == {None}


async def test_usage_is_told_by_day_unless_asked_otherwise(service: Service) -> None:
    await service.client.post(PATH, json=question(), headers=ADMIN)
    report = await usage(service)
    today = dt.datetime.now(dt.UTC).date()
    (row,) = report["data"]
    assert row["day"] in {str(today), str(today - dt.timedelta(days=1))}
    assert report["has_more"] is False
    assert (await usage(service, until="2020-01-01"))["data"] == []
    assert (await usage(service, until="2020-01-01"))["since"] == "2019-12-03"


async def test_a_key_sees_its_own_usage_and_an_admin_anybody_s(service: Service) -> None:
    key, record = await add_key(service.resources.access.keys)
    other, other_record = await add_key(service.resources.access.keys)
    for asking in (key, other, other):
        await service.client.post(PATH, json=question(), headers=bearer(asking))
    assert (await usage(service, bearer(key)))["data"][0]["requests"] == 1
    mine = await usage(service, bearer(key), key_id=other_record.id, group_by="key")
    assert [row["key_id"] for row in mine["data"]] == [record.id]
    theirs = await usage(service, key_id=other_record.id)
    assert theirs["data"][0]["requests"] == 2
    missing = await service.client.get("/v1/usage?key_id=key_x", headers=ADMIN)
    assert missing.status_code == 404
    wrong = await service.client.get("/v1/usage?since=2020-01-02&until=2020-01-01", headers=ADMIN)
    assert wrong.json()["error"]["param"] == "since"


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-32", "10000-01-01", "x", "1e300"])
@pytest.mark.parametrize("field", ["since", "until"])
async def test_days_that_cannot_be_counted_are_refused(service: Service, field: str, day: str) -> None:
    refused = await service.client.get("/v1/usage", params={field: day}, headers=ADMIN)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == field
    if day in {"0001-01-01", "1969-12-31"}:
        assert "1970-01-01" in refused.json()["error"]["message"]


async def test_the_first_and_the_last_day_can_be_asked_for(service: Service) -> None:
    for field, day in (("until", "1970-01-01"), ("since", "1970-01-01"), ("until", "9999-12-31")):
        answer = await service.client.get("/v1/usage", params={field: day}, headers=ADMIN)
        assert answer.status_code == 200


async def test_no_word_of_a_request_is_stored(service: Service, database_url: str) -> None:
    await service.client.post(PATH, json=question("a very special secret"), headers=ADMIN)
    await usage(service)
    async with service.resources.database.read() as session:
        for table in ("served_requests", "served_routes", "usage_days"):
            rows = (await session.execute(text(f"SELECT * FROM {table}"))).all()  # noqa: S608
            assert rows
            assert "special" not in str(rows)
            assert "answer" not in str(rows)
