"""``GET /v1/overview``."""

from collections.abc import AsyncIterator
from statistics import fmean

import pytest

from tests.app.jobs.service import SMALL, JobService, failure, open_service


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[JobService]:
    """The application in process; jobs run."""
    async with open_service(sqlite_url) as opened:
        yield opened


async def test_a_promoted_version_shows_what_it_has_gained(service: JobService) -> None:
    job = await service.run_to_promotion(gate={})
    gate = job["result"]["gate"]
    assert gate["verdict"] == "promoted"

    overview = await service.get("/v1/overview", days=7)

    assert (overview["days"], len(overview["data"])) == (7, 3)
    shown = overview["data"][0]
    assert (shown["model"], shown["versions"]) == (SMALL, 1)
    assert shown["production"]["id"] == job["result"]["prompt_version"]
    assert shown["production"]["how"] == "optimization"
    assert shown["production"]["moved_by"] == "optimization"
    assert shown["production"]["reason"].startswith("better on")
    assert shown["gain"] == {
        "optimization_id": job["id"],
        "verdict": "promoted",
        "queries": gate["queries"],
        "before": gate["baseline_reward"],
        "after": gate["candidate_reward"],
        "difference": gate["difference"],
        "low": gate["low"],
        "high": gate["high"],
    }
    assert (shown["last_job"]["id"], shown["last_job"]["verdict"]) == (job["id"], "promoted")
    evaluations = await service.evaluations(job["id"], phase="held_out", candidate_id=gate["candidate_id"])
    for change in shown["criteria"]:
        scores = [
            item["score"]
            for evaluation in evaluations
            for item in evaluation["criteria"]
            if item["criterion"] == change["criterion"]
        ]
        assert change["evaluations_after"] == len(scores)
        assert change["after"] == (pytest.approx(fmean(scores)) if scores else None)
    assert any(change["after"] > change["before"] for change in shown["criteria"])
    other = overview["data"][1]
    assert (other["production"], other["gain"], other["last_job"], other["versions"]) == (None, None, None, 0)


async def test_a_version_by_hand_and_its_traffic_are_shown(service: JobService) -> None:
    made = await service.post(f"/v1/prompts/{SMALL}/versions", {"system_prompt": "Be kind."})
    body = {"version": made.json()["id"], "reason": "a try"}
    await service.client.put(f"/v1/prompts/{SMALL}/labels/production", json=body)
    question = {"model": SMALL, "messages": [{"role": "user", "content": "Why?"}]}
    assert (await service.post("/v1/chat/completions", question)).status_code == 200
    await service.resources.access.recorder.flush()

    shown = (await service.get("/v1/overview"))["data"][0]

    assert (shown["production"]["how"], shown["production"]["reason"], shown["production"]["moved_by"]) == (
        "by_hand",
        "a try",
        "local",
    )
    assert (shown["gain"], shown["criteria"]) == (None, [])
    assert shown["traffic"]["requests"] == 1
    assert shown["traffic"]["completion_tokens"] > 0
    failure(await service.client.get("/v1/overview?days=0"))
