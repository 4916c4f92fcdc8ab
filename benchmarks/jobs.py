"""What jobs cost and how fast they are, in one run: overhead, throughput, takeover, growth of the database.

``python -m benchmarks.jobs`` takes a quarter of an hour on a machine that does nothing else; ``--quick`` is a
first look, ``--parts`` takes some parts alone. A part that fails is told of at the end, and the others go on.
Models are simulated.
"""

import argparse
import os
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from app.event_loop import run
from benchmarks import job_takeover, ledger_size
from benchmarks.job_overhead import report_overhead
from benchmarks.job_throughput import report_throughput
from benchmarks.ledger_cost import report_ledger_cost
from tests.fixtures.database import PostgresDatabases
from tests.fixtures.postgres import postgres_server


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How much is measured.

    Attributes:
        rounds: of the overhead, and of the ledger alone.
        depth / at_once: of the overhead; so many jobs run at the same time.
        jobs / workers: of the throughput: that many jobs with each number of workers.
        within: seconds that each number of workers has; the rate is then of those that have ended.
        repetitions: of what takes over from what.
    """

    rounds: int
    depth: int
    at_once: int
    jobs: int
    workers: tuple[int, ...]
    within: float
    repetitions: int


_WHOLE: Final = Extent(
    rounds=5, depth=20, at_once=1, jobs=1000, workers=(1, 2, 4), within=300.0, repetitions=3
)
_QUICK: Final = Extent(rounds=1, depth=6, at_once=1, jobs=50, workers=(1, 2), within=60.0, repetitions=1)


async def _growth(_: Extent) -> None:
    """Growth for 1,000 calls, on SQLite and on PostgreSQL."""
    await ledger_size.measure_sqlite()
    with postgres_server() as server:
        databases = PostgresDatabases(server)
        try:
            await ledger_size.measure(databases.create())
        finally:
            databases.drop_all()


async def _overhead(extent: Extent) -> None:
    await report_overhead(extent.rounds, extent.depth, extent.at_once)


async def _ledger(extent: Extent) -> None:
    await report_ledger_cost(extent.rounds)


async def _throughput(extent: Extent) -> None:
    await report_throughput(jobs=extent.jobs, workers=extent.workers, within=extent.within)


async def _takeover(extent: Extent) -> None:
    await job_takeover.compare(extent.repetitions)


PARTS: Final[dict[str, Callable[[Extent], Awaitable[None]]]] = {
    "overhead": _overhead,
    "ledger": _ledger,
    "throughput": _throughput,
    "takeover": _takeover,
    "growth": _growth,
}


async def report(parts: list[str], extent: Extent) -> list[str]:
    """Measure and print ``parts``; gives those that failed."""
    print(f"{os.cpu_count()} cores; models and providers are simulated")
    failed = []
    for name in parts:
        began, load = time.monotonic(), os.getloadavg()[0]
        print(f"-- {name}; load {load:.1f}", flush=True)
        try:
            await PARTS[name](extent)
        except Exception:  # noqa: BLE001 - a quarter of an hour must not be lost for one part
            traceback.print_exc()
            failed.append(name)
        print(f"   {time.monotonic() - began:.0f} s", flush=True)
    return failed


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller measurements")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    usual = "by default as much as the figures of the README rest on"
    parser.add_argument("--rounds", type=int, help=f"of the overhead, and of the ledger alone; {usual}")
    parser.add_argument("--depth", type=int, help="rounds of the search whose overhead is measured")
    parser.add_argument("--at-once", type=int, help="jobs at the same time, whose overhead is measured")
    parser.add_argument("--jobs", type=int, help="of the throughput")
    parser.add_argument("--workers", type=int, nargs="+", help="of the throughput")
    parser.add_argument("--within", type=float, help="seconds for each number of workers")
    parser.add_argument("--repetitions", type=int, help="of each takeover")
    given = parser.parse_args()
    usual_extent = _QUICK if given.quick else _WHOLE
    extent = Extent(
        rounds=given.rounds or usual_extent.rounds,
        depth=given.depth or usual_extent.depth,
        at_once=given.at_once or usual_extent.at_once,
        jobs=given.jobs or usual_extent.jobs,
        workers=tuple(given.workers or usual_extent.workers),
        within=given.within or usual_extent.within,
        repetitions=given.repetitions or usual_extent.repetitions,
    )
    if failed := run(report(given.parts, extent)):
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
