"""Replies that are not what was asked for, from every role and at every place: a run survives all of them."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app.jobs.service import JobService, open_service

ROLES = ("target", "proposer", "selector", "judge")
PLACES: Mapping[str, int] = {"target": 23, "proposer": 3, "selector": 11, "judge": 23}
"""How often the tiny job asks each role."""
GATE_PLACES: Mapping[str, int] = {"target": 12, "selector": 6, "judge": 12}
"""How many fewer these are where two queries are held out instead of eight."""

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | _TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["scores", "criteria", "system_prompt", "analysis", "score", "criterion", "name"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
MALFORMED = st.one_of(
    _TEXT,
    _JSON.map(json.dumps),
    st.sampled_from(
        [
            "",
            "{",
            "```json\n{}\n```",
            '{"scores": []}',
            '{"scores": [{"criterion": "Safety", "rationale": "", "score": 0}]}',
            '{"scores": [{"criterion": "Safety", "rationale": "", "score": NaN}]}',
            '{"system_prompt": ""}',
            '{"system_prompt": null, "analysis": "x"}',
            '{"criteria": [], "analysis": "", "reasoning": ""}',
            '{"criteria": "all", "analysis": "", "reasoning": ""}',
            "[" * 3000,
            "\x00",
        ]
    ),
)
PLANS = st.dictionaries(
    st.sampled_from([(role, place) for role, places in PLACES.items() for place in range(places)]),
    MALFORMED,
    min_size=1,
    max_size=25,
)


def check(evaluations: list[dict[str, Any]], candidates: list[dict[str, Any]], rankings: Any) -> None:
    """No missing score is a number anywhere."""
    scored: dict[tuple[str, str], list[float]] = {}
    rounds: dict[tuple[str, int], list[float]] = {}
    for item in evaluations:
        if item["reward"] is None:
            assert item["unscored_reason"]
            assert item["criteria"] == []
        else:
            assert item["unscored_reason"] is None
            assert 1 <= item["reward"] <= 5
            scored.setdefault((item["candidate_id"], item["phase"]), []).append(item["reward"])
            rounds.setdefault((item["candidate_id"], item["round"]), []).append(item["reward"])
    for candidate in candidates:
        for field, phase in (("reward", "search"), ("held_out_reward", "held_out")):
            rewards = scored.get((candidate["id"], phase))
            assert candidate[field] == (None if rewards is None else pytest.approx(fmean(rewards)))
    for finished in rankings:
        for place in finished.ranking:
            assert place["reward"] is None or 1 <= place["reward"] <= 5
            rewards = rounds.get((place["candidate_id"], finished.round))
            assert place["round_reward"] == (None if rewards is None else pytest.approx(fmean(rewards)))


async def check_job(service: JobService, found: dict[str, Any]) -> None:
    """The job has ended well and has invented no score."""
    assert (found["status"], found["error"]) == ("succeeded", None)
    evaluations = await service.evaluations(found["id"])
    unscored = [item for item in evaluations if item["reward"] is None and item["phase"] == "search"]
    assert found["progress"]["unscored"] == len(unscored)
    check(
        evaluations, await service.candidates(found["id"]), await service.resources.tree.rounds(found["id"])
    )


def spoil(service: JobService, plan: Mapping[tuple[str, int], str]) -> None:
    """Replace the replies at the places of ``plan``."""
    service.backend.replace = lambda role, number, _: plan.get((role, number))


async def run_spoiled(url: str, plan: Mapping[tuple[str, int], str]) -> None:
    """Run the tiny job with the replies of ``plan``."""
    async with open_service(url) as service:
        spoil(service, plan)
        await check_job(service, await service.run())


@settings(max_examples=15)
@given(PLANS)
def test_no_reply_at_any_place_ends_a_run(
    migrated_sqlite_file: Path, tmp_path: Path, plan: dict[tuple[str, int], str]
) -> None:
    path = tmp_path / "spoiled.db"
    shutil.copyfile(migrated_sqlite_file, path)
    asyncio.run(run_spoiled(f"sqlite:///{path}", plan))
    for left in tmp_path.glob("spoiled.db*"):
        left.unlink()


@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=8)
@given(reply=MALFORMED)
def test_a_role_that_says_nothing_else_ends_no_run(
    migrated_sqlite_file: Path, tmp_path: Path, role: str, reply: str
) -> None:
    path = tmp_path / "spoiled.db"
    shutil.copyfile(migrated_sqlite_file, path)
    plan = {(role, place): reply for place in range(200)}
    asyncio.run(run_spoiled(f"sqlite:///{path}", plan))
    for left in tmp_path.glob("spoiled.db*"):
        left.unlink()


@pytest.mark.parametrize("role", ROLES)
async def test_one_reply_at_each_place_in_turn(sqlite_url: str, role: str) -> None:
    """One job after another on one service, each with fresh queries, so that criteria are selected anew."""
    async with open_service(sqlite_url) as service:
        for place in range(PLACES[role] - GATE_PLACES.get(role, 0)):
            service.backend.requests.clear()
            spoil(service, {(role, place): "Certainly! I would say it is rather good."})
            queries = [f"How does thing {place}-{number} work?" for number in range(5)]
            found = await service.run(queries=queries, label=None, held_out=2)
            await check_job(service, found)


@pytest.mark.parametrize(("role", "repairs"), [("target", 0), ("proposer", 2), ("selector", 1), ("judge", 1)])
async def test_half_a_character_in_a_reply_costs_no_more_than_a_repair(
    sqlite_url: str, role: str, repairs: int
) -> None:
    """A lone surrogate is read as U+FFFD: an answer stays one; JSON is asked for in the right shape."""
    async with open_service(sqlite_url) as service:
        spoil(service, {(role, 1): '{"lone": "\ud800"}'})
        found = await service.run()
        await check_job(service, found)
        assert service.backend.requests[role] == PLACES[role] + repairs
    assert found["progress"]["unscored"] == 0


async def test_a_judge_that_cannot_be_read_chooses_nothing(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        service.backend.replace = lambda role, _, __: "It is good." if role == "judge" else None
        found = await service.run(seed_prompt="Be kind.", settings={"depth": 12})
        versions = (await service.get("/v1/prompts/simulated-small/versions"))["data"]
        evaluations = await service.evaluations(found["id"])
        assert await service.label() is None

    result = found["result"]
    assert (found["status"], result["stop_reason"]) == ("succeeded", "too_many_unscored")
    assert (result["best_candidate_id"], result["best_reward"]) == ("c0", None)
    assert result["unscored"] == result["evaluations"] == found["progress"]["unscored"] > 0
    assert result["gate"]["verdict"] == "not_enough_evidence"
    assert "too many answers could not be scored" in result["label_note"]
    assert (result["prompt_version"], result["label_moved"], versions) == (None, None, [])
    assert {item["reward"] for item in evaluations} == {None}
    assert {item["phase"] for item in evaluations} == {"search"}


async def test_everything_malformed_ends_no_run_and_chooses_nothing(sqlite_url: str) -> None:
    async with open_service(sqlite_url, simulated={"faults": {"malformed_reply": 1.0}}) as service:
        found = await service.run(seed_prompt="Be kind.", settings={"minibatch_size": 4})
        await check_job(service, found)
        assert await service.label() is None
    assert found["result"]["best_candidate_id"] == "c0"
    assert found["result"]["stop_reason"] == "too_many_unscored"
    assert found["result"]["prompt_version"] is None


async def test_some_malformed_replies_leave_a_search_that_works(sqlite_url: str) -> None:
    async with open_service(sqlite_url, simulated={"faults": {"malformed_reply": 0.2}}) as service:
        found = await service.run(settings={"minibatch_size": 3})
        await check_job(service, found)
    assert found["result"]["stop_reason"] == "depth"
    assert found["best"]["reward"] > 1


async def test_replies_of_the_gate_that_cannot_be_read_are_in_no_mean(sqlite_url: str) -> None:
    """Half of the held-out answers are unscored: four pairs are too few to promote anything."""

    def garble(role: str, number: int, _: str) -> str | None:
        return "no" if role == "judge" and number >= 7 and number % 2 else None

    async with open_service(sqlite_url) as service:
        service.backend.replace = garble
        found = await service.run()
        await check_job(service, found)
    gate = found["result"]["gate"]
    assert gate["queries"] < 8
    assert gate["verdict"] == "not_enough_evidence"
    assert found["result"]["label_moved"] is None
