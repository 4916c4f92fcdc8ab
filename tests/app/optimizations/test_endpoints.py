"""Jobs over HTTP: looking at them while they run, when they are done, and page by page."""

from statistics import fmean
from typing import Any

import pytest

from tests.app.jobs.service import SMALL, JobService, failure, open_service

ROLES = {"target", "proposer", "selector", "judge"}


async def test_a_finished_job_says_what_came_out(service: JobService) -> None:
    found = await service.run(settings={"seed": 1})

    assert (found["status"], found["error"], found["estimate"]) == ("succeeded", None, None)
    assert found["progress"] == {
        "phase": "finished",
        "round": 2,
        "rounds_left": 0,
        "evaluations": 1 + 2 + 4,
        "unscored": 0,
        "calls": found["usage"]["calls"],
        "calls_expected": found["usage"]["calls"],
        "seconds_left": {"low": 0.0, "expected": 0.0, "high": 0.0},
    }
    assert found["started_at"] <= found["finished_at"]
    result = found["result"]
    assert (result["stop_reason"], result["rounds"], result["evaluations"]) == ("depth", 2, 7)
    assert result["queries"] == {"search": 3, "held_out": 8}
    assert result["models"]["target"] == "simulated/simulated-small"
    assert found["best"]["candidate_id"] == result["best_candidate_id"]
    assert found["best"]["reward"] == result["best_reward"]


async def test_usage_by_role_equals_the_ledger_and_what_the_backend_received(service: JobService) -> None:
    found = await service.run()

    by_role = found["usage"]["by_role"]
    assert set(by_role) == ROLES
    assert {role: spend["calls"] for role, spend in by_role.items()} == service.backend.requests
    assert found["usage"]["calls"] == service.backend.requests.total()
    for field in ("calls", "prompt_tokens", "completion_tokens", "cost"):
        assert found["usage"][field] == sum(spend[field] for spend in by_role.values())
    assert all(spend["prompt_tokens"] and spend["completion_tokens"] for spend in by_role.values())
    assert found["usage"]["unknown_calls"] == 0


async def test_a_running_job_shows_its_progress_and_an_estimate(service: JobService) -> None:
    service.backend.hold_from = 3 + 6 + 2  # in the last round
    job = await service.start()
    await service.wait_for(job, "round_finished", count=2)

    shown = await service.get(f"/v1/optimizations/{job}")

    assert shown["status"] == "running"
    assert shown["progress"]["phase"] == "search"
    assert (shown["progress"]["round"], shown["progress"]["rounds_left"]) == (1, 1)
    assert shown["estimate"]["calls_left"] == 11 + 40
    told = shown["progress"]
    assert told["calls_expected"] == told["calls"] + 11 + 40
    assert 0 < told["seconds_left"]["low"] <= told["seconds_left"]["expected"] <= told["seconds_left"]["high"]
    assert shown["best"]["reward"] is not None
    assert shown["result"] is None
    service.backend.opened.set()
    assert (await service.finished(job))["estimate"] is None


async def test_the_gate_is_a_phase_of_its_own(service: JobService) -> None:
    def hold_later_judgements(role: str, number: int, text: str) -> None:
        if role == "judge" and number == 8:
            service.backend.hold_from = 0

    service.backend.replace = hold_later_judgements
    job = await service.start()
    await service.wait_for(job, "gate_started")
    await service.wait_for(job, "evaluation_finished", count=8)

    shown = await service.get(f"/v1/optimizations/{job}")

    assert shown["progress"]["phase"] == "gate"
    assert 0 < shown["estimate"]["calls_left"] <= 40
    service.backend.opened.set()
    await service.finished(job)


async def test_the_tree_has_its_parents_and_says_who_was_kept(service: JobService) -> None:
    job = (await service.run())["id"]
    tree = {item["id"]: item for item in await service.candidates(job)}

    assert len(tree) == 1 + 2 + 4
    assert tree["c0"]["parent_id"] is None
    for candidate in tree.values():
        if candidate["parent_id"] is not None:
            assert tree[candidate["parent_id"]]["round"] == candidate["round"] - 1
            assert candidate["parent_id"] in tree
    assert tree["c0"]["kept_in_rounds"] == [0]
    last = [item for item in tree.values() if item["round"] == 2]
    assert [bool(item["kept_in_rounds"]) for item in last].count(True) == 2
    assert sorted(item["dropped_in_round"] or 0 for item in last) == [0, 0, 2, 2]
    assert all(set(item["kept_in_rounds"]) <= {1, 2} for item in tree.values() if item["round"])


async def test_a_candidates_means_are_those_of_its_evaluations(service: JobService) -> None:
    found = await service.run()
    best = found["result"]["best_candidate_id"]
    shown = next(item for item in await service.candidates(found["id"]) if item["id"] == best)

    search = await service.evaluations(found["id"], candidate_id=best, phase="search")
    held_out = await service.evaluations(found["id"], candidate_id=best, phase="held_out")

    assert shown["reward"] == pytest.approx(fmean(item["reward"] for item in search))
    assert shown["held_out_reward"] == pytest.approx(fmean(item["reward"] for item in held_out))
    assert (shown["evaluations"], len(held_out)) == (len(search), 8)
    scores = criteria_of(held_out)
    assert {item["criterion"]: item["mean"] for item in shown["held_out_criteria"]} == {
        name: pytest.approx(fmean(values)) for name, values in scores.items()
    }
    assert {item["criterion"]: item["evaluations"] for item in shown["held_out_criteria"]} == {
        name: len(values) for name, values in scores.items()
    }


def criteria_of(evaluations: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Scores by criterion."""
    scores: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for item in evaluation["criteria"]:
            scores.setdefault(item["criterion"], []).append(item["score"])
    return scores


async def test_an_evaluation_says_where_it_comes_from(service: JobService) -> None:
    found = await service.run(settings={"k": 2})
    evaluations = await service.evaluations(found["id"])

    assert len(evaluations) == 7 + 16
    assert {item["phase"] for item in evaluations} == {"search", "held_out"}
    for item in evaluations:
        assert item["answer"]
        assert item["failure"] == ""
        assert 2 <= len(item["criteria"]) <= 5
        assert all(1 <= score["score"] <= 5 and score["rationale"] for score in item["criteria"])
        assert item["reward"] == pytest.approx(fmean(score["score"] for score in item["criteria"]))
        assert item["unscored_reason"] is None
        assert item["selection_rationale"]
        assert len(item["example_ids"]) == 2
        assert item["models"]["models"] == found["result"]["models"]
        assert item["models"]["rewards"]["judge_template_version"]
        assert item["seed"] is not None
        assert item["prompt_tokens"] > 0
        assert item["completion_tokens"] > 0
        assert set(item["query"]) == {"id", "text", "kind"}


async def test_all_candidates_of_a_round_saw_the_same_queries_and_none_that_was_held_out(
    service: JobService,
) -> None:
    evaluations = await service.evaluations((await service.run(settings={"minibatch_size": 2}))["id"])
    seen: dict[int, dict[str, set[str]]] = {}
    for item in evaluations:
        seen.setdefault(item["round"], {}).setdefault(item["candidate_id"], set()).add(item["query"]["id"])
    for by_candidate in seen.values():
        assert len({frozenset(queries) for queries in by_candidate.values()}) == 1
    held_out = {item["query"]["id"] for item in evaluations if item["phase"] == "held_out"}
    searched = {item["query"]["id"] for item in evaluations if item["phase"] == "search"}
    assert len(held_out) == 8
    assert held_out.isdisjoint(searched)


async def test_a_job_without_examples_shows_none(service: JobService) -> None:
    found = await service.run(examples=[], held_out=0)
    assert all(item["example_ids"] == [] for item in await service.evaluations(found["id"]))


async def test_a_base_model_is_optimized_through_plain_completions(service: JobService) -> None:
    found = await service.run(target="simulated-base", held_out=0)
    assert (found["status"], found["error"]) == ("succeeded", None)
    assert all(item["answer"] for item in await service.evaluations(found["id"]))


async def test_jobs_are_listed_newest_first_and_page_by_page(idle: JobService) -> None:
    jobs = [await idle.start(name=f"job {number}") for number in range(5)]

    first = await idle.get("/v1/optimizations", limit=2)
    second = await idle.get("/v1/optimizations", limit=2, after=first["last_id"])
    third = await idle.get("/v1/optimizations", limit=2, after=second["last_id"])

    pages = [first, second, third]
    assert [[item["id"] for item in page["data"]] for page in pages] == [
        [jobs[4], jobs[3]],
        [jobs[2], jobs[1]],
        [jobs[0]],
    ]
    assert [page["has_more"] for page in pages] == [True, True, False]
    assert [page["first_id"] for page in pages] == [jobs[4], jobs[2], jobs[0]]
    assert {page["object"] for page in pages} == {"list"}
    after_all = await idle.get("/v1/optimizations", after=jobs[0])
    assert after_all == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


async def test_jobs_are_listed_by_status(idle: JobService) -> None:
    waiting, cancelled = await idle.start(), await idle.start()
    await idle.post(f"/v1/optimizations/{cancelled}/cancel")
    listed = await idle.get("/v1/optimizations", status="cancelled")
    assert [item["id"] for item in listed["data"]] == [cancelled]
    listed = await idle.get("/v1/optimizations", status="queued")
    assert [item["id"] for item in listed["data"]] == [waiting]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "status=odd"])
async def test_a_list_that_makes_no_sense_is_a_400(idle: JobService, query: str) -> None:
    error = failure(await idle.client.get(f"/v1/optimizations?{query}"))
    assert error["param"] == query.partition("=")[0]


async def test_an_unknown_cursor_is_a_404(idle: JobService) -> None:
    failure(await idle.client.get("/v1/optimizations?after=opt_none"), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/candidates"), ("GET", "/evaluations"), ("GET", "/events"), ("POST", "/cancel")],
)
async def test_an_unknown_job_is_a_404(idle: JobService, method: str, path: str) -> None:
    response = await idle.client.request(method, f"/v1/optimizations/opt_none{path}")
    assert failure(response, 404)["code"] == "not_found"
    assert "opt_none" in failure(response, 404)["message"]


async def test_a_waiting_job_has_an_empty_tree(idle: JobService) -> None:
    job = await idle.start()
    assert await idle.candidates(job) == []
    assert await idle.evaluations(job) == []


async def test_keys_are_asked_for_where_one_is_configured(sqlite_url: str) -> None:
    async with open_service(
        sqlite_url, jobs={"max_running": 0}, server={"api_key": "sk-ours-0123456789"}
    ) as locked:
        for path in ("/v1/optimizations", "/v1/prompts", "/v1/datasets"):
            assert failure(await locked.client.get(path), 401)["code"] == "invalid_api_key"
            answer = await locked.client.get(path, headers={"authorization": "Bearer sk-ours-0123456789"})
            assert answer.status_code == 200
        assert (await locked.post("/v1/optimizations", {"target": SMALL})).status_code == 401


async def test_a_last_event_id_beyond_64_bits_is_a_400(idle: JobService) -> None:
    job = await idle.start()
    headers = {"last-event-id": str(2**63)}
    response = await idle.client.get(f"/v1/optimizations/{job}/events", headers=headers)
    assert failure(response)["param"] == "last-event-id"
