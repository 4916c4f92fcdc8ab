"""What the winner is compared with, and on which queries."""

from app.stored_examples import example_to_json
from optimizer.types import Example
from store.records.prompts import LabelMoveDraft, PromptVersionDraft
from tests.app.jobs.service import SMALL, TINY, JobService
from tests.app.jobs.test_outcomes import spoil_proposals

PROMPT = "Be short."


async def serve(service: JobService, *asked: str, k: int) -> None:
    """Label a version with ``PROMPT`` and examples for the queries ``asked``."""
    examples = tuple(
        example_to_json(Example(id=f"ex-{number:03d}", query=query, answer="So."))
        for number, query in enumerate(asked, start=1)
    )
    prompts = service.resources.prompts
    version = await prompts.add_version(
        PromptVersionDraft(model=SMALL, system_prompt=PROMPT, examples=examples, k=k, sampling={})
    )
    await prompts.move_label(
        LabelMoveDraft(model=SMALL, label="production", version_id=version.id, actor="me", reason="test")
    )


async def test_the_served_prompt_with_other_examples_is_compared_with_itself(service: JobService) -> None:
    await serve(service, "Why?", k=1)
    service.backend.replace = spoil_proposals
    found = await service.run()
    gate = found["result"]["gate"]
    assert (found["result"]["best_candidate_id"], gate["queries"] + gate["missing"]) == ("c0", 8)
    held_out = await service.evaluations(found["id"], phase="held_out")
    shown = {(item["candidate_id"], *item["example_ids"][:1]) for item in held_out}
    assert len(held_out) == 16
    assert ("incumbent", "ex-001") in shown


async def test_the_served_prompt_with_the_same_examples_is_not(service: JobService) -> None:
    await serve(service, "Why?", k=1)
    service.backend.replace = spoil_proposals
    found = await service.run(examples=[{"query": "Why?", "answer": "So."}])
    gate = found["result"]["gate"]
    assert (gate["verdict"], gate["queries"], gate["missing"]) == ("kept", 0, 0)
    assert gate["reason"] == "the search found nothing better than the prompt it started from"
    assert await service.evaluations(found["id"], phase="held_out") == []


async def test_the_served_prompt_with_another_number_of_examples_is_compared(service: JobService) -> None:
    await serve(service, "Why?", "How?", k=2)
    service.backend.replace = spoil_proposals
    found = await service.run(
        examples=[{"query": "Why?", "answer": "So."}, {"query": "How?", "answer": "So."}]
    )
    held_out = await service.evaluations(found["id"], phase="held_out")
    assert {(item["candidate_id"], len(item["example_ids"])) for item in held_out} == {
        ("c0", TINY["k"]),
        ("incumbent", 2),
    }


async def test_what_the_winners_or_the_incumbents_examples_show_is_not_held_out(service: JobService) -> None:
    queries = [f"Question {number}?" for number in range(16)]
    await serve(service, "QUESTION  3?", "question 4?", k=1)
    examples = [{"query": f"question {number}?", "answer": "So."} for number in (5, 6, 7, 8)]
    for seed in range(3):
        found = await service.run(queries=queries, examples=examples, settings={"seed": seed}, label=None)
        held_out = await service.evaluations(found["id"], phase="held_out")
        asked = {item["query"]["text"] for item in held_out}
        assert len(asked) == 8
        assert asked.isdisjoint(queries[3:9])
