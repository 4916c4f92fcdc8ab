"""Calls a second of jobs on a real vLLM, against the same requests fired by a bare client.

One server of our own (a tiny model on the CPU) works through jobs of preset ``default`` that run beside each
other, and then through exactly the requests that these jobs have sent, in the same order and with as many in
flight, which aiohttp sends with nothing of drpo around it. Both in turn, each time with an empty prefix
cache, for several rounds. Simulated models say the words, see ``benchmarks/vllm_shadow.py``.

A job's rounds depend on each other, so that one job alone leaves places empty at the end of each; several
fill them for each other. The time of the jobs is from the start of the first to the end of the last: search,
comparison, ledger, and all that is stored. The service has done a small job before. Server, jobs and client
share the machine: on two cores, what others do there shows in the ratio sooner than anything of ours, so the
load is printed, and each round. ``--profile FILE`` writes what the process of the jobs did in the
last round, for ``snakeviz`` or ``pstats``.
"""

import argparse
import cProfile
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import aiohttp

from app.event_loop import run
from benchmarks.vllm_shadow import JobsOnVllm, NotInstalledError, vllm_server
from optimizer.concurrency import run_together

AIM = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Seconds that both took for the same ``calls``, and CPU seconds of this process meanwhile."""

    calls: int
    jobs: float
    jobs_cpu: float
    bare: float
    bare_cpu: float

    @property
    def ratio(self) -> float:
        """Calls a second of the jobs, of those of the bare client."""
        return self.bare / self.jobs


async def fire(url: str, bodies: Sequence[bytes], *, concurrency: int) -> float:
    """Send all ``bodies`` to ``url`` with so many in flight; seconds.

    Raises:
        aiohttp.ClientError: one was not answered with success.
    """
    waiting = iter(bodies)
    headers = {"content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def work() -> None:
            for body in waiting:
                async with session.post(url, data=body) as response:
                    response.raise_for_status()
                    await response.read()

        began = time.perf_counter()
        await run_together(work() for _ in range(concurrency))
        return time.perf_counter() - began


async def measure(
    jobs: JobsOnVllm, url: str, requests: Sequence[dict[str, Any]], options: argparse.Namespace
) -> list[Round]:
    """All rounds of the jobs ``requests``, after one run in which the words are made up."""
    rounds, concurrency = options.rounds, options.concurrency
    await jobs.run_all(requests, order="prefix")
    found = []
    for number in range(1, rounds + 1):
        cpu = time.process_time()
        with profiled(options.profile if number == rounds else None):
            seconds, sent = await jobs.run_all(requests, order="prefix")
        jobs_cpu = time.process_time() - cpu
        await jobs.empty_cache()
        cpu = time.process_time()
        bare = await fire(url, sent, concurrency=concurrency)
        bare_cpu = time.process_time() - cpu
        found.append(Round(calls=len(sent), jobs=seconds, jobs_cpu=jobs_cpu, bare=bare, bare_cpu=bare_cpu))
        print(row(f"{number}", found[-1]), flush=True)
    return found


@contextmanager
def profiled(path: str | None) -> Iterator[None]:
    """Write a profile of the block to ``path``, where there is one."""
    if path is None:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(path)


def row(name: str, item: Round) -> str:
    """A line of the table."""
    cpu = (f"{1000 * seconds / item.calls:.2f}" for seconds in (item.jobs_cpu, item.bare_cpu))
    rates = (f"{item.calls / seconds:.1f}" for seconds in (item.jobs, item.bare))
    return " | ".join((f"| {name}", str(item.calls), *rates, f"{item.ratio:.3f}", *cpu)) + " |"


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vllm_throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=4, help="beside each other; default: %(default)s")
    parser.add_argument("--calls", type=int, default=300, help="budget of each; default: %(default)s")
    parser.add_argument("--concurrency", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--memory", default="256M", help="for keys and values; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--profile", metavar="FILE", help="of the last round, which it slows down")
    options = parser.parse_args()
    requests = [
        {"preset": "default", "budget": {"calls": options.calls}, "settings": {"seed": seed}, "label": None}
        for seed in range(options.jobs)
    ]
    print("| round | calls | jobs, calls/s | bare, calls/s | ratio | jobs, CPU ms/call | bare, CPU ms/call |")
    print("|---|---|---|---|---|---|---|")
    try:
        with vllm_server(memory=options.memory) as server:
            found = await measure(
                JobsOnVllm(server, concurrency=options.concurrency),
                f"{server.url}/chat/completions",
                requests,
                options,
            )
    except NotInstalledError as error:
        sys.exit(str(error))
    ratios = [item.ratio for item in found]
    fastest = min(item.bare / item.calls for item in found) / min(item.jobs / item.calls for item in found)
    print(
        f"\nmedian ratio {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), of the fastest "
        f"rounds {fastest:.3f}; aimed at {AIM}; {options.jobs} jobs, {options.concurrency} in flight, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    run(main())
