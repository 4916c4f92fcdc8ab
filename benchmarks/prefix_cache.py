"""How much of a job's prompts a real vLLM takes from its prefix cache, by the order of the requests.

One server of our own (a tiny model on the CPU, blocks of 32 tokens) runs the same job of preset ``default``
with ``request_order`` ``arrival`` and ``prefix``, in turn, each with an empty cache. Simulated models say the
words, see ``benchmarks/vllm_shadow.py``; the job, its prompts and its calls are the same in all runs, which
is checked. The share is of all roles' prompt tokens, by what the server says with each answer, and beside it
by the server's own counters (which count a prompt once for each of its ``n`` answers).

``--examples`` is where the target has its in-context examples, in search and service alike
(``targets.NAME.alignment.examples``).

``--memory`` is the room for keys and values, 2 KB a token. It decides what there is to win: where all
prefixes of a wave fit in beside the requests under way, the order makes no difference.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from app.event_loop import run
from benchmarks.vllm_shadow import JobRun, JobsOnVllm, NotInstalledError, vllm_server

ORDERS = ("arrival", "prefix")
AIM = 0.70


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One job under one order; ``counted`` is the share by the server's own counters."""

    order: str
    job: JobRun
    counted: float


async def measure(jobs: JobsOnVllm, *, calls: int, held_out: int, rounds: int) -> list[Measured]:
    """The job under both orders, in turn, after one run in which the words are made up.

    Raises:
        RuntimeError: the order has changed what the job asks or finds.
    """
    request = {"preset": "default", "budget": {"calls": calls}, "held_out": held_out, "label": None}
    rehearsal = await jobs.run(request, order="arrival")
    found = []
    for _ in range(rounds):
        for order in ORDERS:
            before = await jobs.counters()
            job = await jobs.run(request, order=order)
            after = await jobs.counters()
            if sorted(job.sent) != sorted(rehearsal.sent) or job.best_reward != rehearsal.best_reward:
                raise RuntimeError(f"order {order} has changed the job")
            asked = after["queries"] - before["queries"]
            found.append(Measured(order=order, job=job, counted=(after["hits"] - before["hits"]) / asked))
    return found


def table(found: Sequence[Measured]) -> str:
    """A Markdown table of the medians."""
    lines = [
        "| order | calls | prompt tokens | share from cache | by vLLM's counters | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for order in ORDERS:
        runs = [item for item in found if item.order == order]
        share = median(item.job.cache["share"] for item in runs)
        counted = median(item.counted for item in runs)
        seconds = median(item.job.seconds for item in runs)
        cache = runs[0].job.cache
        lines.append(
            f"| {order} | {len(runs[0].job.sent)} | {cache['prompt_tokens']:,} | {share:.3f} | "
            f"{counted:.3f} | {seconds:.1f} |"
        )
    roles = found[-1].job.cache["by_role"]
    lines.append("")
    lines += [f"{name}: {role['share']:.3f} of {role['prompt_tokens']:,}" for name, role in roles.items()]
    lines.append(f"aimed at {AIM:.0%} of all prompt tokens")
    return "\n".join(lines)


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prefix_cache",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calls", type=int, default=600, help="the job's budget; default: %(default)s")
    parser.add_argument("--held-out", type=int, default=20, help="queries of the gate; default: %(default)s")
    parser.add_argument("--concurrency", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--memory", default="256M", help="for keys and values; default: %(default)s")
    parser.add_argument(
        "--examples",
        nargs="+",
        choices=("first", "system", "system_first"),
        default=["first", "system_first"],
        help="default: %(default)s",
    )
    parser.add_argument("--rounds", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    try:
        with vllm_server(memory=options.memory) as server:
            for examples in options.examples:
                jobs = JobsOnVllm(server, concurrency=options.concurrency, examples=examples)
                found = await measure(
                    jobs, calls=options.calls, held_out=options.held_out, rounds=options.rounds
                )
                print(f"\nexamples: {examples}\n\n{table(found)}", flush=True)
    except NotInstalledError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(main())
