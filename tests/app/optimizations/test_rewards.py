"""What a request may say about rewards, and what is refused before anything runs."""

from typing import Any

import pytest

from app.jobs.spec import JobSpec
from tests.app.jobs.service import JobService, failure, job, open_service

CRITIC = {"backend": "simulated", "model": "simulated-critic"}
BRAND = {"name": "Brand Voice", "description": "It sounds like us."}
SHORT = {"name": "Short", "kind": "length", "max": 50}
QUERIES = [{"text": f"What is {number} plus one?", "kind": "maths"} for number in range(30)]


def check(**fields: Any) -> dict[str, Any]:
    return {"checks": [{"name": "Check", **fields}]}


async def test_the_rewards_are_stored_and_shown_as_they_will_be_used(idle: JobService) -> None:
    rewards = {
        "criteria": [BRAND, {"name": "Jokes", "description": "Funny.", "always": False, "weight": 0}],
        "weights": {"safety": 2},
        "checks": [
            SHORT,
            {"name": "Polite", "kind": "forbidden_words", "words": ["damn"], "required": True},
            {"name": "Form", "kind": "json_schema", "schema": {"type": "object"}, "weight": 3},
            {"name": "Sources", "kind": "regex", "pattern": r"https?://", "match": False},
        ],
        "judges": ["judge"],
        "http": {"url": "http://127.0.0.1:1/score", "scale": "0-1"},
    }
    response = await idle.post("/v1/optimizations", job(rewards=rewards))
    assert response.status_code == 202, response.text
    shown = response.json()["rewards"]
    assert shown["criteria"][0] == {**BRAND, "weight": 1.0, "always": True, "kinds": []}
    assert shown["checks"][2]["schema"] == {"type": "object"}
    assert shown["http"]["name"] == "Own scorer"
    record = await idle.resources.optimizations.get(response.json()["id"])
    spec = JobSpec.from_json(record.spec)
    assert spec.rewards is not None
    assert spec.rewards.to_json() == shown
    assert spec.to_json() == record.spec
    assert len(spec.rewards.version) == 12


async def test_a_job_without_rewards_is_stored_with_none(idle: JobService) -> None:
    response = await idle.post("/v1/optimizations", job())
    assert response.json()["rewards"] is None


@pytest.mark.parametrize(
    ("rewards", "param", "message"),
    [
        ({"criteria": [{**BRAND, "name": "1. *x*"}]}, "criteria.0.name", "letters, digits"),
        ({"criteria": [{**BRAND, "name": "usefulness"}]}, "criteria.0.name", "is a built-in criterion"),
        ({"criteria": [BRAND, {**BRAND, "name": "brand-voice"}]}, "criteria.1.name", "criteria.0 too"),
        ({"criteria": [BRAND], "checks": [{**SHORT, "name": "Brand voice"}]}, "checks.0.name", "too"),
        ({"criteria": [{**BRAND, "description": "\u200b"}]}, "criteria.0.description", "blank"),
        ({"criteria": [{**BRAND, "weight": -1}]}, "criteria.0.weight", "greater than or equal to 0"),
        ({"criteria": [{**BRAND, "colour": 1}]}, "criteria.0.colour", "no such field"),
        ({"weights": {"Wit": 2}}, "weights.Wit", "no built-in criterion 'Wit': there are Helpfulness"),
        ({"weights": {"Safety": 2}, "catalogue": False}, "weights.Safety", "weights are for built-in"),
        ({"catalogue": False, "checks": [SHORT]}, "catalogue", "at least two"),
        (check(kind="regex", pattern="(a+)+\\1"), "checks.0", "RE2's syntax"),
        (check(kind="regex", pattern="a" * 1001), "checks.0", "at most 1000"),
        (check(kind="json_schema", schema={"type": "x"}), "checks.0", "no JSON schema"),
        (check(kind="json_schema", schema={"$ref": "http://x/"}), "checks.0", "stay within the schema"),
        (check(kind="length"), "checks.0", "give min, max or both"),
        (check(kind="length", min=5, max=4), "checks.0", "max is below min"),
        (check(kind="forbidden_words", words=["\u200b"]), "checks.0", "blank"),
        (check(kind="forbidden_words", words=[]), "checks.0", "at least 1"),
        (check(kind="python", code="1"), "checks.0", "regex"),
        ({"judges": ["strict"]}, "judges", "no judge 'strict': there are judge"),
        ({"judges": ["judge", "judge"]}, "judges", "named twice"),
        (
            {"judges": ["judge"], "catalogue": False, "checks": [SHORT, {**SHORT, "name": "B"}]},
            "judges",
            "no criterion to judge by",
        ),
        ({"http": {"url": "http://10.0.0.1/"}}, "http", "rewards.http_hosts"),
        ({"http": {"url": "http://127.0.0.1/", "headers": {"x": "HOME"}}}, "http", "http_header_variables"),
        ({"http": {"url": "http://127.0.0.1/", "headers": {"x y": "A"}}}, "http.headers.x y", "pattern"),
        ({"http": {"url": "http://127.0.0.1/", "name": "Safety"}}, "http.name", "is a built-in criterion"),
        ({"criteria": [{**BRAND, "kinds": ["poetry"]}]}, "criteria.0.kinds", "no query is of kind 'poetry'"),
        ({"checks": [{**SHORT, "kinds": ["poetry"]}]}, "checks.0.kinds", "the kinds are"),
    ],
)
async def test_what_cannot_work_is_refused_with_the_field_and_the_remedy(
    idle: JobService, rewards: dict[str, Any], param: str, message: str
) -> None:
    envelope = failure(await idle.post("/v1/optimizations", job(rewards=rewards)))
    assert str(envelope["param"]).startswith(f"rewards.{param}")
    assert message in envelope["message"]


@pytest.mark.parametrize(
    "rewards",
    [
        {"catalogue": False, "checks": [{**SHORT, "weight": 0}, {**SHORT, "name": "B", "weight": 0}]},
        {"catalogue": False, "checks": [{**SHORT, "kinds": ["maths"]}, {**SHORT, "name": "B", "weight": 0}]},
    ],
)
async def test_every_query_needs_something_with_a_weight(idle: JobService, rewards: dict[str, Any]) -> None:
    queries = [*QUERIES, {"text": "Hello there?", "kind": "other"}]
    envelope = failure(await idle.post("/v1/optimizations", job(rewards=rewards, queries=queries)))
    assert envelope["param"] == "rewards"
    assert "nothing with a weight scores queries of kind" in envelope["message"]


@pytest.mark.parametrize(
    ("rewards", "calls"),
    [
        (None, 3 + 6 + 11 + 40),
        ({"weights": {"Safety": 2}}, 3 + 6 + 11 + 40),
        ({"judges": ["judge", "strict"]}, (3 + 1) + (1 + 2 * 3 + 1) + (2 + 4 * 3 + 1) + 8 * 7),
        ({"http": {"url": "http://127.0.0.1:1/"}}, (3 + 1) + (1 + 2 * 3 + 1) + (2 + 4 * 3 + 1) + 8 * 7),
        (
            {"catalogue": False, "criteria": [BRAND], "checks": [SHORT]},
            2 + (1 + 2 * 2) + (2 + 4 * 2) + 8 * 4,
        ),
        (
            {"catalogue": False, "checks": [SHORT, {**SHORT, "name": "B"}]},
            1 + (1 + 2) + (2 + 4) + 8 * 2,
        ),
    ],
)
async def test_the_estimate_counts_every_call_that_scoring_takes(
    sqlite_url: str, rewards: dict[str, Any] | None, calls: int
) -> None:
    async with open_service(sqlite_url, jobs={"max_running": 0}, judges={"strict": CRITIC}) as service:
        response = await service.post("/v1/optimizations", job(rewards=rewards))
    assert response.status_code == 202, response.text
    assert response.json()["estimate"]["calls_left"] == calls


async def test_a_budget_too_small_for_what_scoring_takes_is_refused(idle: JobService) -> None:
    small = {"held_out": 0, "budget": {"calls": 10}}
    assert (await idle.post("/v1/optimizations", job(**small))).status_code == 202
    rewards = {"http": {"url": "http://127.0.0.1:1/"}}
    envelope = failure(await idle.post("/v1/optimizations", job(**small, rewards=rewards)))
    assert envelope["param"] == "budget.calls"
