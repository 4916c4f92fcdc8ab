"""Versions stored by hand, exported, imported and compared, over HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.app.jobs.service import SMALL, JobService, failure, open_service
from tests.app.prompts.test_endpoints import add_version, move

BASE = f"/v1/prompts/{SMALL}"
EXAMPLES = [{"query": "Why?", "answer": "Because."}, {"query": "How?", "answer": "So."}]
HAND = {"system_prompt": "Be kind.", "examples": EXAMPLES, "sampling": {"temperature": 0.5}}


@pytest.fixture
async def other(other_sqlite_url: str) -> AsyncIterator[JobService]:
    """Another service with a store of its own."""
    async with open_service(other_sqlite_url, jobs={"max_running": 0}) as opened:
        yield opened


async def export(service: JobService, version: str, wanted: str, **more: str) -> Any:
    return await service.get(f"{BASE}/versions/{version}/export", format=wanted, **more)


async def test_a_version_by_hand_says_who_has_stored_it_and_moves_no_label(service: JobService) -> None:
    made = await service.client.post(f"{BASE}/versions", json={**HAND, "name": "first", "note": "a try"})
    assert made.status_code == 201, made.text
    version = made.json()
    assert version["provenance"] == {
        "how": "by_hand",
        "by": "local",
        "name": "first",
        "note": "a try",
        "format": None,
        "left_out": [],
        "source": None,
    }
    assert (version["k"], version["sampling"]) == (2, {"temperature": 0.5, "top_p": None})
    assert [item["id"] for item in version["examples"]] == ["ex-001", "ex-002"]
    assert (version["labels"], version["optimization_id"], version["evidence"]) == ([], None, {})
    again = await service.client.post(f"{BASE}/versions", json={**HAND, "name": "second"})
    assert (again.status_code, again.json()) == (200, version)
    assert await service.label() is None


async def test_it_is_the_version_that_a_job_with_this_content_makes(service: JobService) -> None:
    text = "Be kind."
    found = await add_version(service.resources, text)
    like_it = {
        "system_prompt": text,
        "examples": {"bank": (await service.get(f"{BASE}/versions/{found}"))["id"]},
    }
    assert failure(await service.client.post(f"{BASE}/versions", json=like_it))["param"] == "examples.bank"
    bank = (await service.resources.prompts.get_version(found)).example_bank_id
    like_it["examples"] = {"bank": bank}
    made = await service.client.post(f"{BASE}/versions", json=like_it)
    assert made.status_code == 201, made.text
    assert made.json()["examples"] == (await service.get(f"{BASE}/versions/{found}"))["examples"]


async def test_what_cannot_be_served_is_refused(service: JobService) -> None:
    path = f"{BASE}/versions"
    assert failure(await service.client.post(path, json={**HAND, "k": 3}))["param"] == "k"
    blank = {"system_prompt": " "}
    assert failure(await service.client.post(path, json=blank))["param"] == "system_prompt"
    for spec in ({"kind": "backend", "backend": "x", "model": "m"}, {"kind": "local", "model": "/etc"}):
        refused = failure(await service.client.post(path, json={**HAND, "retrieval": spec}))
        assert refused["param"] == "retrieval"
    hot = {**HAND, "sampling": {"temperature": 3}}
    assert failure(await service.client.post(path, json=hot))["param"] == "sampling.temperature"
    unknown = await service.client.post("/v1/prompts/nobody/versions", json=HAND)
    assert failure(unknown, 404)["code"] == "model_not_found"
    unknown = await service.client.post(
        "/v1/prompts/nobody/import", json={"format": "openai", "content": [{"role": "user", "content": "a"}]}
    )
    assert failure(unknown, 404)["code"] == "model_not_found"


async def test_a_backend_of_the_settings_may_find_the_examples(service: JobService) -> None:
    spec = {"kind": "backend", "backend": "simulated", "model": "simulated-embedding"}
    made = await service.client.post(f"{BASE}/versions", json={**HAND, "retrieval": spec})
    assert made.status_code == 201, made.text
    assert made.json()["retrieval"] == spec


async def test_a_bundle_makes_the_same_version_elsewhere(service: JobService, other: JobService) -> None:
    version = (await service.client.post(f"{BASE}/versions", json=HAND)).json()
    exported = await export(service, version["id"], "bundle")
    assert (exported["model"], exported["version"]) == (SMALL, version["id"])

    body = {"format": "bundle", "content": exported["content"], "note": "from there"}
    made = await other.client.post(f"{BASE}/import", json=body)

    assert made.status_code == 201, made.text
    imported = made.json()
    changing = {"provenance", "created_at", "number"}
    assert {**imported, **dict.fromkeys(changing)} == {**version, **dict.fromkeys(changing)}
    told = imported["provenance"]
    assert (told["how"], told["by"], told["format"], told["note"]) == (
        "imported",
        "local",
        "bundle",
        "from there",
    )
    assert told["source"]["version"] == version["id"]
    # bit for bit, its source as well: what a bundle says must not grow with each service that it passes
    assert (await export(other, version["id"], "bundle"))["content"] == exported["content"]
    assert (await other.client.post(f"{BASE}/import", json=body)).status_code == 200


async def test_a_long_conversation_that_came_in_whole_goes_on_as_a_bundle(
    service: JobService, other: JobService
) -> None:
    turns = [{"role": role, "content": f"{role} {at}"} for at in range(20) for role in ("user", "assistant")]
    made = await service.client.post(f"{BASE}/import", json={"format": "openai", "content": turns})
    assert made.json()["k"] == 20
    bundle = (await export(service, "1", "bundle"))["content"]
    again = await other.client.post(f"{BASE}/import", json={"format": "bundle", "content": bundle})
    assert again.status_code == 201, again.text


@pytest.mark.parametrize("wanted", ["openai", "dspy", "promptfoo"])
async def test_other_formats_come_in_again(service: JobService, wanted: str) -> None:
    await service.client.post(f"{BASE}/versions", json=HAND)
    exported = await export(service, "1", wanted, examples="all")
    made = await service.client.post(
        f"{BASE}/import", json={"format": wanted, "content": exported["content"]}
    )
    assert made.is_success, made.text
    version = made.json()
    assert version["system_prompt"] == "Be kind."
    assert [(item["query"], item["answer"]) for item in version["examples"]] == [
        ("Why?", "Because."),
        ("How?", "So."),
    ]


async def test_a_changed_or_unknown_bundle_is_refused(service: JobService) -> None:
    await service.client.post(f"{BASE}/versions", json=HAND)
    content = (await export(service, "1", "bundle"))["content"]
    newer = {"format": "bundle", "content": {**content, "format_version": 2}}
    failure(await service.client.post(f"{BASE}/import", json=newer))
    content["content"]["system_prompt"] = "Be cruel."
    changed = {"format": "bundle", "content": content}
    assert "was changed" in failure(await service.client.post(f"{BASE}/import", json=changed))["message"]
    unknown = {"format": "poem", "content": {}}
    failure(await service.client.post(f"{BASE}/import", json=unknown))


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
async def test_a_bundle_with_numbers_that_are_none_is_refused(service: JobService, number: str) -> None:
    await service.client.post(f"{BASE}/versions", json=HAND)
    bundle = {**(await export(service, "1", "bundle"))["content"], "source": {"reward": "?"}}
    body = json.dumps({"format": "bundle", "content": bundle}).replace('"?"', number)
    refused = await service.client.post(
        f"{BASE}/import", content=body, headers={"content-type": "application/json"}
    )
    assert failure(refused)["param"] == "content.source"


async def test_a_refusal_may_repeat_what_no_encoding_can_hold(service: JobService) -> None:
    content = {"config": {"prompts": ["file://\ud800"]}}
    refused = await service.client.post(
        f"{BASE}/import",
        content=json.dumps({"format": "promptfoo", "content": content}),
        headers={"content-type": "application/json"},
    )
    assert "names ?, which is not in files" in failure(refused)["message"]


async def test_a_version_without_anything_has_no_messages_to_export(service: JobService) -> None:
    from store.records.prompts import PromptVersionDraft  # noqa: PLC0415

    await service.resources.prompts.add_version(
        PromptVersionDraft(model=SMALL, system_prompt="", sampling={})
    )
    refused = await service.client.get(f"{BASE}/versions/1/export", params={"format": "openai"})
    assert "neither" in failure(refused)["message"]


async def test_versions_have_three_names(service: JobService) -> None:
    version = await add_version(service.resources, "one")
    await move(service, version)
    for name in (version, "1", "production"):
        assert (await service.get(f"{BASE}/versions/{name}"))["id"] == version
    for name in ("2", "candidate", "9" * 30, "²"):
        failure(await service.client.get(f"{BASE}/versions/{name}"), 404)


async def test_versions_come_in_pages(service: JobService) -> None:
    for number in range(5):
        await add_version(service.resources, f"prompt {number}")
    first = await service.get(f"{BASE}/versions", limit=2)
    assert ([item["number"] for item in first["data"]], first["has_more"]) == ([5, 4], True)
    rest = await service.get(f"{BASE}/versions", before=4)
    assert ([item["number"] for item in rest["data"]], rest["has_more"]) == ([3, 2, 1], False)


async def test_moves_of_labels_come_in_pages(service: JobService) -> None:
    versions = [await add_version(service.resources, f"prompt {number}") for number in range(3)]
    for version in versions:
        await move(service, version)
    newest = await service.get(f"{BASE}/label-moves", limit=2)
    assert [item["to_version"] for item in newest["data"]] == versions[:0:-1]
    rest = await service.get(f"{BASE}/label-moves", before=newest["data"][-1]["id"])
    assert [item["to_version"] for item in rest["data"]] == versions[:1]
    assert (newest["has_more"], rest["has_more"]) == (True, False)


async def test_two_versions_are_compared(service: JobService) -> None:
    await service.client.post(f"{BASE}/versions", json=HAND)
    changed = {
        "system_prompt": "Be brief.",
        "examples": [
            {"query": "How?", "answer": "Like so."},
            {"query": "Why?", "answer": "Because."},
            {"query": "Who?", "answer": "We."},
        ],
        "k": 1,
    }
    second = (await service.client.post(f"{BASE}/versions", json=changed)).json()
    await move(service, second["id"])

    diff = await service.get(f"{BASE}/diff", **{"from": "1", "to": "production"})

    assert (diff["from"]["number"], diff["to"]["id"], diff["to"]["labels"], diff["same"]) == (
        1,
        second["id"],
        ["production"],
        False,
    )
    assert [(piece["change"], piece["text"]) for piece in diff["words"]] == [
        ("same", "Be "),
        ("removed", "kind"),
        ("added", "brief"),
        ("same", "."),
    ]
    assert [line["change"] for line in diff["lines"]] == ["removed", "added"]
    assert [item["query"] for item in diff["examples"]["added"]] == ["Who?"]
    assert [(item["query"], item["after"]) for item in diff["examples"]["changed"]] == [("How?", "Like so.")]
    assert (diff["examples"]["unchanged"], diff["examples"]["reordered"]) == (1, True)
    assert diff["settings"] == [
        {"name": "k", "before": 2, "after": 1},
        {"name": "sampling.temperature", "before": 0.5, "after": None},
    ]
    same = await service.get(f"{BASE}/diff", **{"from": "1", "to": "1"})
    assert (same["same"], same["settings"], same["examples"]["changed"]) == (True, [], [])
    failure(await service.client.get(f"{BASE}/diff", params={"from": "1", "to": "9"}), 404)
    failure(await service.client.get(f"{BASE}/diff", params={"from": "1"}))


async def test_prompts_of_very_many_lines_are_not_compared(service: JobService) -> None:
    await service.client.post(f"{BASE}/versions", json=HAND)
    await service.client.post(f"{BASE}/versions", json={"system_prompt": "a" + "\n" * 10_001})
    refused = await service.client.get(f"{BASE}/diff", params={"from": "1", "to": "2"})
    assert failure(refused, 422)["code"] == "too_long_to_compare"
