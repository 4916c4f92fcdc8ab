"""What a job's calls take: bytes in the store, evaluations and events included, and CPU per call.

1,000 calls of which 430 are answers, 430 judgements and the rest proposals and selections, each with a reply
of about 1 KB of words in random order, recorded as a job records them: 64 at once through the call ledger,
then candidates, evaluations and events. The file is a fresh SQLite one. The first job also pays for first
pages and maps of free space: the figures are means of those after it, and it stands beside them.
``python -m benchmarks.ledger_size [postgresql://user:password@host/name]`` measures a migrated PostgreSQL
database in place of it.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from app.datasets.builtin_sets import builtin_queries
from app.event_loop import run
from app.jobs.software import this_software
from store.calls import CallLedger, LedgerScope
from store.connections import Database
from store.json_values import JsonObject, content_hash
from store.progress import ProgressLog
from store.records.calls import CallSpend
from store.records.optimizations import Lease
from store.records.progress import CandidateDraft, EvaluationDraft, EventDraft, ProgressBatch
from store.repositories.optimizations import OptimizationRepository
from store.repositories.spends import SpendRepository
from store.schema import upgrade

CALLS, EVALUATIONS, IN_FLIGHT = 1_000, 430, 64
LATER_JOBS = 4
CHARACTERS = 1_000
_TABLES = ("model_calls", "evaluations", "optimization_events", "candidates")


class Texts:
    """Texts of about 1 KB that no two share: real words, drawn by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = sorted({word for query in builtin_queries() for word in query.text.split()})

    def draw(self, characters: int = CHARACTERS) -> str:
        """Another text."""
        words: list[str] = []
        while sum(map(len, words)) + len(words) < characters:
            words.append(self._words[int(self._random.random() * len(self._words))])
        return " ".join(words)


async def record_calls(scope: LedgerScope, job: str, texts: Texts) -> float:
    """Record all calls of ``job``, 64 at once; gives the CPU seconds that it took this process."""
    replies: list[JsonObject] = [
        {
            "completions": [{"text": texts.draw(), "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 250, "completion_tokens": 200},
            "model": "model",
            "seconds": 0.5,
        }
        for _ in range(CALLS)
    ]
    places = asyncio.Semaphore(IN_FLIGHT)

    async def call(number: int) -> None:
        async with places:
            key = content_hash([job, number])
            await scope.intend(key, role="judge", model="backend/model")
            spend = CallSpend(calls=1, prompt_tokens=250, completion_tokens=200, cost=0.001)
            scope.complete(key, replies[number], spend)

    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for number in range(CALLS):
            group.create_task(call(number))
    await scope.flush()
    return time.process_time() - began


def evaluations(texts: Texts) -> ProgressBatch:
    """What a search records of those calls."""
    criteria: tuple[JsonObject, ...] = tuple(
        {"criterion": f"Criterion {number}", "score": 4.0, "rationale": texts.draw(200)}
        for number in range(4)
    )
    drafts = [
        EvaluationDraft(
            key=f"evaluation:{number}",
            candidate_id="c0",
            round=1,
            query_id=f"q{number}",
            query=texts.draw(100),
            answer=texts.draw(),
            reward=4.0,
            criteria=criteria,
            models={"target": "backend/model", "judge": "backend/judge"},
        )
        for number in range(EVALUATIONS)
    ]
    events = [
        EventDraft(
            key=draft.key,
            type="evaluation_finished",
            body={"candidate_id": draft.candidate_id, "query_id": draft.query_id, "reward": draft.reward},
        )
        for draft in drafts
    ]
    candidate = CandidateDraft(id="c0", system_prompt=texts.draw())
    return ProgressBatch(candidates=(candidate,), evaluations=tuple(drafts), events=tuple(events))


async def stored(database: Database) -> dict[str, int]:
    """Bytes by table, indexes included."""
    statement = (
        "SELECT sum(pgsize) FROM dbstat WHERE name IN"
        " (SELECT name FROM sqlite_master WHERE tbl_name = :table)"
        if database.dialect == "sqlite"
        else "SELECT pg_total_relation_size(CAST(:table AS regclass))"
    )
    async with database.read() as session:
        return {table: int(await session.scalar(text(statement), {"table": table}) or 0) for table in _TABLES}


async def fill(database: Database, seed: int = 0) -> tuple[Lease, float]:
    """Record a job with texts by ``seed``; gives its lease and the CPU seconds of its calls."""
    optimizations, texts = OptimizationRepository(database), Texts(seed)
    await optimizations.create(spec={}, target="target")
    claim = await optimizations.claim_next(owner="benchmark", ttl=600, software=this_software())
    if claim is None:
        raise RuntimeError("the job is not ours")
    async with CallLedger(database) as ledger:
        cpu = await record_calls(await ledger.open(claim.lease), claim.lease.optimization_id, texts)
    await ProgressLog(database).record(claim.lease, evaluations(texts))
    return claim.lease, cpu


async def measure(url: str) -> None:
    """Print the figures of the database at ``url``."""
    await upgrade(url)
    database = Database(url)
    try:
        empty = await stored(database)
        await fill(database)
        before = await stored(database)
        jobs = [await fill(database, seed) for seed in range(1, LATER_JOBS + 1)]
        after = await stored(database)
        lease, cpu = jobs[0][0], statistics.median(seconds for _, seconds in jobs)
        own = await SpendRepository(database).of(lease.optimization_id)
    finally:
        await database.close()
    taken = {table: (after[table] - before[table]) / LATER_JOBS for table in _TABLES}
    first = sum(before.values()) - sum(empty.values())
    print(f"{database.dialect}: {CALLS} calls, {EVALUATIONS} evaluations, replies of {CHARACTERS} characters")
    for table, size in taken.items():
        print(f"  {table:20} {size / CALLS:8.0f} bytes a call")
    print(f"  {'all together':20} {sum(taken.values()) / 1e6:8.2f} MB for 1,000 calls")
    print(f"  {'in an empty database':20} {first / 1e6:8.2f} MB for the first 1,000 calls")
    print(f"  {'usage.ledger.bytes':20} {own.bytes / CALLS:8.0f} bytes a call, as the service says")
    print(f"  {'CPU of the ledger':20} {cpu / CALLS * 1000:8.3f} ms a call at {IN_FLIGHT} in flight")


async def main() -> None:
    """Measure SQLite, or the database that is named."""
    if len(sys.argv) > 1:
        await measure(sys.argv[1])
        return
    await measure_sqlite()


async def measure_sqlite() -> None:
    """Print the figures of a fresh SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        await measure(f"sqlite+aiosqlite:///{Path(folder) / 'size.db'}")


if __name__ == "__main__":
    run(main())
