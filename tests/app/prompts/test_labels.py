"""Where labels point now, in pages, however often they have moved."""

from typing import Any

from store.records.prompts import LabelMoveDraft, PromptVersionDraft
from tests.app.chat.serving import MODEL, Service, open_service
from tests.app.jobs.service import failure

LABELS = f"/v1/prompts/{MODEL}/labels"


async def store(service: Service, prompt: str, *labels: str) -> str:
    """Store a version, and point labels to it; gives its id."""
    prompts = service.resources.prompts
    version = await prompts.add_version(PromptVersionDraft(model=MODEL, system_prompt=prompt, sampling={}))
    for label in labels:
        await prompts.move_label(
            LabelMoveDraft(model=MODEL, label=label, version_id=version.id, actor="ann", reason=prompt)
        )
    return version.id


async def read(service: Service, **params: Any) -> dict[str, Any]:
    answer = await service.client.get(LABELS, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_each_label_says_where_it_points_and_how_it_came_there(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        assert await read(service) == {"object": "list", "data": [], "has_more": False}
        first = await store(service, "first", "production", "canary")
        second = await store(service, "second", "production")
        canary, production = (await read(service))["data"]
        assert (canary["label"], canary["version"], canary["number"]) == ("canary", first, 1)
        assert (production["version"], production["number"]) == (second, 2)
        move = production["last_move"]
        assert (move["from_version"], move["to_version"], move["reason"]) == (first, second, "second")
        undone = await service.client.post(f"{LABELS}/canary/undo", json={})
        assert undone.status_code == 200, undone.text
        assert [item["label"] for item in (await read(service))["data"]] == ["production"]


async def test_labels_come_in_pages_by_name(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        await store(service, "first", *(f"l{number}" for number in range(5)))
        pages = [await read(service, limit=2), await read(service, limit=2, after="l1")]
        assert [[item["label"] for item in page["data"]] for page in pages] == [["l0", "l1"], ["l2", "l3"]]
        assert [page["has_more"] for page in pages] == [True, True]
        assert not (await read(service, after="l3"))["has_more"]
        failure(await service.client.get(f"{LABELS}?limit=0"))
        failure(await service.client.get("/v1/prompts/nobody/labels"), 404)
