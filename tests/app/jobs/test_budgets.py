"""What a job may use, counted where it is used: at the backend."""

from collections import Counter

import pytest
from sqlalchemy import text

from optimizer.types import JsonObject
from tests.app.jobs.service import JobService, open_service

QUICK: JsonObject = {"first_wait_seconds": 0.001, "max_wait_seconds": 0.002, "max_attempts": 20}
LONG: JsonObject = {"depth": 20}


async def test_the_search_ends_early_and_leaves_the_gate_its_share(service: JobService) -> None:
    found = await service.run(budget={"calls": 100}, settings=LONG)

    assert found["status"] == "succeeded"
    assert found["result"]["stop_reason"] == "budget"
    assert 2 <= found["result"]["rounds"] < 19
    assert found["result"]["gate"]["queries"] == 8
    assert service.backend.requests.total() == found["usage"]["calls"] <= 100


async def test_a_tiny_budget_compares_nothing_and_moves_no_label(service: JobService) -> None:
    found = await service.run(budget={"calls": 30})

    result = found["result"]
    assert result["gate"]["verdict"] == "not_enough_evidence"
    assert result["gate"]["reason"] == "the budget leaves no room for held-out queries"
    assert result["gate"]["queries"] == 0
    assert (result["label_moved"], result["label_note"]) == (None, result["gate"]["reason"])
    assert result["prompt_version"] is not None
    assert await service.label() is None
    assert service.backend.requests.total() <= 30
    assert [item["phase"] for item in await service.evaluations(found["id"])].count("held_out") == 0


@pytest.mark.parametrize("calls", [20, 31, 47, 61])
async def test_no_fault_makes_a_job_send_more_than_its_calls(sqlite_url: str, calls: int) -> None:
    faults = {"rate_limited": 0.2, "server_error": 0.2, "connection_lost": 0.1, "malformed_response": 0.1}
    async with open_service(sqlite_url, backend={"retries": QUICK}, simulated={"faults": faults}) as service:
        found = await service.run(budget={"calls": calls}, settings=LONG)

        assert found["status"] == "succeeded"
        assert found["result"]["stop_reason"] == "budget"
        assert service.backend.requests.total() == found["usage"]["calls"] <= calls
        assert await service.label() is None


async def test_the_gate_that_runs_out_of_calls_promotes_nothing(service: JobService) -> None:
    """Every judgement of the gate takes a repair request, which nobody has planned for."""

    def garble(role: str, number: int, text: str) -> str | None:
        return "no JSON" if role == "judge" and number >= 7 else None

    service.backend.replace = garble
    found = await service.run(budget={"calls": 62})

    gate = found["result"]["gate"]
    assert gate["verdict"] == "not_enough_evidence"
    assert "no held-out query was scored for both prompts" in gate["reason"]
    assert (found["result"]["stop_reason"], found["result"]["label_moved"]) == ("depth", None)
    assert service.backend.requests.total() == found["usage"]["calls"] == 62


async def test_tokens_are_bounded(service: JobService) -> None:
    found = await service.run(budget={"tokens": 40_000}, settings=LONG)
    used = found["usage"]["prompt_tokens"] + found["usage"]["completion_tokens"]
    assert 10_000 < used <= 40_000
    assert found["result"]["stop_reason"] == "budget"


async def test_money_is_bounded(sqlite_url: str) -> None:
    price = {"input_per_million": 1.0, "output_per_million": 4.0}
    async with open_service(sqlite_url, backend={"price": price}) as service:
        found = await service.run(budget={"cost": 0.08}, settings=LONG)
    usage = found["usage"]
    assert 0.02 < usage["cost"] <= 0.08
    assert usage["cost"] == pytest.approx(
        (usage["prompt_tokens"] + 4 * usage["completion_tokens"]) / 1_000_000
    )
    assert found["result"]["stop_reason"] == "budget"


async def test_time_is_bounded(service: JobService) -> None:
    found = await service.run(budget={"seconds": 1e-6})
    assert (found["status"], found["result"]["stop_reason"]) == ("succeeded", "budget")
    assert found["result"]["best_candidate_id"] == "c0"
    assert found["result"]["best_reward"] is None
    assert service.backend.requests.total() == 0
    assert await service.label() is None
    assert found["result"]["prompt_version"] is None
    assert "no round after the seed prompt" in found["result"]["label_note"]


async def test_a_seed_prompt_alone_is_compared_with_nothing(service: JobService) -> None:
    """It is not the label's prompt, but nothing has been searched, so that nothing could be promoted."""
    assert (await service.run_to_promotion())["result"]["label_moved"]
    service.backend.requests.clear()
    service.backend.replace = lambda role, number, _: "?" if (role, number) == ("judge", 0) else None
    found = await service.run(seed_prompt="Be brief.", budget={"calls": 14}, held_out=1, settings={"seed": 5})
    assert found["result"]["rounds"] == 0
    assert "no round after the seed prompt" in found["result"]["label_note"]
    assert found["result"]["gate"]["queries"] == 0
    # one of them a repair and one for criteria selected ahead, which leaves no room for a round
    assert service.backend.requests.total() == found["usage"]["calls"] == 5


async def test_calls_under_way_are_given_up_when_the_time_is_over(service: JobService) -> None:
    service.backend.hold_from = 1  # nothing is ever answered
    found = await service.run(budget={"seconds": 0.3})
    assert (found["status"], found["result"]["stop_reason"]) == ("succeeded", "budget")
    assert service.backend.in_flight == 0
    usage = found["usage"]
    assert usage["calls"] == service.backend.requests.total() > 0
    assert usage["completion_tokens"] == 2048 * usage["calls"]  # may be billed in full


async def test_a_job_that_goes_on_repeats_the_decisions_that_its_budget_has_made(
    sqlite_url: str,
) -> None:
    """Criteria of the gate and the failed call are spent already when the rounds are decided upon again."""
    calls = 3 + 6 + 4 * 11 + 1 + 40  # six rounds, a selection ahead, and the gate, to the last call
    one_by_one: JsonObject = {"max_concurrency": 1}
    async with open_service(sqlite_url, backend=one_by_one) as service:
        service.backend.hold_from = calls - 20
        job = await service.start(budget={"calls": calls}, settings=LONG)
        await service.wait_for(job, "gate_started")
        await service.backend.held.wait()
        before = await decided(service, job)

    async with open_service(sqlite_url, backend=one_by_one) as service:
        found = await service.finished(job)
        assert found["status"] == "succeeded"
        assert found["usage"]["calls"] <= calls
        assert await decided(service, job) == before
        assert found["result"]["rounds"] == 5


async def test_what_the_budget_decided_is_on_record(service: JobService) -> None:
    job = await service.start()
    await service.finished(job)
    assert await decisions_of(service, job) == {
        "rounds": 3,
        "search_ended": 1,
        "finalists": 1,
        "with_seed_prompt": 0,
        "judged_again": 0,
        "held_out": 8,
    }


async def test_what_was_decided_before_stays_decided(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        service.backend.hold_from = 5
        job = await service.start()
        await service.backend.held.wait()
        await decide(service, job, "held_out", 3)
    async with open_service(sqlite_url) as service:
        result = (await service.finished(job))["result"]
    assert (result["rounds"], result["gate"]["queries"]) == (2, 3)


async def decide(service: JobService, job: str, name: str, value: int) -> None:
    """Have an attempt decide something."""
    add = text(
        "INSERT INTO optimization_decisions (optimization_id, name, value, at) VALUES (:of, :name, :value, 1)"
    )
    async with service.resources.database.session() as session:
        await session.execute(add, {"of": job, "name": name, "value": value})


async def decisions_of(service: JobService, job: str) -> dict[str, int]:
    """The rows."""
    rows = text("SELECT name, value FROM optimization_decisions WHERE optimization_id = :of")
    async with service.resources.database.read() as session:
        return {row.name: row.value for row in await session.execute(rows, {"of": job})}


async def decided(service: JobService, job: str) -> tuple[object, ...]:
    """The tree and the events that tell of it."""
    events = [
        event for event in await service.events(job) if event.type in {"search_finished", "gate_started"}
    ]
    rounds = await service.resources.tree.rounds(job)
    return (
        [(item["id"], item["system_prompt"]) for item in await service.candidates(job)],
        [(item.round, item.ranking) for item in rounds],
        [event.body for event in events],
    )


@pytest.mark.parametrize(
    "limits", [{"calls": 75}, {"calls": 90}, {"tokens": 62_000}, {"calls": 84, "tokens": 70_000}]
)
async def test_a_gate_that_costs_more_than_planned_leaves_whole_pairs(
    service: JobService, limits: dict[str, int]
) -> None:
    """Every other judgement of the gate takes a repair request, which nobody has planned for."""
    refused: set[str] = set()

    def garble(role: str, number: int, text: str) -> str | None:
        if role != "judge" or number < 7 or text in refused or number % 2:
            return None
        refused.add(text)
        return "no JSON"

    service.backend.replace = garble
    found = await service.run(budget=limits, held_out=12, gate={"finalists": 1, "judged_again": 0})
    held_out = await service.evaluations(found["id"], phase="held_out")
    answered = Counter(item["query"]["text"] for item in held_out if item["reward"] is not None)
    whole = sum(count == 2 for count in answered.values())
    assert whole >= 8
    assert len(answered) - whole <= 1, "one query at most is answered by one prompt alone"
    assert found["result"]["gate"]["queries"] == whole
