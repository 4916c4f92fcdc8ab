"""Following a long job reads each of its rounds once."""

from typing_extensions import override

from app.optimizations.estimates import progress_after
from app.optimizations.round_progress import RoundProgress
from store.progress import ProgressLog
from store.records.optimizations import Software
from store.records.progress import EventRecord, ProgressBatch, RoundDraft, RoundRecord
from store.repositories.search_tree import SearchTreeRepository
from tests.app.jobs.service import JobService

ROUNDS = 20


class CountingTree(SearchTreeRepository):
    """Counts the rounds that are read."""

    read = 0

    @override
    async def rounds(
        self, optimization_id: str, *, after: int | None = None, until: int | None = None
    ) -> tuple[RoundRecord, ...]:
        found = await super().rounds(optimization_id, after=after, until=until)
        self.read += len(found)
        return found


def finished(number: int) -> EventRecord:
    return EventRecord(
        key=f"r{number}", type="round_finished", body={"round": number}, seq=number + 1, at=0.0
    )


async def test_each_round_is_read_once_and_tells_what_was_known_then(idle: JobService) -> None:
    await idle.start()
    claim = await idle.resources.optimizations.claim_next(
        owner="test", ttl=60, software=Software(name="any", spec_version=2**31)
    )
    assert claim is not None
    drafts = [
        RoundDraft(
            round=number,
            ranking=(),
            best_candidate_id=None,
            best_reward=None,
            spend={"calls": 10 * number, "seconds": 2.0 * number},
        )
        for number in range(ROUNDS)
    ]
    await ProgressLog(idle.resources.database).record(claim.lease, ProgressBatch(rounds=tuple(drafts)))
    job = await idle.resources.optimizations.get(claim.lease.optimization_id)
    tree = CountingTree(idle.resources.database)
    told = RoundProgress(tree)
    whole = await idle.resources.tree.rounds(job.id)
    for number in [*range(ROUNDS), 3]:
        expected = progress_after(job, whole[: number + 1]).model_dump(mode="json")
        assert await told.tell(job, finished(number)) == {
            "progress": expected,
            "spend": {"calls": 10 * number, "tokens": 0, "cost": 0.0},
        }
    assert tree.read == ROUNDS
    assert await told.tell(job, EventRecord(key="x", type="gate_started", body={}, seq=1, at=0.0)) == {}
    nothing = RoundProgress(tree)
    other = await idle.resources.optimizations.get(await idle.start())
    assert await nothing.tell(other, finished(0)) == {}
