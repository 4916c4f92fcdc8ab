"""How much of the reachable gain each search captures on simulated models, at equal numbers of calls.

Captured gain = (true quality of the prompt found - first prompt) / (best that a greedy search with the
oracle reaches - first prompt), on queries that no search saw. All searches have the same backend, roles and
budget in calls. Nothing is tuned on these worlds; kinds of worlds other than the usual one are reported
apart. Intervals are over worlds.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.quality_report import report
from benchmarks.quality_runs import FIRST_WORLD, KINDS, STARTS, Case, Plan, Run, Size, cases, measure
from benchmarks.search_methods.table import METHODS

CALLS = (150, 280, 600, 2000)


class Record(BaseModel):
    """All runs of a report, as ``plot_search_quality`` reads them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = "captured gain on simulated models"
    runs: tuple[Run, ...]


def measure_all(todo: Sequence[Case], plan: Plan, processes: int) -> Iterator[Sequence[Run]]:
    """The runs of each case, in the order in which cases end."""
    started = time.monotonic()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        ending = as_completed([pool.submit(measure, case, plan) for case in todo])
        for ended, future in enumerate(ending, start=1):
            yield future.result()
            seconds = time.monotonic() - started
            print(f"{ended} of {len(todo)} cases, {seconds:.0f} s", file=sys.stderr, flush=True)


def in_order(runs: Sequence[Run], plan: Plan) -> tuple[Run, ...]:
    """``runs`` as they would come from a single process."""
    kinds = list(KINDS)
    return tuple(
        sorted(
            runs,
            key=lambda run: (
                kinds.index(run.case.kind),
                run.case.seed,
                run.case.world,
                plan.starts.index(run.start),
                plan.methods.index(run.method),
                run.calls,
            ),
        )
    )


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--worlds", type=int, default=20, metavar="N", help="usual worlds (default: %(default)s)")
    add("--seeds", type=int, default=3, metavar="N", help="in each usual world (default: %(default)s)")
    add(
        "--held-out-worlds",
        type=int,
        default=10,
        metavar="N",
        help="of each other kind (default: %(default)s)",
    )
    add("--held-out-seeds", type=int, default=1, metavar="N", help="in each of them (default: %(default)s)")
    add("--first-world", type=int, default=FIRST_WORLD, metavar="SEED", help="default: %(default)s")
    add("--calls", type=int, nargs="+", default=CALLS, metavar="N", help="budgets (default: %(default)s)")
    add("--methods", nargs="+", choices=METHODS, default=tuple(METHODS), help="default: all")
    add("--kinds", nargs="+", choices=KINDS, default=tuple(KINDS), help="default: all")
    add("--starts", nargs="+", choices=STARTS, default=tuple(STARTS), help="first prompts (default: all)")
    add("--processes", type=int, default=2, metavar="N", help="default: %(default)s")
    add("--json", type=Path, metavar="FILE", help="write all runs to it, after every case")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the report."""
    options = read_options()
    plan = Plan(
        methods=tuple(options.methods), calls=tuple(sorted(options.calls)), starts=tuple(options.starts)
    )
    first = options.first_world
    usual = Size(worlds=options.worlds, seeds=options.seeds, first_world=first)
    held_out = Size(worlds=options.held_out_worlds, seeds=options.held_out_seeds, first_world=first)
    todo = list(cases(options.kinds, usual, held_out))
    runs: tuple[Run, ...] = ()
    for found in measure_all(todo, plan, options.processes):
        runs = in_order([*runs, *found], plan)
        if options.json:
            options.json.write_text(Record(runs=runs).model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(report(runs))


if __name__ == "__main__":
    main()
