"""Pages of a job's tree and of its evaluations, why candidates left, and criteria by round."""

from statistics import fmean
from typing import Any

import pytest

from tests.app.jobs.service import JobService, failure


async def pages(service: JobService, path: str, limit: int, **params: Any) -> list[dict[str, Any]]:
    """Everything at ``path``, page by page."""
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = await service.get(path, limit=limit, **params, **after)
        assert len(page["data"]) <= limit
        found += page["data"]
        if not page["has_more"]:
            return found
        assert page["last_id"] == page["data"][-1]["id"]
        after = {"after": page["last_id"]}


async def test_a_tree_is_read_in_pages_and_says_how_criteria_did(service: JobService) -> None:
    path = f"/v1/optimizations/{(await service.run())['id']}"
    tree = await service.get(f"{path}/candidates")
    evaluations = (await service.get(f"{path}/evaluations"))["data"]
    assert (tree["first_id"], tree["has_more"], len(tree["data"])) == ("c0", False, 7)

    assert await pages(service, f"{path}/candidates", 2) == tree["data"]
    assert await pages(service, f"{path}/evaluations", 5) == evaluations
    second = [item for item in tree["data"] if item["round"] == 2]
    assert await pages(service, f"{path}/candidates", 3, round=2) == second
    assert (await service.get(f"{path}/evaluations", unscored=True))["data"] == []
    assert len(await pages(service, f"{path}/evaluations", 100, phase="held_out", round=-1)) == 16
    for what in ("candidates", "evaluations"):
        failure(await service.client.get(f"{path}/{what}?after=nobody"), 404)
        failure(await service.client.get(f"{path}/{what}?limit=0"))

    table = (await service.get(f"{path}/criteria", phase="search"))["data"]
    for cell in table:
        scores = [
            item["score"]
            for evaluation in evaluations
            if (evaluation["phase"], evaluation["round"]) == ("search", cell["round"])
            for item in evaluation["criteria"]
            if item["criterion"] == cell["criterion"]
        ]
        assert (cell["mean"], cell["evaluations"]) == (pytest.approx(fmean(scores)), len(scores))
    assert {cell["round"] for cell in table} == {0, 1, 2}
    everything = (await service.get(f"{path}/criteria"))["data"]
    assert {cell["phase"] for cell in everything} == {"search", "held_out"}
    failure(await service.client.get("/v1/optimizations/opt_none/criteria"), 404)


async def test_who_left_a_race_says_why(service: JobService) -> None:
    found = await service.run(preset="default", settings={}, budget={"calls": 260}, held_out=0)
    dropped = {
        event.body["candidate_id"]: event.body
        for event in await service.events(found["id"])
        if event.type == "candidate_dropped"
    }
    tree = {item["id"]: item for item in await service.candidates(found["id"])}
    assert dropped
    shown = {name: item["drop"] for name, item in tree.items() if item["drop"] is not None}
    assert shown
    for name, drop in shown.items():
        told = dropped[name]
        assert drop == {key: told[key] for key in ("reason", "leader_id", "pairs", "difference")}
    gone = {name for name in dropped if tree[name]["dropped_in_round"] is not None}
    assert gone == set(shown)
