"""What a job's result says, what becomes of the winner, and whose label moves."""

from typing import Any

import pytest

from store.records.prompts import LabelMoveDraft, PromptVersionDraft
from tests.app.jobs.service import SMALL, JobService, proposing


def spoil_proposals(role: str, _: int, __: str) -> str | None:
    """The proposer never says anything that can be read."""
    return "I would rather not." if role == "proposer" else None


async def moves(service: JobService) -> list[dict[str, Any]]:
    """The audit log, newest first."""
    found: list[dict[str, Any]] = (await service.get(f"/v1/prompts/{SMALL}/label-moves"))["data"]
    return found


async def add_version(service: JobService, system_prompt: str) -> str:
    """A version written by hand; its id."""
    draft = PromptVersionDraft(model=SMALL, system_prompt=system_prompt, sampling={})
    return (await service.resources.prompts.add_version(draft)).id


async def point(service: JobService, version: str) -> None:
    """Move the label, as somebody else."""
    await service.resources.prompts.move_label(
        LabelMoveDraft(model=SMALL, label="production", version_id=version, actor="somebody", reason="test")
    )


async def test_a_winner_is_promoted_and_the_label_moves_with_the_reason(service: JobService) -> None:
    found = await service.run_to_promotion()

    result = found["result"]
    gate = result["gate"]
    assert gate["verdict"] == "promoted"
    assert gate["low"] > 0
    assert gate["difference"] == pytest.approx(gate["candidate_reward"] - gate["baseline_reward"])
    assert result["label_moved"] == "production"
    assert result["label_note"] == gate["reason"]
    assert await service.label() == result["prompt_version"]
    (move,) = await moves(service)
    assert (move["actor"], move["reason"], move["from_version"]) == ("optimization", gate["reason"], None)


async def test_the_version_holds_all_that_the_winner_was_tuned_with(service: JobService) -> None:
    found = await service.run_to_promotion()
    result = found["result"]
    version = await service.get(f"/v1/prompts/{SMALL}/versions/{result['prompt_version']}")
    winner = next(
        item for item in await service.candidates(found["id"]) if item["id"] == result["best_candidate_id"]
    )
    assert version["system_prompt"] == winner["system_prompt"]
    assert (version["k"], len(version["examples"])) == (1, 22)
    assert version["sampling"] == {"temperature": 0, "top_p": 1}
    assert (version["optimization_id"], version["candidate_id"]) == (found["id"], winner["id"])
    assert version["evidence"] == {name: result[name] for name in ("gate", "judge", "models", "rewards")}
    assert version["labels"] == ["production"]


async def test_a_promoted_version_is_served_at_once(service: JobService) -> None:
    question = {"model": SMALL, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    before = await service.post("/v1/chat/completions", question)
    found = await service.run_to_promotion()
    after = await service.post("/v1/chat/completions", question)
    assert before.headers["x-drpo-prompt-version"] == "none"
    assert after.headers["x-drpo-prompt-version"] == found["result"]["prompt_version"]


async def test_a_winner_in_doubt_is_kept_as_a_version_and_moves_no_label(service: JobService) -> None:
    service.backend.replace = proposing("You are a good assistant.")
    found = await service.run()
    result = found["result"]
    assert result["gate"]["verdict"] == "not_enough_evidence"
    assert "the interval does not lie above zero" in result["gate"]["reason"]
    assert (result["label_moved"], result["label_note"]) == (None, result["gate"]["reason"])
    assert await service.label() is None
    assert await moves(service) == []
    versions = (await service.get(f"/v1/prompts/{SMALL}/versions"))["data"]
    assert [(item["id"], item["labels"]) for item in versions] == [(result["prompt_version"], [])]


async def test_a_search_that_finds_nothing_keeps_what_is_served(service: JobService) -> None:
    service.backend.replace = spoil_proposals
    found = await service.run()
    result = found["result"]
    assert (result["best_candidate_id"], result["stop_reason"]) == ("c0", "depth")
    assert result["gate"]["verdict"] == "kept"
    assert result["label_moved"] is None
    failed = [event for event in await service.events(found["id"]) if event.type == "proposal_failed"]
    assert len(failed) == 2 * 2
    assert await service.label() is None
    assert (result["prompt_version"], result["label_note"]) == (None, result["gate"]["reason"])
    assert (await service.get(f"/v1/prompts/{SMALL}/versions"))["data"] == []


async def test_the_prompt_that_is_served_already_is_no_new_version(service: JobService) -> None:
    served = await add_version(service, "Be kind.")
    await point(service, served)
    service.backend.replace = spoil_proposals
    result = (await service.run())["result"]
    assert (result["best_candidate_id"], result["prompt_version"]) == ("c0", None)
    versions = (await service.get(f"/v1/prompts/{SMALL}/versions"))["data"]
    assert [item["id"] for item in versions] == [served]


async def test_a_seed_prompt_that_is_chosen_over_another_one_served_is_a_version(service: JobService) -> None:
    await point(service, await add_version(service, "Be kind."))
    service.backend.replace = spoil_proposals
    result = (await service.run(seed_prompt="Be brief."))["result"]
    assert result["best_candidate_id"] == "c0"
    version = await service.get(f"/v1/prompts/{SMALL}/versions/{result['prompt_version']}")
    assert version["system_prompt"] == "Be brief."


async def test_a_search_without_a_choice_shows_no_best_and_stores_no_version(service: JobService) -> None:
    service.backend.replace = lambda role, _, __: "no JSON" if role == "judge" else None
    found = await service.run()
    assert found["result"]["stop_reason"] == "too_many_unscored"
    assert (found["best"], found["result"]["prompt_version"]) == (None, None)


async def test_without_held_out_queries_nothing_is_promoted(service: JobService) -> None:
    found = await service.run_to_promotion(held_out=0)
    assert found["result"]["gate"]["verdict"] == "not_enough_evidence"
    assert found["result"]["label_note"] == "no queries were held out"
    assert await service.label() is None


async def test_a_job_without_a_label_moves_none(service: JobService) -> None:
    found = await service.run_to_promotion(label=None)
    assert found["result"]["gate"]["verdict"] == "promoted"
    assert found["result"]["label_moved"] is None
    assert found["result"]["label_note"] == "the job was not asked to move a label"
    assert await moves(service) == []


async def test_another_label_can_be_asked_for(service: JobService) -> None:
    found = await service.run_to_promotion(label="staging")
    assert found["result"]["label_moved"] == "staging"
    assert await service.label(name="staging") == found["result"]["prompt_version"]
    assert await service.label() is None


async def test_the_second_job_has_to_beat_the_labelled_version(service: JobService) -> None:
    first = await service.run_to_promotion()
    labelled = await service.get(f"/v1/prompts/{SMALL}/versions/{first['result']['prompt_version']}")

    second = await service.run(settings={"seed": 5}, seed_prompt="You are a helpful assistant.")

    tree = {item["id"]: item for item in await service.candidates(second["id"])}
    assert tree["incumbent"]["system_prompt"] == labelled["system_prompt"]
    assert (tree["incumbent"]["parent_id"], tree["incumbent"]["reward"]) == (None, None)
    gate = second["result"]["gate"]
    assert tree["incumbent"]["held_out_reward"] == pytest.approx(gate["baseline_reward"])
    started = next(event for event in await service.events(second["id"]) if event.type == "gate_started")
    assert started.body["incumbent_id"] == "incumbent"
    assert tree["c0"]["held_out_reward"] is not None, "what the search itself has gained is told, too"
    assert gate["seed_gain"] is not None
    examples = {tuple(item["example_ids"]) for item in await service.evaluations(second["id"])}
    assert {len(shown) for shown in examples} == {1}


async def test_the_incumbent_is_compared_with_its_own_examples(service: JobService) -> None:
    await point(service, await add_version(service, "Be short."))  # a version without examples
    found = await service.run_to_promotion()
    held_out = await service.evaluations(found["id"], phase="held_out")
    shown = {item["candidate_id"]: len(item["example_ids"]) for item in held_out}
    assert shown == {"incumbent": 0, "c0": 1, found["result"]["best_candidate_id"]: 1}


async def test_a_label_that_somebody_else_moved_meanwhile_is_left_alone(service: JobService) -> None:
    service.backend.hold_from = 25
    job = await service.start_to_promotion()
    await service.backend.held.wait()
    theirs = await add_version(service, "Be theirs.")
    await point(service, theirs)
    service.backend.opened.set()

    found = await service.finished(job)

    assert found["status"] == "succeeded"
    assert found["result"]["gate"]["verdict"] == "promoted"
    assert found["result"]["label_moved"] is None
    assert found["result"]["label_note"] == "production was moved by somebody else while the job ran"
    assert await service.label() == theirs
    versions = (await service.get(f"/v1/prompts/{SMALL}/versions"))["data"]
    assert found["result"]["prompt_version"] in {item["id"] for item in versions}


async def test_too_few_queries_for_the_depth_end_the_search_in_time(service: JobService) -> None:
    found = await service.run(queries=["Why?", "How?"], held_out=0)
    assert (found["result"]["stop_reason"], found["result"]["rounds"]) == ("queries_exhausted", 1)
