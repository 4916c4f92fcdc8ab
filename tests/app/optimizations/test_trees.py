"""A search at a glance: bounded, true to its event, and whole where all of it is asked for."""

from dataclasses import replace
from typing import Any

import pytest

from app.optimizations.trees import show_tree
from optimizer.types import JsonObject
from store.records.optimizations import OptimizationRecord, OptimizationStatus
from store.repositories.search_outline import OutlinedCandidate, OutlinedRound, SearchOutline
from tests.app.jobs.service import JobService, failure

MANY = 10_000


async def test_the_tree_agrees_with_candidates_and_events(service: JobService) -> None:
    found = await service.run(preset="default", settings={}, budget={"calls": 260})
    path = f"/v1/optimizations/{found['id']}"
    events = await service.events(found["id"])
    candidates = {item["id"]: item for item in await service.candidates(found["id"])}
    tree = await service.get(f"{path}/tree")
    assert (tree["seq"], tree["phase"], tree["candidates"]) == (events[-1].seq, "finished", len(candidates))
    assert [node["place"] for node in tree["data"]] == list(range(1, len(candidates) + 1))
    assert tree["leader_id"] == tree["data"][0]["id"]
    for node in tree["data"]:
        known = candidates[node["id"]]
        for name in ("parent_id", "round", "evaluations", "unscored", "drop"):
            assert node[name] == known[name], (node["id"], name)
        assert node["mean"] == pytest.approx(known["reward"])
        assert (node["dropped_in_round"] is None) == (known["dropped_in_round"] is None)
    rounds: list[dict[str, Any]] = [event.body for event in events if event.type == "round_finished"]
    assert [item["round"] for item in tree["rounds"]] == [body["round"] for body in rounds]
    assert tree["rounds"][-1]["best_candidate_id"] == rounds[-1]["ranking"][0]["candidate_id"]
    spends = [item["spend"] for item in tree["rounds"]]
    assert sorted(spends, key=lambda spend: spend["calls"]) == spends
    assert 0 < spends[-1]["calls"] <= found["usage"]["calls"]
    assert 0 < spends[-1]["tokens"] <= found["usage"]["prompt_tokens"] + found["usage"]["completion_tokens"]
    gate = next(event.body for event in events if event.type == "gate_finished")
    assert tree["gate"] == gate


async def test_a_part_of_the_tree_comes_with_its_ancestors_and_who_is_asked_for(service: JobService) -> None:
    path = f"/v1/optimizations/{(await service.run())['id']}/tree"
    whole = (await service.get(path))["data"]
    parents = {node["id"]: node["parent_id"] for node in whole}

    async def names(**params: Any) -> list[str]:
        return [node["id"] for node in (await service.get(path, **params))["data"]]

    order = [node["id"] for node in whole]
    assert (await names(limit=3))[:3] == order[:3]
    assert (await names(limit=2, skip=3))[:2] == order[3:5]
    for shown in (await names(limit=1), await names(limit=0, candidate_id=[order[-1], "nobody"])):
        assert all(parents[name] is None or parents[name] in shown for name in shown)
        assert len(shown) < len(order)
    assert order[-1] in await names(limit=0, candidate_id=order[-1])
    assert await names(limit=0) == []
    failure(await service.client.get(f"{path}?limit=1001"))
    failure(await service.client.get("/v1/optimizations/opt_none/tree"), 404)


async def test_one_candidate_is_found_by_its_id(service: JobService) -> None:
    job = (await service.run())["id"]
    for known in await service.candidates(job):
        assert await service.get(f"/v1/optimizations/{job}/candidates/{known['id']}") == known
    failure(await service.client.get(f"/v1/optimizations/{job}/candidates/nobody"), 404)
    failure(await service.client.get("/v1/optimizations/opt_none/candidates/c0"), 404)


async def test_criteria_of_many_rounds_are_taken_together(service: JobService) -> None:
    path = f"/v1/optimizations/{(await service.run())['id']}/criteria"
    table = (await service.get(path, phase="search"))["data"]
    assert all(cell["last_round"] == cell["round"] for cell in table)
    together = (await service.get(path, phase="search", columns=1))["data"]
    assert len({cell["criterion"] for cell in together}) == len(together)
    for cell in together:
        parts = [part for part in table if part["criterion"] == cell["criterion"]]
        assert cell["evaluations"] == sum(part["evaluations"] for part in parts)
        assert (cell["round"], cell["last_round"]) == (parts[0]["round"], parts[-1]["round"])
    failure(await service.client.get(f"{path}?columns=0"))


async def test_the_tree_stays_small_however_many_candidates_there_are(idle: JobService) -> None:
    job = await idle.resources.optimizations.get(await idle.start())
    shown = show_tree(job, long_search(), limit=400)
    assert (shown.candidates, shown.leader_id) == (MANY, "c9999")
    assert [node.id for node in shown.data[:3]] == ["c9999", "c9998", "c9997"]
    assert len(shown.data) <= 402
    assert (len(shown.rounds), shown.rounds[0].round, shown.rounds[-1].round) == (500, 0, MANY - 1)
    assert len(shown.model_dump_json()) < 200_000


async def test_the_phase_is_that_of_the_outline(idle: JobService) -> None:
    job: OptimizationRecord = await idle.resources.optimizations.get(await idle.start())
    empty = SearchOutline(seq=0, candidates=(), rounds=(), drops={}, told={})
    begun = replace(empty, told={"search_started": {"candidate_id": "c0"}})
    compared = replace(begun, told=dict(begun.told) | {"gate_started": {}})
    ended = replace(begun, told=dict(begun.told) | {"optimization_finished": {}})
    phases = [show_tree(job, outline, limit=1).phase for outline in (empty, begun, compared, ended)]
    assert phases == ["queued", "search", "gate", "finished"]
    assert show_tree(job, begun, limit=1).leader_id == "c0"
    assert show_tree(job, empty, limit=1).leader_id is None
    cancelled = replace(job, status=OptimizationStatus.CANCELLED)
    assert show_tree(cancelled, begun, limit=1).phase == "finished"


async def test_who_left_a_race_that_still_goes_on_is_dropped_already(idle: JobService) -> None:
    job = await idle.resources.optimizations.get(await idle.start())
    told: JsonObject = {"candidate_id": "c1", "round": 10, "reason": "beaten", "leader_id": "c0", "pairs": 3}
    outline = long_search(10)
    for round_, dropped in ((9, None), (10, 10)):
        body: JsonObject = {**told, "round": round_, "difference": None}
        found = show_tree(job, replace(outline, drops={"c1": body}), limit=0, wanted=["c1"])
        assert found.data[0].dropped_in_round == dropped
        assert (found.data[0].drop is None) == (dropped is None)


def long_search(candidates: int = MANY) -> SearchOutline:
    """A search in which each round has one candidate, better than all before, written from the first one."""
    return SearchOutline(
        seq=candidates,
        candidates=tuple(
            OutlinedCandidate(
                id=f"c{number}",
                parent_id="c0" if number else None,
                round=number,
                dropped_in_round=None,
                judged=1,
                scored=1,
                mean=1 + number / candidates,
            )
            for number in range(candidates)
        ),
        rounds=tuple(
            OutlinedRound(
                round=number,
                ranking=({"candidate_id": f"c{number}", "reward": 1 + number / candidates, "kept": True},),
                best_candidate_id=f"c{number}",
                best_reward=1 + number / candidates,
                spend={} if number % 2 else {"calls": number},
            )
            for number in range(candidates)
        ),
        drops={},
        told={},
    )
