"""Banks over HTTP: storing, listing, and what cannot work."""

from typing import Any

import pytest

from tests.app.example_banks.banks import PATH, answers_of, examples, refine, start
from tests.app.jobs.service import JobService, failure, job


async def test_a_bank_can_be_stored_as_it_is(idle: JobService) -> None:
    response = await idle.post(PATH, {"examples": examples(2), "refine": False, "name": "plain"})
    assert response.status_code == 202
    bank = response.json()
    assert (bank["status"], bank["refine"], bank["calls_max"]) == ("succeeded", False, 0)
    assert bank["bank_id"].startswith("eb_")
    assert [item["answer"] for item in bank["examples"]] == [item["answer"] for item in examples(2)]
    assert bank["examples"][0]["first_reward"] is None
    assert bank["usage"]["calls"] == 0
    assert await answers_of(idle, bank["id"]) == []
    for name in (bank["id"], bank["bank_id"]):
        assert (await idle.post("/v1/optimizations", job(examples={"bank": name}))).status_code == 202


async def test_a_waiting_bank_says_what_it_will_take_at_most(idle: JobService) -> None:
    bank = await idle.get(f"{PATH}/{await start(idle, preset='mini')}")
    assert (bank["status"], bank["progress"]["phase"], bank["bank_id"]) == ("queued", "queued", None)
    assert bank["calls_max"] == 4 * (2 + 3)
    assert [item["answer"] for item in bank["examples"]] == [None] * 4
    assert bank["settings"]["beam_width"] == 1


async def test_the_built_in_bank_is_the_default(idle: JobService) -> None:
    response = await idle.post(PATH, {})
    assert response.status_code == 202
    assert len(response.json()["examples"]) == 22


async def test_a_stored_bank_can_be_refined_further(service: JobService) -> None:
    first = await refine(service)
    second = await refine(service, examples={"bank": first["id"]}, settings={"seed": 3})
    assert [item["given_answer"] for item in second["examples"]] == [
        item["answer"] for item in first["examples"]
    ]


async def test_banks_and_prompts_are_listed_apart(idle: JobService) -> None:
    banks = [await start(idle) for _ in range(3)]
    search = await idle.start()
    page = await idle.get(PATH, limit=2)
    assert [item["id"] for item in page["data"]] == banks[:0:-1]
    assert (page["has_more"], page["data"][0]["examples"]) == (True, None)
    rest = await idle.get(PATH, after=page["last_id"])
    assert [item["id"] for item in rest["data"]] == banks[:1]
    assert [item["id"] for item in (await idle.get("/v1/optimizations"))["data"]] == [search]
    assert (await idle.get(PATH, status="succeeded"))["data"] == []
    for path in ("", "/candidates", "/evaluations", "/events"):
        failure(await idle.client.get(f"/v1/optimizations/{banks[0]}{path}"), 404)
    failure(await idle.post(f"/v1/optimizations/{banks[0]}/cancel"), 404)
    for path in ("", "/answers", "/events"):
        failure(await idle.client.get(f"{PATH}/{search}{path}"), 404)
    failure(await idle.post(f"{PATH}/{search}/cancel"), 404)


async def test_a_waiting_bank_is_cancelled_at_once(idle: JobService) -> None:
    bank = await start(idle)
    assert (await idle.post(f"{PATH}/{bank}/cancel")).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"examples": []}, "examples", ""),
        ({"examples": [{"query": " ", "answer": "a"}]}, "examples", ""),
        ({"examples": [{"query": "q", "answer": ""}]}, "examples", ""),
        ({"examples": [{"query": "q"}], "refine": False}, "examples", "set refine to true"),
        ({"examples": [{"query": "q", "answer": "a"}] * 2}, "examples", "same query"),
        ({"examples": {"bank": "eb_unheard"}}, "examples.bank", "GET /v1/example-banks"),
        ({"examples": {"bank": "ebj_unheard"}}, "examples.bank", "GET /v1/example-banks"),
        ({"preset": "huge"}, "preset", ""),
        ({"settings": {"depth": 3}}, "settings.depth", ""),
        ({"settings": {"judge": {"temperature": 9}}}, "settings.judge.temperature", ""),
        ({"budget": {"calls": 1}}, "budget.calls", "give more calls"),
        ({"budget": {"cost": 1}}, "budget.cost", "bounds nothing"),
        ({"unheard": 1}, "unheard", ""),
    ],
)
async def test_what_cannot_work_is_refused_with_what_to_change(
    idle: JobService, body: dict[str, Any], param: str, words: str
) -> None:
    refused = failure(await idle.post(PATH, body))
    assert str(refused["param"]).startswith(param)
    assert words in refused["message"]


async def test_a_bank_that_is_not_finished_or_lacks_answers_cannot_be_used(idle: JobService) -> None:
    waiting = await start(idle, examples=examples(1, answers=False))
    refused = failure(await idle.post("/v1/optimizations", job(examples={"bank": waiting})))
    assert (refused["param"], "wait until it has succeeded" in refused["message"]) == ("examples.bank", True)
    record = await idle.resources.optimizations.get(waiting)
    drafts = str(record.spec["drafts_id"])
    refused = failure(await idle.post("/v1/optimizations", job(examples={"bank": drafts})))
    assert "have the bank refined first" in refused["message"]
    assert failure(await idle.post("/v1/optimizations", job(examples={"bank": ""})))["param"]
