"""Jobs whose scores are read from log-probabilities."""

import json
from collections import Counter
from typing import Any

import pytest

from app.jobs.judging import check_judging
from app.jobs.reward_spec import Judging, RewardSpec
from optimizer.errors import InvalidInputError
from tests.app.jobs.service import SMALL, JobService, job, open_service

BY_DIGITS = {"judging": "logprobs"}
GRADING = "# Task: grade an answer by digits"
SCORING = "# Task: score an answer"


def tasks(service: JobService) -> list[tuple[str, str]]:
    """The task and the user message of each request to come."""
    sent: list[tuple[str, str]] = []
    transport = service.backend._inner
    original = transport.handle_async_request

    async def listen(request: Any) -> Any:
        messages = json.loads(await request.aread())["messages"]
        sent.append((messages[0]["content"].partition("\n")[0], messages[-1]["content"]))
        return await original(request)

    transport.handle_async_request = listen  # type: ignore[method-assign]
    return sent


@pytest.mark.parametrize("preset", ["paper", "default"])
async def test_scores_are_fine_and_only_what_a_proposer_reads_has_reasons(
    service: JobService, preset: str
) -> None:
    sent = tasks(service)
    budget = {"budget": {"calls": 150}} if preset == "default" else {}
    found = await service.run(preset=preset, rewards=BY_DIGITS, **budget)
    assert found["status"] == "succeeded", found["error"]
    evaluations = await service.evaluations(found["id"])
    scores = [item["score"] for one in evaluations for item in one["criteria"]]
    assert scores
    assert sum(score == round(score) for score in scores) < len(scores) / 10
    assert not any(item["rationale"] for one in evaluations for item in one["criteria"])
    counted = Counter(task for task, _ in sent)
    assert counted[GRADING] >= len(evaluations)
    proposals = [text for task, text in sent if task == "# Task: improve a system prompt"]
    assert 0 < counted[SCORING] <= (1 if preset == "paper" else 4) * len(proposals)
    assert all(" of 5. \n" not in text and " of 5.\n" not in text for text in proposals)
    assert found["usage"]["calls"] <= (150 if preset == "default" else 10_000)


async def test_the_row_says_what_a_process_has_to_know(service: JobService) -> None:
    record = await service.resources.optimizations.get(await service.start(rewards=BY_DIGITS))
    assert record.spec_version == 2
    assert (await service.finished(record.id))["rewards"]["judging"] == "logprobs"
    other = await service.resources.optimizations.get(await service.start(rewards={}))
    assert other.spec_version == 1
    assert "judging" not in str(other.spec["rewards"])
    await service.finished(other.id)


async def test_a_replay_reads_the_recorded_log_probabilities(service: JobService) -> None:
    found = await service.run(rewards=BY_DIGITS)
    response = await service.post(f"/v1/optimizations/{found['id']}/replay", {})
    assert response.status_code == 202, response.text
    again = await service.finished(response.json()["id"])
    assert again["status"] == "succeeded", again["error"]
    assert again["result"]["replay"]["complete"] is True
    assert again["result"]["best_reward"] == found["result"]["best_reward"]


async def test_a_judge_without_log_probabilities_is_refused_with_what_to_change(sqlite_url: str) -> None:
    async with open_service(sqlite_url, backend={"capabilities": {"top_logprobs": 4}}) as service:
        response = await service.post("/v1/optimizations", job(rewards=BY_DIGITS))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "rewards.judging"
    assert "simulated/simulated-critic gives 4 log-probabilities" in error["message"]
    assert 'leave "judging" out' in error["message"]


async def test_every_judge_of_a_job_is_looked_at(sqlite_url: str) -> None:
    poor = {"kind": "simulated", "capabilities": {"logprobs": False}}
    critic = {"backend": "poor", "model": "simulated-critic"}
    roles = {
        role: {"backend": "simulated", "model": "simulated-critic"}
        for role in ("proposer", "selector", "judge")
    }
    targets = {SMALL: {"backend": "simulated", "model": SMALL}}
    async with open_service(
        sqlite_url,
        more_backends={"poor": poor},
        judges={"strict": critic},
        targets=targets,
        roles={**roles, "gate_judge": critic},
    ) as service:
        models = service.resources.models
        await check_judging(RewardSpec(judging=Judging.LOGPROBS), models, gate_judge=False)
        await check_judging(RewardSpec(judges=("strict",)), models, gate_judge=True)
        for judges, gate_judge in ((("judge", "strict"), False), ((), True)):
            spec = RewardSpec(judges=judges, judging=Judging.LOGPROBS)
            with pytest.raises(InvalidInputError, match="poor/simulated-critic gives 0 log-probabilities"):
                await check_judging(spec, models, gate_judge=gate_judge)
