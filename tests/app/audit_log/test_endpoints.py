"""``GET /v1/audit-log``."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.app.jobs.service import SMALL, JobService, failure, open_service


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[JobService]:
    """The application in process, on each database; no job runs."""
    async with open_service(database_url, jobs={"max_running": 0}) as opened:
        yield opened


async def do_everything(service: JobService) -> str:
    """Something in each log, from the oldest on."""
    made = await service.post(f"/v1/prompts/{SMALL}/versions", {"system_prompt": "Be kind.", "note": "a try"})
    version = str(made.json()["id"])
    path = f"/v1/prompts/{SMALL}/labels/production"
    await service.client.put(path, json={"version": version, "reason": "better"})
    await service.client.post(f"{path}/undo", json={"reason": "worse"})
    await service.client.put(f"/v1/releases/{SMALL}", json={})
    await service.client.delete(f"/v1/releases/{SMALL}")
    await service.post("/v1/keys", {"name": "app", "scopes": ["serve"]})
    return version


async def test_all_logs_are_one_newest_first(service: JobService) -> None:
    version = await do_everything(service)
    page = await service.get("/v1/audit-log")
    told = [(item["kind"], item["action"], item["subject"], item["reason"]) for item in page["data"]]
    key = page["data"][0]["subject"]
    assert told == [
        ("key", "created", key, None),
        ("release", "ended", SMALL, None),
        ("release", "set", SMALL, None),
        ("label", "undone", "production", "worse"),
        ("label", "moved", "production", "better"),
        ("version", "by_hand", version, "a try"),
    ]
    assert {item["actor"] for item in page["data"]} == {"local"}
    assert page["has_more"] is False
    moved = page["data"][4]["details"]
    assert (moved["from_version"], moved["to_version"]) == (None, version)
    assert page["data"][3]["details"]["to_version"] is None


async def test_it_comes_in_pages_and_by_kind_and_model(service: JobService) -> None:
    await do_everything(service)
    everything = (await service.get("/v1/audit-log"))["data"]
    found: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = await service.get("/v1/audit-log", limit=1, **after)
        found += page["data"]
        if not page["has_more"]:
            break
        after = {"after": page["data"][-1]["id"]}
    assert found == everything
    labels = (await service.get("/v1/audit-log", kind=["label", "key"]))["data"]
    assert [item["kind"] for item in labels] == ["key", "label", "label"]
    of_model = (await service.get("/v1/audit-log", model=SMALL))["data"]
    assert [item["kind"] for item in of_model] == ["release", "release", "label", "label", "version"]
    assert (await service.get("/v1/audit-log", model="nobody"))["data"] == []
    for wrong in ("after=x", "after=1.5-poem-1", "kind=poem", "limit=0"):
        failure(await service.client.get(f"/v1/audit-log?{wrong}"))
