"""Prompt versions and labels over HTTP."""

from typing import Any

import httpx

from app.resources import Resources
from optimizer.types import JsonObject
from store.records.prompts import PromptVersionDraft
from tests.app.jobs.service import SMALL, JobService, failure

EXAMPLE: JsonObject = {"id": "e1", "query": "Why?", "answer": "Because.", "kind": None}
BASE = f"/v1/prompts/{SMALL}"


async def add_version(resources: Resources, system_prompt: str, model: str = SMALL) -> str:
    """Store a version with one example; its id."""
    draft = PromptVersionDraft(
        model=model, system_prompt=system_prompt, examples=(EXAMPLE,), k=1, sampling={"temperature": 0}
    )
    return (await resources.prompts.add_version(draft)).id


async def move(service: JobService, version: str, label: str = "production", **fields: Any) -> httpx.Response:
    """PUT a label."""
    body = {"version": version, "reason": "it reads better", **fields}
    return await service.client.put(f"{BASE}/labels/{label}", json=body)


async def test_every_target_is_listed_with_what_it_is_served_with(service: JobService) -> None:
    version = await add_version(service.resources, "Be kind.")
    await move(service, version)

    listed = (await service.get("/v1/prompts"))["data"]

    assert [(item["model"], item["label"]) for item in listed] == [
        ("simulated-small", "production"),
        ("simulated-chat", "production"),
        ("simulated-base", "production"),
    ]
    assert listed[0]["version"]["id"] == version
    assert listed[0]["version"]["system_prompt"] == "Be kind."
    assert [item["version"] for item in listed[1:]] == [None, None]


async def test_versions_are_listed_newest_first_without_their_examples(service: JobService) -> None:
    first = await add_version(service.resources, "one")
    second = await add_version(service.resources, "two")
    await move(service, first, "candidate")

    listed = (await service.get(f"{BASE}/versions"))["data"]

    assert [(item["id"], item["number"], item["labels"]) for item in listed] == [
        (second, 2, []),
        (first, 1, ["candidate"]),
    ]
    assert all(item["examples"] is None for item in listed)


async def test_a_version_has_its_examples_and_sampling(service: JobService) -> None:
    version = await add_version(service.resources, "one")
    shown = await service.get(f"{BASE}/versions/{version}")
    assert shown["examples"] == [EXAMPLE]
    assert (shown["k"], shown["sampling"], shown["evidence"]) == (1, {"temperature": 0}, {})


async def test_a_version_cannot_be_changed_or_deleted(service: JobService) -> None:
    version = await add_version(service.resources, "one")
    path = f"{BASE}/versions/{version}"
    before = await service.get(path)
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        response = await service.client.request(method, path, json={"system_prompt": "two"})
        failure(response, 405)
    assert await service.get(path) == before


async def test_a_target_without_versions_has_an_empty_list_and_an_unknown_model_is_refused(
    service: JobService,
) -> None:
    assert (await service.get(f"{BASE}/versions"))["data"] == []
    refused = failure(await service.client.get("/v1/prompts/nobody/versions"), 404)
    assert (refused["param"], refused["code"]) == ("model", "model_not_found")
    assert "there is no model 'nobody'" in refused["message"]


async def test_models_with_slashes_in_their_names_have_versions(service: JobService) -> None:
    version = await add_version(service.resources, "one", model="org/sub/model")
    assert (await service.get("/v1/prompts/org/sub/model/versions"))["data"][0]["id"] == version
    shown = await service.get(f"/v1/prompts/org/sub/model/versions/{version}")
    assert shown["model"] == "org/sub/model"


async def test_a_version_of_another_model_is_a_404(service: JobService) -> None:
    version = await add_version(service.resources, "one", model="simulated-chat")
    assert (
        failure(await service.client.get(f"{BASE}/versions/{version}"), 404)["message"]
        == f"{SMALL} has no prompt version {version}"
    )
    failure(await service.client.get(f"{BASE}/versions/pv_none"), 404)
    refused = failure(await move(service, version), 404)
    assert (refused["code"], refused["param"]) == ("not_found", "version")
    assert refused["message"].startswith(f"{SMALL} has no prompt version {version}: see GET")
    assert await service.label() is None


async def test_a_label_of_a_model_that_nobody_knows_is_a_404_about_the_model(service: JobService) -> None:
    body = {"version": await add_version(service.resources, "one"), "reason": "it reads better"}
    refused = failure(await service.client.put("/v1/prompts/nobody/labels/production", json=body), 404)
    assert (refused["code"], refused["param"]) == ("model_not_found", "model")


async def test_a_label_moves_with_a_reason_and_leaves_a_trace(service: JobService) -> None:
    first = await add_version(service.resources, "one")
    second = await add_version(service.resources, "two")

    moved = await move(service, first)
    await move(service, second, reason="shorter")

    assert moved.status_code == 200
    assert moved.json() | {"moved_at": 0} == {
        "object": "label",
        "model": SMALL,
        "label": "production",
        "version": first,
        "moved_at": 0,
    }
    assert await service.label() == second
    history = (await service.get(f"{BASE}/label-moves"))["data"]
    assert [(item["from_version"], item["to_version"], item["reason"]) for item in history] == [
        (first, second, "shorter"),
        (None, first, "it reads better"),
    ]
    assert {(item["actor"], item["label"], item["model"]) for item in history} == {
        ("local", "production", SMALL)
    }


async def test_a_label_that_points_elsewhere_than_expected_stays(service: JobService) -> None:
    first = await add_version(service.resources, "one")
    second = await add_version(service.resources, "two")
    assert (await move(service, first, expected=None)).status_code == 200

    conflict = failure(await move(service, second, expected=second), 409)
    assert conflict["code"] == "conflict"
    assert first in conflict["message"]
    unexpected = failure(await move(service, second, expected=None), 409)
    assert unexpected["code"] == "conflict"
    assert unexpected["message"].endswith(f"points to {first}, not to no version")
    assert await service.label() == first
    assert len((await service.get(f"{BASE}/label-moves"))["data"]) == 1

    assert (await move(service, second, expected=first)).status_code == 200
    assert await service.label() == second


async def test_moving_a_label_to_where_it_points_is_no_move(service: JobService) -> None:
    version = await add_version(service.resources, "one")
    await move(service, version)
    assert (await move(service, version)).status_code == 200
    assert len((await service.get(f"{BASE}/label-moves"))["data"]) == 1


async def test_a_move_is_served_at_once(service: JobService) -> None:
    first = await add_version(service.resources, "one")
    second = await add_version(service.resources, "two")
    question = {"model": SMALL, "messages": [{"role": "user", "content": "Why?"}]}
    for version in (first, second, first):
        await move(service, version)
        answer = await service.post("/v1/chat/completions", question)
        assert answer.headers["x-drpo-prompt-version"] == version


async def test_a_move_needs_a_version_a_reason_and_a_plain_label(service: JobService) -> None:
    version = await add_version(service.resources, "one")
    assert failure(await move(service, version, reason=""))["param"] == "reason"
    assert failure(await move(service, ""))["param"] == "version"
    assert failure(await move(service, version, extra=1))["param"] == "extra"
    assert failure(await move(service, version, "Not%20plain"))["param"] == "label"
    assert await service.label() is None


async def test_the_moves_of_an_unknown_model_are_a_404_and_of_a_new_one_an_empty_list(
    service: JobService,
) -> None:
    unknown = await service.client.get("/v1/prompts/nobody/label-moves")
    assert failure(unknown, 404)["code"] == "model_not_found"
    assert (await service.get(f"{BASE}/label-moves"))["data"] == []


async def test_one_call_undoes_a_move_which_is_served_at_once(service: JobService) -> None:
    first, second = [await add_version(service.resources, text) for text in ("one", "two")]
    await move(service, first)
    await move(service, second)
    served = await service.resources.labelled.current(SMALL)
    assert served is not None
    assert served.version.id == second

    response = await service.client.post(f"{BASE}/labels/production/undo")

    assert response.status_code == 200, response.text
    undone = response.json()
    assert (undone["from_version"], undone["to_version"], undone["reason"]) == (second, first, "undone")
    served = await service.resources.labelled.current(SMALL)
    assert served is not None
    assert served.version.id == first
    moves = (await service.get(f"{BASE}/label-moves"))["data"]
    assert moves[0] == undone
    assert undone["undoes"] == moves[1]["id"]
    again = failure(await service.client.post(f"{BASE}/labels/production/undo"), 409)
    assert "name it to undo it" in again["message"]
    stale = {"move": moves[1]["id"], "reason": "late"}
    failure(await service.client.post(f"{BASE}/labels/production/undo", json=stale), 409)


async def test_undoing_the_first_move_serves_the_model_as_it_is(service: JobService) -> None:
    await move(service, await add_version(service.resources, "one"))
    undone = await service.client.post(f"{BASE}/labels/production/undo", json={"reason": "it lies"})
    assert undone.json()["to_version"] is None
    assert await service.resources.labelled.current(SMALL) is None
    assert (await service.get("/v1/prompts"))["data"][0]["version"] is None


async def test_what_never_moved_cannot_be_undone(service: JobService) -> None:
    refused = failure(await service.client.post(f"{BASE}/labels/production/undo"), 404)
    assert refused["message"] == f"production of {SMALL} was never moved"
    unknown = failure(await service.client.post("/v1/prompts/nobody/labels/production/undo"), 404)
    assert unknown["code"] == "model_not_found"
    failure(await service.client.post(f"{BASE}/labels/production/undo", json={"move": 0}), 400)
