"""What the call ledger alone takes of a call, by calls in flight: CPU, and time added to it.

Chains of calls of 50 ms that nobody makes, in one process on a fresh SQLite file; each call is announced
durably before it begins, and its answer, 1 KB of text of little repetition, is on record before the next one
of its chain begins. The same chains without the ledger go in turn with them; figures are what it adds.
"""

import asyncio
import hashlib
import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Final

from app.job_settings import JobSettings
from app.jobs.software import this_software
from app.resources import open_resources
from benchmarks.job_overhead import create_smallest
from benchmarks.search_speed import settings_for
from store.calls import CallLedger, LedgerScope
from store.json_values import JsonValue
from store.records.calls import CallSpend

IN_FLIGHT: Final = (1, 4, 8, 64)
_CALL_SECONDS: Final = 0.05
_CALLS: Final = 160
"""In a round, at least; no chain is shorter than ten."""
_SPEND: Final = CallSpend(calls=1, prompt_tokens=300, completion_tokens=200, cost=0.001)
_ANSWER: Final[JsonValue] = {
    "text": "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(16))
}
_NO_PROVIDER: Final = "http://127.0.0.1:9"


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What a round took a call: CPU and time, in seconds."""

    cpu: float
    wall: float


async def report_ledger_cost(rounds: int) -> None:
    """Print the medians of some rounds."""
    with TemporaryDirectory() as folder:
        usual = settings_for(_NO_PROVIDER, folder)
        idle = usual.model_copy(update={"jobs": JobSettings(max_running=0)})
        async with open_resources(idle) as resources, CallLedger(resources.database) as ledger:
            await create_smallest(resources)
            claim = await resources.optimizations.claim_next(
                owner="benchmark", ttl=3600, software=this_software()
            )
            if claim is None:
                raise RuntimeError("the job is not ours")
            scope = await ledger.open(claim.lease)
            calls = f"calls of {_CALL_SECONDS * 1000:.0f} ms"
            print(f"the ledger alone, {calls}, SQLite; medians of {rounds} rounds")
            keys = (hashlib.sha256(str(number).encode()).hexdigest() for number in itertools.count())
            for in_flight in IN_FLIGHT:
                _tell(in_flight, [await _added(scope, keys, in_flight) for _ in range(rounds)])


def _tell(in_flight: int, added: list[Taken]) -> None:
    cpu, wall = [found.cpu * 1000 for found in added], [found.wall * 1000 for found in added]
    print(
        f"  {in_flight:3} in flight: CPU {statistics.median(cpu):.3f} ms a call "
        f"({min(cpu):.3f} to {max(cpu):.3f}), the call begins {statistics.median(wall):.1f} ms later"
    )


async def _added(scope: LedgerScope, keys: Iterator[str], in_flight: int) -> Taken:
    bare = await _round(None, keys, in_flight)
    stored = await _round(scope, keys, in_flight)
    return Taken(cpu=stored.cpu - bare.cpu, wall=stored.wall - bare.wall)


async def _round(scope: LedgerScope | None, keys: Iterator[str], in_flight: int) -> Taken:
    length = max(_CALLS // in_flight, 10)
    began, cpu = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(_chain(scope, keys, length))
    if scope is not None:
        await scope.flush()
    cpu, wall = time.process_time() - cpu, time.monotonic() - began
    return Taken(cpu=cpu / (length * in_flight), wall=wall / length)


async def _chain(scope: LedgerScope | None, keys: Iterator[str], length: int) -> None:
    for key in itertools.islice(keys, length):
        if scope is not None:
            await scope.intend(key, role="target", model="simulated-small", estimate=_SPEND)
        await asyncio.sleep(_CALL_SECONDS)
        if scope is not None:
            scope.complete(key, _ANSWER, _SPEND)
