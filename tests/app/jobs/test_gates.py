"""Who meets on the held-out queries, who judges them, and what is said about the judge."""

from typing import Any

from optimizer.types import JsonObject
from tests.app.jobs.backend import script_backend
from tests.app.jobs.service import JobService, open_service
from tests.app.jobs.test_outcomes import add_version, point

CRITIC = "simulated-critic"
ROLE: JsonObject = {"backend": "simulated", "model": CRITIC}
TWO_JUDGES: dict[str, Any] = {
    "backends": {
        "simulated": {"kind": "simulated"},
        "elsewhere": {"kind": "simulated", "simulated": {"seed": 5}},
    },
    "targets": {"simulated-small": {"backend": "simulated", "model": "simulated-small"}},
    "roles": {
        "proposer": ROLE,
        "selector": ROLE,
        "judge": ROLE,
        "gate_judge": {"backend": "elsewhere", "model": CRITIC},
    },
}
FULL: JsonObject = {"finalists": 2, "judged_again": 10}


async def contenders(service: JobService, job: dict[str, Any]) -> dict[str, int]:
    """Held-out answers by candidate."""
    found: dict[str, int] = {}
    for item in await service.evaluations(job["id"], phase="held_out"):
        found[item["candidate_id"]] = found.get(item["candidate_id"], 0) + 1
    return found


async def test_finalists_the_seed_prompt_and_what_is_served_all_answer_the_held_out_queries(
    service: JobService,
) -> None:
    await point(service, await add_version(service, "Be short."))
    job = await service.run(seed_prompt="Be kind.", gate=FULL)
    gate = job["result"]["gate"]
    finalists = [item["candidate_id"] for item in gate["finalists"]]
    assert 1 <= len(finalists) <= 2
    assert await contenders(service, job) == dict.fromkeys({"incumbent", "c0", *finalists}, 8)
    assert gate["candidate_id"] in finalists
    started = next(event for event in await service.events(job["id"]) if event.type == "gate_started")
    assert started.body == {
        "incumbent_id": "incumbent",
        "candidate_ids": finalists,
        "seed_prompt_id": "c0",
        "queries": 8,
    }


async def test_the_best_that_a_finished_job_shows_is_the_one_that_the_verdict_is_about(
    service: JobService,
) -> None:
    for seed in range(4):
        job = await service.run(gate=FULL, settings={"seed": seed}, label=None)
        result = job["result"]
        assert job["best"]["candidate_id"] == result["gate"]["candidate_id"]
        stored = await service.get(f"/v1/prompts/simulated-small/versions/{result['prompt_version']}")
        assert stored["system_prompt"] == job["best"]["system_prompt"]


async def test_another_judge_decides_where_one_is_configured(sqlite_url: str) -> None:
    async with open_service(sqlite_url, **TWO_JUDGES) as service:
        elsewhere = script_backend(service.resources, "elsewhere")
        job = await service.run(gate=FULL)
    result = job["result"]
    assert result["models"]["gate_judge"] == f"elsewhere/{CRITIC}"
    spent = job["usage"]["by_role"]
    answers = 8 * (1 + len(result["gate"]["finalists"]))
    assert elsewhere.requests == {"judge": spent["gate_judge"]["calls"]} == {"judge": answers + 10}
    assert not any("also decides" in warning for warning in result["gate"]["warnings"])


async def test_the_judge_of_the_search_decides_otherwise_and_a_warning_says_so(service: JobService) -> None:
    job = await service.run()
    assert "gate_judge" not in job["result"]["models"]
    assert any("set roles.gate_judge to another model" in item for item in job["result"]["gate"]["warnings"])


async def test_every_job_says_how_far_its_judge_can_be_relied_on(service: JobService) -> None:
    before = await service.run()
    job = await service.run(gate={"finalists": 1, "judged_again": 12})
    report = job["result"]["judge"]
    assert report["judged_again"] == 12
    assert 0.5 < report["agreement"] < 1
    assert report["mean_absolute_difference"] > 0, "it is asked otherwise, and does not repeat itself"
    assert None not in {report["saturated_share"], report["tied_share"], report["length_bias"]}
    judge = job["usage"]["by_role"]["judge"]["calls"] - before["usage"]["by_role"]["judge"]["calls"]
    assert judge == 12
    told = [event.body for event in await service.events(job["id"]) if event.type == "judge_checked"]
    assert told == [report]


async def test_without_held_out_queries_the_answers_of_the_search_show_the_judge(service: JobService) -> None:
    job = await service.run(held_out=0, gate={"judged_again": 10}, settings={"minibatch_size": 3})
    report = job["result"]["judge"]
    assert (report["judged_again"], job["result"]["gate"]["queries"]) == (10, 0)
    assert report["answers"] > 10
    assert report["agreement"] is not None


async def test_a_judge_that_scatters_promotes_nothing_however_clear_the_gain(sqlite_url: str) -> None:
    strict: JsonObject = {"finalists": 1, "judged_again": 16, "min_judge_agreement": 0.98}
    async with open_service(sqlite_url, simulated={"world": {"judge_noise": 2.0}}) as service:
        doubted = await service.run_to_promotion(gate=strict, held_out=30)
        trusted = await service.run_to_promotion(gate=strict | {"min_judge_agreement": 0.0}, held_out=30)
    gate = doubted["result"]["gate"]
    assert gate["verdict"] == "not_enough_evidence"
    assert gate["reason"].startswith("the judge agrees with itself too little to decide by")
    assert (gate["low"] > 0, doubted["result"]["label_moved"]) == (True, None)
    assert trusted["result"]["gate"]["verdict"] == "promoted"


async def test_a_small_budget_cuts_finalists_before_queries(service: JobService) -> None:
    job = await service.run(budget={"calls": 110}, gate=FULL, settings={"depth": 20})
    gate = job["result"]["gate"]
    assert job["usage"]["calls"] <= 110
    assert (len(gate["finalists"]), gate["queries"] + gate["missing"]) == (1, 8)


async def test_settings_of_the_gate_out_of_range_are_refused_with_their_name(service: JobService) -> None:
    for name, value in (("finalists", 0), ("margin", -1), ("min_judge_agreement", 1.5), ("colour", "red")):
        refused = await service.post(
            "/v1/optimizations", {"target": "simulated-small", "gate": {name: value}}
        )
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == f"gate.{name}"
