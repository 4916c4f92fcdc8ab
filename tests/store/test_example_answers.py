"""Jobs of two kinds, and the answers that are tried for an example bank."""

import pytest
from sqlalchemy import Connection

from store.connections import Database
from store.errors import LostLeaseError, NotFoundError
from store.json_values import JsonObject
from store.progress import ProgressLog
from store.records.optimizations import JobKind, OptimizationStatus
from store.records.progress import AnswerDraft, ExampleReward, ProgressBatch
from store.repositories.example_answers import ExampleAnswerRepository
from store.repositories.optimization_rows import FINISHED_EVENT
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository
from store.repositories.version_writes import store_bank
from tests.store.steps import ANY_SOFTWARE, TTL, new_lease, take_over


def answer(
    name: str, *, example: str = "e1", round_number: int = 0, reward: float | None = 3.0
) -> AnswerDraft:
    return AnswerDraft(
        example_id=example,
        id=name,
        text=f"text of {name}\x00",
        parent_id=None if round_number == 0 else "a0",
        round=round_number,
        rationale="why",
        reward=reward,
        unscored_reason="unreadable" if reward is None else None,
        criteria=({"criterion": "Depth", "score": 3, "rationale": "so"},),
        selection_rationale="it matters",
        models={"rewriter": "b/m"},
    )


async def test_kinds_are_listed_apart_and_found_only_as_what_they_are(database: Database) -> None:
    jobs = OptimizationRepository(database)
    prompt = await jobs.create(spec={}, target="small")
    bank = await jobs.create(spec={}, target="", kind=JobKind.EXAMPLE_BANK)
    assert (prompt.kind, bank.kind) == (JobKind.PROMPT, JobKind.EXAMPLE_BANK)
    assert (prompt.id[:4], bank.id[:4]) == ("opt_", "ebj_")
    assert [job.id for job in await jobs.list(kind=JobKind.EXAMPLE_BANK)] == [bank.id]
    assert [job.id for job in await jobs.list(kind=JobKind.PROMPT)] == [prompt.id]
    assert {job.id for job in await jobs.list()} == {prompt.id, bank.id}
    assert (await jobs.get(bank.id, kind=JobKind.EXAMPLE_BANK)).id == bank.id
    with pytest.raises(NotFoundError, match="no optimization"):
        await jobs.get(bank.id, kind=JobKind.PROMPT)
    with pytest.raises(NotFoundError, match="no example bank"):
        await jobs.list(after=prompt.id, kind=JobKind.EXAMPLE_BANK)


async def test_a_job_with_a_result_has_ended_from_the_start(database: Database) -> None:
    jobs = OptimizationRepository(database)
    stored = await jobs.create(spec={}, target="", kind=JobKind.EXAMPLE_BANK, result={"bank_id": "eb_1"})
    assert (stored.status, stored.result) == (OptimizationStatus.SUCCEEDED, {"bank_id": "eb_1"})
    assert stored.finished_at is not None
    assert await jobs.claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE) is None
    (event,) = await ProgressLog(database).events_after(stored.id, 0)
    assert event.type == FINISHED_EVENT


async def test_answers_are_recorded_once_under_the_lease(database: Database) -> None:
    jobs = OptimizationRepository(database)
    job = await jobs.create(spec={}, target="", kind=JobKind.EXAMPLE_BANK)
    claim = await jobs.claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    log, tried = ProgressLog(database), ExampleAnswerRepository(database)
    first = ProgressBatch(answers=(answer("a0"), answer("a0", example="e2", reward=None)))
    await log.record(claim.lease, first)
    later = (answer("a0", reward=5.0), answer("a1.0.0", round_number=1, reward=4.5))
    await log.record(claim.lease, ProgressBatch(answers=later))
    found = await tried.answers(job.id)
    assert [(item.example_id, item.id, item.reward) for item in found] == [
        ("e1", "a0", 3.0),
        ("e1", "a1.0.0", 4.5),
        ("e2", "a0", None),
    ]
    assert found[0].text == "text of a0\ufffd"
    assert found[0].criteria == ({"criterion": "Depth", "score": 3, "rationale": "so"},)
    assert [item.id for item in await tried.answers(job.id, example_id="e2")] == ["a0"]
    assert await tried.rewards(job.id) == {
        "e1": ExampleReward(first=3.0, best=4.5, judged=2, unscored=0),
        "e2": ExampleReward(first=None, best=None, judged=1, unscored=1),
    }
    await take_over(database, claim.lease)
    with pytest.raises(LostLeaseError):
        await log.record(claim.lease, ProgressBatch(answers=(answer("a9"),)))


async def test_a_bank_and_the_end_of_its_job_are_one_transaction(database: Database) -> None:
    prompts = PromptRepository(database)
    kept: list[str | None] = []

    def store_and_fail(connection: Connection) -> JsonObject:
        kept.append(store_bank(connection, ({"id": "e1"},)))
        raise ZeroDivisionError

    lease = await new_lease(database)
    with pytest.raises(ZeroDivisionError):
        await OptimizationRepository(database).finish(
            lease, OptimizationStatus.SUCCEEDED, before=store_and_fail
        )
    with pytest.raises(NotFoundError):
        await prompts.example_bank(str(kept[0]))
