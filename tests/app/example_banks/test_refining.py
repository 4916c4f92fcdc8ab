"""Jobs that make the answers of a bank better, on the simulated backend."""

import pytest

from tests.app.example_banks.banks import POOR, answers_of, examples, finished, refine, start
from tests.app.jobs.crashes import finished_calls
from tests.app.jobs.service import SMALL, JobService, failure, open_service
from tests.app.optimizations.test_control import heard


async def test_a_bank_gets_better_answers(service: JobService) -> None:
    bank = await refine(service, preset="default", name="mine")
    assert (bank["status"], bank["name"]) == ("succeeded", "mine")
    assert bank["end"] in {"done", "rounds"}
    progress = bank["progress"]
    assert progress["phase"] == "finished"
    assert progress["mean_best"] > progress["mean_first"] + 0.5
    for item, (query, given) in zip(bank["examples"], POOR, strict=True):
        assert (item["query"], item["given_answer"]) == (query, given)
        assert item["best_reward"] >= item["first_reward"]
        assert (item["answer"] == given) == (item["best_reward"] == item["first_reward"])
        assert item["end"] in {"perfect", "no_gain", "rounds"}
    assert bank["usage"]["calls"] == sum(service.backend.requests.values()) <= bank["calls_max"]
    assert set(bank["usage"]["by_role"]) == {"rewriter", "selector", "example_judge"}
    assert bank["models"]["example_judge"] == "simulated/simulated-critic"


async def test_every_answer_is_on_record_with_its_scores_and_reasons(service: JobService) -> None:
    bank = await refine(service)
    tried = await answers_of(service, bank["id"])
    assert len(tried) == bank["progress"]["answers"] == sum(item["judged"] for item in bank["examples"])
    first = tried[0]
    assert (first["example_id"], first["id"], first["round"], first["parent_id"]) == ("ex-001", "a0", 0, None)
    assert 3 <= len(first["criteria"]) <= 6
    assert all(item["rationale"] for item in first["criteria"])
    assert first["selection_rationale"]
    assert first["models"]["models"]["rewriter"] == "simulated/simulated-critic"
    later = [answer for answer in tried if answer["round"] == 1]
    assert {answer["parent_id"] for answer in later} == {"a0"}
    assert all(answer["rationale"] for answer in later)
    best = {item["id"]: item["best_reward"] for item in bank["examples"]}
    for example_id, reward in best.items():
        own = await answers_of(service, bank["id"], example_id=example_id)
        assert max(answer["reward"] for answer in own) == reward


async def test_events_tell_what_happens_and_end(service: JobService) -> None:
    bank = await start(service)
    async with service.client.stream("GET", f"/v1/example-banks/{bank}/events") as response:
        lines = [line async for line in response.aiter_lines()]
    types = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert types[:3] == ["optimization_started", "refinement_started", "refinement_round_started"]
    assert types[-2:] == ["refinement_finished", "optimization_finished"]
    assert types.count("refinement_round_finished") == 2
    ids = [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]
    assert ids == list(range(1, len(ids) + 1))


async def test_missing_answers_are_written(service: JobService) -> None:
    bank = await refine(service, examples=[*examples(1), *examples(3, answers=False)[1:]])
    assert [item["given_answer"] is None for item in bank["examples"]] == [False, True, True]
    assert all(item["answer"] for item in bank["examples"])
    assert all(item["first_reward"] for item in bank["examples"])


async def test_the_same_seed_finds_the_same_and_another_something_else(service: JobService) -> None:
    first, again = await refine(service), await refine(service)
    assert first["bank_id"] == again["bank_id"]
    assert first["examples"] == again["examples"]
    other = await refine(service, settings={"seed": 7})
    assert other["bank_id"] != first["bank_id"]


async def test_a_prompt_is_searched_and_served_with_a_refined_bank(service: JobService) -> None:
    bank = await refine(service)
    found = await service.run(examples={"bank": bank["id"]}, settings={"k": 2})
    assert found["status"] == "succeeded", found["error"]
    version = await service.get(f"/v1/prompts/{SMALL}/versions/{found['result']['prompt_version']}")
    answers = {item["answer"] for item in bank["examples"]}
    assert {item["answer"] for item in version["examples"]} == answers
    shown = [item for item in await service.evaluations(found["id"]) if item["example_ids"]]
    assert shown
    assert {name for item in shown for name in item["example_ids"]} <= {f"ex-{n:03d}" for n in range(1, 5)}
    by_content = await service.start(examples={"bank": bank["bank_id"]})
    assert (await service.finished(by_content))["status"] == "succeeded"


@pytest.mark.parametrize("calls", [2, 9, 17, 25])
async def test_a_budget_of_calls_holds_and_the_best_so_far_is_the_bank(
    service: JobService, calls: int
) -> None:
    bank = await refine(service, preset="default", budget={"calls": calls})
    assert (bank["status"], bank["end"]) == ("succeeded", "budget")
    assert bank["usage"]["calls"] == sum(service.backend.requests.values()) <= calls
    assert all(item["answer"] for item in bank["examples"])
    for item in bank["examples"]:
        if item["best_reward"] == item["first_reward"]:
            assert item["answer"] == item["given_answer"]


async def test_where_nothing_can_be_written_within_the_budget_the_job_says_so(service: JobService) -> None:
    bank = await refine(service, examples=examples(2, answers=False), budget={"tokens": 10})
    assert (bank["status"], bank["error"]["code"]) == ("failed", "invalid_input")
    assert "within the budget" in bank["error"]["message"]


async def test_bad_replies_cost_answers_but_never_the_job(sqlite_url: str) -> None:
    faults = {"malformed_reply": 0.35, "rate_limited": 0.1, "server_error": 0.05}
    backend = {"retries": {"first_wait_seconds": 0.001, "max_wait_seconds": 0.002, "max_attempts": 20}}
    async with open_service(sqlite_url, simulated={"faults": faults}, backend=backend) as service:
        bank = await refine(service, preset="default")
        assert bank["status"] == "succeeded", bank["error"]
        tried = await answers_of(service, bank["id"])
        assert {answer["reward"] is None for answer in tried} == {True, False}
        for item in bank["examples"]:
            assert item["answer"]
            assert item["first_reward"] is None or item["best_reward"] >= item["first_reward"]


async def test_other_models_can_rewrite_and_judge_examples(sqlite_url: str) -> None:
    critic = {"backend": "simulated", "model": "simulated-critic"}
    other = {"backend": "other", "model": "simulated-critic"}
    groups = {
        "backends": {"simulated": {"kind": "simulated"}, "other": {"kind": "simulated"}},
        "targets": {SMALL: {"backend": "simulated", "model": SMALL}},
        "roles": {
            "proposer": critic,
            "selector": critic,
            "judge": critic,
            "rewriter": other,
            "example_judge": other,
        },
    }
    async with open_service(sqlite_url, **groups) as service:
        bank = await refine(service)
        assert bank["models"] == {
            "rewriter": "other/simulated-critic",
            "selector": "simulated/simulated-critic",
            "example_judge": "other/simulated-critic",
        }


async def test_a_cancelled_bank_keeps_what_was_judged(service: JobService) -> None:
    service.backend.hold_from = 12
    bank = await start(service, preset="default")
    await service.backend.held.wait()
    response = await service.post(f"/v1/example-banks/{bank}/cancel")
    assert response.status_code == 200
    ended = await finished(service, bank)
    assert (ended["status"], ended["bank_id"], ended["end"]) == ("cancelled", None, None)
    assert ended["progress"]["answers"] > 0
    assert ended["usage"]["calls"] > 0
    assert len(await answers_of(service, bank)) == ended["progress"]["answers"]


async def test_a_paused_bank_goes_on_to_what_it_would_have_found(
    service: JobService, sqlite_url: str, other_sqlite_url: str
) -> None:
    async with open_service(other_sqlite_url) as other:
        undisturbed = await refine(other)
    service.backend.hold_from = 12
    bank = await start(service)
    await service.backend.held.wait()
    assert (await service.post(f"/v1/example-banks/{bank}/pause")).json()["pause_requested"]
    await service.wait_for(bank, "optimization_paused")
    before = await finished_calls(sqlite_url)
    service.backend.hold_from = None
    service.backend.opened.set()
    assert (await service.post(f"/v1/example-banks/{bank}/resume")).status_code == 200
    ended = await finished(service, bank)
    assert (ended["status"], ended["bank_id"]) == ("succeeded", undisturbed["bank_id"])
    after = await finished_calls(sqlite_url)
    assert {key: after[key] for key in before} == before


async def test_a_bank_whose_budget_shrinks_ends_with_what_it_has(service: JobService) -> None:
    service.backend.hold_from = 20
    bank = await start(service, preset="default", priority=4)
    await service.backend.held.wait()
    path = f"/v1/example-banks/{bank}"
    changed = await service.client.patch(path, json={"budget": {"calls": 1}})
    assert (changed.json()["budget"]["calls"], changed.json()["priority"]) == (1, 4)
    await heard()
    service.backend.hold_from = None
    service.backend.opened.set()
    ended = await finished(service, bank)
    assert (ended["status"], ended["end"]) == ("succeeded", "budget")
    assert (await service.client.delete(path)).json()["deleted"]
    failure(await service.client.get(path), 404)
    # the finished bank has a name of its own
    made = await service.post("/v1/example-banks", {"examples": {"bank": ended["bank_id"]}, "refine": False})
    assert made.json()["bank_id"] == ended["bank_id"]


async def test_a_bank_s_request_that_is_sent_again_makes_no_second_one(idle: JobService) -> None:
    body, headers = {"preset": "mini"}, {"idempotency-key": "mine"}
    first, second = [
        await idle.client.post("/v1/example-banks", json=body, headers=headers) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    other = await idle.client.post("/v1/example-banks", json={"preset": "paper"}, headers=headers)
    failure(other, 422)
    refused = failure(
        await idle.client.patch(f"/v1/example-banks/{first.json()['id']}", json={"budget": {"cost": 1}})
    )
    assert refused["param"] == "budget.cost"
